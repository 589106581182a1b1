"""AVIF: what Pillow does not pass on: colours, bits, clean aperture, gain maps."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from fractions import Fraction
from typing import BinaryIO

from PIL import Image

from licodec.images.colour import coded_space, transfer_name
from licodec.images.formats import HEAD_BYTES, brands
from licodec.images.metadata import Found
from licodec.images.sources import from_start

_MOST_BYTES = 2**24  # of a `meta` or `moov` box: they hold no pixels
_TRACK = (b"trak", b"mdia", b"minf", b"stbl", b"stsd")
_SAMPLE_ENTRY_BYTES = 78  # of a picture's sample entry, before its boxes

Property = tuple[bytes, bytes]


def examine_avif(image: Image.Image, stream: BinaryIO | None, name: str) -> Found:
    """Colour space (nclx), clean aperture (clap) and losses that the boxes tell."""
    if stream is None:
        return Found()
    with from_start(stream):
        head = stream.read(HEAD_BYTES)
        try:
            properties = _properties(stream, sequence=head[8:12] == b"avis")
        except (struct.error, IndexError, ValueError):  # Pillow says whether it is damaged
            properties = []
    notes = []
    if b"tmap" in brands(head):
        notes.append("HDR gain map left out")
    bits = _bits(properties)
    if bits > 8:
        notes.append(f"{bits}-bit samples reduced to 8")
    colour, stated_by, aperture = None, "", None
    for kind, body in properties:
        if kind == b"colr" and body[:4] == b"nclx" and len(body) >= 10:
            primaries, transfer = struct.unpack_from(">HH", body, 4)
            colour = coded_space(primaries, transfer)
            stated_by = f"AVIF colour description (nclx {primaries}/{transfer})"
            if colour is None and image.info.get("icc_profile") is None:
                notes.append(f"{stated_by}: {transfer_name(transfer)} left out")
        if kind == b"clap":
            aperture = _aperture(body, *image.size)
            whole = aperture == (0, 0, *image.size)
            if aperture is None:
                notes.append("a clean aperture (clap) that is not valid left out")
            elif not whole:
                notes.append("pixels outside of the clean aperture (clap) left out")
            aperture = None if whole else aperture
    return Found(colour=colour, stated_by=stated_by, aperture=aperture, notes=tuple(notes))


def _bits(properties: list[Property]) -> int:
    """Bits of a sample, as the AV1 configuration has them, or else what is said of pixels."""
    for kind, body in properties:
        if kind == b"av1C" and len(body) > 2:
            high, twelve = body[2] & 0x40, body[2] & 0x20
            return (12 if twelve else 10) if high else 8
    depths = [body[5 : 5 + body[4]] for kind, body in properties if kind == b"pixi" and body[5:]]
    return max((max(each) for each in depths if each), default=8)


def _aperture(body: bytes, width: int, height: int) -> tuple[int, int, int, int] | None:
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


def _properties(stream: BinaryIO, sequence: bool) -> list[Property]:
    """What is said of the picture that libavif decodes: of a sequence's track, else the item."""
    track = _track_properties(_box(stream, b"moov")) if sequence else []
    return track or _primary_properties(_box(stream, b"meta")[4:])


def _track_properties(moov: bytes) -> list[Property]:
    """The boxes of the first track of AV1 pictures."""
    for kind, track in _boxes(moov):
        path = iter(_TRACK)
        inside = track if kind == next(path) else b""
        for step in path:
            inside = dict(_boxes(inside)).get(step, b"")
        entry = dict(_boxes(inside[8:])).get(b"av01")
        if entry is not None:
            return list(_boxes(entry[_SAMPLE_ENTRY_BYTES:]))
    return []


def _box(stream: BinaryIO, wanted: bytes) -> bytes:
    """The contents of the file's first box of this type, b"" where it has none."""
    stream.seek(0)
    while len(head := stream.read(8)) == 8:
        size, kind = struct.unpack(">I4s", head)
        left = size - 8
        if size == 1:
            left = struct.unpack(">Q", stream.read(8))[0] - 16
        if left < 0:
            break
        if kind == wanted:
            return stream.read(min(left, _MOST_BYTES))
        stream.seek(left, 1)
    return b""


def _boxes(data: bytes) -> Iterator[Property]:
    """Type and contents of the boxes in `data`, one after the other."""
    at = 0
    while at + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        head = 8
        if size == 1:
            size, head = struct.unpack_from(">Q", data, at + 8)[0], 16
        end = at + size if size else len(data)
        if end < at + head:
            return
        yield kind, data[at + head : end]
        at = end


def _primary_properties(meta: bytes) -> list[Property]:
    """The properties that the file associates with its primary item."""
    boxes = dict(_boxes(meta))
    primary_box = boxes.get(b"pitm", b"")
    if not primary_box or b"iprp" not in boxes:
        return []
    primary = int.from_bytes(primary_box[4 : 6 if primary_box[0] == 0 else 8], "big")
    inside = dict(_boxes(boxes[b"iprp"]))
    properties = list(_boxes(inside.get(b"ipco", b"")))
    numbers = _associations(inside.get(b"ipma", b"")).get(primary, [])
    own = [properties[number - 1] for number in numbers if 0 < number <= len(properties)]
    # A grid has no AV1 configuration: that of its tiles, which are alike.
    if not {b"av1C", b"pixi"} & {kind for kind, _ in own}:
        own += [each for each in properties if each[0] == b"av1C"][:1]
    return own


def _associations(box: bytes) -> dict[int, list[int]]:
    """The numbers of the properties of each item, of an `ipma` box."""
    version, wide = box[0], box[3] & 1
    (count,) = struct.unpack_from(">I", box, 4)
    at = 8
    found: dict[int, list[int]] = {}
    for _ in range(min(count, len(box))):
        size = 2 if version == 0 else 4
        item = int.from_bytes(box[at : at + size], "big")
        entries = box[at + size]
        at += size + 1
        step = 2 if wide else 1
        mask = 0x7FFF if wide else 0x7F
        found[item] = [
            int.from_bytes(box[at + step * i : at + step * (i + 1)], "big") & mask
            for i in range(entries)
        ]
        at += step * entries
    return found
