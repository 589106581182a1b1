"""GIF: the profile and the XMP in application extensions, which Pillow passes over."""

from __future__ import annotations

from typing import BinaryIO

from PIL import Image

from licodec.images.metadata import Found
from licodec.images.sources import contents

# How the application extensions begin that hold them.
_ICC, _XMP = b"\x21\xff\x0bICCRGBG1012", b"\x21\xff\x0bXMP DataXMP"
# What ends XMP: bytes that lead a reader who takes its text for blocks to their end.
_XMP_TRAILER = b"\x01\xff\xfe"


def examine_gif(image: Image.Image, stream: BinaryIO) -> Found:
    """Profile and XMP, wherever in the file they stand."""
    data = contents(stream)
    _, _, blocks = data.partition(_ICC)
    xmp, trailer, _ = data.partition(_XMP)[2].partition(_XMP_TRAILER)
    return Found(icc=_joined(blocks) or None, xmp=xmp if trailer else None)


def _joined(blocks: bytes) -> bytes:
    """The contents of blocks that each begin with their length."""
    parts, at = [], 0
    while at < len(blocks) and blocks[at]:
        parts.append(blocks[at + 1 : at + 1 + blocks[at]])
        at += 1 + blocks[at]
    return b"".join(parts)
