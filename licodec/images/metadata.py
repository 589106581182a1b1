"""Exif, XMP and ICC blocks as bytes: the few fields that must agree with the pixels.

The blocks are patched in place and never rebuilt, so maker notes and everything else in them
survive to the byte. An Exif block is held as its bare TIFF structure ("II*" or "MM*" first).
"""

from __future__ import annotations

import contextlib
import re
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from licodec.files import display_name
from licodec.images.colour import ColourSpace
from licodec.images.formats import EXIF_PREFIX

Block = TypeVar("Block")

_ORIENTATION_TAG = 0x0112
_EXIF_DIRECTORY_TAG = 0x8769
_UPRIGHT = 1
# Width and height as they stand in the first directory and in the Exif directory.
_SIDE_TAGS = {None: (0x0100, 0x0101), _EXIF_DIRECTORY_TAG: (0xA002, 0xA003)}
_THUMBNAIL_TAGS = (0x0201, 0x0202)  # where it begins, and its length
# TIFF field types in which the tags are met, all unsigned: BYTE, SHORT (the usual one), LONG.
_FIELD_FORMATS = {1: "B", 3: "H", 4: "I"}
_BYTE_ORDERS = {b"II*\x00": "<", b"MM\x00*": ">"}

_XMP_ORIENTATIONS = (
    re.compile(rb"(tiff:Orientation\s*=\s*[\"']\s*)[0-9](?=\s*[\"'])"),
    re.compile(rb"(<tiff:Orientation>\s*)[0-9](?=\s*</tiff:Orientation>)"),
)

_ICC_HEADER_BYTES = 128
_ICC_SPACE_FOR_CHANNELS = {1: "GRAY", 3: "RGB"}


@dataclass(frozen=True)
class Found:
    """What a file says about its picture, as it stands there.

    icc, exif, xmp  the blocks, not yet checked
    colour          the colour space where the file states it in numbers instead of a profile
    stated_by       what states it, for notes: "PNG gamma 1"
    before_icc      whether it goes before a profile
    aperture        the box (left, top, right, bottom) of the pixels to show, where not all
    notes           what cannot be kept, one phrase each
    """

    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    colour: ColourSpace | None = None
    stated_by: str = ""
    before_icc: bool = False
    aperture: tuple[int, int, int, int] | None = None
    notes: tuple[str, ...] = ()


def merged(*sources: Found) -> Found:
    """Each block from the first that has it, and all notes."""
    coloured = next((f for f in sources if f.colour is not None), Found())
    notes = tuple(dict.fromkeys(note for source in sources for note in source.notes))
    return replace(
        coloured,
        icc=_first(f.icc for f in sources),
        exif=_first(f.exif for f in sources),
        xmp=_first(f.xmp for f in sources),
        aperture=_first(f.aperture for f in sources),
        notes=notes,
    )


def _first(blocks: Iterable[Block | None]) -> Block | None:
    return next((block for block in blocks if block), None)


def found_in_info(info: Mapping[Any, Any]) -> Found:
    """What Pillow itself passes on of any format."""
    icc, exif, xmp = (as_bytes(info.get(key)) for key in ("icc_profile", "exif", "xmp"))
    return Found(icc, exif, xmp)


def as_bytes(value: object) -> bytes | None:
    """A metadata block as Pillow has it: bytes, or text from a wrongly typed TIFF field."""
    if isinstance(value, str):
        value = value.encode()
    return value if isinstance(value, bytes) and value else None


def bare_exif(block: bytes) -> bytes | None:
    """The TIFF structure of an Exif block, without prefix; None where it is not one."""
    while block.startswith(EXIF_PREFIX):
        block = block[len(EXIF_PREFIX) :]
    return block if block[:4] in _BYTE_ORDERS and len(block) >= 8 else None


def exif_orientation(exif: bytes) -> int | None:
    """The value of the Orientation tag in the first directory; None where there is none."""
    field = _first_directory(exif)[0].get(_ORIENTATION_TAG)
    return None if field is None else field.value(exif)


