"""One measurement: a picture, coded once."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from licodec.compare import measures


@dataclass(frozen=True)
class Sample(measures.Quality):
    """What coding one picture gave, with the bits per pixel of the whole file."""

    bpp: float


def measure(
    original: np.ndarray, decoded: np.ndarray, size: float, perceptual: bool = False
) -> Sample:
    """Compare uint8 (H, W, C) pixels; `size` is that of the file in bytes."""
    quality = measures.measure(original, decoded, perceptual)
    return Sample(**asdict(quality), bpp=8 * size / original[:, :, 0].size)
