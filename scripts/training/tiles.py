"""Training tiles in memory, and what chance makes of them: crops, sizes, colours and rates.

A folder of shards holds tiles of at most TILE pixels a side, and `held-out`. Names that begin with
`g_` are graphics: text, screens, plots and drawings.
"""

from __future__ import annotations

import math
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from training.pictures import picture_paths, read_pixels

TILE = 512
GRAPHICS = "g_"
GRAPHICS_WEIGHT = 1.3  # chance of a graphics tile against a photograph's
# Photographs were coded at 43 dB: finer rates see them scaled down, so as not to learn that noise.
FINE_D, FINE_FACTOR = 0.6, 4 / 3
FINE_SHARE = 0.2  # of the samples have a d below FINE_D
RECOLOURED_SHARE = 0.2
SCALED_SHARE = 0.5
# Samples for squared error alone, for what people see, and in between.
OBJECTIVE_SHARES = (0.35, 0.5)


@dataclass(frozen=True)
class Draw:
    """What a step sees: levels (N, 3, side, side) of 8 bits, d (N,) and objective (N,)."""

    levels: Tensor
    d: Tensor
    objective: Tensor


def read_tile(path: Path) -> np.ndarray:
    """(height, width, 3) uint8, cut to TILE a side."""
    return read_pixels(path)[:TILE, :TILE]


def validation_paths(folder: Path, further_graphics: int = 30) -> dict[str, list[Path]]:
    """Photographs and graphics: the tiles held out, and of each few graphics of the shards one,
    whole sources, as there are few others."""
    held = picture_paths(folder / "held-out")
    drawn = [p for p in picture_paths(*_shards(folder, "abc")) if p.name.startswith(GRAPHICS)]
    every = max(1, len(drawn) // max(1, further_graphics))
    graphics = [p for p in held if p.name.startswith(GRAPHICS)]
    photographs = [p for p in held if p not in graphics]
    further = drawn[::every][:further_graphics]
    return {"photographs": photographs, "graphics": graphics + further}


def _shards(folder: Path, names: str) -> list[Path]:
    return [path for name in names if (path := folder / name).is_dir()]


def _source(path: Path) -> str:
    """The picture that a tile is of: its name without the place of the tile."""
    return "-".join(path.stem.split("-")[:2])


class Tiles:
    """Tiles on `device`. What :meth:`draw` gives is a function of (seed, step)."""

    def __init__(
        self, folder: Path, shards: str, held_out: list[Path], device: str, cache: Path | None
    ) -> None:
        out = {_source(path) for path in held_out}
        paths = [p for p in picture_paths(*_shards(folder, shards)) if _source(p) not in out]
        pixels, self.sizes = _read(paths, cache)
        self.pixels = pixels.to(device)
        weights = [GRAPHICS_WEIGHT if p.name.startswith(GRAPHICS) else 1.0 for p in paths]
        self.chances = np.array(weights) / sum(weights)

    def __len__(self) -> int:
        return len(self.sizes)

    def draw(
        self, seed: int, step: int, batch: int, side: int, d_range: tuple[float, float]
    ) -> Draw:
        rng = np.random.default_rng((seed, step))
        d = _rates(rng, batch, d_range)
        chosen = rng.choice(len(self), batch, p=self.chances)
        crops = [self._crop(rng, i, side, x < FINE_D) for i, x in zip(chosen, d, strict=True)]
        levels = torch.cat(crops).contiguous(memory_format=torch.channels_last)
        to = {"device": levels.device, "dtype": torch.float32}
        objective = torch.tensor(_objectives(rng, batch), **to)
        return Draw(levels, torch.tensor(d, **to), objective)

    def _crop(self, rng: np.random.Generator, index: int, side: int, fine: bool) -> Tensor:
        """(1, 3, side, side) float levels: a piece, perhaps scaled down, recoloured, turned."""
        height, width = self.sizes[index]
        largest = min(2.0, height / side, width / side)
        factor = rng.uniform(1.0, largest) if rng.random() < SCALED_SHARE else 1.0
        if fine:
            factor = min(max(factor, FINE_FACTOR), largest)
        source = round(side * factor)
        top, left = rng.integers(height - source + 1), rng.integers(width - source + 1)
        crop = self.pixels[index, top : top + source, left : left + source]
        crop = crop.permute(2, 0, 1)[None].float()
        if source != side:
            crop = F.interpolate(crop, (side, side), mode="bicubic", antialias=True)
            crop = crop.round().clamp(0, 255)
        if rng.random() < RECOLOURED_SHARE:
            gains = np.exp(rng.uniform(-0.1, 0.1, 3)).astype(np.float32)
            gains = torch.from_numpy(gains).to(crop.device)[:, None, None]
            crop = 255 * (crop / 255).pow(math.exp(rng.uniform(-0.3, 0.3))) * gains
            crop = crop.round().clamp(0, 255)
        axes = [axis for axis in (2, 3) if rng.random() < 0.5]
        crop = crop.flip(axes) if axes else crop
        return crop.transpose(2, 3) if rng.random() < 0.5 else crop


def _rates(rng: np.random.Generator, batch: int, d_range: tuple[float, float]) -> np.ndarray:
    """(batch,) d, log-uniform below and above FINE_D; a batch covers the range evenly."""
    low, middle, high = (math.log(d) for d in (d_range[0], FINE_D, d_range[1]))
    place = (np.arange(batch) + rng.random(batch)) / batch
    log_d = np.interp(place, (0, FINE_SHARE, 1), (low, middle, high))
    return np.exp(rng.permutation(log_d)).astype(np.float32)


def _objectives(rng: np.random.Generator, batch: int) -> np.ndarray:
    """(batch,) 0, 1 or between, by OBJECTIVE_SHARES, as evenly as a batch allows."""
    place = rng.permutation((np.arange(batch) + rng.random(batch)) / batch)
    squared, visual = OBJECTIVE_SHARES
    between = rng.random(batch)
    return np.where(place < squared, 0.0, np.where(place >= 1 - visual, 1.0, between))


def _read(paths: list[Path], cache: Path | None) -> tuple[Tensor, list[tuple[int, int]]]:
    """(pixels (n, TILE, TILE, 3) uint8, sizes): smaller tiles lie in the upper left corner."""
    sizes = []
    for path in paths:
        with Image.open(path) as picture:
            sizes.append((min(TILE, picture.height), min(TILE, picture.width)))
    shape = (len(paths), TILE, TILE, 3)
    if cache is not None and cache.exists():
        pixels = np.load(cache, mmap_mode="c")
        if pixels.shape == shape:
            return torch.from_numpy(pixels), sizes
    pixels = np.zeros(shape, np.uint8)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for i, tile in enumerate(pool.map(read_tile, paths)):
            pixels[i, : tile.shape[0], : tile.shape[1]] = tile
    if cache is not None:
        np.save(cache, pixels)
    return torch.from_numpy(pixels), sizes
