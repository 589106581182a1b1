"""Traced modules and what their nodes are."""

from __future__ import annotations

import operator

import torch
from torch import fx, nn

from licodec.networks.compiled_leaves import ChannelGain, ChannelOffset, FirstChannels, Narrowed


class LeafTracer(fx.Tracer):
    """Traces down to the modules the rules know."""

    def __init__(self, leaves: tuple[type[nn.Module], ...]) -> None:
        super().__init__()
        self.leaves = leaves

    def is_leaf_module(self, module: nn.Module, qualified_name: str) -> bool:
        known = (*self.leaves, ChannelGain, ChannelOffset, FirstChannels, Narrowed)
        return isinstance(module, known) or super().is_leaf_module(module, qualified_name)


def trace(module: nn.Module, table_leaves: tuple[type[nn.Module], ...]) -> fx.GraphModule:
    graph = LeafTracer(table_leaves).trace(module)
    return fx.GraphModule(module, graph)


def output_nodes(traced: fx.GraphModule) -> list[fx.Node]:
    """The nodes of a module's results, in order."""
    (end,) = (node for node in traced.graph.nodes if node.op == "output")
    return list(end.args[0]) if isinstance(end.args[0], (tuple, list)) else [end.args[0]]


def is_sum(node: fx.Node) -> bool:
    return node.op == "call_function" and node.target in (operator.add, torch.add)


def is_item(node: fx.Node) -> bool:
    """One of several results."""
    return node.op == "call_function" and node.target is operator.getitem


def is_concat(node: fx.Node) -> bool:
    return node.op == "call_function" and node.target is torch.cat
