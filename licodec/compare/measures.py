"""How near decoded pixels are to the original ones: PSNR, MS-SSIM and SSIMULACRA 2.

MS-SSIM: Wang, Simoncelli and Bovik, "Multi-scale structural similarity for image quality
assessment", 2003, with the authors' five weights, on the samples of each channel, the mean of the
channels. It is here as no maintained package has it without torch.

SSIMULACRA 2 (https://github.com/cloudinary/ssimulacra2) is what JPEG XL is developed with. It
follows people's ratings of compressed pictures more closely than PSNR, SSIM and Butteraugli do and
needs no trained network; `lite` was not trained on it, `base` is. The package `ssimulacra2`
computes it with NumPy and SciPy: the extra `compare`.
"""

from __future__ import annotations

import functools
import io
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image

from licodec.errors import LicodecError
from licodec.images import psnr

SSIMULACRA2 = "SSIMULACRA 2"  # 100 is equal, 90 hardly to be told apart, 70 good, 50 medium, 30 low
SSIMULACRA2_SMALLEST_SIDE = 8  # pixels
SSIMULACRA2_MOST_PIXELS = 2**22  # the package takes half a kilobyte and some microseconds for each

MS_SSIM_SMALLEST_SIDE = 161  # pixels: five scales of an 11 x 11 window
_SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
_TAPS = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
_WINDOW = _TAPS / _TAPS.sum()
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
_BAND_ROWS = 64  # are filtered at a time, which a processor's cache holds


@dataclass(frozen=True)
class Quality:
    """What measuring decoded pixels gave.

    psnr         dB over all samples of the 8-bit pixels; inf where they are equal
    ms_ssim      in [0, 1]; None where a side is too small for it
    ssimulacra2  at most 100; None where it was not measured
    """

    psnr: float
    ms_ssim: float | None
    ssimulacra2: float | None

    @property
    def ms_ssim_in_decibels(self) -> float | None:
        return None if self.ms_ssim is None else ms_ssim_in_decibels(self.ms_ssim)


def measure(original: np.ndarray, decoded: np.ndarray, perceptual: bool) -> Quality:
    """Compare uint8 (H, W, C) pixels; `perceptual` is whether by SSIMULACRA 2, too."""
    return Quality(
        psnr(original, decoded),
        ms_ssim(original, decoded),
        ssimulacra2(original, decoded) if perceptual else None,
    )


# SSIMULACRA 2 ----------------------------------------------------------------------------------


def require_ssimulacra2() -> None:
    """Raise LicodecError where the package is missing."""
    try:
        import ssimulacra2  # noqa: F401
    except ImportError:
        raise LicodecError(
            f"{SSIMULACRA2} needs the package ssimulacra2: pip install 'licodec[compare]'"
        ) from None


def ssimulacra2(original: np.ndarray, decoded: np.ndarray) -> float | None:
    """The score of uint8 (H, W, 1 or 3) pixels, at most 100; None where a side is too small."""
    from ssimulacra2 import compute_ssimulacra2

    if min(original.shape[:2]) < SSIMULACRA2_SMALLEST_SIDE:
        return None
    return float(compute_ssimulacra2(_as_file(original), _as_file(decoded)))


def _as_file(pixels: np.ndarray) -> io.BytesIO:
    """What the package reads: a lossless file, in memory."""
    file = io.BytesIO()
    Image.fromarray(np.repeat(pixels, 3 // pixels.shape[2], 2)).save(file, "BMP")
    file.seek(0)
    return file


# MS-SSIM ---------------------------------------------------------------------------------------


def ms_ssim(a: np.ndarray, b: np.ndarray) -> float | None:
    """MS-SSIM of uint8 (H, W, C) pixels, or None where a side is too small for it."""
    if min(a.shape[:2]) < MS_SSIM_SMALLEST_SIDE:
        return None
    channels = range(a.shape[2])
    return math.fsum(_of_planes(a[:, :, c], b[:, :, c]) for c in channels) / len(channels)


def ms_ssim_in_decibels(value: float) -> float:
    """-10 log10(1 - MS-SSIM)."""
    return math.inf if value >= 1 else -10 * math.log10(1 - value)


def _of_planes(a: np.ndarray, b: np.ndarray) -> float:
    """MS-SSIM of two planes (H, W): structure at each scale, at the last one luminance, too."""
    product = 1.0
    for scale, weight in enumerate(_SCALE_WEIGHTS):
        if scale:
            a, b = _halved(a), _halved(b)
        whole, structure = _ssim(a, b)
        last = scale == len(_SCALE_WEIGHTS) - 1
        product *= max(whole if last else structure, 0.0) ** weight
    return product


def _ssim(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    """The means over two planes of SSIM, and of its factor of contrast and structure alone."""
    whole = structure = 0.0
    height, width = (side - len(_WINDOW) + 1 for side in a.shape)
    for x, y in _bands(a, b):
        mean_x, mean_y = _filtered(x), _filtered(y)
        covariance = _filtered(x * y) - mean_x * mean_y
        squares = mean_x**2 + mean_y**2
        variances = _filtered(x**2 + y**2) - squares
        factor = (2 * covariance + _C2) / (variances + _C2)
        structure += float(factor.sum())
        whole += float((factor * (2 * mean_x * mean_y + _C1) / (squares + _C1)).sum())
    return whole / (height * width), structure / (height * width)


def _bands(a: np.ndarray, b: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Bands of rows in float64, each with as many of the next as the window reaches into."""
    reach = len(_WINDOW) - 1
    for top in range(0, len(a) - reach, _BAND_ROWS):
        rows = slice(top, top + _BAND_ROWS + reach)
        yield a[rows].astype(np.float64), b[rows].astype(np.float64)


def _filtered(plane: np.ndarray) -> np.ndarray:
    """Means by the Gaussian window, where it lies within the plane."""
    return _along_rows(_along_rows(plane).T).T


def _along_rows(plane: np.ndarray) -> np.ndarray:
    height = len(plane) - len(_WINDOW) + 1
    taps = (tap * plane[i : i + height] for i, tap in enumerate(_WINDOW))
    return functools.reduce(np.add, taps)


def _halved(plane: np.ndarray) -> np.ndarray:
    """Means of 2 x 2 samples. An odd side has a row of zeros before its first, as in
    pytorch-msssim, which most published figures come from."""
    plane = np.pad(plane, [(side % 2, 0) for side in plane.shape])
    quarters = (plane[i::2, j::2].astype(np.float64) for i in (0, 1) for j in (0, 1))
    return functools.reduce(np.add, quarters) / 4
