"""AVIF: what Pillow does not pass on: colours, bits, clean aperture, gain maps."""

from __future__ import annotations

import math
import struct
from fractions import Fraction
from typing import BinaryIO

from construct import (
    ConstructError,
    IfThenElse,
    Int8ub,
    Int16ub,
    Int24ub,
    Int32ub,
    PrefixedArray,
    Struct,
    this,
)
from PIL import Image

from licodec.images.boxes import Box, Bytes, boxes
from licodec.images.colour import coded_space, transfer_name
from licodec.images.formats import HEAD_BYTES, brands
from licodec.images.metadata import Found
from licodec.images.sources import contents

_TRACK = (b"trak", b"mdia", b"minf", b"stbl", b"stsd")
_CONFIGURATIONS = (b"av1C", b"hvcC")
_SAMPLE_ENTRY_BYTES = 78  # of a picture's sample entry, before its boxes

# Which properties belong to which item: an `ipma` box.
_ASSOCIATIONS = Struct(
    "version" / Int8ub,
    "flags" / Int24ub,
    "entries"
    / PrefixedArray(
        Int32ub,
        Struct(
            "item" / IfThenElse(this._root.version == 0, Int16ub, Int32ub),
            "numbers" / PrefixedArray(Int8ub, IfThenElse(this._root.flags & 1, Int16ub, Int8ub)),
        ),
    ),
)


def examine_avif(image: Image.Image, stream: BinaryIO) -> Found:
    """Colour space (nclx), clean aperture (clap) and losses that the boxes tell."""
    data = contents(stream)
    try:
        properties = _properties(data)
    except (struct.error, ConstructError):  # Pillow says whether it is damaged
        properties = []
    notes = []
    if b"tmap" in brands(data[:HEAD_BYTES]):
        notes.append("HDR gain map left out")
    bits = _bits(properties)
    if bits > 8:
        notes.append(f"{bits}-bit samples reduced to 8")
    colour, stated_by, aperture = None, "", None
    for kind, body in properties:
        if kind == b"colr" and body[:4] == b"nclx" and len(body) >= 10:
            primaries, transfer = struct.unpack_from(">HH", body, 4)
            colour = coded_space(primaries, transfer)
            stated_by = f"{image.format} colour description (nclx {primaries}/{transfer})"
            if colour is None and image.info.get("icc_profile") is None:
                notes.append(f"{stated_by}: {transfer_name(transfer)} left out")
        if kind == b"clap" and image.format == "AVIF":  # libheif itself crops
            aperture = _aperture(body, *image.size)
            whole = aperture == (0, 0, *image.size)
            if aperture is None:
                notes.append("a clean aperture (clap) that is not valid left out")
            elif not whole:
                notes.append("pixels outside of the clean aperture (clap) left out")
            aperture = None if whole else aperture
    return Found(colour=colour, stated_by=stated_by, aperture=aperture, notes=tuple(notes))


def _bits(properties: list[Box]) -> int:
    """Bits of a sample, as the codec's configuration has them, or else what is said of pixels."""
    for kind, body in properties:
        if kind == b"av1C" and len(body) > 2:
            high, twelve = body[2] & 0x40, body[2] & 0x20
            return (12 if twelve else 10) if high else 8
        if kind == b"hvcC" and len(body) > 17:
            return 8 + (body[17] & 7)
    depths = [body[5 : 5 + body[4]] for kind, body in properties if kind == b"pixi" and body[5:]]
    return max((max(each) for each in depths if each), default=8)


def _aperture(body: Bytes, width: int, height: int) -> tuple[int, int, int, int] | None:
    """The box (left, top, right, bottom) that a `clap` box states; None where it is not valid.

    The offsets are those of its middle from the middle of the picture. Sides are whole pixels; a
    place between two pixels is rounded up, as libheif does.
    """
    numbers = struct.unpack_from(">IIIIiIiI", body) if len(body) >= 32 else (0,) * 8
    if 0 in numbers[1::2]:
        return None
    across, down, right, below = (Fraction(*numbers[i : i + 2]) for i in (0, 2, 4, 6))
    if across.denominator != 1 or down.denominator != 1:
        return None
    left = math.floor(right + (width - across + 1) / 2)
    top = math.floor(below + (height - down + 1) / 2)
    box = (left, top, left + int(across), top + int(down))
    inside = 0 <= box[0] < box[2] <= width and 0 <= box[1] < box[3] <= height
    return box if inside else None


def _properties(data: bytes) -> list[Box]:
    """What is said of the picture that libavif decodes: of a sequence's track, else the item."""
    top: dict[bytes, Bytes] = {}
    for kind, body in boxes(data):
        top.setdefault(kind, body)
    track = _track_properties(top.get(b"moov", b"")) if data[8:12] == b"avis" else []
    return track or _primary_properties(top.get(b"meta", b"")[4:])


def _track_properties(moov: Bytes) -> list[Box]:
    """The boxes of the first track of AV1 pictures."""
    for kind, track in boxes(moov):
        path = iter(_TRACK)
        inside = track if kind == next(path) else b""
        for step in path:
            inside = dict(boxes(inside)).get(step, b"")
        entry = dict(boxes(inside[8:])).get(b"av01")
        if entry is not None:
            return list(boxes(entry[_SAMPLE_ENTRY_BYTES:]))
    return []


def _primary_properties(meta: Bytes) -> list[Box]:
    """The properties that the file associates with its primary item."""
    inside = dict(boxes(meta))
    primary_box = inside.get(b"pitm", b"")
    if not primary_box or b"iprp" not in inside:
        return []
    primary = int.from_bytes(primary_box[4 : 6 if primary_box[0] == 0 else 8], "big")
    inside = dict(boxes(inside[b"iprp"]))
    properties = list(boxes(inside.get(b"ipco", b"")))
    stated = _ASSOCIATIONS.parse(inside.get(b"ipma", b""))
    numbers = {each.item: each.numbers for each in stated.entries}.get(primary, [])
    # The highest bit says that a property is essential.
    places = [number & (0x7FFF if stated.flags & 1 else 0x7F) for number in numbers]
    own = [properties[place - 1] for place in places if 0 < place <= len(properties)]
    # A grid has no configuration: that of its tiles, which are alike.
    if not {*_CONFIGURATIONS, b"pixi"} & {kind for kind, _ in own}:
        own += [each for each in properties if each[0] in _CONFIGURATIONS][:1]
    return own
