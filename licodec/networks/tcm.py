"""TCM: Liu et al., "Learned image compression with mixed transformer-CNN architectures"
(CVPR 2023), and SA-ICM's network for machines, which is a size of it.

Module names are those of the published checkpoints. Planes are whole windows here (pictures
are padded to multiples of 128), so the padding of the published attention blocks, which
fails on planes of one window, is not needed.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from licodec.networks.blocks import (
    AttentionBlock,
    ResidualBlock,
    ResidualBlockUpsample,
    ResidualBlockWithStride,
)
from licodec.networks.layers import (
    ChannelNorm,
    Halves,
    PointwiseLinear,
    alternated,
    conv1x1,
    conv3x3,
    named,
    subpixel_convolution,
)
from licodec.networks.priors import FactorizedPrior
from licodec.networks.published import SlicedNetwork
from licodec.networks.swin import GridAttention

WINDOW, HYPER_WINDOW = 8, 4
HYPER_LATENTS = 192
CONTEXT_WIDTHS = (224, 128)
ATTENTION_WIDTH, ATTENTION_HEAD = 128, 16  # of the attention before a slice's networks
HYPER_HEAD = 32


@dataclass(frozen=True)
class TcmConfig:
    """Hyper-parameters of TCM: `width` is N, and `icm` has 128."""

    width: int = 64
    latents: int = 320
    slices: int = 5
    blocks: tuple[int, ...] = (2, 2, 2)  # of the analysis' stages; the synthesis mirrors them
    head_widths: tuple[int, ...] = (8, 16, 32)  # channels of an attention head in each


class TransformerBlock(nn.Module):
    """Attention, then a two-layer network at every position, each beside the identity."""

    def __init__(self, channels: int, head: int, size: int, shift: int) -> None:
        super().__init__()
        self.ln1 = ChannelNorm(channels)
        self.msa = GridAttention(channels, channels // head, size, shift)
        self.ln2 = ChannelNorm(channels)
        self.mlp = alternated(
            nn.GELU,
            PointwiseLinear(channels, 4 * channels),
            PointwiseLinear(4 * channels, channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.msa(self.ln1(x))
        return x + self.mlp(self.ln2(x))


class MixedBlock(nn.Module):
    """Half of the channels through convolutions, half through attention; (N, 2 width, H, W)."""

    def __init__(self, width: int, head: int, size: int, shift: int) -> None:
        super().__init__()
        self.trans_block = TransformerBlock(width, head, size, shift)
        self.conv1_1 = conv1x1(2 * width, 2 * width)
        self.conv1_2 = conv1x1(2 * width, 2 * width)
        self.conv_block = ResidualBlock(width)
        self.split = Halves()

    def forward(self, x: Tensor) -> Tensor:
        halves = self.split(self.conv1_1(x))
        convolved = self.conv_block(halves[0]) + halves[0]
        attended = self.trans_block(halves[1])
        return x + self.conv1_2(torch.cat([convolved, attended], 1))


def mixed_blocks(width: int, head: int, size: int, count: int) -> list[nn.Module]:
    """`count` blocks, every second one with shifted windows."""
    return [MixedBlock(width, head, size, size // 2 if i % 2 else 0) for i in range(count)]


class WindowAttentionBlock(AttentionBlock):
    """An attention block at ATTENTION_WIDTH channels whose gate comes from transformer blocks, the
    second one with shifted windows."""

    def __init__(self, channels: int) -> None:
        super().__init__(ATTENTION_WIDTH)
        self.non_local_block = named(
            block_1=TransformerBlock(ATTENTION_WIDTH, ATTENTION_HEAD, WINDOW, 0),
            block_2=TransformerBlock(ATTENTION_WIDTH, ATTENTION_HEAD, WINDOW, WINDOW // 2),
        )
        self.in_conv = conv1x1(channels, ATTENTION_WIDTH)
        self.out_conv = conv1x1(ATTENTION_WIDTH, channels)

    def forward(self, x: Tensor) -> Tensor:
        x = self.in_conv(x)
        return self.out_conv(self.gated(x, self.non_local_block(x)))


def hyper_synthesis(config: TcmConfig) -> nn.Sequential:
    """Hyper-latents (N, 192, h / 4, w / 4) -> features (N, M, h, w)."""
    return nn.Sequential(
        ResidualBlockUpsample(HYPER_LATENTS, 2 * config.width),
        *mixed_blocks(config.width, HYPER_HEAD, HYPER_WINDOW, config.blocks[0]),
        subpixel_convolution(2 * config.width, config.latents),
    )


class TcmNetwork(SlicedNetwork):
    """The float network; see :class:`~licodec.networks.published.PublishedNetwork`."""

    ALIGNMENT = 128  # hyper-latent windows of 4 at 1/32

    def __init__(self, backbone: str = "tcm", config: TcmConfig | None = None) -> None:
        config = config or TcmConfig()
        latents, width, count = config.latents, config.width, config.slices
        super().__init__(backbone, latents, count, count)
        self.config = config
        first, second, third = zip(config.head_widths, config.blocks, strict=True)

        def blocks(stage: tuple[int, int]) -> list[nn.Module]:
            return mixed_blocks(width, stage[0], WINDOW, stage[1])

        self.g_a = nn.Sequential(
            ResidualBlockWithStride(3, 2 * width),
            *blocks(first),
            ResidualBlockWithStride(2 * width, 2 * width),
            *blocks(second),
            ResidualBlockWithStride(2 * width, 2 * width),
            *blocks(third),
            conv3x3(2 * width, latents, stride=2),
        )
        self.g_s = nn.Sequential(
            ResidualBlockUpsample(latents, 2 * width),
            *blocks(third),
            ResidualBlockUpsample(2 * width, 2 * width),
            *blocks(second),
            ResidualBlockUpsample(2 * width, 2 * width),
            *blocks(first),
            subpixel_convolution(2 * width, 3),
        )
        self.h_a = nn.Sequential(
            ResidualBlockWithStride(latents, 2 * width),
            *mixed_blocks(width, HYPER_HEAD, HYPER_WINDOW, config.blocks[0]),
            conv3x3(2 * width, HYPER_LATENTS, stride=2),
        )
        self.h_mean_s = hyper_synthesis(config)
        self.h_scale_s = hyper_synthesis(config)
        # In the published networks each attention is alone in a sequence.
        self.atten_mean = nn.ModuleList(nn.Sequential(WindowAttentionBlock(n)) for n in self.seen)
        self.atten_scale = nn.ModuleList(nn.Sequential(WindowAttentionBlock(n)) for n in self.seen)
        self.add_slice_networks(CONTEXT_WIDTHS)
        self.entropy_bottleneck = FactorizedPrior(HYPER_LATENTS)

    def contexts(self, index: int) -> tuple[nn.Module, nn.Module]:
        return self.atten_mean[index], self.atten_scale[index]
