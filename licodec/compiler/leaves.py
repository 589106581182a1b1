"""How the compiler turns PyTorch's own leaves, and sums, products and concatenations, into
operations; whoever calls it brings rules for further ones (:mod:`licodec.compiler.rules`)."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import fx, nn

from licodec.compiler.forms import Grid
from licodec.compiler.grids import CONTEXT_BITS, WIDEST
from licodec.networks.compiled_leaves import ChannelGain, ChannelOffset, FirstChannels, Narrowed

if TYPE_CHECKING:
    from licodec.compiler.compilation import Compilation

OFFSET_BITS = 14  # of the fraction to which a channel's offset is rounded

# Emits what a node makes of the values that it reads and returns the value's name; the module is
# the node's own, of the class that it is registered for, None for a function.
Emit = Callable[["Compilation", fx.Node, Any], str]


def _identity(compilation: Compilation, node: fx.Node, module: nn.Module) -> str:
    return compilation.operand(node)


def _narrowed(compilation: Compilation, node: fx.Node, module: Narrowed) -> str:
    return compilation.on_grid(compilation.operand(node), compilation.node_grids[node.name])


def _leaky_relu(compilation: Compilation, node: fx.Node, module: nn.LeakyReLU) -> str:
    x, grid = compilation.operand(node), compilation.node_grids[node.name]
    slope = module.negative_slope
    return compilation.requantize(x, compilation.channel_steps[x], grid, grid.low, slope)


def _relu(compilation: Compilation, node: fx.Node, module: nn.ReLU) -> str:
    x = compilation.operand(node)
    if stated := compilation.stated_grids().get(node.name):
        low = max(0, stated.low)
        return compilation.requantize(x, compilation.channel_steps[x], stated, low)
    grid = compilation.grids[x]
    output = compilation.emit("clamp", [x], low=0, high=grid.high)
    return compilation.place(output, grid, compilation.channels(x))


def _pixel_shuffle(compilation: Compilation, node: fx.Node, module: nn.PixelShuffle) -> str:
    x, factor = compilation.operand(node), module.upscale_factor
    output = compilation.emit("pixel_shuffle", [x], factor=factor)
    return compilation.place(output, compilation.grids[x], compilation.channels(x) // factor**2)


def _pixel_unshuffle(compilation: Compilation, node: fx.Node, module: nn.PixelUnshuffle) -> str:
    x, factor = compilation.operand(node), module.downscale_factor
    output = compilation.emit("pixel_unshuffle", [x], factor=factor)
    return compilation.place(output, compilation.grids[x], compilation.channels(x) * factor**2)


def _first_channels(compilation: Compilation, node: fx.Node, module: FirstChannels) -> str:
    x = compilation.operand(node)
    output = compilation.emit("split", [x], start=0, stop=module.count)
    return compilation.place(output, compilation.grids[x], module.count)


def _channel_gain(compilation: Compilation, node: fx.Node, module: ChannelGain) -> str:
    x, grid = compilation.operand(node), compilation.node_grids[node.name]
    gains = module.gain.detach().cpu().double().numpy().ravel()
    return compilation.requantize(x, compilation.channel_steps[x] * gains, grid, grid.low)


def _channel_offset(compilation: Compilation, node: fx.Node, module: ChannelOffset) -> str:
    """A convolution of each channel by itself, whose bias is the offset."""
    x = compilation.operand(node)
    steps, grid = compilation.channel_steps[x], compilation.grids[x]
    offset = module.offset.detach().cpu().double().numpy().ravel()
    # Fewer bits where the offset is far larger than what it is added to.
    most = float(np.abs(offset / steps).max())
    bits = next(b for b in range(OFFSET_BITS, -1, -1) if b == 0 or most * 2**b < 2**31 - 1)
    unit = 2**bits
    tensors = {
        "weight": np.full((len(steps), 1, 1, 1), unit, np.int16),
        "bias": np.rint(offset / steps * unit).astype(np.int32),
    }
    acc = compilation.weighted("conv2d", [x], tensors, 16, groups=len(steps))
    stated = compilation.stated_grids().get(node.name)
    if stated is None:  # one that holds whatever the operand can be
        ends = np.outer((grid.low, grid.high), steps) + offset
        highest = 2 ** (WIDEST - 1) - 1
        stated = Grid(float(np.abs(ends).max()) / highest, -highest - 1, highest)
    return compilation.requantize(acc, steps / unit, stated, stated.low)


def _sum(compilation: Compilation, node: fx.Node, module: None) -> str:
    grid = compilation.node_grids[node.name]
    terms = [compilation.on_grid(x, grid) for x in compilation.operands(node)]
    output = compilation.emit("add", terms, low=grid.low, high=grid.high)
    return compilation.place(output, grid, compilation.channels(terms[0]))


def _product(compilation: Compilation, node: fx.Node, module: None) -> str:
    grid = compilation.node_grids[node.name]
    x, y = factors = compilation.operands(node)
    steps = compilation.channel_steps[x] * compilation.channel_steps[y]
    return compilation.requantize(compilation.emit("mul", factors), steps, grid, grid.low)


def _concatenation(compilation: Compilation, node: fx.Node, module: None) -> str:
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


MODULES: Mapping[type[nn.Module], Emit] = {
    nn.Identity: _identity,
    Narrowed: _narrowed,
    nn.LeakyReLU: _leaky_relu,
    nn.ReLU: _relu,
    nn.PixelShuffle: _pixel_shuffle,
    nn.PixelUnshuffle: _pixel_unshuffle,
    FirstChannels: _first_channels,
    ChannelGain: _channel_gain,
    ChannelOffset: _channel_offset,
}

FUNCTIONS: Mapping[object, Emit] = {
    operator.add: _sum,
    torch.add: _sum,
    operator.mul: _product,
    torch.mul: _product,
    torch.cat: _concatenation,
}