def upright_exif(exif: bytes, width: int, height: int) -> bytes:
    """The block for a picture of these sides that has been turned upright.

    Orientation, where it stands, becomes 1; sides that are stated the other way round are
    exchanged.
    """
    patched = bytearray(exif)
    first, _ = _first_directory(exif)
    if _ORIENTATION_TAG in first:
        first[_ORIENTATION_TAG].put(patched, _UPRIGHT)
    return resized_exif(bytes(patched), (height, width), (width, height))


def resized_exif(exif: bytes, before: tuple[int, int], sides: tuple[int, int]) -> bytes:
    """The block for a picture of other sides (width, height): where it states those `before`."""
    patched = bytearray(exif)
    first, _ = _first_directory(exif)
    for pointer, tags in _SIDE_TAGS.items():
        directory = first
        if pointer is not None:
            directory = _directory(exif, first[pointer].value(exif))[0] if pointer in first else {}
        fields = [directory[tag] for tag in tags if tag in directory]
        if tuple(field.value(exif) for field in fields) == before:
            for field, side in zip(fields, sides, strict=True):
                field.put(patched, side)
    return bytes(patched)


def without_thumbnail(exif: bytes) -> bytes | None:
    """The block without its second directory, that of the thumbnail; None where it has none.

    The directory is no longer referred to; the thumbnail itself goes where it stands last.
    """
    _, link = _first_directory(exif)
    if link is None:
        return None
    order = _BYTE_ORDERS[exif[:4]]
    (second,) = struct.unpack_from(order + "I", exif, link)
    if not second:
        return None
    patched = bytearray(exif)
    struct.pack_into(order + "I", patched, link, 0)
    start, length = (_directory(exif, second)[0].get(tag) for tag in _THUMBNAIL_TAGS)
    if start is not None and length is not None:
        begin = start.value(exif)
        if link + 4 <= begin < len(exif) <= begin + length.value(exif) + 1:
            del patched[begin:]
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
    space = icc[16:20].decode("latin-1").strip()
    return space and display_name(space)


def icc_fits(icc: bytes, channels: int) -> bool:
    """Whether the profile describes samples of 1 (grey) or 3 (RGB) channels."""
    return icc_colour_space(icc) == _ICC_SPACE_FOR_CHANNELS[channels]


@dataclass(frozen=True)
class _Field:
    """Where the one value of a directory entry stands, and its struct format."""

    offset: int
    format: str

    def value(self, block: bytes) -> int:
        return struct.unpack_from(self.format, block, self.offset)[0]

    def put(self, block: bytearray, value: int) -> None:
        """Where it holds the value: sides may grow beyond a byte."""
        with contextlib.suppress(struct.error):
            struct.pack_into(self.format, block, self.offset, value)


def _first_directory(exif: bytes) -> tuple[dict[int, _Field], int | None]:
    order = _BYTE_ORDERS.get(exif[:4])
    if order is None or len(exif) < 8:
        return {}, None
    return _directory(exif, struct.unpack_from(order + "I", exif, 4)[0])


def _directory(exif: bytes, offset: int) -> tuple[dict[int, _Field], int | None]:
    """The fields of one unsigned value each, by tag, of a tag that stands twice the first; and
    where the directory refers to the next one. A cut block holds fewer than it says, and None.
    """
    if offset + 2 > len(exif):
        return {}, None
    fields: dict[int, _Field] = {}
    order = _BYTE_ORDERS[exif[:4]]
    (count,) = struct.unpack_from(order + "H", exif, offset)
    link = offset + 2 + 12 * count
    for entry in range(offset + 2, min(link, len(exif) - 11), 12):
        tag, kind, values = struct.unpack_from(order + "HHI", exif, entry)
        if values == 1 and kind in _FIELD_FORMATS:
            fields.setdefault(tag, _Field(entry + 8, order + _FIELD_FORMATS[kind]))
    return fields, link if link + 4 <= len(exif) else None
