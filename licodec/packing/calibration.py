"""Calibration pictures: what ranges, tables and sensitivities are measured on."""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from licodec.errors import BadInputError, UsageError
from licodec.files import display_name, is_missing
from licodec.images import read_picture

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".ppm"}
ALIGNMENT = 64  # sides of crops are multiples of it
EXAMPLE = "coffee.png"


def example_picture() -> Path:
    """The photograph that comes with licodec: beside the package, or in its checkout."""
    package = Path(str(resources.files("licodec")))
    installed = package / "examples"
    folder = installed if installed.is_dir() else package.parent / "examples"
    return folder / EXAMPLE


def built_in_pictures(side: int) -> list[np.ndarray]:
    """A centre crop of the photograph that comes with licodec, where it is there, and two made
    ones whose values go further: noise, and steep edges between extremes.

    Each (H, W, 3) uint8, at most `side`, a multiple of 64, each way.
    """
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (side // 2, side // 2, 3), np.uint8)
    ramp = np.linspace(0, 255, side // 2)
    smooth = np.stack(np.broadcast_arrays(ramp, ramp[:, None], ramp[::-1]), 2)
    checks = np.add.outer(np.arange(side // 2) // 24, np.arange(side // 2) // 17) % 2 == 0
    edges = np.where(checks[..., None], smooth, 255 - smooth[..., ::-1].round(-2)).clip(0, 255)
    made = [noise, edges.astype(np.uint8)]
    photograph = example_picture()
    return [*(read_pictures(photograph, 1, side) if photograph.is_file() else []), *made]


def read_pictures(source: Path, count: int, side: int) -> list[np.ndarray]:
    """Centre crops, each (H, W, 3) uint8, of `count` pictures spread over a folder and its
    subfolders in name order, or of one file.

    `side` is their largest side; sides are multiples of 64. Grey becomes RGB, and pictures
    under 64 pixels are passed over. Raises BadInputError where nothing is left, or where a
    picture cannot be read.
    """
    name = display_name(source)
    if is_missing(source):
        raise BadInputError(f"{name}: no such folder of calibration pictures; check the name")
    paths = [source]
    if os.path.isdir(source):
        paths = sorted(p for p in source.rglob("*") if p.suffix.lower() in SUFFIXES)
    if not paths:
        raise BadInputError(
            f"{name}: no calibration pictures ({', '.join(sorted(SUFFIXES))}) in this folder"
        )
    spread = [paths[len(paths) * i // count] for i in range(min(count, len(paths)))]
    pixels = [read_picture(path, display_name(path)).pixels for path in spread]
    crops = [_centre(array, side) for array in pixels if min(array.shape[:2]) >= ALIGNMENT]
    if not crops:
        raise BadInputError(
            f"{name}: the calibration pictures are too small; "
            f"they need {ALIGNMENT} pixels each way at least"
        )
    return crops


def _centre(pixels: np.ndarray, side: int) -> np.ndarray:
    height, width = (min(side, n) // ALIGNMENT * ALIGNMENT for n in pixels.shape[:2])
    top, left = (pixels.shape[0] - height) // 2, (pixels.shape[1] - width) // 2
    crop = pixels[top : top + height, left : left + width]
    return np.array(np.broadcast_to(crop, (height, width, 3)))


def trial_crops(
    pictures: Sequence[np.ndarray], count: int, side: int, seed: int, alignment: int = ALIGNMENT
) -> Tensor:
    """`count` crops (count, 3, side, side) in [0, 1] at random places, of as many different
    pictures as there are. A function of the seed.

    Every second one is of half size where the picture is large enough: pictures as cameras give
    them have little detail from pixel to pixel, and layers that code it would seem to need no bits.

    Raises UsageError where `side` is no multiple of `alignment`, the network's, BadInputError
    where no picture is that large.
    """
    if side % alignment or side < alignment:
        raise UsageError(f"--crop-size {side}: give a multiple of {alignment}")
    large = [picture for picture in pictures if min(picture.shape[:2]) >= side]
    if not large:
        raise BadInputError(
            f"the calibration pictures are too small for crops of {side}x{side} pixels; "
            "give larger ones, or a smaller --crop-size"
        )
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(large))
    crops = []
    for i in range(count):
        picture = large[order[i % len(large)]]
        factor = 2 if i % 2 and min(picture.shape[:2]) >= 2 * side else 1
        source = factor * side
        top, left = (int(rng.integers(n - source + 1)) for n in picture.shape[:2])
        crop = picture[top : top + source, left : left + source].astype(np.float32)
        crops.append(crop.reshape(side, factor, side, factor, 3).mean((1, 3)))
    return torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).contiguous() / 255


def as_tensor(pixels: np.ndarray) -> Tensor:
    """(H, W, 3) uint8 -> (1, 3, H, W) in [0, 1]."""
    return torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255
