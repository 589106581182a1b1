"""The kinds of layers whose weights have a width in a plan."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from licodec.fmpq.allocation import LARGEST_WIDTH, LEAST_WIDTH
from licodec.networks.layers import GDN, MaskedConvolution, PointwiseLinear


@dataclass(frozen=True)
class WeightedKind:
    """How trials see one kind of layer, an instance of which the functions take.

    weight  what the compiler quantizes of a layer, (O, I, kh, kw)
    run     what a layer makes of its operand (N, I, H, W) with such a weight, (N, O, H, W)
    least   bits that the search may go down to
    """

    weight: Callable[[Any], Tensor]
    run: Callable[[Any, Tensor, Tensor], Tensor]
    least: int = LEAST_WIDTH


def _convolved(layer: nn.Conv2d, x: Tensor, weight: Tensor) -> Tensor:
    return layer._conv_forward(x, weight, layer.bias)


def _linear(layer: PointwiseLinear, x: Tensor, weight: Tensor) -> Tensor:
    planes = F.linear(x.permute(0, 2, 3, 1), weight[:, :, 0, 0], layer.bias)
    return planes.permute(0, 3, 1, 2)


def _normalized(layer: GDN, x: Tensor, weight: Tensor) -> Tensor:
    beta, _ = layer.constants()
    return layer.normalized(x, beta, weight[:, :, 0, 0])


KINDS: Mapping[type[nn.Module], WeightedKind] = {
    nn.Conv2d: WeightedKind(lambda layer: layer.weight, _convolved),
    MaskedConvolution: WeightedKind(lambda layer: layer.weight * layer.visible(), _convolved),
    PointwiseLinear: WeightedKind(lambda layer: layer.weight[:, :, None, None], _linear),
    # Its weights are few, not negative, and under a root: fewer bits would gain next to nothing.
    GDN: WeightedKind(lambda layer: layer.constants()[1][:, :, None, None], _normalized,
                      LARGEST_WIDTH),
}  # fmt: skip


def kind_of(layer: nn.Module) -> WeightedKind | None:
    """The kind of a layer by its class or the nearest one that it derives from; None for what has
    no weights."""
    return next((KINDS[kind] for kind in type(layer).__mro__ if kind in KINDS), None)
