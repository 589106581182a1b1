"""A whole .lic file: which chunks it has, in which order, and what they hold.

Normative in format/SPEC.md. Reading takes time and memory in proportion to the file, never to
a size that the file declares.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from io import BytesIO

import construct

from licodec.container.chunks import LAST_CHUNK, Chunk, read_chunks, write_chunks
from licodec.container.fields import VarInt, parse_fields
from licodec.container.header import Header, LosslessHeader, pack_header, unpack_header
from licodec.container.limits import MAX_STREAMS, check_alpha_size, check_payload_size
from licodec.container.pieces import Grid, pack_pieces, unpack_pieces
from licodec.container.plan import pack_plan, unpack_plan
from licodec.container.tiles import Tiles, pack_tiles, unpack_tiles
from licodec.errors import CorruptFileError, LimitError

HEADER = b"LHDR"
PLAN = b"PLAN"
TILES = b"TILE"
ALPHA = b"ALPH"
PAYLOAD = LAST_CHUNK
ICC = b"icCp"
EXIF = b"exIf"
XMP = b"xmPp"

# The order of a file's parts. Ancillary chunks of any type share one place.
_PLACES = {HEADER: 0, PLAN: 1, TILES: 2, ALPHA: 3, PAYLOAD: 5}
_ANCILLARY_PLACE = 4
_METADATA = (ICC, EXIF, XMP)


@dataclass(frozen=True)
class Stream:
    """One stream of symbols: its rANS bytes and the escapes of the symbols outside the tables."""

    rans: bytes
    escapes: bytes


@dataclass(frozen=True)
class Metadata:
    """What a file says about its picture without changing a pixel of it.

    icc   ICC profile
    exif  Exif block from its TIFF header on
    xmp   XMP packet, UTF-8
    """

    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None


class _Ancillary:
    """What files of both kinds have beside their pictures."""

    metadata: Metadata
    unknown: tuple[Chunk, ...]
    damaged: tuple[Chunk, ...]

    @property
    def warnings(self) -> tuple[str, ...]:
        """One line for everything in the file that was left out."""
        return tuple(
            f"chunk {chunk.name} is damaged (its CRC is wrong) and was left out; "
            "it does not affect pixels"
            for chunk in self.damaged
        )

    def _ancillary_chunks(self) -> Iterator[Chunk]:
        """In the order in which they are written, without the damaged."""
        own = self.metadata
        for name, content in ((ICC, own.icc), (EXIF, own.exif), (XMP, own.xmp)):
            if content is not None:
                yield Chunk(name, content)
        yield from self.unknown


@dataclass(frozen=True)
class LosslessFile(_Ancillary):
    """A .lic file whose picture is coded without loss, by no network.

    grid, pieces  see `container.pieces`
    The others are those of a LicFile.
    """

    header: LosslessHeader
    grid: Grid
    pieces: tuple[bytes, ...]
    pixel_crc: int
    metadata: Metadata = Metadata()
    unknown: tuple[Chunk, ...] = ()
    damaged: tuple[Chunk, ...] = ()

    def to_chunks(self) -> tuple[Chunk, ...]:
        """The chunks of this file in the order in which they are written, without the damaged."""
        return (
            Chunk(HEADER, pack_header(self.header)),
            *self._ancillary_chunks(),
            Chunk(PAYLOAD, pack_pieces(self.pixel_crc, self.grid, self.pieces)),
        )


@dataclass(frozen=True)
class LicFile(_Ancillary):
    """A .lic file whose picture is coded by a network.

    header       see Header
    plan         widths in bits of the weighted operations; None: the pack's
    streams      at least one
    pixel_crc    CRC-32 of the decoded pixels, see `pixel_checksum`
    alpha_plane  compressed alpha plane as it stands in the file; exactly where the header says
    metadata     ICC, Exif, XMP
    tiles        how planes are cut into streams; None: not at all, streams run across them
    unknown      ancillary chunks of types that this version does not define, in order
    damaged      ancillary chunks whose CRC is wrong; never written
    """

    header: Header
    plan: tuple[int, ...] | None
    streams: tuple[Stream, ...]
    pixel_crc: int
    alpha_plane: bytes | None = None
    metadata: Metadata = Metadata()
    tiles: Tiles | None = None
    unknown: tuple[Chunk, ...] = ()
    damaged: tuple[Chunk, ...] = ()

    def to_chunks(self) -> tuple[Chunk, ...]:
        """The chunks of this file in the order in which they are written, without the damaged."""
        optional = (
            (PLAN, None if self.plan is None else pack_plan(self.plan)),
            (TILES, None if self.tiles is None else pack_tiles(self.tiles)),
            (ALPHA, self.alpha_plane),
        )
        return (
            Chunk(HEADER, pack_header(self.header)),
            *(Chunk(name, content) for name, content in optional if content is not None),
            *self._ancillary_chunks(),
            Chunk(PAYLOAD, _pack_payload(self.pixel_crc, self.streams)),
        )


_PAYLOAD_HEAD = construct.Struct("pixel_checksum" / construct.Int32ub, "stream_count" / VarInt)
_STREAM_SIZES = construct.Struct("rans_length" / VarInt, "escapes_length" / VarInt)


def pixel_checksum(
    pixels: bytes | memoryview, alpha: bytes | memoryview | None, before: int = 0
) -> int:
    """CRC-32 of decoded pixels: uint8 (H, W, C) row by row, then the alpha plane (H, W) if any.

    Takes C-contiguous buffers (of a NumPy array: `array.data`); others raise BufferError. `before`
    is that of the rows above.
    """
    checksum = zlib.crc32(pixels, before)
    return checksum if alpha is None else zlib.crc32(alpha, checksum)


def read_file(data: bytes) -> LicFile | LosslessFile:
    """Parse a whole file and check all that does not need its pack.

    Raises CorruptFileError or LimitError. A damaged ancillary chunk is no error: see
    `LicFile.warnings`.
    """
    chunks = read_chunks(data)
    first = next(chunks)
    if first.type != HEADER:
        raise CorruptFileError(f"file starts with chunk {first.name} instead of LHDR")
    # Before the rest is read: a picture over the limits is refused at once.
    header = unpack_header(first.data)
    contents: dict[bytes, bytes] = {}
    unknown: list[Chunk] = []
    damaged: list[Chunk] = []
    place = _PLACES[HEADER]
    for chunk in chunks:
        place = _next_place(chunk, place)
        if not chunk.intact:
            damaged.append(chunk)
        elif chunk.type in contents:
            raise CorruptFileError(f"file has a second chunk {chunk.name}")
        elif chunk.critical or chunk.type in _METADATA:
            contents[chunk.type] = chunk.data
        else:
            unknown.append(chunk)
    metadata = Metadata(contents.get(ICC), contents.get(EXIF), contents.get(XMP))
    if isinstance(header, LosslessHeader):
        for name in (PLAN, TILES, ALPHA):
            if name in contents:
                raise CorruptFileError(f"file is lossless and has a chunk {name.decode()}")
        pixel_crc, grid, pieces = unpack_pieces(contents[PAYLOAD], header)
        beside = metadata, tuple(unknown), tuple(damaged)
        return LosslessFile(header, grid, pieces, pixel_crc, *beside)
    pixel_crc, streams = _unpack_payload(contents[PAYLOAD], header)
    return LicFile(
        header=header,
        plan=unpack_plan(contents[PLAN]) if PLAN in contents else None,
        streams=streams,
        pixel_crc=pixel_crc,
        alpha_plane=_check_alpha(contents.get(ALPHA), header),
        tiles=unpack_tiles(contents[TILES]) if TILES in contents else None,
        metadata=metadata,
        unknown=tuple(unknown),
        damaged=tuple(damaged),
    )


def write_file(lic: LicFile | LosslessFile) -> bytes:
    """The bytes of a file; damaged chunks are left out.

    Raises LimitError for what is over the limits, CorruptFileError for a value that the format
    has no place for: what could not be read back is not written.
    """
    data = write_chunks(lic.to_chunks())
    if read_file(data) != replace(lic, damaged=()):
        raise CorruptFileError("file would not read back as it was written")
    return data


def _next_place(chunk: Chunk, place: int) -> int:
    """The place of `chunk` in the order of a file's parts, after one at `place`.

    Raises CorruptFileError for a chunk that may not stand there.
    """
    if chunk.type.upper() in _PLACES and chunk.type not in _PLACES:
        raise CorruptFileError(
            f"chunk {chunk.name} differs from {chunk.name.upper()} in its letter case"
        )
    if chunk.critical and chunk.type not in _PLACES:
        raise CorruptFileError(
            f"file has a critical chunk {chunk.name} that this licodec does not know; "
            "a newer licodec may be needed"
        )
    own = _PLACES.get(chunk.type, _ANCILLARY_PLACE)
    if own == place and chunk.critical:
        raise CorruptFileError(f"file has a second chunk {chunk.name}")
    if own < place:
        raise CorruptFileError(f"chunk {chunk.name} stands after a chunk that it must precede")
    return own


def _check_alpha(alpha_plane: bytes | None, header: Header) -> bytes | None:
    if header.has_alpha != (alpha_plane is not None):
        says, has = ("an", "no") if header.has_alpha else ("no", "a")
        raise CorruptFileError(f"header says {says} alpha plane and the file has {has} chunk ALPH")
    if alpha_plane is not None:
        check_alpha_size(len(alpha_plane), header.width, header.height)
    return alpha_plane


def _pack_payload(pixel_crc: int, streams: tuple[Stream, ...]) -> bytes:
    head = _PAYLOAD_HEAD.build({"pixel_checksum": pixel_crc, "stream_count": len(streams)})
    sizes = (
        _STREAM_SIZES.build({"rans_length": len(s.rans), "escapes_length": len(s.escapes)})
        for s in streams
    )
    return b"".join((head, *sizes, *(s.rans + s.escapes for s in streams)))


def _unpack_payload(data: bytes, header: Header) -> tuple[int, tuple[Stream, ...]]:
    """Pixel checksum and streams of the `DATA` chunk. Raises CorruptFileError or LimitError."""
    check_payload_size(len(data), header.width, header.height)
    source = BytesIO(data)
    head = parse_fields(_PAYLOAD_HEAD, source, "DATA")
    if head.stream_count < 1:
        raise CorruptFileError("chunk DATA has no stream")
    if head.stream_count > MAX_STREAMS:
        raise LimitError(
            f"chunk DATA has {head.stream_count} streams, over the limit of {MAX_STREAMS}"
        )
    sizes = parse_fields(construct.Array(head.stream_count, _STREAM_SIZES), source, "DATA")
    stated = sum(size.rans_length + size.escapes_length for size in sizes)
    present = len(data) - source.tell()
    if stated != present:
        raise CorruptFileError(
            f"chunk DATA: its streams say {stated} bytes where {present} are present"
        )
    streams = tuple(
        Stream(source.read(size.rans_length), source.read(size.escapes_length)) for size in sizes
    )
    source.close()  # for its memory: what construct parsed refers to it, in a circle
    return head.pixel_checksum, streams
