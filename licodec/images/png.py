"""PNG: chunks that Pillow does not check or pass on."""

from __future__ import annotations

import contextlib
import re
import struct
import zlib
from collections.abc import Mapping
from typing import Any, BinaryIO

from PIL import Image

from licodec.errors import BadInputError
from licodec.images.colour import ColourSpace, Curve, coded_space, transfer_name
from licodec.images.metadata import Found
from licodec.images.sources import from_start

_BLOCK_BYTES = 2**20
# Where the pixels of each pass begin, and how far apart they are: left, top, right, down.
_ADAM7 = (
    *((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4)),
    *((0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)),
)
_KEPT = {b"IHDR", b"cICP", b"cHRM", b"gAMA", b"sRGB", b"iCCP"}
_RAW_PROFILE = "Raw profile type "
_XMP_KEYWORD = "XML:com.adobe.xmp"


def examine_png(image: Image.Image, stream: BinaryIO | None, name: str) -> Found:
    """The colour space that the chunks state, and what of them is lost.

    Raises BadInputError where the data of the pixels has a wrong checksum or ends too early, which
    Pillow ignores.
    """
    chunks: dict[bytes, bytes] = {}
    if stream is not None:
        with from_start(stream):
            chunks = _checked_chunks(stream, name)
    notes = []
    has_profile = image.info.get("icc_profile") is not None
    if b"iCCP" in chunks and not has_profile:
        notes.append("ICC profile that is damaged left out")
    if b"cICP" in chunks and len(chunks[b"cICP"]) == 4:
        primaries, transfer, _, full_range = chunks[b"cICP"]
        stated_by = f"PNG colour description (cICP {primaries}/{transfer})"
        colour = coded_space(primaries, transfer) if full_range else None
        if colour is None:
            what = transfer_name(transfer) if full_range else "narrow range"
            notes.append(f"{stated_by}: {what} left out")
        return Found(colour=colour, stated_by=stated_by, notes=tuple(notes))
    colour, stated_by = _measured_colour(image.info)
    return Found(colour=colour, stated_by=stated_by, notes=tuple(notes))


def _checked_chunks(stream: BinaryIO, name: str) -> dict[bytes, bytes]:
    """The first chunk of each type that is looked at, as far as the file reaches."""
    found: dict[bytes, bytes] = {}
    data = _PixelData()
    stream.seek(8)
    while len(head := stream.read(8)) == 8:
        length, kind = struct.unpack(">I4s", head)
        if kind == b"IDAT":
            if not data.add(stream, length):
                raise BadInputError(f"{name}: damaged, the checksum of its pixels' data is wrong")
        elif kind in _KEPT and kind not in found and length <= _BLOCK_BYTES:
            found[kind] = stream.read(length)
            stream.seek(4, 1)
        else:
            stream.seek(length + 4, 1)
    if data.inflater.eof and data.size < _inflated_size(found.get(b"IHDR", b"")):
        raise BadInputError(f"{name}: damaged, it has data for a part of its pixels only")
    return found


class _PixelData:
    """The data of the IDAT chunks, one after the other: how much it inflates to."""

    def __init__(self) -> None:
        self.inflater = zlib.decompressobj()
        self.size = 0

    def add(self, stream: BinaryIO, length: int) -> bool:
        """Take a chunk's contents in; False where the checksum behind them is wrong."""
        checksum = zlib.crc32(b"IDAT")
        while length and (block := stream.read(min(length, _BLOCK_BYTES))):
            checksum = zlib.crc32(block, checksum)
            length -= len(block)
            self._inflate(block)
        stated = stream.read(4)  # fewer in a file that is cut short, as Pillow will find
        return len(stated) < 4 or int.from_bytes(stated, "big") == checksum

    def _inflate(self, block: bytes) -> None:
        with contextlib.suppress(zlib.error):  # which Pillow reports
            while block and not self.inflater.eof:
                self.size += len(self.inflater.decompress(block, _BLOCK_BYTES))
                block = self.inflater.unconsumed_tail


def _inflated_size(header: bytes) -> int:
    """Bytes of all rows, with their filters, that an IHDR chunk announces."""
    if len(header) != 13:
        return 0
    width, height, bits, colour, _, _, interlaced = struct.unpack(">IIBBBBB", header)
    depth = bits * {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}.get(colour, 0)
    passes = _ADAM7 if interlaced else ((0, 0, 1, 1),)
    sizes = (
        (-(-(width - left) // right), -(-(height - top) // down))
        for left, top, right, down in passes
    )
    return sum(
        rows * (1 + -(-columns * depth // 8)) for columns, rows in sizes if columns > 0 < rows
    )


def _measured_colour(info: Mapping[Any, Any]) -> tuple[ColourSpace | None, str]:
    """The space of the chunks cHRM and gAMA, which sRGB overrides, and what states it."""
    gamma, points = info.get("gamma"), info.get("chromaticity")
    if "srgb" in info or (gamma is None and points is None):
        return None, ""
    space, stated_by = ColourSpace(), []
    if isinstance(points, tuple) and len(points) == 8:
        pairs = list(zip(points[::2], points[1::2], strict=True))
        space = ColourSpace(*pairs)
        stated_by.append("chromaticities")
    if isinstance(gamma, float) and gamma > 0:
        space = ColourSpace(*space.points, Curve(1 / gamma))
        stated_by.append(f"gamma {gamma:g}")
    return space, f"PNG {' and '.join(stated_by)}"


# Text chunks of older programs -------------------------------------------------------------------


def found_in_text(info: Mapping[Any, Any]) -> Found:
    """Blocks that ImageMagick and others put into text chunks, as hexadecimal numbers."""
    blocks: dict[str, bytes] = {}
    notes = []
    for keyword, text in info.items():
        if keyword == _XMP_KEYWORD and isinstance(text, str):  # in a chunk of the wrong type
            blocks["xmp"] = text.encode("latin-1", "replace")
        if not isinstance(keyword, str) or not keyword.startswith(_RAW_PROFILE):
            continue
        kind = keyword.removeprefix(_RAW_PROFILE).lower()
        block = _raw_profile(text)
        if kind in ("iptc", "8bim"):
            notes.append("IPTC left out")
        elif block is None:
            notes.append(f"damaged {keyword} left out")
        elif kind == "app1" and not block.startswith(b"Exif\0"):
            blocks.setdefault("xmp", block.split(b"\0", 1)[-1])
        else:
            blocks[{"app1": "exif", "icm": "icc"}.get(kind, kind)] = block
    known = {kind: block for kind, block in blocks.items() if kind in ("icc", "exif", "xmp")}
    notes += [f"{_RAW_PROFILE}{kind} left out" for kind in blocks if kind not in known]
    return Found(**known, notes=tuple(notes))


def _raw_profile(text: object) -> bytes | None:
    """The block in the text: a line of its name, one of its length, lines of hexadecimal."""
    layout = r"\s*[^\n]+\n\s*\d+\s+([0-9a-fA-F\s]*)"
    match = re.fullmatch(layout, text) if isinstance(text, str) else None
    if match is None:
        return None
    try:
        return bytes.fromhex(match[1])
    except ValueError:
        return None
