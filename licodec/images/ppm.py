"""PPM, PGM and PBM: files of several pictures, of which Pillow shows the first."""

from __future__ import annotations

import re
from typing import BinaryIO

from PIL import Image

from licodec.images.metadata import Found
from licodec.images.sources import from_start

_ANOTHER = re.compile(rb"P[1-7]\s")


def examine_ppm(image: Image.Image, stream: BinaryIO | None, name: str) -> Found:
    """A note where another picture follows."""
    if stream is None or not image.tile:
        return Found()
    decoder, _, offset, arguments = image.tile[0]
    if decoder == "ppm_plain":  # which fills its file
        return Found()
    row = -(-image.width // 8) if image.mode == "1" else image.width
    maximum = arguments[-1] if decoder == "ppm" else (65535 if arguments == "I;16B" else 255)
    samples = row * image.height * (3 if image.mode == "RGB" else 1)
    with from_start(stream):
        stream.seek(offset + samples * (2 if maximum > 255 else 1))
        if _ANOTHER.match(stream.read(64).lstrip()):
            return Found(notes=("only the first of several pictures in the file taken",))
    return Found()
