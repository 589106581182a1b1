"""SSIMULACRA 2, a perceptual measure that nothing here was trained on.

Chosen because it needs no trained network and no download, follows people's ratings of compressed
pictures more closely than PSNR, SSIM and Butteraugli do, and is what JPEG XL is developed with
(https://github.com/cloudinary/ssimulacra2). It compares blurred structure, ringing and lost detail
at six scales of the XYB colour space; what beta is trained with, statistics in a steerable pyramid
of RGB, has none of that. The package `ssimulacra2` computes it with NumPy and SciPy.
"""

from __future__ import annotations

from licodec.compare.measures import require_ssimulacra2, ssimulacra2

__all__ = ["NAME", "require_ssimulacra2", "ssimulacra2"]

NAME = "SSIMULACRA 2"  # 100 is equal, 90 hardly to be told apart, 70 good, 50 medium, 30 low
