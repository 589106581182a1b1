"""The payload of a lossless file: the picture cut into pieces, each a whole lossless WebP file.

Normative in format/SPEC.md, "Lossless payload". What a WebP file says of its size and kind is
checked here against the header, so that nothing is decoded that is not what it should be.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO

import construct

from licodec.container.fields import VarInt, parse_fields
from licodec.container.header import LosslessHeader
from licodec.container.limits import (
    MAX_PIECE_PIXELS,
    MAX_PIECE_SIDE,
    MAX_PIECES,
    check_payload_size,
)
from licodec.errors import CorruptFileError, LimitError

_HEAD = construct.Struct("pixel_checksum" / construct.Int32ub, "columns" / VarInt, "rows" / VarInt)

# RFC 9649: the RIFF header, one VP8L chunk's head, and the head of its bitstream.
_WEBP_HEAD = construct.Struct(
    "riff" / construct.Bytes(4),
    "file_size" / construct.Int32ul,
    "webp" / construct.Bytes(4),
    "chunk" / construct.Bytes(4),
    "chunk_size" / construct.Int32ul,
    "signature" / construct.Byte,
    "bits" / construct.Int32ul,  # width - 1 and height - 1 of 14 bits, alpha is used, version of 3
)
_SIGNATURE = 0x2F
_RIFF_BYTES, _CHUNK_HEAD_BYTES = 8, 8


@dataclass(frozen=True)
class Piece:
    """Where a piece is in its picture, in pixels."""

    left: int
    top: int
    width: int
    height: int

    def __str__(self) -> str:
        return f"the piece of {self.width}x{self.height} pixels at {self.left},{self.top}"


@dataclass(frozen=True)
class Grid:
    """How many pieces stand beside each other, and below each other."""

    columns: int = 1
    rows: int = 1

    @property
    def count(self) -> int:
        return self.columns * self.rows

    def pieces(self, width: int, height: int) -> Iterator[Piece]:
        """The pieces of a picture, row by row from the top, from the left in each."""
        for row in range(self.rows):
            top, bottom = (n * height // self.rows for n in (row, row + 1))
            for column in range(self.columns):
                left, right = (n * width // self.columns for n in (column, column + 1))
                yield Piece(left, top, right - left, bottom - top)


def smallest_grid(width: int, height: int) -> Grid:
    """The grid of the largest pieces that are allowed, about equal."""
    columns = -(-width // MAX_PIECE_SIDE)
    tallest = min(MAX_PIECE_SIDE, MAX_PIECE_PIXELS // -(-width // columns))
    return Grid(columns, -(-height // tallest))


def pack_pieces(pixel_crc: int, grid: Grid, pieces: Sequence[bytes]) -> bytes:
    """The data of the `DATA` chunk of a lossless file."""
    head = _HEAD.build({"pixel_checksum": pixel_crc, "columns": grid.columns, "rows": grid.rows})
    return b"".join((head, *(VarInt.build(len(piece)) for piece in pieces), *pieces))


def unpack_pieces(data: bytes, header: LosslessHeader) -> tuple[int, Grid, tuple[bytes, ...]]:
    """Pixel checksum, grid and pieces, each of which says that it is a lossless WebP file of its
    place's size. Raises CorruptFileError or LimitError."""
    check_payload_size(len(data), header.width, header.height)
    source = BytesIO(data)
    head = parse_fields(_HEAD, source, "DATA")
    grid = Grid(head.columns, head.rows)
    if not (1 <= grid.columns <= header.width and 1 <= grid.rows <= header.height):
        raise CorruptFileError(
            f"chunk DATA: {grid.columns}x{grid.rows} pieces of a picture of "
            f"{header.width}x{header.height} pixels"
        )
    if grid.count > MAX_PIECES:
        raise LimitError(f"chunk DATA has {grid.count} pieces, over the limit of {MAX_PIECES}")
    sizes = parse_fields(construct.Array(grid.count, VarInt), source, "DATA")
    stated, present = sum(sizes), len(data) - source.tell()
    if stated != present:
        raise CorruptFileError(
            f"chunk DATA: its pieces say {stated} bytes where {present} are present"
        )
    contents = tuple(source.read(size) for size in sizes)
    source.close()  # for its memory: what construct parsed refers to it, in a circle
    places = grid.pieces(header.width, header.height)
    for place, content in zip(places, contents, strict=True):
        _check_piece(content, place, header.has_alpha)
    return head.pixel_checksum, grid, contents


def _check_piece(data: bytes, place: Piece, has_alpha: bool) -> None:
    """Refuse what is not one lossless WebP picture of its place's size, and nothing beside it.
    Raises CorruptFileError."""
    area = place.width * place.height
    if max(place.width, place.height) > MAX_PIECE_SIDE or area > MAX_PIECE_PIXELS:
        raise CorruptFileError(
            f"chunk DATA: {place} is larger than {MAX_PIECE_SIDE} a side or {MAX_PIECE_PIXELS}"
        )
    if len(data) < _WEBP_HEAD.sizeof():
        raise CorruptFileError(
            f"chunk DATA: {place} has {len(data)} bytes, less than any WebP file"
        )
    head = _WEBP_HEAD.parse(data)
    if (head.riff, head.webp) != (b"RIFF", b"WEBP"):
        raise CorruptFileError(f"chunk DATA: {place} is no WebP file")
    if head.chunk != b"VP8L":
        raise CorruptFileError(
            f"chunk DATA: {place} is no plain lossless WebP file (its first chunk is "
            f"{head.chunk.decode('latin-1')!a}, not 'VP8L')"
        )
    padded = head.chunk_size + head.chunk_size % 2
    present = len(data) - _RIFF_BYTES - len(head.webp) - _CHUNK_HEAD_BYTES
    if head.file_size != len(data) - _RIFF_BYTES or padded != present:
        raise CorruptFileError(f"chunk DATA: {place} is cut short or has bytes after its picture")
    if head.signature != _SIGNATURE or head.bits >> 29:
        raise CorruptFileError(f"chunk DATA: {place} is no lossless WebP bitstream of version 0")
    width, height = 1 + (head.bits & 0x3FFF), 1 + (head.bits >> 14 & 0x3FFF)
    if (width, height) != (place.width, place.height):
        raise CorruptFileError(f"chunk DATA: {place} says that it has {width}x{height}")
    if head.bits >> 28 & 1 and not has_alpha:
        raise CorruptFileError(f"chunk DATA: {place} has alpha, and the header says that none is")
