"""What each kind of leaf emits: one function each, of the compilation, the node that stands for it
and its module, None for a function. :mod:`licodec.compiler.rules` says which one is whose."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, fx, nn

from licodec.compiler.forms import MSE, OWN, ByKnot, Condition, Grid, Place
from licodec.compiler.lowering import attention_form, gdn_form, igdn_form, layernorm_form
from licodec.networks.adapter_branches import Gain, PlaneMatrixProduct
from licodec.networks.base_entropy import Phase
from licodec.networks.compiled_leaves import ChannelGain, ChannelOffset, FirstChannels, Narrowed
from licodec.networks.conditions import KNOTS, Conditioned, ConditionedOffset, StepSizes
from licodec.networks.layers import (
    GDN,
    ChannelNorm,
    Halves,
    InverseGDN,
    MaskedConvolution,
    NeighbourStack,
    PointwiseLinear,
)
from licodec.networks.swin import WindowAttention
from licodec.rate.gains import GAIN_ONE

if TYPE_CHECKING:
    from licodec.compiler.compilation import Compilation

OFFSET_BITS = 14  # of the fraction to which a channel's offset is rounded
CONTEXT_BITS = 2  # further bits of latents that features are made of: their range is far wider
WIDEST = 16  # bits of a value that a convolution reads


def numbers(values: Tensor) -> np.ndarray:
    """In binary64."""
    return values.detach().cpu().double().numpy()


# Convolutions and their conditions -------------------------------------------------------------


def place_of(module: nn.Conv2d) -> Place:
    """Raises ValueError for padding by a name."""
    padding = module.padding[0]
    if isinstance(padding, str):
        raise ValueError(f"a convolution with padding {module.padding!r}")
    return {"stride": module.stride[0], "padding": padding, "groups": module.groups}


def convolution(compilation: Compilation, node: fx.Node, module: nn.Conv2d) -> str:
    if compilation.is_conditioned(node):
        return compilation.operand(node)  # the condition emits it
    weights = module.weight, module.bias
    return compilation.convolution(node, str(node.target), *weights, **place_of(module))


def masked(compilation: Compilation, node: fx.Node, module: MaskedConvolution) -> str:
    kernel = module.weight * module.visible()
    place = place_of(module)
    return compilation.convolution(node, str(node.target), kernel, module.bias, **place)


def linear(compilation: Compilation, node: fx.Node, module: PointwiseLinear) -> str:
    kernel = module.weight[:, :, None, None]
    return compilation.convolution(node, str(node.target), kernel, module.bias)


def matrix_product(compilation: Compilation, node: fx.Node, module: PlaneMatrixProduct) -> str:
    matrix = node.all_input_nodes[1]
    kernel = compilation.constants[matrix.name].T[:, :, None, None]
    return compilation.convolution(node, str(matrix.target), kernel, None)


def conditioned(
    compilation: Compilation, node: fx.Node, module: Conditioned | ConditionedOffset
) -> str:
    """What the condition and the convolution before it make."""
    (before,) = node.all_input_nodes
    layer = compilation.module_of(before, nn.Conv2d)
    if layer is None or not compilation.is_conditioned(before):
        raise ValueError(
            f"{compilation.source.name}: {node.name} is behind no convolution of its own"
        )
    gain = by_objective(module.log_gain.exp()) if isinstance(module, Conditioned) else None
    condition = Condition(by_objective(module.offset), gain)
    weights, place = (layer.weight, layer.bias), place_of(layer)
    return compilation.convolution(before, str(before.target), *weights, condition, node, **place)


def step_sizes(compilation: Compilation, node: fx.Node, module: StepSizes) -> str:
    x, grid = compilation.operand(node), compilation.node_grids[node.name]
    sizes = by_objective(module.log_steps.exp())
    return compilation.requantize_times(x, compilation.channel_steps[x], grid, grid.low, sizes)


def by_objective(table: Tensor) -> ByKnot:
    """A table (OBJECTIVES * KNOTS, channels), squared error first, as packs have it."""
    mse, visual = numbers(table).reshape(2, KNOTS, -1)
    return {OWN: visual, MSE: mse}


# Activations and other scalar functions --------------------------------------------------------


def relu(compilation: Compilation, node: fx.Node, module: nn.ReLU) -> str:
    x = compilation.operand(node)
    if compilation.is_folded(node):
        return x
    if stated := compilation.stated_grids().get(node.name):
        low = max(0, stated.low)
        return compilation.requantize(x, compilation.channel_steps[x], stated, low)
    grid = compilation.grids[x]
    return compilation.moved("clamp", x, compilation.channels(x), low=0, high=grid.high)


def leaky_relu(compilation: Compilation, node: fx.Node, module: nn.LeakyReLU) -> str:
    x, grid = compilation.operand(node), compilation.node_grids[node.name]
    if compilation.is_folded(node):
        return x
    slope = module.negative_slope
    return compilation.requantize(x, compilation.channel_steps[x], grid, grid.low, slope)


def table(compilation: Compilation, node: fx.Node, module: nn.Module) -> str:
    """The module of every integer that calibration has seen, and some margin."""
    x = compilation.uniform(compilation.operand(node))
    read = compilation.reached(node.all_input_nodes[0], compilation.grids[x])
    given = compilation.node_grids[node.name]
    argument = torch.arange(read.low, read.high + 1, dtype=torch.float64) * read.step
    entries = np.clip(np.rint(numbers(module(argument)) / given.step), given.low, given.high)
    output = compilation.emit("table", [x], {"table": entries.astype(np.int32)}, low=read.low)
    return compilation.place(output, given, compilation.channels(x))


# Normalizations and attention ------------------------------------------------------------------


def normalization(compilation: Compilation, node: fx.Node, module: GDN) -> str:
    x, grid = compilation.uniform(compilation.operand(node)), compilation.node_grids[node.name]
    width = compilation.widths_of(f"{compilation.source.name}.{node.target}")
    beta, gamma = map(numbers, module.constants())
    if isinstance(module, InverseGDN):
        kind, form = "igdn", igdn_form(gamma, beta, compilation.grids[x], width)
    else:
        largest = grid.largest * grid.step
        kind, form = "gdn", gdn_form(gamma, beta, compilation.grids[x], width, largest)
    result = compilation.emit(kind, [x], form.tensors, None, width=width, **form.attributes)
    return compilation.requantize(result, form.steps, grid, grid.low)


def layernorm(compilation: Compilation, node: fx.Node, module: ChannelNorm) -> str:
    operand = compilation.operand(node)
    x, order = compilation.uniform(operand), compilation.ordered(operand)
    grid = compilation.node_grids[node.name]
    gain, bias = numbers(module.weight)[order], numbers(module.bias)[order]
    form = layernorm_form(gain, bias, module.eps, compilation.grids[x], grid)
    output = compilation.emit("layernorm", [x], form.tensors, None, **form.attributes)
    if operand in compilation.orders:
        compilation.orders[output] = order
    return compilation.place(output, grid, len(order))


def attention(compilation: Compilation, node: fx.Node, module: WindowAttention) -> str:
    x = compilation.uniform(compilation.operand(node))
    grid, channels = compilation.grids[x], compilation.channels(x) // 3
    form = attention_form(
        numbers(compilation.constants[node.all_input_nodes[1].name]),
        module.scale,
        channels // module.heads,
        grid,
        module.size,
        module.shift,
    )
    output = compilation.emit("window_attention", [x], form.tensors, None, **form.attributes)
    return compilation.place(output, grid, channels)


# Gains, offsets, sums and products -------------------------------------------------------------


def gain(compilation: Compilation, node: fx.Node, module: Gain) -> str:
    """The branch times the number that stands for the mode's value in [0, 1]."""
    x, grid = compilation.operand(node), compilation.node_grids[node.name]
    steps = compilation.channel_steps[x] * (module.largest / GAIN_ONE)
    return compilation.requantize(
        compilation.emit("scale", [x, module.mode]), steps, grid, grid.low
    )


