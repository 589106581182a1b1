"""A traced module run again from the recording of its float run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.fx.node import Target

from licodec.compiler.weight_steps import stored_weight
from licodec.fmpq.layers import WeightedKind, kind_of


class Replay(fx.Interpreter):
    """One traced module: its float run recorded, then run again with some weights replaced.

    `steps` has what the operands of layers count in, (channels,) by module path, where it
    matters to the weights.
    """

    def __init__(
        self, name: str, traced: fx.GraphModule, correct_bias: bool, steps: Mapping[str, Tensor]
    ) -> None:
        super().__init__(traced)
        self.name = name
        self.steps = steps
        self.recorded: dict[str, Any] = {}  # by node, of the float run
        self.widths: Mapping[str, int] = {}  # by module path, of the present trial
        self.corrections: dict[str, Tensor] = {}  # (channels,) by module path, of the last one
        self._correct_bias = correct_bias
        self._changed: set[str] = set()
        self._node: fx.Node  # that is run

    @property
    def layers(self) -> Iterator[tuple[str, nn.Module, WeightedKind]]:
        """The weighted layers in graph order: module path, module, kind."""
        for node in self.graph.nodes:
            if node.op == "call_module":
                module = self.fetch_attr(str(node.target))
                if kind := kind_of(module):
                    yield str(node.target), module, kind

    def forward(self, *inputs: Tensor) -> object:
        self._changed = set()
        self.corrections = {}
        return self.run(*inputs)

    def run_node(self, node: fx.Node) -> object:
        self._node = node
        if node.op in ("placeholder", "output") or node.name not in self.recorded:
            result = super().run_node(node)
            before = self.recorded.setdefault(node.name, result)
            if node.op == "placeholder" and result is not before:
                if torch.equal(result, before):
                    return before
                self._changed.add(node.name)
            return result
        touched = any(operand.name in self._changed for operand in node.all_input_nodes)
        if not touched and str(node.target) not in self.widths:
            return self.recorded[node.name]
        self._changed.add(node.name)
        return super().run_node(node)

    def call_module(self, target: Target, args: tuple, kwargs: dict) -> object:
        path = str(target)
        module, width = self.fetch_attr(path), self.widths.get(path)
        kind = kind_of(module)
        if width is None or kind is None:
            return super().call_module(target, args, kwargs)
        weight = stored_weight(kind.weight(module), width, self.steps.get(path))
        result = kind.run(module, args[0], weight)
        if not self._correct_bias or getattr(module, "bias", None) is None:
            return result
        shift = (self.recorded[self._node.name] - result).mean((0, 2, 3))
        self.corrections[path] = shift
        return result + shift[:, None, None]
