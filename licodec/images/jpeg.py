"""JPEG: markers that Pillow drops, kinds that it takes for damaged, and damage that it hides."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import BinaryIO

from PIL import Image

from licodec.errors import BadInputError
from licodec.images.metadata import Found
from licodec.images.sources import contents

_SOS, _EOI, _APP1, _APP2, _APP11 = 0xDA, 0xD9, 0xE1, 0xE2, 0xEB
# Start-of-frame markers by what they announce; those of libjpeg-turbo are not named.
_FRAMES = frozenset((*range(0xC0, 0xD0), 0xF7)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = (0xC2, 0xCA)
_MODES = {1: "L", 4: "CMYK"}  # Pillow's by the number of components; RGB for the others
_LOSSLESS = 0xC3  # which libjpeg-turbo decodes from version 3 on
_OTHER_FRAMES = {0xCB: "lossless", 0xF7: "lossless (LS)"} | dict.fromkeys(
    (0xC5, 0xC6, 0xC7, 0xCD, 0xCE, 0xCF), "hierarchical"
)
_EXTENDED_XMP = b"http://ns.adobe.com/xmp/extension/\0"
_IPTC_RESOURCE = 0x0404
# A marker that ends entropy-coded data: no stuffed byte, fill byte or restart.
_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
# How libjpeg's warnings begin that mean wrong pixels, and one that does not.
_DAMAGE = ("Corrupt JPEG data", "Premature end", "Inconsistent progression")
_NO_DAMAGE = "bad ICC marker"
_TOO_SHORT = "remature end of"


def refuse_unread_jpeg(data: bytes) -> None:
    """Refuse a JPEG of a kind that is not decoded, which Pillow would call damaged.

    Raises BadInputError.
    """
    frame = _frame(data)
    if frame is None:
        return
    marker, body = frame
    bits, components = body[0], body[5]
    kind = _OTHER_FRAMES.get(marker)
    if marker == _LOSSLESS and (bits != 8 or not _decodes_lossless()):
        kind = "lossless" if bits == 8 else f"{bits}-bit lossless"
    if kind is None and bits != 8:
        kind = f"{bits}-bit"
    if kind is None and components not in (1, 3, 4):
        kind = f"{components}-component"
    if kind is not None:
        raise BadInputError(f"a {kind} JPEG, which is not read; convert it to an 8-bit one first")


def _decodes_lossless() -> bool:
    from PIL import features

    version = features.version("libjpeg_turbo")
    return version is not None and int(version.partition(".")[0]) >= 3


def ended_jpeg(data: bytes) -> BinaryIO | None:
    """A copy with the end marker that a JPEG lacks, where all of its pixels are there.

    None for one that has an end, and for one whose last scan is cut short or that lacks scans: of
    those Pillow says that they are truncated.
    """
    frame = _frame(data)
    if frame is None or _end(data) is not None or not _has_all_scans(data, *frame):
        return None
    data += bytes((0xFF, _EOI))
    damage = _damage(data, _MODES.get(frame[1][5], "RGB"))
    if damage is not None and _TOO_SHORT in damage:
        return None
    return io.BytesIO(data)


def _has_all_scans(data: bytes, frame: int, header: bytes) -> bool:
    """Whether every coefficient of every component has come, to its last bit."""
    coefficients = range(64) if frame in _PROGRESSIVE else range(1)
    components = [header[6 + 3 * i] for i in range(header[5]) if 6 + 3 * i < len(header)]
    missing = {(component, k) for component in components for k in coefficients}
    for marker, at in _markers(data):
        if marker != _SOS:
            continue
        count = data[at + 2] if at + 2 < len(data) else 0
        scan = data[at + 3 : at + 3 + 2 * count + 3]  # components with tables, then the range
        if len(scan) < 2 * count + 3:
            break
        first, last, bits = scan[2 * count :]
        span = range(first, last + 1) if frame in _PROGRESSIVE else coefficients
        if frame not in _PROGRESSIVE or bits & 15 == 0:
            missing -= {(component, k) for component in scan[: 2 * count : 2] for k in span}
    return not missing


def examine_jpeg(image: Image.Image, stream: BinaryIO | None) -> Found:
    """What of the picture or beside it is lost: damage, and blocks that are not kept."""
    notes = []
    if _IPTC_RESOURCE in image.info.get("photoshop", {}):
        notes.append("IPTC left out")
    if b"hdrgm:Version" in (image.info.get("xmp") or b""):
        notes.append("HDR gain map left out")
    if image.mode == "CMYK" and "adobe" not in image.info:
        notes.append("no marker says whether its CMYK is inverted; taken as Adobe has it")
    if stream is None:
        return Found(notes=tuple(notes))
    data = contents(stream)
    segments = list(_segments(data))
    if any(_is_profile(*segment) for segment in segments) and not image.info.get("icc_profile"):
        notes.append("ICC profile that is incomplete left out")
    if any(marker == _APP1 and body.startswith(_EXTENDED_XMP) for marker, body in segments):
        notes.append("extended XMP left out")
    if any(marker == _APP11 and body.startswith(b"JP") for marker, body in segments):
        notes.append("JUMBF data (content credentials or such) left out")
    trailing = data[_end(data) or len(data) :].strip(b"\0")
    if trailing and image.format != "MPO":
        notes.append(f"{len(trailing)} bytes behind the end of the picture left out")
    damage = _damage(data, image.mode)
    if damage is not None:
        notes.append(f"the JPEG is damaged ({damage}): parts of the picture may be wrong")
    return Found(notes=tuple(notes))


def _segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Marker and contents of the segments before the first scan, as far as the file reaches."""
    for marker, at in _markers(data):
        if marker in (_SOS, _EOI):
            return
        yield marker, data[at + 2 : at + int.from_bytes(data[at : at + 2], "big")]


def _is_profile(marker: int, body: bytes) -> bool:
    return marker == _APP2 and body.startswith(b"ICC_PROFILE\0")


def _frame(data: bytes) -> tuple[int, bytes] | None:
    """Marker and contents of the frame header: bits, height, width, components; None without."""
    return next((s for s in _segments(data) if s[0] in _FRAMES and len(s[1]) >= 6), None)


def _end(data: bytes) -> int | None:
    """Where the picture ends, behind its end marker; None where it has none."""
    return next((at for marker, at in _markers(data) if marker == _EOI), None)


def _markers(data: bytes) -> Iterator[tuple[int, int]]:
    """The markers of a JPEG but for its first, and where what belongs to each begins."""
    at = 2
    while (match := _MARKER.search(data, at)) is not None:
        marker = match[0][1]
        at = match.end()
        yield marker, at
        if marker not in (0x01, _EOI):  # all but TEM have a length
            at += int.from_bytes(data[at : at + 2], "big")


def _damage(data: bytes, mode: str) -> str | None:
    """What libjpeg warns of when it decodes the entropy-coded data; None where all is well.

    Pillow does not pass its warnings on. An eighth of the size is decoded: all of the coded
    data is read all the same. Where it may be lossless the size is left alone, as libjpeg-turbo
    then reads outside of its memory.
    """
    import simplejpeg

    colours, sides = "CMYK" if mode == "CMYK" else "GRAY", {"min_height": 1, "min_width": 1}
    if bytes((0xFF, _LOSSLESS)) in data:
        colours, sides = {"L": "GRAY", "CMYK": "CMYK"}.get(mode, "RGB"), {}
    try:
        simplejpeg.decode_jpeg(data, colours, **sides)
    except ValueError as error:
        message = str(error)
        if message.startswith(_DAMAGE) and _NO_DAMAGE not in message:
            return message
    return None
