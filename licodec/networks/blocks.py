"""Convolutional blocks of the published networks.

Residual blocks and the attention block are those of Cheng et al., "Learned image
compression with discretized Gaussian mixture likelihoods and attention modules" (CVPR
2020), with CompressAI's names.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from licodec.networks.layers import (
    GDN,
    InverseGDN,
    alternated,
    conv1x1,
    conv3x3,
    subpixel_convolution,
)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions, each with a LeakyReLU, beside the identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = conv3x3(channels, channels)
        self.conv2 = conv3x3(channels, channels)
        self.leaky_relu = nn.LeakyReLU()

    def forward(self, x: Tensor) -> Tensor:
        y = self.leaky_relu(self.conv1(x))
        return x + self.leaky_relu(self.conv2(y))


class ResidualBlockWithStride(nn.Module):
    """The same with a stride of 2 and GDN, beside a strided 1x1 convolution."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv1 = conv3x3(in_channels, out_channels, stride=2)
        self.leaky_relu = nn.LeakyReLU()
        self.conv2 = conv3x3(out_channels, out_channels)
        self.gdn = GDN(out_channels)
        self.skip = conv1x1(in_channels, out_channels, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv2(self.leaky_relu(self.conv1(x)))
        return self.gdn(y) + self.skip(x)


class ResidualBlockUpsample(nn.Module):
    """A sub-pixel convolution, a 3x3 convolution and inverse GDN, beside another sub-pixel
    convolution: twice the resolution."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.subpel_conv = subpixel_convolution(in_channels, out_channels)
        self.leaky_relu = nn.LeakyReLU()
        self.conv = conv3x3(out_channels, out_channels)
        self.igdn = InverseGDN(out_channels)
        self.upsample = subpixel_convolution(in_channels, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(self.leaky_relu(self.subpel_conv(x)))
        return self.igdn(y) + self.upsample(x)


class AttentionUnit(nn.Module):
    """relu(x + a bottleneck of 1x1, 3x3 and 1x1 convolutions)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        middle = channels // 2
        self.conv = alternated(
            nn.ReLU, conv1x1(channels, middle), conv3x3(middle, middle), conv1x1(middle, channels)
        )
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.conv(x) + x)


class AttentionBlock(nn.Module):
    """x + a(x) * sigmoid(b(x)): one branch of convolutions gates another."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv_a = nn.Sequential(*(AttentionUnit(channels) for _ in range(3)))
        self.conv_b = nn.Sequential(
            *(AttentionUnit(channels) for _ in range(3)), conv1x1(channels, channels)
        )
        self.sigmoid = nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        return self.gated(x, x)

    def gated(self, x: Tensor, gate: Tensor) -> Tensor:
        """x + a(x) * sigmoid(b(gate))."""
        return torch.mul(self.conv_a(x), self.sigmoid(self.conv_b(gate))) + x
