"""STF: Zou et al., "The devil is in the details: window-based attention for image
compression" (CVPR 2022), a Swin transformer in both transforms.

Module names are those of the published checkpoints.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from licodec.networks.layers import (
    ChannelNorm,
    NeighbourStack,
    PointwiseLinear,
    StochasticDepth,
    alternated,
    conv3x3,
    named,
    subpixel_convolution,
)
from licodec.networks.priors import FactorizedPrior
from licodec.networks.published import SlicedNetwork
from licodec.networks.swin import SwinAttention

WINDOW = 4
HYPER_WIDTHS = (384, 336, 288, 240, 192)  # of the hyper-transforms, latents first
CONTEXT_WIDTHS = (224, 176, 128, 64)
LARGEST_DROP = 0.2  # of stochastic depth, reached at the last block


@dataclass(frozen=True)
class StfConfig:
    """Hyper-parameters of STF; the defaults are the published network."""

    width: int = 48  # channels of the first stage; each further one has twice as many
    depths: tuple[int, ...] = (2, 2, 6, 2)
    heads: tuple[int, ...] = (3, 6, 12, 24)
    slices: int = 12


def mlp(channels: int) -> nn.Sequential:
    """A two-layer network at every position."""
    return named(
        fc1=PointwiseLinear(channels, 4 * channels),
        act=nn.GELU(),
        fc2=PointwiseLinear(4 * channels, channels),
    )


class SwinBlock(nn.Module):
    """Attention, then a two-layer network at every position, each beside the identity."""

    def __init__(self, channels: int, heads: int, shift: int, drop: float) -> None:
        super().__init__()
        self.norm1 = ChannelNorm(channels)
        self.attn = SwinAttention(channels, heads, WINDOW, shift)
        self.norm2 = ChannelNorm(channels)
        self.mlp = mlp(channels)
        self.drop = StochasticDepth(drop)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.drop(self.attn(self.norm1(x)))
        return x + self.drop(self.mlp(self.norm2(x)))


def patch_merging(channels: int) -> nn.Sequential:
    """(N, C, 2h, 2w) -> (N, 2C, h, w)."""
    return named(
        stack=NeighbourStack(),
        norm=ChannelNorm(4 * channels),
        reduction=PointwiseLinear(4 * channels, 2 * channels, bias=False),
    )


def patch_split(channels: int) -> nn.Sequential:
    """(N, C, h, w) -> (N, C / 2, 2h, 2w)."""
    return named(
        norm=ChannelNorm(channels),
        reduction=PointwiseLinear(channels, 2 * channels, bias=False),
        shuffle=nn.PixelShuffle(2),
    )


def patch_embedding(width: int) -> nn.Sequential:
    """Pixels (N, 3, 2h, 2w) -> (N, width, h, w)."""
    return named(proj=nn.Conv2d(3, width, 2, 2), norm=ChannelNorm(width))


def stage(
    channels: int, heads: int, drops: Sequence[float], downsample: nn.Module
) -> nn.Sequential:
    """Swin blocks, every second one with shifted windows, then a change of resolution.

    `drops` has one probability of stochastic depth per block.
    """
    shifts = itertools.cycle((0, WINDOW // 2))
    blocks = (SwinBlock(channels, heads, *own) for own in zip(shifts, drops, strict=False))
    # The published names, in the synthesis too.
    return named(blocks=nn.Sequential(*blocks), downsample=downsample)


def stages(
    widths: Sequence[int],
    depths: Sequence[int],
    heads: Sequence[int],
    change: Callable[[int], nn.Module],
) -> nn.ModuleList:
    """The stages of one transform; all but the last end in `change`."""
    drops = torch.linspace(0, LARGEST_DROP, sum(depths), device="cpu").tolist()
    built, start = [], 0
    for i, (width, depth, head) in enumerate(zip(widths, depths, heads, strict=True)):
        last = i == len(widths) - 1
        end = nn.Identity() if last else change(width)
        built.append(stage(width, head, drops[start : start + depth], end))
        start += depth
    return nn.ModuleList(built)


def hyper_synthesis() -> nn.Sequential:
    """Hyper-latents (N, 192, h / 4, w / 4) -> features (N, 384, h, w)."""
    e, d, c, b, a = reversed(HYPER_WIDTHS)
    return alternated(
        nn.GELU,
        conv3x3(e, d),
        subpixel_convolution(d, c),
        conv3x3(c, b),
        subpixel_convolution(b, a),
        conv3x3(a, a),
    )


class StfNetwork(SlicedNetwork):
    """The float network; see :class:`~licodec.networks.published.PublishedNetwork`."""

    def __init__(self, backbone: str = "stf", config: StfConfig | None = None) -> None:
        config = config or StfConfig()
        a, b, c, d, e = HYPER_WIDTHS
        super().__init__(backbone, a, config.slices, config.slices // 2)
        self.config = config
        widths = [config.width << i for i in range(len(config.depths))]
        self.patch_embed = patch_embedding(config.width)
        self.layers = stages(widths, config.depths, config.heads, patch_merging)
        self.syn_layers = stages(widths[::-1], config.depths[::-1], config.heads[::-1], patch_split)
        self.end_conv = nn.Sequential(
            nn.Conv2d(config.width, 4 * config.width, 5, padding=2),
            nn.PixelShuffle(2),
            conv3x3(config.width, 3),
        )
        self.h_a = alternated(
            nn.GELU,
            conv3x3(a, a),
            conv3x3(a, b),
            conv3x3(b, c, stride=2),
            conv3x3(c, d),
            conv3x3(d, e, stride=2),
        )
        self.h_mean_s = hyper_synthesis()
        self.h_scale_s = hyper_synthesis()
        self.add_slice_networks(CONTEXT_WIDTHS)
        self.entropy_bottleneck = FactorizedPrior(e)

    @property
    def analysis(self) -> nn.Module:
        return nn.Sequential(self.patch_embed, *self.layers)

    @property
    def synthesis(self) -> nn.Module:
        return nn.Sequential(*self.syn_layers, self.end_conv)
