"""In which parts planes are coded, and the order of the symbols of a part.

Normative counterpart: format/SPEC.md, "Decoding" and "Tiles".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from licodec.container.tiles import Tiles
from licodec.exact.schedule import PHASES, PhaseStep, Schedule

BLOCK_SYMBOLS = 1 << 20  # symbols whose 64-bit intermediates are alive at a time
HYPER_GROUP = 0  # the planes of the hyper-latents

Part = tuple[slice, slice, slice]  # of planes (C, H, W)


def group_of(schedule: Schedule, index: int, phase: int = 0) -> int:
    """The number of the group of planes that a step codes, at a phase where it has those."""
    sizes = (PHASES if isinstance(step, PhaseStep) else 1 for step in schedule.steps[:index])
    return 1 + sum(sizes) + phase


def group_count(schedule: Schedule) -> int:
    """How many groups of planes a picture has, that of the hyper-latents among them."""
    return group_of(schedule, len(schedule.steps))


class Order(Protocol):
    """How the planes of each group, (C, H, W), are cut, and their parts coded."""

    def parts(self, group: int, shape: tuple[int, ...]) -> Iterator[Part]:
        """The parts in coding order."""

    def flat(self, part: np.ndarray) -> np.ndarray:
        """A part (c, h, w) as it is coded, (n,)."""

    def planes(self, flat: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """The inverse of `flat`, for a part of `shape`."""


class ChannelOrder:
    """Channel by channel, each row by row, in blocks that bound the memory."""

    def parts(self, group: int, shape: tuple[int, ...]) -> Iterator[Part]:
        for channels in channel_blocks(shape):
            yield channels, slice(0, shape[1]), slice(0, shape[2])

    def flat(self, part: np.ndarray) -> np.ndarray:
        return part.ravel()

    def planes(self, flat: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        return flat.reshape(shape)


CHANNELS = ChannelOrder()


@dataclass(frozen=True)
class TileOrder:
    """Tile by tile, each row by row and there channel by channel."""

    tiles: Tiles

    def parts(self, group: int, shape: tuple[int, ...]) -> Iterator[Part]:
        for top, bottom in self.tiles.cuts(group, shape[1]):
            for left, right in self.tiles.cuts(group, shape[2]):
                yield slice(0, shape[0]), slice(top, bottom), slice(left, right)

    def flat(self, part: np.ndarray) -> np.ndarray:
        return part.swapaxes(0, 1).ravel()

    def planes(self, flat: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        channels, rows, columns = shape
        return flat.reshape(rows, channels, columns).swapaxes(0, 1)


def channel_blocks(shape: tuple[int, ...]) -> Iterator[slice]:
    """Slices of the channels of (C, H, W), each of about BLOCK_SYMBOLS values."""
    block = max(1, BLOCK_SYMBOLS // (shape[1] * shape[2]))
    for start in range(0, shape[0], block):
        yield slice(start, min(start + block, shape[0]))
