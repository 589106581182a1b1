"""AVIF: what its boxes say and Pillow does not pass on: colour space, bits, gain maps."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO

from PIL import Image

from licodec.images.colour import coded_space, transfer_name
from licodec.images.formats import HEAD_BYTES, brands
from licodec.images.metadata import Found
from licodec.images.sources import from_start

_MOST_BYTES = 2**24  # of a `meta` box: it holds no pixels


def examine_avif(image: Image.Image, stream: BinaryIO | None, name: str) -> Found:
    """Colour space (nclx) and losses that the boxes of the primary picture tell."""
    if stream is None:
        return Found()
    with from_start(stream):
        head = stream.read(HEAD_BYTES)
        try:
            properties = _primary_properties(_meta(stream))
        except (struct.error, IndexError, ValueError):  # Pillow says whether it is damaged
            properties = []
    notes = []
    if b"tmap" in brands(head):
        notes.append("HDR gain map left out")
    colour, stated_by = None, ""
    for kind, body in properties:
        if kind == b"pixi" and len(body) > 5 and max(body[5:]) > 8:
            notes.append(f"{max(body[5:])}-bit samples reduced to 8")
        if kind == b"colr" and body[:4] == b"nclx" and len(body) >= 10:
            primaries, transfer = struct.unpack_from(">HH", body, 4)
            colour = coded_space(primaries, transfer)
            stated_by = f"AVIF colour description (nclx {primaries}/{transfer})"
            if colour is None and image.info.get("icc_profile") is None:
                notes.append(f"{stated_by}: {transfer_name(transfer)} left out")
    return Found(colour=colour, stated_by=stated_by, notes=tuple(notes))


def _meta(stream: BinaryIO) -> bytes:
    """The contents of the file's `meta` box, b"" where it has none."""
    stream.seek(0)
    while len(head := stream.read(8)) == 8:
        size, kind = struct.unpack(">I4s", head)
        left = size - 8
        if size == 1:
            left = struct.unpack(">Q", stream.read(8))[0] - 16
        if kind == b"meta":
            return stream.read(min(left, _MOST_BYTES))[4:]
        if left < 0:
            break
        stream.seek(left, 1)
    return b""


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
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


def _primary_properties(meta: bytes) -> list[tuple[bytes, bytes]]:
    """The properties that the file associates with its primary item."""
    boxes = dict(_boxes(meta))
    primary_box = boxes.get(b"pitm", b"")
    if not primary_box or b"iprp" not in boxes:
        return []
    primary = int.from_bytes(primary_box[4 : 6 if primary_box[0] == 0 else 8], "big")
    inside = dict(_boxes(boxes[b"iprp"]))
    properties = list(_boxes(inside.get(b"ipco", b"")))
    numbers = _associations(inside.get(b"ipma", b"")).get(primary, [])
    return [properties[number - 1] for number in numbers if 0 < number <= len(properties)]


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
