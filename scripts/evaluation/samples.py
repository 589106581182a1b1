"""One measurement: a picture, coded once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from licodec.compare import measures


@dataclass(frozen=True)
class Sample:
    """What coding one picture gave.

    bpp      bits per pixel of the whole file
    psnr     dB over all samples of the decoded 8-bit pixels; inf where they are equal
    ms_ssim  in [0, 1]; None where the picture is too small for it
    perceptual  SSIMULACRA 2's score; None where it was not asked for
    """

    bpp: float
    psnr: float
    ms_ssim: float | None
    perceptual: float | None = None


def measure(
    original: np.ndarray, decoded: np.ndarray, size: float, perceptual: bool = False
) -> Sample:
    """Compare uint8 (H, W, C) pixels; `size` is that of the file in bytes."""
    height, width = original.shape[:2]
    found = measures.measure(original, decoded, perceptual)
    return Sample(8 * size / (height * width), found.psnr, found.ms_ssim, found.ssimulacra2)
