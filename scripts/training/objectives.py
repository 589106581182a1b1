"""What adapters are trained for: the published losses, and lambda as a function of alpha.

From Spadaro et al., "CALICE: Continuous bitrate control with Adapted LIC modEl" (ACM TOMM),
and its implementation, whose values are the defaults. Pixels are (N, 3, H, W) in [0, 1].
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import torch
from torch import Tensor

from licodec.compare.measures import MS_SSIM_SMALLEST_SIDE
from licodec.errors import BadInputError, UsageError
from licodec.packing.checkpoint_files import read_checkpoint
from licodec.packing.checkpoints import state_dict_of

FIDELITY_WEIGHT = 150.0  # of the squared error beside a perceptual distance
LPIPS_WEIGHT = 0.1  # of LPIPS in the distortion-aware sets
PERCEPTION_WEIGHT = 2.0  # of the perceptual distance at beta = 1

Distance = Callable[[Tensor, Tensor], Tensor]  # (decoded, original) -> a scalar, 0 where equal


@dataclass(frozen=True)
class RatePoint:
    """alpha and beta of one step, each in [0, 1]."""

    alpha: float
    beta: float = 0.0


@dataclass(frozen=True)
class LambdaRange:
    """lambda(alpha), geometric from `anchor` at alpha = 0 to `lowest` at alpha = 1, which is
    the lowest rate's."""

    anchor: float
    lowest: float

    def at(self, alpha: float) -> float:
        return math.exp((1 - alpha) * math.log(self.anchor) + alpha * math.log(self.lowest))


@dataclass(frozen=True)
class Seen:
    """What one forward pass gave: bits per pixel, mean squared error, decoded and original
    pixels, and where it was."""

    bpp: Tensor
    mse: Tensor
    decoded: Tensor
    pixels: Tensor
    point: RatePoint


Weighed = Callable[[float, Seen], Tensor]  # a loss, by the lambda there


@dataclass(frozen=True)
class Objective:
    """A loss over what is seen."""

    lambdas: LambdaRange
    weighed: Weighed

    def loss(self, seen: Seen) -> Tensor:
        return self.weighed(self.lambdas.at(seen.point.alpha), seen)


def squared_error(weight: float, seen: Seen) -> Tensor:
    """lambda * 255^2 * MSE + bpp."""
    return weight * 255**2 * seen.mse + seen.bpp


def dissimilarity(distance: Distance) -> Weighed:
    """lambda * distance + bpp."""
    return lambda weight, seen: weight * distance(seen.decoded, seen.pixels) + seen.bpp


def perceptual(distance: Distance, share: Callable[[RatePoint], float]) -> Weighed:
    """lambda * bpp + 150 * MSE + share * distance: lambda weighs the rate, so it is least at the
    anchor."""

    def weighed(weight: float, seen: Seen) -> Tensor:
        perceived = share(seen.point) * distance(seen.decoded, seen.pixels)
        return weight * seen.bpp + FIDELITY_WEIGHT * seen.mse + perceived

    return weighed


def required(package: str, why: str) -> ModuleType:
    """An optional package. Raises UsageError where it is not installed."""
    try:
        return importlib.import_module(package)
    except ImportError as error:
        name = package.replace("_", "-")
        raise UsageError(f"{why} needs the package {name}: pip install {name} ({error})") from None


def ms_ssim_distance(side: int) -> Distance:
    """1 - MS-SSIM (Wang et al., Asilomar 2003) for crops of `side` pixels.

    Raises UsageError where pytorch-msssim is missing or crops are too small for five scales.
    """
    ms_ssim = required("pytorch_msssim", "MS-SSIM").ms_ssim
    if side < MS_SSIM_SMALLEST_SIDE:
        raise UsageError(f"--crop {side}: MS-SSIM needs {MS_SSIM_SMALLEST_SIDE} pixels or more")

    def distance(decoded: Tensor, original: Tensor) -> Tensor:
        return 1 - ms_ssim(decoded.float(), original, data_range=1.0)

    return distance


def lpips_distance(alexnet: Path | None, device: str) -> Distance:
    """LPIPS (Zhang et al., CVPR 2018) on AlexNet, whose weights `alexnet` holds as torchvision
    writes them; the linear weights come with the package.

    Pixels go in as they are, in [0, 1], as in the published training. Raises UsageError where
    the package or the path is missing, and BadInputError for a file with other weights.
    """
    if alexnet is None:
        raise UsageError(
            "LPIPS needs --alexnet FILE: AlexNet's weights as torchvision has them "
            "(alexnet-owt-7be5be79.pth)"
        )
    lpips = required("lpips", "LPIPS")
    state = state_dict_of(alexnet.name, read_checkpoint(alexnet))
    measure = lpips.LPIPS(net="alex", pnet_rand=True, verbose=False)
    missing = []
    for name, parameter in measure.net.named_parameters():
        key = "features." + name.partition(".")[2]  # sliceN.I.weight is torchvision's layer I
        value = state.get(key)
        if value is None or value.shape != parameter.shape:
            missing.append(key)
        else:
            with torch.no_grad():
                parameter.copy_(value)
    if missing:
        raise BadInputError(f"{alexnet.name}: not AlexNet's weights: no {missing[0]} that fits")
    measure = measure.to(device).eval().requires_grad_(False)

    def distance(decoded: Tensor, original: Tensor) -> Tensor:
        return measure(decoded.float(), original).mean()

    return distance
