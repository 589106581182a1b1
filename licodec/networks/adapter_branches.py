"""The branches themselves, and the layers that carry one.

An adapted layer computes layer(x) + gain * branch(x). The gain is a rate mode's value in
[0, 1] times the largest gain of the set; branches have no activation, so that a branch at a
fixed gain can be folded into its layer. Names are those of the published checkpoints
(Spadaro et al., "CALICE", ACM TOMM).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from licodec.networks.layers import PointwiseLinear


class Gain(nn.Module):
    """x * value * largest, where `value` is the rate mode `mode` of the network, in [0, 1].

    `d` is what goes with a value of 1, and `step_shares` how much of d - 1 the steps of each
    slice take, those of beta at a beta of 1; without any, steps are AQVR's, or alpha's.
    """

    def __init__(
        self, mode: str, largest: float, d: float = 1.0, step_shares: tuple[float, ...] = ()
    ) -> None:
        super().__init__()
        self.mode, self.largest, self.d, self.step_shares = mode, largest, d, step_shares
        self.value = 0.0

    @property
    def step(self) -> float:
        """The d that goes with the value: geometric, as lambda is in alpha."""
        return self.d**self.value

    @property
    def factor(self) -> float:
        return self.value * self.largest

    def forward(self, x: Tensor) -> Tensor:
        return x * self.factor


class MatrixProduct(nn.Module):
    """x @ matrix over the last dimension of x, matrix (in, out)."""

    def forward(self, x: Tensor, matrix: Tensor) -> Tensor:
        return x @ matrix


class PlaneMatrixProduct(nn.Module):
    """x @ matrix over the channels of planes (N, in, H, W), matrix (in, out)."""

    def forward(self, x: Tensor, matrix: Tensor) -> Tensor:
        return (x.permute(0, 2, 3, 1) @ matrix).permute(0, 3, 1, 2)


class Branch(nn.Module, ABC):
    """What is added to a layer, times its gain.

    LAYER, TWICE  what the layer is called beside a branch of this kind, and beside a second one
    BRANCH        what the branch is
    WEIGHTED      where in the layer the module with its weights is
    """

    LAYER: ClassVar[str]
    TWICE: ClassVar[str]
    BRANCH: ClassVar[str]
    WEIGHTED: ClassVar[tuple[str, ...]] = ()
    gain: Gain

    @abstractmethod
    def folded_into(self, layer: Any) -> None:
        """Add the branch at its largest gain to the weights of `layer`, one of the branch's kind;
        where that is several modules, the one of them that has weights."""


class LowRankBranch(Branch):
    """LoRA (Hu et al., ICLR 2022): x @ W_a (in, rank) @ W_b (rank, out)."""

    LAYER, TWICE, BRANCH = "linear", "linear_with_lora", "lora"

    def __init__(self, layer: nn.Linear, rank: int, gain: Gain) -> None:
        super().__init__()
        self.W_a = nn.Parameter(torch.randn(layer.in_features, rank) / math.sqrt(rank))
        self.W_b = nn.Parameter(torch.zeros(rank, layer.out_features))
        on_planes = isinstance(layer, PointwiseLinear)
        self.product = PlaneMatrixProduct() if on_planes else MatrixProduct()
        self.gain = gain

    def forward(self, x: Tensor) -> Tensor:
        return self.gain(self.product(self.product(x, self.W_a), self.W_b))

    def folded_into(self, layer: nn.Linear) -> None:
        layer.weight += self.gain.largest * (self.W_a @ self.W_b).T


class ConvolutionBranch(Branch):
    """A grouped convolution of the layer's form to `rank` channels, then a 1x1 convolution.

    Groups are as many as `rank` where the layer's channels divide by it, else one. There is
    a bias where the layer has one. Where depth-to-space by `factor` follows the layer, it stands
    between the two convolutions here.
    """

    LAYER, TWICE, BRANCH = "conv", "conv_with_adapter", "adapter"

    def __init__(self, layer: nn.Conv2d, rank: int, gain: Gain, factor: int = 1) -> None:
        super().__init__()
        self.phases = factor**2
        self.conv1 = _grouped(layer, rank * self.phases, rank)
        self.conv2 = _mixing(rank, layer.out_channels // self.phases, layer.bias is not None)
        self.gain = gain

    def forward(self, x: Tensor) -> Tensor:
        return self.gain(self.conv2(self.conv1(x)))

    def folded_into(self, layer: nn.Conv2d) -> None:
        mixing = self.conv2.weight[:, :, 0, 0].double()  # (out, rank)
        kernel, bias = _dense(self.conv1)
        # Channel c * phases + p of either convolution becomes phase p of channel c.
        kernel = torch.unflatten(kernel, 0, (-1, self.phases))
        kernel = torch.einsum("or,rpikl->opikl", mixing, kernel).flatten(0, 1)
        layer.weight += self.gain.largest * kernel
        if layer.bias is not None:
            bias = mixing @ bias.reshape(-1, self.phases) + _bias(self.conv2)[:, None]
            layer.bias += self.gain.largest * bias.flatten()


class SubpixelBranch(ConvolutionBranch):
    """The same of a sub-pixel convolution, which is its convolution and depth-to-space."""

    LAYER, TWICE, BRANCH = "subpel_conv", "subpel_conv_with_adapter", "adapter"
    WEIGHTED = ("0",)  # before the pixel shuffle

    def __init__(self, layer: nn.Conv2d, rank: int, gain: Gain, factor: int) -> None:
        super().__init__(layer, rank, gain, factor)
        self.upscale = nn.PixelShuffle(factor)

    def forward(self, x: Tensor) -> Tensor:
        return self.gain(self.conv2(self.upscale(self.conv1(x))))


KINDS = (LowRankBranch, ConvolutionBranch, SubpixelBranch)


def _grouped(layer: nn.Conv2d, out_channels: int, groups: int) -> nn.Conv2d:
    """A convolution of the form of `layer` with other output channels and groups."""
    kept = ("kernel_size", "stride", "padding", "dilation")
    form: dict[str, Any] = {name: getattr(layer, name) for name in kept}
    groups = groups if layer.in_channels % groups == 0 else 1
    has_bias = layer.bias is not None
    return nn.Conv2d(layer.in_channels, out_channels, **form, groups=groups, bias=has_bias)


def _mixing(rank: int, out_channels: int, bias: bool) -> nn.Conv2d:
    """The 1x1 convolution a branch ends in. It is zero, as LoRA's second matrix is, so that
    training starts from the anchor at every gain (the published ones start at random)."""
    convolution = nn.Conv2d(rank, out_channels, 1, bias=bias)
    for parameter in convolution.parameters():
        nn.init.zeros_(parameter)
    return convolution


def _bias(convolution: nn.Conv2d) -> Tensor:
    """(O,) in double precision, 0 where there is none."""
    bias, weight = convolution.bias, convolution.weight
    return weight.new_zeros(len(weight)).double() if bias is None else bias.double()


def _dense(convolution: nn.Conv2d) -> tuple[Tensor, Tensor]:
    """Weight (O, I, k, k) without groups and bias (O,), in double precision."""
    weight = convolution.weight.double()
    each = weight.shape[0] // convolution.groups
    dense = weight.new_zeros(weight.shape[0], convolution.in_channels, *weight.shape[2:])
    for group in range(convolution.groups):
        rows = slice(group * each, (group + 1) * each)
        columns = slice(group * weight.shape[1], (group + 1) * weight.shape[1])
        dense[rows, columns] = weight[rows]
    return dense, _bias(convolution)


class Adapted(nn.Module):
    """A layer and its branch, under `names`; the layer may be an adapted one itself."""

    def __init__(self, layer: nn.Module, branch: Branch) -> None:
        super().__init__()
        self.names = branch.TWICE if isinstance(layer, Adapted) else branch.LAYER, branch.BRANCH
        self.add_module(self.names[0], layer)
        self.add_module(self.names[1], branch)

    @property
    def layer(self) -> nn.Module:
        return getattr(self, self.names[0])

    @property
    def branch(self) -> Branch:
        return getattr(self, self.names[1])

    def forward(self, x: Tensor) -> Tensor:
        layer, branch = self.names
        return getattr(self, layer)(x) + getattr(self, branch)(x)


def adapted(layer: nn.Module, rank: int, gain: Gain) -> Adapted | None:
    """`layer` with a branch of its kind, or None where there is none for it.

    A layer that has a branch gets a second one of the same kind around it.
    """
    branch = _branch(layer.layer if isinstance(layer, Adapted) else layer, rank, gain)
    return None if branch is None else Adapted(layer, branch)


def _branch(layer: nn.Module, rank: int, gain: Gain) -> Branch | None:
    match tuple(layer) if isinstance(layer, nn.Sequential) else layer:
        case nn.Linear() as linear:
            return LowRankBranch(linear, rank, gain)
        case nn.Conv2d() as convolution:
            return ConvolutionBranch(convolution, rank, gain)
        case (nn.Conv2d() as convolution, nn.PixelShuffle(upscale_factor=factor)) if (
            type(convolution) is nn.Conv2d
        ):
            return SubpixelBranch(convolution, rank, gain, factor)
        case _:
            return None
