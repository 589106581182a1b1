"""CompressAI's networks, given streams of a realistic length without their trained weights.

How long a network takes does not depend on its weights, but entropy coding does depend on the
symbols: an untrained network either rounds everything to zero or sends everything through the
coder's slow escape. So two things are set, and nothing else:

- the analysis is followed by a scale and a shift of each channel, which give the benchmark
  picture's latents mean 0 and standard deviation s (a multiplication and an addition for each
  latent, in encoding alone);
- the last layer of the network that predicts their distribution gets zero weights and a bias
  that says mean 0 and scale s.

s is the deviation at which a rounded Gaussian has the entropy that a file of the wanted length
has for each latent.

The coder then sees what it would see in a trained network at that rate: symbols inside their
tables, almost no escapes, a stream as long as ours.
"""

from __future__ import annotations

import importlib
import math
import warnings
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor, nn

ALIGNMENT = 64
# CompressAI's function and quality.
NETWORKS = {"mbt2018-mean": ("mbt2018_mean", 8), "cheng2020-attn": ("cheng2020_attn", 6)}


def obstacle() -> str | None:
    """Why CompressAI cannot be used here, or None."""
    try:
        _zoo()
    except (ImportError, OSError, RuntimeError) as error:  # torchvision without its operators
        return f"compressai cannot be imported: {str(error).strip().splitlines()[0]}"
    return None


def _zoo() -> ModuleType:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of what CompressAI uses of torch
        return importlib.import_module("compressai.zoo")


@dataclass(frozen=True)
class Coded:
    """Strings of a CompressAI network, and what decoding needs beside them."""

    strings: list[list[bytes]]
    shape: tuple[int, int]
    height: int
    width: int

    def __len__(self) -> int:
        """Bytes; there is no container."""
        return sum(len(string) for group in self.strings for string in group)


class Rival:
    """A CompressAI network in float: pixels to strings and back, as its users would run it."""

    def __init__(self, name: str, pixels: np.ndarray, bits_per_pixel: float) -> None:
        """Build the network, and fit its last layers to `pixels` (H, W, 3) and a rate."""
        import torch

        function, quality = NETWORKS[name]
        torch.manual_seed(0)
        self._network = getattr(_zoo(), function)(quality=quality, pretrained=False).eval()
        with torch.inference_mode():
            _fit(self._network, _to_planes(pixels), bits_per_pixel)
        self._network.update()

    def encode(self, pixels: np.ndarray) -> Coded:
        import torch

        with torch.inference_mode():
            out: dict[str, Any] = self._network.compress(_to_planes(pixels))
        return Coded(out["strings"], tuple(out["shape"]), *pixels.shape[:2])

    def decode(self, coded: Coded) -> np.ndarray:
        import torch

        with torch.inference_mode():
            planes = self._network.decompress(coded.strings, coded.shape)["x_hat"][0]
            cropped = planes[:, : coded.height, : coded.width]
            pixels = cropped.mul(255).round().clamp(0, 255).to(torch.uint8)
            return pixels.permute(1, 2, 0).contiguous().numpy()


def _to_planes(pixels: np.ndarray) -> Tensor:
    """uint8 (H, W, 3) -> float32 (1, 3, H', W') in [0, 1], padded to the networks' alignment."""
    import torch
    from torch.nn import functional

    height, width = pixels.shape[:2]
    planes = torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255
    padding = (0, -width % ALIGNMENT, 0, -height % ALIGNMENT)
    return functional.pad(planes, padding, mode="replicate")


def _fit(network: nn.Module, planes: Tensor, bits_per_pixel: float) -> None:
    import torch

    latents = network.g_a(planes)
    symbols = latents[0].numel()
    deviation = deviation_for(bits_per_pixel * planes.shape[2] * planes.shape[3] / symbols)
    mean = latents.mean((0, 2, 3))
    factor = deviation / latents.std((0, 2, 3)).clamp_min(1e-6)
    count = len(factor)
    affine = torch.nn.Conv2d(count, count, 1, groups=count)
    affine.weight.copy_(factor[:, None, None, None])
    affine.bias.copy_(-mean * factor)
    network.g_a = torch.nn.Sequential(network.g_a, affine)
    predictor = getattr(network, "entropy_parameters", network.h_s)[-1]
    predictor.weight.zero_()
    predictor.bias.zero_()
    predictor.bias[:count] = deviation  # scales come first, then means


def deviation_for(bits: float) -> float:
    """The deviation at which a rounded zero-mean Gaussian has an entropy of `bits`."""
    low, high = 0.05, 2.0**12
    for _ in range(60):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if _entropy(middle) < bits else (low, middle)
    return low


def _entropy(deviation: float) -> float:
    reach = math.ceil(8 * deviation) + 1
    edges = [math.erf((x - 0.5) / (deviation * math.sqrt(2))) / 2 for x in range(-reach, reach + 2)]
    masses = np.diff(edges)
    masses = masses[masses > 0]
    return float(-(masses * np.log2(masses)).sum())
