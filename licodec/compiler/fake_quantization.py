"""Training through the roundings of the exact form.

A traced module run by :class:`FakeQuantized` puts every value on the grid and every weight
on the steps that the compiler would choose, in floats, with straight-through gradients.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, fx, nn

from licodec.compiler.compilation import Grid, operand_steps
from licodec.compiler.weight_steps import stored_weight


def round_straight_through(x: Tensor, grid: Grid) -> Tensor:
    """`x` on `grid`; the gradient is that of x inside the grid's range and 0 outside."""
    clamped = x.clamp(grid.low * grid.step, grid.high * grid.step)
    rounded = torch.round(clamped.detach() / grid.step) * grid.step
    return clamped + (rounded - clamped.detach())


def stored_straight_through(
    weight: Tensor, width: int, operand_steps: Tensor | None = None
) -> Tensor:
    """`weight` as it is stored (:func:`stored_weight`); the gradient passes as it is."""
    return weight + (stored_weight(weight, width, operand_steps) - weight.detach())


class _Rounding(fx.Interpreter):
    def __init__(self, traced: fx.GraphModule, form: RoundedForm) -> None:
        super().__init__(traced)
        self.form = form
        self.channels: dict[str, int] = {}  # of every node so far
        self.operand: fx.Node | None = None  # the first that the present node reads

    def call_module(self, target: str, args: tuple, kwargs: dict) -> object:
        module = self.fetch_attr(target)
        if not isinstance(module, nn.Conv2d):
            return super().call_module(target, args, kwargs)
        form, steps = self.form, None
        if self.operand.target is torch.cat:
            steps = operand_steps(
                self.operand, form.grids, form.ranges, form.activation_bits, self.channels
            )
        weight = stored_straight_through(module.weight, form.widths(target), steps)
        return module._conv_forward(args[0], weight, module.bias)

    def run_node(self, node: fx.Node) -> object:
        self.operand = next(iter(node.all_input_nodes), None)
        result = super().run_node(node)
        if node.op == "output" or not isinstance(result, Tensor):
            return result  # the values that are given out are on their grids already
        self.channels[node.name] = result.shape[1]
        grid = self.form.grids.get(node.name)
        return result if grid is None else round_straight_through(result, grid)


@dataclass(frozen=True)
class RoundedForm:
    """What the compiler makes of a traced module.

    grids            of each node by name (``compiler.node_grids``)
    ranges           what the grid of each node should hold, by name
    widths           bits of each convolution's weight by its path
    activation_bits  of the grids that nothing fixes
    """

    grids: Mapping[str, Grid]
    ranges: Mapping[str, tuple[float, float]]
    widths: Callable[[str], int]
    activation_bits: int


class FakeQuantized(nn.Module):
    """A traced module as its program would compute it, differentiable.

    The parameters are those of the traced module.
    """

    def __init__(self, traced: fx.GraphModule, form: RoundedForm) -> None:
        super().__init__()
        self.traced = traced
        self._form = form

    def forward(self, *inputs: Tensor) -> object:
        return _Rounding(self.traced, self._form).run(*inputs)
