"""PPM, PGM and PBM: files of several pictures, of which Pillow shows the first."""

from __future__ import annotations

import re
from typing import BinaryIO

import numpy as np
from PIL import Image

from licodec.images.metadata import Found
from licodec.images.samples import tiles_of
from licodec.images.sources import from_start

_ANOTHER = re.compile(rb"P[1-7]\s")


def examine_ppm(image: Image.Image, stream: BinaryIO) -> Found:
    """Notes where another picture follows, and where samples are larger than any may be."""
    tiles = tiles_of(image)
    if not tiles:
        return Found()
    decoder, _, offset, arguments = tiles[0]
    if decoder == "ppm_plain":  # which fills its file
        return Found()
    row = -(-image.width // 8) if image.mode == "1" else image.width
    maximum = arguments[-1] if decoder == "ppm" else (65535 if arguments == "I;16B" else 255)
    samples = row * image.height * (3 if image.mode == "RGB" else 1)
    sample = np.dtype(">u2" if maximum > 255 else "u1")
    notes = []
    with from_start(stream):
        if maximum not in (255, 65535):
            stream.seek(offset)
            data = stream.read(samples * sample.itemsize)  # as far as the file has them
            if np.frombuffer(data, sample, len(data) // sample.itemsize).max(initial=0) > maximum:
                notes.append(f"samples above the stated maximum of {maximum} taken as that")
        stream.seek(offset + samples * sample.itemsize)
        if _ANOTHER.match(stream.read(64).lstrip()):
            notes.append("only the first of several pictures in the file taken")
    return Found(notes=tuple(notes))
