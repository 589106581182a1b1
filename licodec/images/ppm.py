"""PPM, PGM and PBM: files of several pictures, of which Pillow shows the first."""

from __future__ import annotations

import re
from typing import BinaryIO

import numpy as np
from PIL import Image

from licodec.images.metadata import Found
from licodec.images.samples import tiles_of
from licodec.images.sources import from_start

_BLOCK_BYTES = 2**20
_ANOTHER = re.compile(rb"P[1-7]\s")


def examine_ppm(image: Image.Image, stream: BinaryIO | None) -> Found:
    """Notes where another picture follows, and where samples are larger than any may be."""
    tiles = tiles_of(image)
    if stream is None or not tiles:
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
            if _largest(stream, samples * sample.itemsize, sample) > maximum:
                notes.append(f"samples above the stated maximum of {maximum} taken as that")
        stream.seek(offset + samples * sample.itemsize)
        if _ANOTHER.match(stream.read(64).lstrip()):
            notes.append("only the first of several pictures in the file taken")
    return Found(notes=tuple(notes))


def _largest(stream: BinaryIO, size: int, sample: np.dtype) -> int:
    """The largest of the samples in so many bytes, as far as the file has them."""
    largest = 0
    while size and len(block := stream.read(min(size, _BLOCK_BYTES))) >= sample.itemsize:
        size -= len(block)
        values = np.frombuffer(block, sample, len(block) // sample.itemsize)
        largest = max(largest, int(values.max()))
    return largest
