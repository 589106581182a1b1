"""The float building blocks the backbones share.

Every class here is a leaf for the compiler (``licodec.exact.compiler``), which
knows how to turn it into operations of the exact profile, or is made of such
leaves only.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class HalfTanh(nn.Module):
    """0.5 * tanh(x): the bound that latent residual prediction puts on its correction.

    Latent residual prediction is from Minnen & Singh, "Channel-wise autoregressive
    entropy models for learned image compression", ICIP 2020.
    """

    def forward(self, x: Tensor) -> Tensor:
        return 0.5 * torch.tanh(x)


class ScaleExponential(nn.Module):
    """exp(x) with x clamped to [ln lowest, ln highest]: log-scales to scales.

    In the exact form this is one table, so the decoder computes no exponential.
    """

    def __init__(self, lowest: float = 0.05, highest: float = 120.0) -> None:
        super().__init__()
        self.lowest, self.highest = lowest, highest

    def forward(self, x: Tensor) -> Tensor:
        return torch.exp(x.clamp(math.log(self.lowest), math.log(self.highest)))


class ResidualUnit(nn.Module):
    """x + conv1x1(relu(conv3x3(x))): one non-linearity for ten multiplications per channel pair."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.spatial = nn.Conv2d(channels, channels, 3, padding=1)
        self.activation = nn.ReLU()
        self.pointwise = nn.Conv2d(channels, channels, 1)
        with torch.no_grad():  # a chain of units starts close to the identity
            self.pointwise.weight.mul_(0.3)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.pointwise(self.activation(self.spatial(x)))


def downsample(in_channels: int, out_channels: int, factor: int = 2) -> nn.Sequential:
    """Space-to-depth by `factor`, then a 1x1 convolution."""
    return nn.Sequential(
        nn.PixelUnshuffle(factor), nn.Conv2d(in_channels * factor**2, out_channels, 1)
    )


def upsample(in_channels: int, out_channels: int, factor: int = 2) -> nn.Sequential:
    """A 1x1 convolution, then depth-to-space by `factor`."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels * factor**2, 1), nn.PixelShuffle(factor)
    )
