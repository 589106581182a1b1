"""Small pictures, and codecs that take no time, for the tests of comparisons."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from licodec.compare.comparison import Compared, Plan, compare
from licodec.compare.crops import CropSize
from licodec.compare.matching import Equal
from licodec.errors import LicodecError
from licodec.images import Picture


def textured(height: int, width: int, channels: int = 3) -> np.ndarray:
    """(height, width, channels) uint8: waves and noise."""
    random = np.random.default_rng((height, width))
    waves = 120 + 70 * np.sin(np.arange(height)[:, None, None] / 5 + np.arange(width)[:, None] / 9)
    noisy = waves + random.normal(0, 6, (height, width, channels))
    return np.clip(noisy, 0, 255).astype(np.uint8)


def coarse(pixels: np.ndarray, step: int) -> np.ndarray:
    """Pixels on a grid: the coarser, the farther from what they were."""
    return (np.clip((pixels // step) * step + step // 2, 0, 255)).astype(np.uint8)


def subject(picture: Picture, d: float) -> tuple[bytes, float, np.ndarray]:
    """In the place of licodec: a grid of steps of 8 d, and a file of 1000 / d bytes."""
    return bytes(round(1000 / d)), d, coarse(picture.pixels, round(8 * d))


@dataclass(frozen=True)
class GridCodec:
    """A peer for `textured(24, 40)`: a quality q is a grid of steps of 101 - q, in 20 q bytes.

    limit  of the width; what is wider cannot be coded
    """

    name: str = "Grid"
    qualities: range = range(1, 101)
    library: str = "grid 1.0"
    limit: int = 10_000

    def encode(self, pixels: np.ndarray, quality: int) -> bytes:
        if pixels.shape[1] > self.limit:
            raise LicodecError(f"{self.name} cannot code this picture (too wide)")
        return bytes([quality]) * (20 * quality)

    def decode(self, data: bytes, channels: int) -> np.ndarray:
        return coarse(textured(24, 40, channels), 101 - data[0])


def plan(**changes: object) -> Plan:
    """At d = 1 and 4 beside a GridCodec, measured without SSIMULACRA 2, unless told otherwise."""
    given = {
        "ds": (1.0, 4.0),
        "peers": [GridCodec()],
        "equal": Equal.SIZE,
        "crop": CropSize(16, 12),
        "perceptual": False,
    }
    return Plan(**{**given, **changes})  # type: ignore[arg-type]


def compared(name: str = "photo.png", of: Plan | None = None, channels: int = 3) -> Compared:
    """A picture of 40x24 pixels, compared by a plan."""
    picture = Picture(textured(24, 40, channels))
    return compare(picture, name, subject, of or plan(), lambda: None)
