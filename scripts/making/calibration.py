"""The pictures that ranges are measured on, as commands ask for them."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from licodec.packing.calibration import read_pictures


def add_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--calibrate", type=Path, required=True, help="folder of pictures")
    add("--pictures", type=int, default=24, help="how many of them to use (%(default)s)")
    add("--crop", type=int, default=512, help="largest side of the centre crop (%(default)s)")


def pictures_of(arguments: argparse.Namespace) -> list[np.ndarray]:
    """Each (H, W, 3) uint8. Raises BadInputError."""
    return read_pictures(arguments.calibrate, arguments.pictures, arguments.crop)
