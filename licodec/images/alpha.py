"""The alpha plane of a .lic file: 8-bit greyscale PNG, and nothing else is accepted."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
from PIL import Image

from licodec.container.limits import check_alpha_size, check_picture_size
from licodec.errors import CorruptFileError, LimitError
from licodec.images.formats import PNG_START
from licodec.images.pillow import PILLOW_ERRORS, one_line, pillow_limits_lifted


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
    try:
        _check(data, height, width)
        with pillow_limits_lifted(), Image.open(io.BytesIO(data), formats=("PNG",)) as image:
            image.load()
            return np.array(image)
    except MemoryError as error:
        raise LimitError(f"not enough memory for an alpha plane of {width}x{height}") from error
    except (Image.DecompressionBombError, *PILLOW_ERRORS) as error:
        raise CorruptFileError(f"alpha plane: damaged ({one_line(error)})") from error


def _check(data: bytes, height: int, width: int) -> None:
    """Refuse what is not a PNG of the plane alone, or does not inflate to exactly its rows.

    Pillow takes a stream that ends early and leaves the rest of the plane 0.
    """
    from licodec.images.png_chunks import chunks

    if data[: len(PNG_START)] != PNG_START:
        raise CorruptFileError("alpha plane: not a PNG")
    parts = list(chunks(io.BytesIO(data)))
    if len(PNG_START) + sum(12 + part.length for part in parts) != len(data):
        raise CorruptFileError("alpha plane: cut short, or bytes after its end")
    for part in parts:
        if not part.is_intact:
            raise CorruptFileError(f"alpha plane: wrong checksum of chunk {part.kind!r}")
    kinds = [part.kind for part in parts]
    if kinds != [b"IHDR", *[b"IDAT"] * max(1, len(kinds) - 2), b"IEND"]:
        raise CorruptFileError("alpha plane: its chunks are not IHDR, IDAT and IEND alone")
    if parts[0].body != struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0):
        raise CorruptFileError(
            f"alpha plane: not 8-bit greyscale of the picture's {width}x{height} pixels"
        )
    if parts[-1].body:
        raise CorruptFileError("alpha plane: data in its end chunk")
    inflater = zlib.decompressobj()
    size = height * (width + 1)
    try:
        # No more than that, so that a small stream cannot become a large allocation.
        inflated = len(inflater.decompress(b"".join(part.body for part in parts[1:-1]), size + 1))
    except zlib.error as error:
        raise CorruptFileError(f"alpha plane: damaged ({one_line(error)})") from error
    if inflated > size:
        raise CorruptFileError("alpha plane: more samples than the picture has")
    if inflater.unused_data:
        raise CorruptFileError("alpha plane: bytes after its samples")
    if inflated < size or not inflater.eof:
        raise CorruptFileError("alpha plane: fewer samples than the picture has")
