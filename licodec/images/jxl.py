"""JPEG XL, by pillow-jxl-plugin's decoder: the extra `jxl`.

The plugin itself decodes a file when it is opened, so its header is read here before.
"""

from __future__ import annotations

import io
import re
from typing import BinaryIO

import numpy as np
from PIL import Image

from licodec.container.limits import check_picture_size
from licodec.errors import BadInputError
from licodec.images.boxes import boxes
from licodec.images.extras import extra_module
from licodec.images.jpeg import examine_jpeg
from licodec.images.metadata import Found, bare_exif, upright_exif, upright_xmp
from licodec.images.samples import eight_bits
from licodec.images.sources import contents

CODESTREAM_START = b"\xff\x0a"
_HEADER_BYTES = 64  # more than what is read here takes
_RATIOS = (None, (1, 1), (6, 5), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))  # of width to height
# What libjxl calls the profiles that it makes for pictures in sRGB, without the zeros of UTF-16.
_SRGB_NAME = re.compile(rb"sRGB|Gra_D65_\w{3}_SRG")
_DAMAGED = "a JPEG XL file that is damaged or cut short"


def read_jxl(stream: BinaryIO) -> tuple[Image.Image, Found]:
    """The picture, upright, or the JPEG of which the file was made, not yet decoded.

    Raises BadInputError where the extra is not installed and for what is damaged, moves or
    has floating-point samples, LimitError for a picture that is too large, before it is decoded.
    """
    decoder = extra_module("pillow_jxl", "jxl", "a JPEG XL").Decoder
    data = contents(stream)
    notes = _check_header(data)
    try:
        is_jpeg, stated, decoded, icc, found = decoder(num_threads=0)(data)
    except (RuntimeError, ValueError) as error:
        raise BadInputError(_DAMAGED) from error
    if is_jpeg:
        jpeg = io.BytesIO(decoded)
        image = Image.open(jpeg, formats=("JPEG",))
        return image, examine_jpeg(image, jpeg)
    mode, size = stated.mode, (stated.width, stated.height)
    if mode == "I;16":
        mode, decoded = "L", eight_bits(np.frombuffer(decoded, np.uint16), 65535).tobytes()
    blocks = {box.box_type: bytes(box.data) for box in reversed(found)}
    exif, xmp = blocks.get(b"Exif", b""), blocks.get(b"xml ")
    exif = bare_exif(exif[4:]) or bare_exif(exif) or b""  # with or without its offset
    if b"brob" in blocks:
        notes.append("metadata that is compressed left out")
    return Image.frombytes(mode, size, decoded), Found(
        icc=None if icc and _is_made_srgb(icc) else icc,
        exif=upright_exif(exif, *size) or None,
        xmp=None if xmp is None else upright_xmp(xmp),
        notes=tuple(notes),
    )


def _is_made_srgb(icc: bytes) -> bool:
    """Whether a profile says no more than that the picture is what it is taken for without one."""
    return icc[4:8] == b"jxl " and _SRGB_NAME.search(icc.replace(b"\0", b"")) is not None


class _Bits:
    """Numbers in a codestream's header, the lowest bit first."""

    def __init__(self, data: bytes) -> None:
        self._left = int.from_bytes(data, "little")

    def take(self, count: int) -> int:
        value = self._left & ((1 << count) - 1)
        self._left >>= count
        return value

    def choose(self, *choices: tuple[int, int]) -> int:
        """A number of one of four forms: an offset, and how many bits are added to it."""
        offset, count = choices[self.take(2)]
        return offset + self.take(count)


def _check_header(data: bytes) -> list[str]:
    """What is lost of what a file states before its pixels.

    Raises BadInputError for what moves or has floating-point samples, LimitError for a picture that
    is too large.
    """
    code = data
    if not data.startswith(CODESTREAM_START):
        parts = {b"jxlc": 0, b"jxlp": 4}  # what stands before their contents
        found = (bytes(body[parts[kind] :]) for kind, body in boxes(data) if kind in parts)
        code = next(found, b"")
    if not code.startswith(CODESTREAM_START):
        raise BadInputError(_DAMAGED)
    bits = _Bits(code[2:_HEADER_BYTES])
    check_picture_size(*_size(bits))
    if bits.take(1):  # all else is as usual
        return []
    if bits.take(1):
        bits.take(3)  # orientation, which libjxl applies
        if bits.take(1):
            _size(bits)  # to be shown in
        if bits.take(1):  # a preview, behind which is not looked
            return []
        if bits.take(1):
            raise BadInputError(
                "a JPEG XL animation, which is not read; take out the frame that you want first"
            )
    if bits.take(1):
        raise BadInputError(
            "floating-point samples have no stated range; convert the picture to 8 or 16 bits"
        )
    depth = bits.choose((8, 0), (10, 0), (12, 0), (1, 6))
    return [f"{depth}-bit samples reduced to 8"] if depth > 8 else []


def _size(bits: _Bits) -> tuple[int, int]:
    """Width and height."""
    is_small = bits.take(1)

    def side() -> int:
        if is_small:
            return 8 * (bits.take(5) + 1)
        return bits.choose((1, 9), (1, 13), (1, 18), (1, 30))

    height = side()
    ratio = _RATIOS[bits.take(3)]
    return (height * ratio[0] // ratio[1] if ratio else side()), height