def channel_gain(compilation: Compilation, node: fx.Node, module: ChannelGain) -> str:
    x, grid = compilation.operand(node), compilation.node_grids[node.name]
    steps = compilation.channel_steps[x] * numbers(module.gain).ravel()
    return compilation.requantize(x, steps, grid, grid.low)


def channel_offset(compilation: Compilation, node: fx.Node, module: ChannelOffset) -> str:
    """A convolution of each channel by itself, whose bias is the offset."""
    x = compilation.operand(node)
    steps, grid = compilation.channel_steps[x], compilation.grids[x]
    offset = numbers(module.offset).ravel()
    # Fewer bits where the offset is far larger than what it is added to.
    most = float(np.abs(offset / steps).max())
    bits = next(b for b in range(OFFSET_BITS, -1, -1) if b == 0 or most * 2**b < 2**31 - 1)
    unit = 2**bits
    tensors = {
        "weight": np.full((len(steps), 1, 1, 1), unit, np.int16),
        "bias": np.rint(offset / steps * unit).astype(np.int32),
    }
    acc = compilation.emit("conv2d", [x], tensors, width=16, groups=len(steps))
    stated = compilation.stated_grids().get(node.name)
    if stated is None:  # one that holds whatever the operand can be
        ends = np.outer((grid.low, grid.high), steps) + offset
        highest = 2 ** (WIDEST - 1) - 1
        stated = Grid(float(np.abs(ends).max()) / highest, -highest - 1, highest)
    return compilation.requantize(acc, steps / unit, stated, stated.low)


