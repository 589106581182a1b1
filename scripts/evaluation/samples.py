"""One measurement: a picture, coded once."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from evaluation.butteraugli import butteraugli
from licodec.compare import measures


@dataclass(frozen=True)
class Sample(measures.Quality):
    """What coding one picture gave, with the bits per pixel of the whole file.

    butteraugli  3-norm, 0 and more; None where it was not measured
    """

    bpp: float
    butteraugli: float | None = None


def measure(
    original: np.ndarray, decoded: np.ndarray, size: float, perceptual: bool = False
) -> Sample:
    """Compare uint8 (H, W, C) pixels; `size` is that of the file in bytes. `perceptual` is whether
    by SSIMULACRA 2 and Butteraugli, too."""
    quality = measures.measure(original, decoded, perceptual)
    seen = butteraugli(original, decoded) if perceptual else None
    return Sample(**asdict(quality), bpp=8 * size / original[:, :, 0].size, butteraugli=seen)
