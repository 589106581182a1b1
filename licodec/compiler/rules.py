"""How the compiler turns the published networks' leaves into operations."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, fx, nn

from licodec.compiler.compilation import Compilation, place_of
from licodec.compiler.forms import Grid
from licodec.compiler.grids import Rule, Tables
from licodec.compiler.lowering import Span, attention_form, gdn_form, igdn_form, layernorm_form
from licodec.networks.adapter_branches import Gain, MatrixProduct, PlaneMatrixProduct
from licodec.networks.layers import (
    GDN,
    ChannelNorm,
    HalfTanh,
    Halves,
    InverseGDN,
    MaskedConvolution,
    NeighbourStack,
    PointwiseLinear,
    StochasticDepth,
)
from licodec.networks.swin import TableAsGrid, WindowAttention


def _numbers(values: Tensor) -> np.ndarray:
    return values.detach().cpu().double().numpy()


def _span(grid: Grid) -> Span:
    return Span(grid.step, grid.low, grid.high)


def _linear(compilation: Compilation, node: fx.Node, module: PointwiseLinear) -> str:
    kernel = module.weight[:, :, None, None]
    return compilation.convolution(node, str(node.target), kernel, module.bias)


def _masked(compilation: Compilation, node: fx.Node, module: MaskedConvolution) -> str:
    kernel = module.weight * module.visible()
    place = place_of(module)
    return compilation.convolution(node, str(node.target), kernel, module.bias, **place)


def _matrix_product(compilation: Compilation, node: fx.Node, module: PlaneMatrixProduct) -> str:
    matrix = node.all_input_nodes[1]
    kernel = compilation.constants[matrix.name].T[:, :, None, None]
    return compilation.convolution(node, str(matrix.target), kernel, None)


def _gain(compilation: Compilation, node: fx.Node, module: Gain) -> str:
    """The branch times the number that stands for the mode's value in [0, 1]."""
    x, grid = compilation.operand(node), compilation.node_grids[node.name]
    one = compilation.source.numbers[module.mode]
    steps = compilation.channel_steps[x] * (module.largest / one)
    return compilation.requantize(
        compilation.emit("scale", [x, module.mode]), steps, grid, grid.low
    )


def _norm(compilation: Compilation, node: fx.Node, module: ChannelNorm) -> str:
    operand = compilation.operand(node)
    x, order = compilation.uniform(operand), compilation.ordered(operand)
    grid = compilation.node_grids[node.name]
    gain, bias = _numbers(module.weight)[order], _numbers(module.bias)[order]
    form = layernorm_form(gain, bias, module.eps, _span(compilation.grids[x]), _span(grid))
    output = compilation.emit("layernorm", [x], form.tensors, None, **form.attributes)
    if operand in compilation.orders:
        compilation.orders[output] = order
    return compilation.place(output, grid, len(order))


def _attention(compilation: Compilation, node: fx.Node, module: WindowAttention) -> str:
    x = compilation.uniform(compilation.operand(node))
    grid, channels = compilation.grids[x], compilation.channels(x) // 3
    bias = _numbers(compilation.constants[node.all_input_nodes[1].name])
    form = attention_form(
        bias,
        module.scale,
        np.full(module.heads, grid.step**2),
        channels // module.heads,
        _span(grid),
        module.size,
        module.shift,
    )
    output = compilation.emit("window_attention", [x], form.tensors, None, **form.attributes)
    return compilation.place(output, grid, channels)


def _normalization(compilation: Compilation, node: fx.Node, module: GDN) -> str:
    x, grid = compilation.uniform(compilation.operand(node)), compilation.node_grids[node.name]
    width = compilation.widths_of(f"{compilation.source.name}.{node.target}")
    beta, gamma = map(_numbers, module.constants())
    span = _span(compilation.grids[x])
    if isinstance(module, InverseGDN):
        kind, form = "igdn", igdn_form(gamma, beta, span, width)
    else:
        largest = max(-grid.low, grid.high) * grid.step
        kind, form = "gdn", gdn_form(gamma, beta, span, width, largest)
    result = compilation.weighted(kind, [x], form.tensors, width, None, **form.attributes)
    return compilation.requantize(result, form.steps, grid, grid.low)


def _halves(compilation: Compilation, node: fx.Node, module: Halves) -> tuple[str, ...]:
    x = compilation.operand(node)
    count, steps = compilation.channels(x), compilation.channel_steps[x]
    halves = []
    for start in (0, count // 2):
        stop = start + count // 2
        half = compilation.emit("split", [x], start=start, stop=stop)
        compilation.place(half, compilation.grids[x], count // 2)
        compilation.channel_steps[half] = steps[start:stop]
        halves.append(half)
    return tuple(halves)


def _neighbours(compilation: Compilation, node: fx.Node, module: NeighbourStack) -> str:
    """Depth from space, whose channels come in another order: what reads them follows it."""
    x = compilation.operand(node)
    count = compilation.channels(x)
    output = compilation.emit("pixel_unshuffle", [x], factor=2)
    # Channel 4 c + 2 row + column is channel c + count (2 column + row) of the float value.
    channel, row, column = np.unravel_index(np.arange(4 * count), (count, 2, 2))
    compilation.orders[output] = channel + count * (2 * column + row)
    return compilation.place(output, compilation.grids[x], 4 * count)


def _identity(compilation: Compilation, node: fx.Node, module: nn.Module) -> str:
    return compilation.operand(node)


def _error_function(x: np.ndarray) -> np.ndarray:
    return torch.special.erf(torch.from_numpy(x)).numpy()


RULES: Mapping[type[nn.Module], Rule] = {
    PointwiseLinear: Rule(_linear),
    MaskedConvolution: Rule(_masked),
    PlaneMatrixProduct: Rule(_matrix_product),
    Gain: Rule(_gain, further_bits=2),  # a layer and its branch may nearly cancel out
    ChannelNorm: Rule(_norm),
    WindowAttention: Rule(_attention),
    GDN: Rule(_normalization),
    Halves: Rule(_halves, keeps_grid=True),
    NeighbourStack: Rule(_neighbours, keeps_grid=True),
    StochasticDepth: Rule(_identity, keeps_grid=True),  # in evaluation mode
}

TABLES: Tables = {
    nn.GELU: lambda module, x: 0.5 * x * (1 + _error_function(x / np.sqrt(2))),
    nn.Sigmoid: lambda module, x: 1 / (1 + np.exp(-x)),
    HalfTanh: lambda module, x: 0.5 * np.tanh(x),
}

# What tracing stops at beside PyTorch's own modules: these, and what parameters alone go through.
LEAVES = (*RULES, *TABLES, MatrixProduct, TableAsGrid)