def narrowed(compilation: Compilation, node: fx.Node, module: Narrowed) -> str:
    return compilation.on_grid(compilation.operand(node), compilation.node_grids[node.name])


def total(compilation: Compilation, node: fx.Node, module: None) -> str:
    grid = compilation.node_grids[node.name]
    terms = [compilation.on_grid(x, grid) for x in compilation.operands(node)]
    output = compilation.emit("add", terms, low=grid.low, high=grid.high)
    return compilation.place(output, grid, compilation.channels(terms[0]))


def product(compilation: Compilation, node: fx.Node, module: None) -> str:
    grid = compilation.node_grids[node.name]
    x, y = factors = compilation.operands(node)
    steps = compilation.channel_steps[x] * compilation.channel_steps[y]
    return compilation.requantize(compilation.emit("mul", factors), steps, grid, grid.low)


# Planes that are moved -------------------------------------------------------------------------


def identity(compilation: Compilation, node: fx.Node, module: nn.Module) -> str:
    return compilation.operand(node)


def concatenation(compilation: Compilation, node: fx.Node, module: None) -> str:
    parts, bits = [], compilation.activation_bits + CONTEXT_BITS
    for operand, value in zip(node.all_input_nodes, compilation.operands(node), strict=True):
        if operand.op == "placeholder" and bits < WIDEST and _is_wide(compilation.grids[value]):
            value = compilation.on_grid(value, compilation.choose_grid([operand.name], bits))
        parts.append(value)
    output = compilation.emit("concat", parts)
    steps = np.concatenate([compilation.channel_steps[x] for x in parts])
    own = [compilation.grids[x] for x in parts]
    # No step where none of the grids is that of all channels.
    step = own[0].step if all(grid.step == own[0].step for grid in own) else math.nan
    grid = Grid(step, min(g.low for g in own), max(g.high for g in own))
    compilation.place(output, grid, len(steps))
    compilation.channel_steps[output] = steps
    return output


def _is_wide(grid: Grid) -> bool:
    """A grid of 16 bits, on which few values are close to the ends."""
    return grid.high - grid.low >= 2**16 - 1


def first_channels(compilation: Compilation, node: fx.Node, module: FirstChannels) -> str:
    x = compilation.operand(node)
    return compilation.moved("split", x, module.count, start=0, stop=module.count)


def halves(compilation: Compilation, node: fx.Node, module: Halves) -> tuple[str, ...]:
    x = compilation.operand(node)
    count, steps = compilation.channels(x) // 2, compilation.channel_steps[x]
    found = []
    for start, stop in ((0, count), (count, 2 * count)):
        half = compilation.moved("split", x, count, start=start, stop=stop)
        compilation.channel_steps[half] = steps[start:stop]
        found.append(half)
    return tuple(found)


def phase(compilation: Compilation, node: fx.Node, module: Phase) -> str:
    x = compilation.operand(node)
    place = {"factor": 2, "row": module.row, "column": module.column}
    return compilation.moved("phase", x, compilation.channels(x), **place)


def pixel_shuffle(compilation: Compilation, node: fx.Node, module: nn.PixelShuffle) -> str:
    x, factor = compilation.operand(node), module.upscale_factor
    channels = compilation.channels(x) // factor**2
    return compilation.moved("pixel_shuffle", x, channels, factor=factor)


def pixel_unshuffle(compilation: Compilation, node: fx.Node, module: nn.PixelUnshuffle) -> str:
    x, factor = compilation.operand(node), module.downscale_factor
    channels = compilation.channels(x) * factor**2
    return compilation.moved("pixel_unshuffle", x, channels, factor=factor)


def neighbours(compilation: Compilation, node: fx.Node, module: NeighbourStack) -> str:
    """Depth from space, whose channels come in another order: what reads them follows it."""
    x = compilation.operand(node)
    count = compilation.channels(x)
    output = compilation.moved("pixel_unshuffle", x, 4 * count, factor=2)
    # Channel 4 c + 2 row + column is channel c + count (2 column + row) of the float value.
    channel, row, column = np.unravel_index(np.arange(4 * count), (count, 2, 2))
    compilation.orders[output] = channel + count * (2 * column + row)
    return output
