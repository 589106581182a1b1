"""How each kind of leaf is compiled: the one table of all of them."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import fx, nn

from licodec.compiler import leaves
from licodec.networks.adapter_branches import Gain, MatrixProduct, PlaneMatrixProduct
from licodec.networks.base_entropy import Phase
from licodec.networks.compiled_leaves import ChannelGain, ChannelOffset, FirstChannels, Narrowed
from licodec.networks.conditions import Conditioned, ConditionedOffset, StepSizes
from licodec.networks.latent_views import LogMagnitude
from licodec.networks.layers import (
    GDN,
    ChannelNorm,
    HalfTanh,
    Halves,
    MaskedConvolution,
    NeighbourStack,
    PointwiseLinear,
    ScaleExponential,
    StochasticDepth,
)
from licodec.networks.swin import TableAsGrid, WindowAttention

if TYPE_CHECKING:
    from licodec.compiler.compilation import Compilation

Emitted = str | tuple[str, ...]  # the value of a node, or the values where it gives several


@dataclass(frozen=True)
class Rule:
    """How one kind of leaf is compiled.

    emit          emits what a node of that kind computes, given its module, which is None for a
                  function, and returns its value
    keeps_grid    its results are its operand's integers, as they are
    further_bits  that a grid has for what is added on it to such a node's results, unless a table
                  reads the sum
    takes_order   it may be given channels in another order
    """

    emit: Callable[[Compilation, fx.Node, Any], Emitted]
    keeps_grid: bool = False
    further_bits: int = 0
    takes_order: bool = False


# Scalar functions, which become tables: evaluated in binary64, they are what the table holds.
TABLES = (nn.GELU, nn.Sigmoid, HalfTanh, LogMagnitude, ScaleExponential)
CONDITIONS = (Conditioned, ConditionedOffset)  # parts of the convolution before them
ACTIVATIONS = (nn.ReLU, nn.LeakyReLU)  # straight behind a convolution they are part of it

# By a module's class, or else the nearest one that it derives from; functions by themselves.
RULES: Mapping[object, Rule] = {
    nn.Conv2d: Rule(leaves.convolution, takes_order=True),
    MaskedConvolution: Rule(leaves.masked, takes_order=True),
    PointwiseLinear: Rule(leaves.linear, takes_order=True),
    PlaneMatrixProduct: Rule(leaves.matrix_product, takes_order=True),
    **dict.fromkeys(CONDITIONS, Rule(leaves.conditioned)),
    StepSizes: Rule(leaves.step_sizes),
    nn.ReLU: Rule(leaves.relu),
    nn.LeakyReLU: Rule(leaves.leaky_relu),
    **dict.fromkeys(TABLES, Rule(leaves.table)),
    GDN: Rule(leaves.normalization),
    ChannelNorm: Rule(leaves.layernorm, takes_order=True),
    WindowAttention: Rule(leaves.attention),
    Gain: Rule(leaves.gain, further_bits=2),  # a layer and its branch may nearly cancel out
    ChannelGain: Rule(leaves.channel_gain),
    ChannelOffset: Rule(leaves.channel_offset),
    Narrowed: Rule(leaves.narrowed),
    **dict.fromkeys((operator.add, torch.add), Rule(leaves.total)),
    **dict.fromkeys((operator.mul, torch.mul), Rule(leaves.product)),
    torch.cat: Rule(leaves.concatenation),
    nn.Identity: Rule(leaves.identity, keeps_grid=True),
    StochasticDepth: Rule(leaves.identity, keeps_grid=True),  # in evaluation mode
    FirstChannels: Rule(leaves.first_channels, keeps_grid=True),
    Halves: Rule(leaves.halves, keeps_grid=True),
    Phase: Rule(leaves.phase, keeps_grid=True),
    nn.PixelShuffle: Rule(leaves.pixel_shuffle, keeps_grid=True),
    nn.PixelUnshuffle: Rule(leaves.pixel_unshuffle, keeps_grid=True),
    NeighbourStack: Rule(leaves.neighbours, keeps_grid=True),
}

# What tracing stops at: these, and what parameters alone go through.
LEAVES = (*(kind for kind in RULES if isinstance(kind, type)), MatrixProduct, TableAsGrid)
