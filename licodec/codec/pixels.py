"""Pixels as networks take and give them: planes, padded and centred, and strips of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from licodec.container import pixel_checksum


def padded_planes(pixels: np.ndarray, alignment: int) -> np.ndarray:
    """Pixels (H, W, C) as three planes, uint8 (3, h, w), padded by edge replication to multiples
    of `alignment`; a view where that is possible."""
    height, width = pixels.shape[:2]
    padding = ((0, -height % alignment), (0, -width % alignment), (0, 0))
    if padding != ((0, 0),) * 3:
        pixels = np.pad(pixels, padding, mode="edge")
    planes = pixels.transpose(2, 0, 1)
    return np.broadcast_to(planes, (3, *planes.shape[1:]))


def centred(planes: np.ndarray) -> np.ndarray:
    """8-bit samples as the analysis takes them: 2 p - 255, int16."""
    return 2 * planes.astype(np.int16) - 255


def pixel_rows(
    strips: Iterable[np.ndarray], corner: tuple[int, int], shape: tuple[int, int, int]
) -> Iterator[np.ndarray]:
    """Pixels (rows, W, C) of `shape` (H, W, C) from top to bottom, out of strips (3, rows, w) in
    which they begin at the row and column `corner`."""
    height, width, channels = shape
    top, left = corner
    for strip in strips:
        planes = strip[:, max(0, top) : max(0, top + height), left : left + width]
        top -= strip.shape[1]
        if planes.shape[1]:
            yield (_grey(planes) if channels == 1 else planes).transpose(1, 2, 0)


def joined(rows: Iterable[np.ndarray], shape: tuple[int, int, int]) -> np.ndarray:
    """Pixels of `shape` (H, W, C) that come as rows from top to bottom."""
    pixels, top = np.empty(shape, np.uint8), 0
    for own in rows:
        pixels[top : top + len(own)] = own
        top += len(own)
    return pixels


def _grey(planes: np.ndarray) -> np.ndarray:
    """The rounded mean of three planes, (3, H, W) uint8 -> (1, H, W) uint8."""
    total = planes.sum(0, dtype=np.uint16)
    return ((2 * total + 3) // 6).astype(np.uint8)[None]


def checksum(pixels: np.ndarray, alpha: np.ndarray | None) -> int:
    """What a file says of its pixels (H, W, C) and its alpha plane (H, W)."""
    check = PixelCheck()
    check.add(pixels)
    return check.result(alpha)


class PixelCheck:
    """The checksum of pixels that come from top to bottom."""

    def __init__(self) -> None:
        self._sum = pixel_checksum(b"", None)

    def add(self, rows: np.ndarray) -> np.ndarray:
        """The rows (n, W, C), which are counted."""
        rows = np.ascontiguousarray(rows)
        self._sum = pixel_checksum(rows.data, None, self._sum)
        return rows

    def result(self, alpha: np.ndarray | None) -> int:
        """That of all rows, and of the alpha plane (H, W) behind them."""
        plane = None if alpha is None else np.ascontiguousarray(alpha).data
        return pixel_checksum(b"", plane, self._sum)
