"""JPEG 2000: what Pillow does not pass on: profile, Exif, XMP, and what its samples are."""

from __future__ import annotations

import struct
from typing import BinaryIO

from PIL import Image

from licodec.container.limits import check_picture_size
from licodec.errors import BadInputError
from licodec.images.boxes import Bytes, boxes
from licodec.images.metadata import Found
from licodec.images.sources import contents

_CODESTREAM = b"\xff\x4f\xff\x51"  # its first marker, and the one that states its size
_EXIF, _XMP, _IPTC = (
    b"JpgTiffExif->JP2",
    bytes.fromhex("be7acfcb97a942e89c71999491e3afac"),
    bytes.fromhex("33c7a4d2b81d4723a0baf1a3e097ad38"),
)
_ENUMERATED, _PROFILES = 1, (2, 3)  # methods of stating the colours
_BILEVEL, _CMYK, _SRGB, _GREY, _SYCC = (0, 15), 12, 16, 17, 18
_PREMULTIPLIED = 2  # of a channel's definition


def examine_jp2(image: Image.Image, stream: BinaryIO) -> Found:
    """Refuse what Pillow would show wrong; the blocks that it passes over, and notes.

    Raises BadInputError, LimitError.
    """
    data = contents(stream)
    top = list(boxes(data)) if not data.startswith(_CODESTREAM) else [(b"jp2c", data)]
    bits = _check_codestream(next((body for kind, body in top if kind == b"jp2c"), b""), image.size)
    header = list(boxes(next((body for kind, body in top if kind == b"jp2h"), b"")))
    ids = {bytes(body[:16]): bytes(body[16:]) for kind, body in top if kind == b"uuid"}
    notes = ["IPTC left out"] if _IPTC in ids else []
    if any(kind == b"xml " for kind, _ in top):
        notes.append("XML left out")
    if bits > 8 and not image.mode.startswith("I;16"):
        notes.append(f"{bits}-bit samples reduced to 8")
    return Found(_profile(header), ids.get(_EXIF), ids.get(_XMP), notes=tuple(notes))


def _check_codestream(body: Bytes, size: tuple[int, int]) -> int:
    """The bits of its widest samples. Raises BadInputError where it is not of this size."""
    if body[:4] != _CODESTREAM or len(body) < 42:
        raise BadInputError("a JPEG 2000 file that is damaged or cut short: it has no codestream")
    right, bottom, left, top = struct.unpack_from(">4I", body, 8)
    (count,) = struct.unpack_from(">H", body, 40)
    check_picture_size(right - left, bottom - top)
    precisions = body[42 : 42 + 3 * count : 3]
    if (right - left, bottom - top) != size or not 0 < count == len(precisions) <= 4:
        raise BadInputError(
            f"a JPEG 2000 file whose codestream has {right - left}x{bottom - top} pixels of "
            f"{count} samples, which its header does not say, or more than licodec reads"
        )
    return max((each & 0x7F) + 1 for each in precisions)


def _profile(header: list[tuple[bytes, Bytes]]) -> bytes | None:
    """The ICC profile. Raises BadInputError for colours that Pillow does not convert."""
    known = (*_BILEVEL, _CMYK, _SRGB, _GREY, _SYCC)
    spaces = [body for kind, body in header if kind == b"colr" and len(body) > 6]
    if spaces and spaces[0][0] == _ENUMERATED:
        (space,) = struct.unpack_from(">I", spaces[0], 3)
        if space not in known:
            raise BadInputError(
                f"a JPEG 2000 picture of colour space {space}; convert it to RGB first"
            )
    definitions = next((body[2:] for kind, body in header if kind == b"cdef"), b"")
    if any(kind == _PREMULTIPLIED for _, kind, _ in struct.iter_unpack(">3H", definitions)):
        raise BadInputError("a JPEG 2000 of premultiplied alpha; convert it to PNG first")
    return next((bytes(body[3:]) for body in spaces if body[0] in _PROFILES), None)
