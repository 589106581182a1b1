"""Training pictures: finding, reading, holding some out, cropping."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from PIL import Image

PICTURE_SUFFIXES = {".avif", ".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".ppm"}

Item = TypeVar("Item")


def picture_paths(*folders: Path) -> list[Path]:
    """All pictures below `folders` in name order; ends the program where there are none."""
    files = (path for folder in folders for path in folder.rglob("*"))
    paths = sorted(path for path in files if path.suffix.lower() in PICTURE_SUFFIXES)
    if not paths:
        where = ", ".join(map(str, folders))
        sys.exit(f"{where}: no pictures found (looked for {', '.join(sorted(PICTURE_SUFFIXES))})")
    return paths


def read_pixels(path: Path) -> np.ndarray:
    """One picture as (H, W, 3) uint8."""
    return np.asarray(Image.open(path).convert("RGB"))


def at_least(paths: Sequence[Path], side: int) -> list[Path]:
    """Those pictures of which both sides have `side` pixels or more."""
    kept = []
    for path in paths:
        with Image.open(path) as picture:
            if min(picture.size) >= side:
                kept.append(path)
    return kept


def split_pictures(pictures: Sequence[Item], held_out: int) -> tuple[list[Item], list[Item]]:
    """(held out for validation, for training): `held_out` pictures, evenly spaced, and the rest."""
    spacing = max(1, len(pictures) // max(1, held_out))
    training = [p for i, p in enumerate(pictures) if i % spacing or i // spacing >= held_out]
    return list(pictures[::spacing][:held_out]), training


def draw_crop(picture: np.ndarray, side: int, rng: np.random.Generator) -> np.ndarray:
    """A random crop of `picture`, scaled down by up to two and flipped at random."""
    height, width = picture.shape[:2]
    largest = min(2.0, height / side, width / side)
    factor = 1.0 if largest <= 1 or rng.random() < 0.5 else rng.uniform(1.0, largest)
    source = round(side * factor)
    top = int(rng.integers(height - source + 1))
    left = int(rng.integers(width - source + 1))
    crop = picture[top : top + source, left : left + source]
    if source != side:
        crop = np.asarray(Image.fromarray(crop).resize((side, side), Image.Resampling.BICUBIC))
    if rng.random() < 0.5:
        crop = crop[:, ::-1]
    if rng.random() < 0.25:
        crop = crop.transpose(1, 0, 2)
    return crop


def centre_crop(picture: np.ndarray, largest: int, multiple: int) -> np.ndarray:
    """The centre of `picture`, with sides of at most `largest` that are multiples of `multiple`."""
    height, width = (min(largest, side) // multiple * multiple for side in picture.shape[:2])
    top, left = (picture.shape[0] - height) // 2, (picture.shape[1] - width) // 2
    return picture[top : top + height, left : left + width]


def to_tensor(crops: np.ndarray) -> torch.Tensor:
    """(N, H, W, 3) uint8 -> (N, 3, H, W) float32 in [0, 1], channels last in memory."""
    pixels = torch.from_numpy(np.ascontiguousarray(crops)).permute(0, 3, 1, 2).float() / 255
    return pixels.contiguous(memory_format=torch.channels_last)


def rate_and_distortion(output: dict, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(bits per pixel, mean squared error in [0, 1] units) of one forward pass."""
    bits = -sum(likelihood.float().log2().sum() for likelihood in output["likelihoods"].values())
    bpp = bits / (pixels.shape[0] * pixels.shape[2] * pixels.shape[3])
    return bpp, torch.mean((output["x_hat"] - pixels) ** 2)
