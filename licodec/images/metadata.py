"""Exif, XMP and ICC blocks as bytes: the few fields that must agree with the pixels.

The blocks are patched in place and never rebuilt, so maker notes and everything else in them
survive to the byte. An Exif block is held as its bare TIFF structure ("II*" or "MM*" first).
"""

from __future__ import annotations

import re
import struct

EXIF_PREFIX = b"Exif\x00\x00"

_ORIENTATION_TAG = 0x0112
_UPRIGHT = 1
# TIFF field types in which the tag is met, all unsigned: BYTE, SHORT (the right one), LONG.
_FIELD_FORMATS = {1: "B", 3: "H", 4: "I"}
_BYTE_ORDERS = {b"II*\x00": "<", b"MM\x00*": ">"}

_XMP_ORIENTATIONS = (
    re.compile(rb"(tiff:Orientation\s*=\s*[\"']\s*)[0-9](?=\s*[\"'])"),
    re.compile(rb"(<tiff:Orientation>\s*)[0-9](?=\s*</tiff:Orientation>)"),
)

_ICC_HEADER_BYTES = 128
_ICC_SPACE_FOR_CHANNELS = {1: "GRAY", 3: "RGB"}


def bare_exif(block: bytes) -> bytes | None:
    """The TIFF structure of an Exif block, without prefix; None where it is not one."""
    while block.startswith(EXIF_PREFIX):
        block = block[len(EXIF_PREFIX) :]
    return block if block[:4] in _BYTE_ORDERS and len(block) >= 8 else None


def exif_orientation(exif: bytes) -> int | None:
    """The value of the Orientation tag in the first directory; None where there is none."""
    field = _orientation_field(exif)
    if field is None:
        return None
    offset, kind = field
    return struct.unpack_from(kind, exif, offset)[0]


def upright_exif(exif: bytes) -> bytes:
    """The same block with its Orientation tag, if it has one, set to 1."""
    field = _orientation_field(exif)
    if field is None:
        return exif
    offset, kind = field
    patched = bytearray(exif)
    struct.pack_into(kind, patched, offset, _UPRIGHT)
    return bytes(patched)


def upright_xmp(xmp: bytes) -> bytes:
    """The same packet (UTF-8) with every tiff:Orientation set to 1."""
    for pattern in _XMP_ORIENTATIONS:
        xmp = pattern.sub(rb"\g<1>1", xmp)
    return xmp


def icc_colour_space(icc: bytes) -> str | None:
    """The profile's colour space ("RGB", "GRAY", "CMYK", ...); None where it is no profile."""
    if len(icc) < _ICC_HEADER_BYTES or icc[36:40] != b"acsp":
        return None
    return icc[16:20].decode("latin-1").strip()


def icc_fits(icc: bytes, channels: int) -> bool:
    """Whether the profile describes samples of 1 (grey) or 3 (RGB) channels."""
    return icc_colour_space(icc) == _ICC_SPACE_FOR_CHANNELS[channels]


def _orientation_field(exif: bytes) -> tuple[int, str] | None:
    """Offset and struct format of the Orientation value, or None."""
    order = _BYTE_ORDERS.get(exif[:4])
    if order is None or len(exif) < 8:
        return None
    (directory,) = struct.unpack_from(order + "I", exif, 4)
    if directory + 2 > len(exif):
        return None
    (count,) = struct.unpack_from(order + "H", exif, directory)
    first = directory + 2
    # A cut block holds fewer entries than it says.
    for entry in range(first, min(first + 12 * count, len(exif) - 11), 12):
        tag, kind, values = struct.unpack_from(order + "HHI", exif, entry)
        if tag == _ORIENTATION_TAG and values == 1 and kind in _FIELD_FORMATS:
            return entry + 8, order + _FIELD_FORMATS[kind]
    return None
