"""SSIMULACRA 2, a perceptual measure that nothing here was trained on.

Chosen because it needs no trained network and no download, follows people's ratings of compressed
pictures more closely than PSNR, SSIM and Butteraugli do, and is what JPEG XL is developed with
(https://github.com/cloudinary/ssimulacra2). It compares blurred structure, ringing and lost detail
at six scales of the XYB colour space; what beta is trained with, statistics in a steerable pyramid
of RGB, has none of that. The package `ssimulacra2` computes it with NumPy and SciPy.
"""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from licodec.errors import LicodecError

NAME = "SSIMULACRA 2"  # 100 is equal, 90 hardly to be told apart, 70 good, 50 medium, 30 low
SMALLEST_SIDE = 8  # pixels


def require_package() -> None:
    """Raise LicodecError where the package is missing."""
    try:
        import ssimulacra2  # noqa: F401
    except ImportError:
        raise LicodecError(
            "--perceptual needs the package ssimulacra2: pip install ssimulacra2"
        ) from None


def ssimulacra2(original: np.ndarray, decoded: np.ndarray) -> float | None:
    """The score of uint8 (H, W, 1 or 3) pixels, at most 100; None where a side is too small."""
    from ssimulacra2 import compute_ssimulacra2

    if min(original.shape[:2]) < SMALLEST_SIDE:
        return None
    return float(compute_ssimulacra2(_as_file(original), _as_file(decoded)))


def _as_file(pixels: np.ndarray) -> io.BytesIO:
    """What the package reads: a lossless file, in memory."""
    file = io.BytesIO()
    Image.fromarray(np.repeat(pixels, 3 // pixels.shape[2], 2)).save(file, "BMP")
    file.seek(0)
    return file
