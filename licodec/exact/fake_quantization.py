"""Training through the roundings of the exact form.

A traced module run by :class:`FakeQuantized` puts every value on the grid and every weight
on the steps that the compiler would choose, in floats, with straight-through gradients.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, fx, nn

from licodec.exact.compiler import Grid


def round_straight_through(x: Tensor, grid: Grid) -> Tensor:
    """`x` on `grid`; the gradient is that of x inside the grid's range and 0 outside."""
    clamped = x.clamp(grid.low * grid.step, grid.high * grid.step)
    rounded = torch.round(clamped.detach() / grid.step) * grid.step
    return clamped + (rounded - clamped.detach())


def quantized_weight(weight: Tensor, width: int) -> Tensor:
    """`weight` (O, ...) rounded to `width` bits, one step per output channel."""
    largest = 2 ** (width - 1) - 1
    step = weight.detach().flatten(1).abs().amax(1).clamp_min(1e-12) / largest
    step = step.reshape(-1, *[1] * (weight.ndim - 1))
    return weight + (torch.round(weight.detach() / step) * step - weight.detach())


class _Rounding(fx.Interpreter):
    def __init__(
        self, traced: fx.GraphModule, grids: Mapping[str, Grid], widths: Callable[[str], int]
    ) -> None:
        super().__init__(traced)
        self.grids, self.widths = grids, widths

    def call_module(self, target: str, args: tuple, kwargs: dict) -> object:
        module = self.fetch_attr(target)
        if not isinstance(module, nn.Conv2d):
            return super().call_module(target, args, kwargs)
        weight = quantized_weight(module.weight, self.widths(target))
        return module._conv_forward(args[0], weight, module.bias)

    def run_node(self, node: fx.Node) -> object:
        result = super().run_node(node)
        grid = self.grids.get(node.name)
        if grid is not None and isinstance(result, Tensor):
            return round_straight_through(result, grid)
        return result


class FakeQuantized(nn.Module):
    """A traced module as its program would compute it, differentiable.

    `grids` gives the grid of each node by name (``compiler.node_grids``), `widths` the bits
    of each convolution's weight by its path. The parameters are those of the traced module.
    """

    def __init__(
        self, traced: fx.GraphModule, grids: Mapping[str, Grid], widths: Callable[[str], int]
    ) -> None:
        super().__init__()
        self.traced = traced
        self._grids, self._widths = dict(grids), widths

    def forward(self, *inputs: Tensor) -> object:
        return _Rounding(self.traced, self._grids, self._widths).run(*inputs)
