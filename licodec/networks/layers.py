"""The float building blocks the backbones share.

Every class here is a leaf for the compiler (``licodec.compiler.compilation``), which
knows how to turn it into operations of the exact profile, or is made of such
leaves only.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from licodec.networks.compiled_leaves import Narrowed


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
    """x + conv1x1(relu(conv3x3(x))): one non-linearity for ten multiplications per channel pair.

    Only the sum needs more than 8 bits: what the convolutions read is narrowed.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.narrowed = Narrowed(8)
        self.spatial = nn.Conv2d(channels, channels, 3, padding=1)
        self.activation = narrow_relu()
        # A chain of units starts close to the identity.
        self.pointwise = shrunk(nn.Conv2d(channels, channels, 1), 0.3)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.pointwise(self.activation(self.spatial(self.narrowed(x))))


def narrow_relu() -> nn.Sequential:
    """A ReLU whose result has 8 bits in the exact form."""
    return nn.Sequential(nn.ReLU(), Narrowed(8))


def named(**layers: nn.Module) -> nn.Sequential:
    """Layers in turn, under their names."""
    return nn.Sequential(OrderedDict(layers))


def alternated(activation: Callable[[], nn.Module], *layers: nn.Module) -> nn.Sequential:
    """Layers in turn, with an activation between each two."""
    pairs = [module for layer in layers for module in (layer, activation())]
    return nn.Sequential(*pairs[:-1])


def downsample(in_channels: int, out_channels: int) -> nn.Sequential:
    """Space-to-depth by 2, then a 1x1 convolution."""
    return nn.Sequential(nn.PixelUnshuffle(2), nn.Conv2d(4 * in_channels, out_channels, 1))


def upsample(in_channels: int, out_channels: int) -> nn.Sequential:
    """A 1x1 convolution, then depth-to-space by 2."""
    return nn.Sequential(nn.Conv2d(in_channels, 4 * out_channels, 1), nn.PixelShuffle(2))


def conv1x1(in_channels: int, out_channels: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(in_channels, out_channels, 1, stride)


def conv3x3(in_channels: int, out_channels: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(in_channels, out_channels, 3, stride, padding=1)


def subpixel_convolution(in_channels: int, out_channels: int) -> nn.Sequential:
    """A 3x3 convolution, then depth-to-space by 2."""
    return nn.Sequential(conv3x3(in_channels, 4 * out_channels), nn.PixelShuffle(2))


def bias_of(layer: nn.Conv2d) -> Tensor:
    """The bias of a convolution. Raises ValueError where it has none."""
    if layer.bias is None:
        raise ValueError("a convolution without a bias")
    return layer.bias


@torch.no_grad()
def shrunk(convolution: nn.Conv2d, factor: float) -> nn.Conv2d:
    """The convolution with its weights times `factor`: what ends a branch begins small."""
    convolution.weight.mul_(factor)
    return convolution


@torch.no_grad()
def scaled(convolution: nn.Conv2d, factor: float) -> nn.Conv2d:
    """The same with a bias of 0."""
    bias_of(convolution).zero_()
    return shrunk(convolution, factor)


class _LowerBound(torch.autograd.Function):
    """max(x, bound) through which a gradient passes that would move x above the bound."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, bound: float) -> Tensor:
        ctx.save_for_backward(x)
        ctx.bound = bound
        return x.clamp_min(bound)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        return gradient * ((x >= ctx.bound) | (gradient < 0)), None


def lower_bound(x: Tensor, bound: float) -> Tensor:
    """max(x, bound), elementwise, that training can leave again once it is below."""
    return _LowerBound.apply(x, bound)


class PointwiseLinear(nn.Linear):
    """A linear layer over the channels of every position, (N, in, H, W) -> (N, out, H, W).

    Its parameters have a linear layer's names and shapes, as the published checkpoints do.
    """

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x.permute(0, 2, 3, 1), self.weight, self.bias).permute(0, 3, 1, 2)


class ChannelNorm(nn.LayerNorm):
    """LayerNorm over the channels of every position of (N, C, H, W)."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class GDN(nn.Module):
    """Generalized divisive normalization, x[i] / sqrt(beta[i] + sum_j gamma[i, j] x[j]^2).

    From Balle et al., "Density modeling of images using a generalized normalization
    transformation" (ICLR 2016). The stored parameters are the square roots of these plus a
    pedestal, CompressAI's parametrization, which keeps them positive.
    """

    PEDESTAL = 2.0**-36
    LEAST_BETA = 1e-6

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.beta = nn.Parameter(torch.full((channels,), math.sqrt(1 + self.PEDESTAL)))
        self.gamma = nn.Parameter(torch.sqrt(0.1 * torch.eye(channels) + self.PEDESTAL))

    def constants(self) -> tuple[Tensor, Tensor]:
        """beta (C,) and gamma (C, C) themselves."""
        beta = lower_bound(self.beta, math.sqrt(self.LEAST_BETA + self.PEDESTAL))
        gamma = lower_bound(self.gamma, math.sqrt(self.PEDESTAL))
        return beta**2 - self.PEDESTAL, gamma**2 - self.PEDESTAL

    def pool(self, x: Tensor, beta: Tensor, gamma: Tensor) -> Tensor:
        """beta + gamma x^2, (N, C, H, W)."""
        return F.conv2d(x * x, gamma[:, :, None, None], beta)

    def normalized(self, x: Tensor, beta: Tensor, gamma: Tensor) -> Tensor:
        """What :meth:`forward` gives with these constants."""
        return x * torch.rsqrt(self.pool(x, beta, gamma))

    def forward(self, x: Tensor) -> Tensor:
        return self.normalized(x, *self.constants())


class InverseGDN(GDN):
    """x[i] * sqrt(beta[i] + sum_j gamma[i, j] x[j]^2)."""

    def normalized(self, x: Tensor, beta: Tensor, gamma: Tensor) -> Tensor:
        return x * torch.sqrt(self.pool(x, beta, gamma))


class MaskedConvolution(nn.Conv2d):
    """A convolution that sees only what precedes its position in raster order.

    From van den Oord et al., "Conditional image generation with PixelCNN decoders"
    (NeurIPS 2016): the masks of type A, without the position itself.
    """

    def visible(self) -> Tensor:
        """1 where a weight counts and 0 elsewhere, (k, k)."""
        rows, columns = self.kernel_size
        before = torch.arange(rows * columns, device=self.weight.device) < rows * columns // 2
        return before.reshape(rows, columns).to(self.weight.dtype)

    def forward(self, x: Tensor) -> Tensor:
        return self._conv_forward(x, self.weight * self.visible(), self.bias)


class Halves(nn.Module):
    """The channels of (N, 2C, H, W) as two planes (N, C, H, W)."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        half = x.shape[1] // 2
        return x[:, :half], x[:, half:]


class NeighbourStack(nn.Module):
    """Each 2x2 block's pixels as channels, (N, C, 2h, 2w) -> (N, 4C, h, w).

    The order is Swin's: all channels of (row, column) (0, 0), then of (1, 0), (0, 1), (1, 1).
    """

    def forward(self, x: Tensor) -> Tensor:
        rows = x[:, :, 0::2], x[:, :, 1::2]
        return torch.cat([row[..., column::2] for column in (0, 1) for row in rows], 1)


class StochasticDepth(nn.Module):
    """In training, drops a whole branch of a sample with a fixed probability, scaling the rest.

    From Huang et al., "Deep networks with stochastic depth" (ECCV 2016); else the identity.
    """

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = probability

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        kept = 1 - self.probability
        return x * x.new_empty(len(x), 1, 1, 1).bernoulli_(kept) / kept
