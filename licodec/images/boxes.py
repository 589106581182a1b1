"""Boxes: the container of AVIF, HEIC, JPEG 2000 and JPEG XL."""

from __future__ import annotations

import struct
from collections.abc import Iterator

Bytes = bytes | memoryview
Box = tuple[bytes, Bytes]


def boxes(data: Bytes) -> Iterator[Box]:
    """Type and contents of the boxes in `data`, one after the other, as far as they are sound."""
    view = memoryview(data)
    at = 0
    while at + 8 <= len(view):
        size, kind = struct.unpack_from(">I4s", view, at)
        head = 8
        if size == 1 and at + 16 <= len(view):
            size, head = struct.unpack_from(">Q", view, at + 8)[0], 16
        end = at + size if size else len(view)
        if end < at + head:
            return
        yield kind, view[at + head : end]
        at = end
