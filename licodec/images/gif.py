"""GIF: the profile and the XMP in application extensions, which Pillow passes over."""

from __future__ import annotations

from typing import BinaryIO

from PIL import Image

from licodec.images.metadata import Found
from licodec.images.sources import contents

_EXTENSION, _APPLICATION, _IMAGE = 0x21, 0xFF, 0x2C
_ICC, _XMP = b"\x0bICCRGBG1012", b"\x0bXMP DataXMP"
# What ends XMP: bytes that lead a reader who takes its text for blocks to their end.
_XMP_TRAILER = b"\x01\xff\xfe"


def examine_gif(image: Image.Image, stream: BinaryIO | None) -> Found:
    """Profile and XMP, wherever in the file they stand."""
    if stream is None:
        return Found()
    data = contents(stream)
    icc = xmp = None
    at = 13 + _colours(data[10:11])
    while at < len(data):
        start = at
        if data[at] == _IMAGE:
            at += 10 + _colours(data[at + 9 : at + 10]) + 1
        elif data[at] == _EXTENSION:
            at += 2
        else:
            break
        blocks = at
        while at < len(data) and data[at]:
            at += 1 + data[at]
        at += 1
        if data[start : start + 2] == bytes((_EXTENSION, _APPLICATION)):
            kind, rest = data[blocks : blocks + 12], data[blocks + 12 : at]
            if kind == _ICC:
                icc = _joined(rest)
            elif kind == _XMP and _XMP_TRAILER in rest:
                xmp = rest[: rest.rindex(_XMP_TRAILER)]
    return Found(icc=icc, xmp=xmp)


def _colours(flags: bytes) -> int:
    """Bytes of a colour table, by the flags that announce it."""
    return 3 << ((flags[0] & 7) + 1) if flags and flags[0] & 0x80 else 0


def _joined(blocks: bytes) -> bytes:
    """The contents of blocks that each begin with their length."""
    parts, at = [], 0
    while at < len(blocks) and blocks[at]:
        parts.append(blocks[at + 1 : at + 1 + blocks[at]])
        at += 1 + blocks[at]
    return b"".join(parts)
