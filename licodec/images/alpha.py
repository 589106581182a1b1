"""The alpha plane of a .lic file: 8-bit greyscale PNG, and nothing else is accepted."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
from PIL import Image

from licodec.container.limits import check_alpha_size, check_picture_size
from licodec.errors import CorruptFileError, LimitError
from licodec.images.pillow import PILLOW_ERRORS, one_line, pillow_limits_lifted

_PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
# Decompressed at a time, so that a small stream cannot become a large allocation.
_INFLATE_BYTES = 2**20


def compress_alpha(alpha: np.ndarray) -> bytes:
    """Code an alpha plane, (H, W) uint8, without loss: as an 8-bit greyscale PNG.

    Raises LimitError where memory does not suffice.
    """
    stream = io.BytesIO()
    try:
        Image.fromarray(alpha).save(stream, format="PNG", optimize=True)
    except MemoryError as error:
        raise LimitError(f"not enough memory to code an alpha plane of {alpha.shape}") from error
    return stream.getvalue()


def decompress_alpha(data: bytes, height: int, width: int) -> np.ndarray:
    """The alpha plane, (height, width) uint8, that `compress_alpha` coded.

    Raises CorruptFileError unless `data` is a PNG of exactly one IHDR (these sides, 8-bit
    grey, not interlaced), IDAT chunks and IEND, that inflates to exactly the plane: nothing
    of another size is ever allocated. Raises LimitError where the sides or the data are over
    the limits.
    """
    check_picture_size(width, height)
    check_alpha_size(len(data), width, height)
    _check_inflated_size(_alpha_parts(data, height, width), height * (width + 1))
    try:
        with pillow_limits_lifted(), Image.open(io.BytesIO(data), formats=("PNG",)) as image:
            image.load()
            return np.array(image)
    except MemoryError as error:
        raise LimitError(f"not enough memory for an alpha plane of {width}x{height}") from error
    except (Image.DecompressionBombError, *PILLOW_ERRORS) as error:
        raise CorruptFileError(f"alpha plane: damaged ({one_line(error)})") from error


def _alpha_parts(data: bytes, height: int, width: int) -> list[memoryview]:
    """The contents of the IDAT chunks of a PNG that is nothing but the plane."""
    if data[: len(_PNG_MAGIC)] != _PNG_MAGIC:
        raise CorruptFileError("alpha plane: not a PNG")
    parts: list[memoryview] = []
    expected = {b"IHDR"}
    position = len(_PNG_MAGIC)
    view = memoryview(data)
    while expected:
        if len(data) - position < 12:
            raise CorruptFileError("alpha plane: cut short")
        length, kind = struct.unpack_from(">I4s", data, position)
        if length > len(data) - position - 12:
            raise CorruptFileError("alpha plane: cut short")
        if kind not in expected:
            raise CorruptFileError(f"alpha plane: chunk {kind!r} where it may not be")
        body = view[position + 8 : position + 8 + length]
        (checksum,) = struct.unpack_from(">I", data, position + 8 + length)
        if zlib.crc32(view[position + 4 : position + 8 + length]) != checksum:
            raise CorruptFileError(f"alpha plane: wrong checksum of chunk {kind!r}")
        if kind == b"IHDR":
            if bytes(body) != struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0):
                raise CorruptFileError(
                    f"alpha plane: not 8-bit greyscale of the picture's {width}x{height} pixels"
                )
            expected = {b"IDAT"}
        elif kind == b"IDAT":
            parts.append(body)
            expected = {b"IDAT", b"IEND"}
        else:
            if length:
                raise CorruptFileError("alpha plane: data in its end chunk")
            expected = set()
        position += 12 + length
    if position != len(data):
        raise CorruptFileError("alpha plane: bytes after its end")
    return parts


def _check_inflated_size(parts: list[memoryview], size: int) -> None:
    """Refuse a zlib stream that is damaged or does not inflate to exactly `size` bytes.

    Pillow takes a stream that ends early and leaves the rest of the plane 0.
    """
    inflater = zlib.decompressobj()
    total = 0
    try:
        for part in parts:
            waiting: bytes | memoryview = part
            while len(waiting) and not inflater.eof:
                total += len(inflater.decompress(waiting, _INFLATE_BYTES))
                waiting = inflater.unconsumed_tail
                if total > size:
                    raise CorruptFileError("alpha plane: more samples than the picture has")
            if inflater.eof and (len(waiting) or inflater.unused_data):
                raise CorruptFileError("alpha plane: bytes after its samples")
        total += len(inflater.flush())  # what the last call's limit held back
    except zlib.error as error:
        raise CorruptFileError(f"alpha plane: damaged ({one_line(error)})") from error
    if not inflater.eof or total != size:
        raise CorruptFileError("alpha plane: fewer samples than the picture has")
