"""PNG: the file chunk by chunk, as the specification has it, before Pillow sees it.

Pillow checks little of a PNG's structure, and refuses the whole file for one auxiliary chunk that
is damaged. Here the rules are libpng's: what the pixels need is right or the file is refused; what
they do not need is left out where it is damaged, with a note.
"""

from __future__ import annotations

import io
import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

from licodec.container.limits import check_picture_size
from licodec.errors import BadInputError
from licodec.files import display_name
from licodec.images.sources import from_start

_SIGNATURE_BYTES = 8
_HEADER = struct.Struct(">IIBBBBB")
_BLOCK_BYTES = 2**20
_INFLATED_BYTES = 2**16  # at a time
_MOST_CHUNK_BYTES = 2**31 - 1
# Where the pixels of each pass begin, and how far apart they are: left, top, right, down.
_ADAM7 = (
    *((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4)),
    *((0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)),
)
_PALETTE, _SAMPLES = 3, {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_BITS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
_CRITICAL = {b"IHDR", b"PLTE", b"IDAT", b"IEND"}
# What is lost with a chunk, where its type does not say it to all.
_MEANINGS = {b"iCCP": "the ICC profile", b"eXIf": "Exif", b"tRNS": "the transparency"}
# Chunks that have to stand in front of the palette and the pixels, as libpng insists.
_COLOURS = {b"cICP", b"iCCP", b"sRGB", b"gAMA", b"cHRM"}
# Chunks of one length each.
_LENGTHS = {b"gAMA": 4, b"cHRM": 32, b"sRGB": 1, b"cICP": 4, b"pHYs": 9, b"acTL": 8, b"fcTL": 26}


@dataclass(frozen=True)
class SoundPng:
    """A PNG that Pillow reads right.

    stream  the file, or a copy without the chunks that are left out and an animation's frames
    chunks  contents of the first auxiliary chunk of each type, of those that are kept; b"" of
            large ones
    notes   what is left out, one phrase each
    """

    stream: BinaryIO
    chunks: dict[bytes, bytes]
    notes: tuple[str, ...]


def sound_png(stream: BinaryIO) -> SoundPng:
    """The file without what is damaged beside its pixels; leaves the stream where it was.

    Raises BadInputError where its structure or its pixels' data is damaged, or a chunk is needed
    that is not known; LimitError where the picture is too large.
    """
    with from_start(stream):
        walk = _Walk()
        for chunk in chunks(stream):
            walk.take(chunk)
            if chunk.kind == b"IEND":
                walk.take_rest(stream.read().strip(b"\0"))
                break
        walk.finish()
        if walk.is_whole:
            return SoundPng(stream, walk.found, tuple(walk.notes))
        copy = io.BytesIO()
        for start, end in ((0, _SIGNATURE_BYTES), *walk.kept):
            stream.seek(start)
            copy.write(stream.read(end - start))
    copy.write(struct.pack(">I4sI", 0, b"IEND", zlib.crc32(b"IEND")))
    copy.seek(0)
    return SoundPng(copy, walk.found, tuple(walk.notes))


@dataclass(frozen=True)
class Chunk:
    """start: where it begins; length: as it is stated; is_intact: None where it is cut short."""

    start: int
    kind: bytes
    length: int
    body: bytes
    is_intact: bool | None

    @property
    def end(self) -> int:
        return self.start + 12 + self.length

    @property
    def is_critical(self) -> bool:
        return self.kind[:1].isupper()

    @property
    def label(self) -> str:
        return display_name(self.kind.decode("latin-1"))

    @property
    def loss(self) -> str:
        return f", and with it {_MEANINGS[self.kind]}" if self.kind in _MEANINGS else ""


def chunks(stream: BinaryIO) -> Iterator[Chunk]:
    """As far as the file reaches; the stream is behind the chunk that comes."""
    size = stream.seek(0, io.SEEK_END)
    at = stream.seek(_SIGNATURE_BYTES)
    while len(head := stream.read(8)) == 8:
        length, kind = struct.unpack(">I4s", head)
        body, stated = stream.read(min(length, size - at)), stream.read(4)
        intact = zlib.crc32(body, zlib.crc32(kind)) == int.from_bytes(stated, "big")
        yield Chunk(at, kind, length, body, intact if len(stated) == 4 else None)
        at += 12 + length


@dataclass
class _Walk:
    """What is known of a PNG after some of its chunks.

    kept      where what Pillow is to see stands, chunk by chunk
    is_whole  nothing is left out
    """

    header: bytes = b""
    entries: int | None = None  # of the palette
    data: _PixelData | None = None
    in_data: bool = False
    ended: bool = False
    is_whole: bool = True
    kept: list[tuple[int, int]] = field(default_factory=list)
    found: dict[bytes, bytes] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def colour(self) -> int:
        return self.header[9]

    def take(self, chunk: Chunk) -> None:
        if self.ended:
            return
        if not self.header and chunk.kind != b"IHDR":
            known = chunk.kind in _CRITICAL or not chunk.is_critical
            raise _unread(chunk) if not known else _damaged("its header is missing")
        valid = re.fullmatch(rb"[A-Za-z]{4}", chunk.kind) and chunk.length <= _MOST_CHUNK_BYTES
        if not valid:
            self._cut_off("a chunk of no valid type or length")
        elif chunk.kind == b"IDAT":
            self._take_data(chunk)
        elif chunk.is_critical and chunk.kind not in _CRITICAL:
            raise _unread(chunk)
        else:
            self.in_data = False
            self._take_other(chunk)

    def finish(self) -> None:
        if not self.header:
            raise _damaged("its header is missing")
        if self.data is None:
            raise _damaged("it has no data for its pixels")
        self._check_data()
        if not self.ended:
            self._cut_off("its end chunk is missing")

    def take_rest(self, rest: bytes) -> None:
        """Tell of what follows the picture, which does not harm it."""
        if rest:
            self.notes.append(f"{len(rest)} bytes behind the end of the picture left out")

    def _take_data(self, chunk: Chunk) -> None:
        if self.data is None:
            if self.colour == _PALETTE and self.entries is None:
                raise _damaged("it has no palette in front of its pixels")
            self.data, self.in_data = _PixelData(_inflated_size(self.header)), True
        if not self.in_data:
            self._leave_out("pixels' data apart from the rest left out")
            return
        self.data.add(chunk.body)
        if chunk.is_intact is False:  # a file that is cut short lacks pixels
            raise _damaged("the checksum of its pixels' data is wrong")
        self.kept.append((chunk.start, chunk.end))

    def _take_other(self, chunk: Chunk) -> None:
        body, intact = chunk.body, chunk.is_intact
        if intact is None:
            self._cut_off(f"its {chunk.label} chunk is cut short")
        elif not intact and chunk.kind == b"IEND":
            self._cut_off("its end chunk is damaged")
        elif not intact and chunk.is_critical:
            raise _damaged(f"the checksum of its {chunk.label} chunk is wrong")
        elif chunk.kind == b"IHDR":
            self._take_header(chunk)
        elif chunk.kind == b"PLTE":
            self._take_palette(chunk)
        elif chunk.kind == b"IEND":
            self.ended = True
        elif not intact:
            self._leave_out(f"damaged {chunk.label} chunk left out{chunk.loss}")
        elif chunk.kind == b"fdAT" or (chunk.kind == b"fcTL" and self.data is not None):
            self.is_whole = False  # other frames, behind which Pillow does not look
        elif self._is_misplaced(chunk, body):
            self._leave_out(f"{chunk.label} chunk that is not valid left out{chunk.loss}")
        else:
            if chunk.kind == b"caBX":
                self.notes.append("JUMBF data (content credentials or such) left out")
            self.found.setdefault(chunk.kind, body if len(body) <= _BLOCK_BYTES else b"")
            self.kept.append((chunk.start, chunk.end))

    def _take_header(self, chunk: Chunk) -> None:
        if self.header:
            raise _damaged("it has two headers")
        if len(chunk.body) != _HEADER.size:
            raise _damaged("its header has not the right length")
        width, height, bits, colour, *methods = _HEADER.unpack(chunk.body)
        known = methods in ([0, 0, 0], [0, 0, 1])  # compression, filters, interlaced
        if not width or not height or bits not in _BITS.get(colour, ()) or not known:
            compression, filters, interlaced = methods
            raise _damaged(
                f"its header states {width}x{height} pixels of {bits} bits, colour type {colour}, "
                f"methods {compression}, {filters} and {interlaced}, which no PNG has"
            )
        check_picture_size(width, height)
        self.header = chunk.body
        self.kept.append((chunk.start, chunk.end))

    def _take_palette(self, chunk: Chunk) -> None:
        size = len(chunk.body)
        if self.data is not None or self.colour in (0, 4):
            self._leave_out("palette that is out of place left out")
        elif self.entries is not None:
            raise _damaged("it has two palettes")
        elif size % 3 or not 0 < size <= 768:
            if self.colour == _PALETTE:
                raise _damaged(f"its palette has {size} bytes")
            self._leave_out("suggested palette that is not valid left out")
        else:
            self.entries = size // 3
            self.kept.append((chunk.start, chunk.end))

    def _is_misplaced(self, chunk: Chunk, body: bytes) -> bool:
        """Whether a chunk is not as, or not where, its type has to be."""
        if chunk.kind == b"tRNS":
            lengths = {0: (2,), 2: (6,), _PALETTE: range(1, (self.entries or 0) + 1)}
            early = self.data is None and b"tRNS" not in self.found
            return not early or len(body) not in lengths.get(self.colour, ())
        if chunk.kind in _COLOURS:
            behind = self.data is not None or self.entries is not None
            if behind or chunk.kind in self.found:
                return True
        if chunk.kind in (b"iCCP", b"zTXt"):
            keyword, separator, rest = body.partition(b"\0")
            return not keyword or not separator or rest[:1] != b"\0"
        if chunk.kind == b"fcTL" and self.data is None and len(body) == 26:
            first = bytes(4) + self.header[:8] + bytes(8)  # number, sides and place
            return b"fcTL" in self.found or body[:20] != first
        return len(body) != _LENGTHS.get(chunk.kind, len(body))

    def _check_data(self) -> None:
        data = self.data
        if data is None or data.is_damaged:  # which Pillow reports
            return
        if data.size < data.wanted:
            raise _damaged("it has data for a part of its pixels only")
        if not data.is_complete:
            raise _damaged("its pixels' data is cut short behind the pixels")

    def _leave_out(self, note: str) -> None:
        self.is_whole = False
        if note not in self.notes:
            self.notes.append(note)

    def _cut_off(self, why: str) -> None:
        """Take the file to end here, which costs no pixels where they came before."""
        if self.data is None:
            raise _damaged(why)
        self.ended = True
        self._leave_out(f"the PNG is damaged behind its pixels ({why}): what follows is left out")


def _damaged(why: str) -> BadInputError:
    return BadInputError(f"a PNG file that is damaged or cut short: {why}")


def _unread(chunk: Chunk) -> BadInputError:
    return BadInputError(
        f"a PNG whose pixels depend on a chunk of a kind that is not known ({chunk.label}); "
        "convert it to a plain PNG first"
    )


class _PixelData:
    """The data of the IDAT chunks, one after the other: how much of what is wanted they hold."""

    def __init__(self, wanted: int) -> None:
        self.wanted = wanted
        self.size = 0
        self.is_damaged = False
        self._inflater = zlib.decompressobj()

    @property
    def is_complete(self) -> bool:
        """Whether the end with its checksum has come; of what is too long it is not asked."""
        return self._inflater.eof or self._is_too_long

    @property
    def _is_too_long(self) -> bool:
        return self.size > self.wanted + _BLOCK_BYTES

    def add(self, body: bytes) -> None:
        for at in range(0, len(body), _BLOCK_BYTES):
            self._inflate(body[at : at + _BLOCK_BYTES])

    def _inflate(self, block: bytes) -> None:
        try:
            while not self.is_complete:
                part = self._inflater.decompress(block, _INFLATED_BYTES)
                self.size += len(part)
                block = self._inflater.unconsumed_tail
                if not block and len(part) < _INFLATED_BYTES:  # nothing is held back
                    break
        except zlib.error:
            self.is_damaged = True


def _inflated_size(header: bytes) -> int:
    """Bytes of all rows, with their filters, that an IHDR chunk announces."""
    width, height, bits, colour, _, _, interlaced = _HEADER.unpack(header)
    depth = bits * _SAMPLES[colour]
    passes = _ADAM7 if interlaced else ((0, 0, 1, 1),)
    sizes = (
        (-(-(width - left) // right), -(-(height - top) // down))
        for left, top, right, down in passes
    )
    return sum(
        rows * (1 + -(-columns * depth // 8)) for columns, rows in sizes if columns > 0 < rows
    )
