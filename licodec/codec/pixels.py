"""Pixels as networks take and give them: planes, padded and centred, and strips of them."""

from __future__ import annotations

from collections.abc import Iterable

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


def assembled(strips: Iterable[np.ndarray], shape: tuple[int, int, int]) -> np.ndarray:
    """Pixels uint8 of `shape` (H, W, C), cut out of strips (3, rows, w) from top to bottom."""
    height, width, channels = shape
    pixels, top = np.empty(shape, np.uint8), 0
    for strip in strips:
        planes = strip[:, : max(0, height - top), :width]
        planes = _grey(planes) if channels == 1 else planes
        pixels[top : top + planes.shape[1]] = planes.transpose(1, 2, 0)
        top += strip.shape[1]
    return pixels


def _grey(planes: np.ndarray) -> np.ndarray:
    """The rounded mean of three planes, (3, H, W) uint8 -> (1, H, W) uint8."""
    total = planes.sum(0, dtype=np.uint16)
    return ((2 * total + 3) // 6).astype(np.uint8)[None]


def checksum(pixels: np.ndarray, alpha: np.ndarray | None) -> int:
    """What a file says of its pixels (H, W, C) and its alpha plane (H, W)."""
    plane = None if alpha is None else np.ascontiguousarray(alpha).data
    return pixel_checksum(np.ascontiguousarray(pixels).data, plane)
