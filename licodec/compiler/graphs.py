"""Traced modules and what their nodes are."""

from __future__ import annotations

import operator

import torch
from torch import fx, nn

from licodec.compiler.rules import LEAVES


class LeafTracer(fx.Tracer):
    """Traces down to the modules that the rules know."""

    def is_leaf_module(self, module: nn.Module, qualified_name: str) -> bool:
        return isinstance(module, LEAVES) or super().is_leaf_module(module, qualified_name)


def trace(module: nn.Module) -> fx.GraphModule:
    return fx.GraphModule(module, LeafTracer().trace(module))


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
