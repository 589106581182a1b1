"""One measurement: a picture, coded once."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from evaluation.perceptual import ssimulacra2
from licodec.images import psnr

SMALLEST_MS_SSIM_SIDE = 161  # pixels: five scales of an 11 x 11 window


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
    return Sample(
        8 * size / (height * width),
        psnr(original, decoded),
        ms_ssim(original, decoded),
        ssimulacra2(original, decoded) if perceptual else None,
    )


def ms_ssim(a: np.ndarray, b: np.ndarray) -> float | None:
    """MS-SSIM of uint8 (H, W, C) pixels, or None where a side is too small for it."""
    if min(a.shape[:2]) < SMALLEST_MS_SSIM_SIDE:
        return None
    import pytorch_msssim
    import torch

    planes = [torch.tensor(x).permute(2, 0, 1)[None].double() for x in (a, b)]
    with torch.inference_mode():
        return float(pytorch_msssim.ms_ssim(*planes, data_range=255))


def ms_ssim_in_decibels(value: float) -> float:
    """-10 log10(1 - MS-SSIM)."""
    return math.inf if value >= 1 else -10 * math.log10(1 - value)
