"""Butteraugli, by libjxl's program: another measure of what people see.

Its 3-norm, as libjxl's benchmarks state it: 0 is equal, about 1 is hardly to be told apart.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from licodec.errors import LicodecError

NAME = "Butteraugli"
PROGRAM = "butteraugli_main"
_SMALLEST_SIDE = 8  # pixels


def has_program() -> bool:
    return shutil.which(PROGRAM) is not None


def butteraugli(original: np.ndarray, decoded: np.ndarray) -> float | None:
    """The 3-norm between uint8 (H, W, 1 or 3) pixels; None where a side is too small, or the
    program is not there. Raises LicodecError where it fails."""
    if not has_program() or min(original.shape[:2]) < _SMALLEST_SIDE:
        return None
    with tempfile.TemporaryDirectory(prefix="licodec-") as folder:
        paths = [Path(folder, name) for name in ("original.png", "decoded.png")]
        for path, pixels in zip(paths, (original, decoded), strict=True):
            Image.fromarray(np.repeat(pixels, 3 // pixels.shape[2], 2)).save(path)
        done = subprocess.run([PROGRAM, *paths], capture_output=True, text=True)
    found = re.search(r"3-norm: ([0-9.]+)", done.stdout)
    if found is None:
        raise LicodecError(f"{PROGRAM} said no 3-norm but {done.stdout + done.stderr!a}")
    return float(found[1])
