"""The order of latents that are coded given those above and to the left of them.

A position's neighbours are the positions before it, in raster order, in the square of side
2 * reach + 1 around it. All positions whose neighbours are decoded make a wavefront: each row
follows the one above it reach + 1 columns behind. Normative counterpart: format/SPEC.md,
"Wavefronts".
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np


def wavefronts(rows: int, columns: int, reach: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The positions of each wavefront of a plane, (n,) rows in ascending order and (n,) columns."""
    lag = reach + 1
    for front in range(columns + lag * (rows - 1)):
        first = max(0, -(-(front - columns + 1) // lag))
        row = np.arange(first, min(rows - 1, front // lag) + 1)
        yield row, front - lag * row


def longest_wavefront(rows: int, columns: int, reach: int) -> int:
    """The most positions of a wavefront."""
    return min(rows, -(-columns // (reach + 1)))


class NeighbourPlanes:
    """Latents as they are decoded, int16; those that are not yet, and all outside, are 0."""

    def __init__(self, channels: int, rows: int, columns: int, reach: int) -> None:
        self._inside = slice(reach, reach + rows), slice(reach, reach + columns)
        self._planes = np.zeros((rows + reach, columns + 2 * reach, channels), np.int16)
        self._flat = self._planes.reshape(-1, channels)  # a view: (positions, channels)
        self._reach, self._width = reach, columns + 2 * reach
        before = np.arange(2 * reach * (reach + 1))  # of the square, in raster order
        down, across = np.divmod(before, 2 * reach + 1)
        self._offsets = (down - reach) * self._width + across - reach

    def _places(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        return (rows + self._reach) * self._width + columns + self._reach

    def neighbours(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Those of n positions, (neighbours * channels, 1, n), neighbour by neighbour."""
        places = self._places(rows, columns)[:, None] + self._offsets
        return self._flat[places].reshape(len(rows), -1).T[:, None]

    def put(self, rows: np.ndarray, columns: np.ndarray, latents: np.ndarray) -> None:
        """Set the latents (channels, 1, n) of n positions."""
        self._flat[self._places(rows, columns)] = latents[:, 0].T

    def latents(self) -> np.ndarray:
        """All of them, (channels, rows, columns)."""
        return np.ascontiguousarray(self._planes[self._inside].transpose(2, 0, 1))
