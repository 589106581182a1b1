"""Changes of a .lic file's bytes at random: as they happen, and with right checksums.

With right checksums a change reaches what lies behind them: the parsers of the chunks, the
entropy coder and the check of the pixels.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))  # for how attackers take files apart, which lies with the tests

from licodec.container import MAGIC, Grid, Header, LicFile, LosslessFile, read_file  # noqa: E402
from licodec.container.chunks import write_chunks  # noqa: E402
from licodec.container.header import MAX_STEP, MAX_STEP_FRACTION_BITS  # noqa: E402
from licodec.errors import LicodecError  # noqa: E402
from licodec.rate.gains import GAIN_ONE  # noqa: E402
from tests.attacks.tools import (  # noqa: E402
    HEAD_BYTES,
    Chunks,
    join_chunks,
    repair_checksums,
    split_chunks,
)

# Around the limits of the format, of its integers and of the alignment of networks.
NUMBERS = (
    *(0, 1, 2, 63, 64, 65, 127, 128, 255, 256, 257, 4096, 16383, 16384, 16385),
    *(65535, 65536, 2**20, 2**21, 2**24, 2**28, 2**28 + 1, 2**31 - 1, 2**31, 2**32 - 1, 2**32),
)
INDEX_BYTES = 12  # at the start of a chunk: where its numbers are
WEBP_HEAD_BYTES = 25  # of a piece: up to its size and whether it has alpha
FURTHER = 0.2  # of the changes have another one behind them


@dataclass(frozen=True)
class Change:
    """Changed bytes, and in a word what was done to them."""

    kind: str
    data: bytes


# Edits of bytes --------------------------------------------------------------------------------


def flip_bit(data: bytes, at: int, random: Random) -> bytes:
    return data[:at] + bytes([data[at] ^ 1 << random.randrange(8)]) + data[at + 1 :]


def set_byte(data: bytes, at: int, random: Random) -> bytes:
    value = random.choice([0, 1, 127, 128, 255, random.randrange(256)])
    return data[:at] + bytes([value]) + data[at + 1 :]


def overwrite(data: bytes, at: int, random: Random) -> bytes:
    end = min(len(data), at + random.randrange(2, 40))
    filler = random.choice([b"\x00", b"\xff", b"\x80", None])
    run = random.randbytes(end - at) if filler is None else filler * (end - at)
    return data[:at] + run + data[end:]


def insert(data: bytes, at: int, random: Random) -> bytes:
    run = random.choice([bytes, random.randbytes])(random.randrange(1, 9))
    return data[:at] + run + data[at:]


def delete(data: bytes, at: int, random: Random) -> bytes:
    return data[:at] + data[at + random.randrange(1, 9) :]


def cut(data: bytes, at: int, random: Random) -> bytes:
    return data[:at]


def repeat(data: bytes, at: int, random: Random) -> bytes:
    """A run of the bytes once more, here or elsewhere."""
    run = data[at : at + random.randrange(1, 60)]
    to = random.choice([at, random.randrange(len(data) + 1)])
    return data[:to] + run + data[to:]


def number(data: bytes, at: int, random: Random) -> bytes:
    """Another number in the place of the varint that begins here, if one does."""
    end = at
    while end < len(data) - 1 and data[end] >= 0x80:
        end += 1
    return data[:at] + varint(random.choice(NUMBERS)) + data[end + 1 :]


def varint(value: int) -> bytes:
    """LEB128, also of what the format has no place for."""
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


Edit = Callable[[bytes, int, Random], bytes]
EDITS: tuple[Edit, ...] = (flip_bit, set_byte, overwrite, insert, delete, cut, repeat, number)


def edited(data: bytes, random: Random) -> Change:
    """One edit somewhere, as likely among the first bytes as among all others."""
    edit = random.choice(EDITS)
    if not data:
        return Change("insert", insert(data, 0, random))
    near = random.random() < 0.5
    at = random.randrange(min(INDEX_BYTES, len(data)) if near else len(data))
    return Change(edit.__name__, edit(data, at, random))


# Edits of chunks -------------------------------------------------------------------------------


def double_chunk(chunks: Chunks, at: int, others: Chunks, random: Random) -> Chunks:
    to = random.randrange(len(chunks) + 1)
    return [*chunks[:to], chunks[at], *chunks[to:]]


def swap_chunks(chunks: Chunks, at: int, others: Chunks, random: Random) -> Chunks:
    to = random.randrange(len(chunks))
    swapped = list(chunks)
    swapped[at], swapped[to] = chunks[to], chunks[at]
    return swapped


def drop_chunk(chunks: Chunks, at: int, others: Chunks, random: Random) -> Chunks:
    return [*chunks[:at], *chunks[at + 1 :]]


def other_chunk(chunks: Chunks, at: int, others: Chunks, random: Random) -> Chunks:
    """A chunk of another file in the place of one, or beside it."""
    return [*chunks[:at], random.choice(others), *chunks[at + random.randrange(2) :]]


def other_type(chunks: Chunks, at: int, others: Chunks, random: Random) -> Chunks:
    kind, content = chunks[at]
    letter = random.randrange(4)
    other = random.choice([kind[letter] ^ 0x20, random.randrange(256)])
    kind = kind[:letter] + bytes([other]) + kind[letter + 1 :]
    return [*chunks[:at], (random.choice([kind, random.choice(others)[0]]), content),
            *chunks[at + 1 :]]  # fmt: skip


ChunkEdit = Callable[[Chunks, int, Chunks, Random], Chunks]
CHUNK_EDITS: tuple[ChunkEdit, ...] = (
    *(double_chunk, swap_chunks, drop_chunk, other_chunk, other_type),
)


def other_length(data: bytes, random: Random) -> bytes:
    """Another length in the head of a chunk."""
    chunks = split_chunks(data)
    before = random.randrange(len(chunks))
    at = len(join_chunks(chunks[:before]))
    own = len(chunks[before][1])
    value = random.choice([*NUMBERS[:-1], own - 1, own + 1, own + 12, own + random.randrange(99)])
    return data[:at] + max(0, value).to_bytes(4, "big") + data[at + 4 :]


# Edits of what chunks hold ---------------------------------------------------------------------


def other_field(data: bytes, random: Random) -> Change:
    """Another legal value of a field of the header, the tiles or the grid of pieces: what the
    pixels' checksum alone can see."""
    lic = read_file(data)
    fields = _fields_of_picture(lic, random)
    if isinstance(lic, LicFile):
        fields |= _fields_of_network(lic.header, random)
    beside = _other_grids(lic, random) if isinstance(lic, LosslessFile) else _tiles(lic, random)
    name = random.choice([*fields, *beside])
    if name in beside:
        other = replace(lic, **{name: random.choice(beside[name])})
    else:
        other = replace(lic, header=replace(lic.header, **{name: random.choice(fields[name])}))
    try:
        return Change(f"other {name}", write_chunks(other.to_chunks()))
    except LicodecError:  # not legal in this file
        return other_field(data, random)


Fields = dict[str, Sequence[object]]


def _fields_of_picture(lic: LicFile | LosslessFile, random: Random) -> Fields:
    header, other, large = lic.header, random.randrange(1, 200), (1024, 4096, 20_000, 65_535)
    return {
        "width": [header.width + 1, header.width - 1, header.height, *large, other],
        "height": [header.height + 1, header.height - 1, header.width, *large, other],
        "channels": [4 - header.channels],
    }


def _fields_of_network(header: Header, random: Random) -> Fields:
    one = random.randrange(1, GAIN_ONE + 1)
    return {
        "d_fraction_bits": range(MAX_STEP_FRACTION_BITS + 1),
        "d": [header.d + 1, header.d - 1, 1, 16, 64, 4096, 4097, MAX_STEP, random.randrange(4096)],
        "alpha": [0, 1, one, GAIN_ONE],
        "beta": [0, 1, one, GAIN_ONE],
        "weights_id": [random.randbytes(8)],
        "adapter_id": [None, random.randbytes(8)],
        "backbone": ["lite", "stf", "a" * 15],
    }


def _tiles(lic: LicFile, random: Random) -> Fields:
    """Other tiles of a file that has them."""
    if lic.tiles is None:
        return {}
    tiles, number = lic.tiles, random.randrange(len(lic.tiles.groups))
    length = random.choice([1, 2, 3, 16, random.randrange(1, 100), *NUMBERS[1:14]])
    groups = list(tiles.groups)
    groups[number] = length, random.randrange(length)
    extremes = list(tiles.extremes)
    if extremes:
        least, largest = sorted(random.choices([0, 1, 7, -9, 2**24 - 1, 1 - 2**24, 5000], k=2))
        extremes[random.randrange(len(extremes))] = least, largest
    others = (
        replace(tiles, groups=tuple(groups)),
        replace(tiles, groups=groups[number:] + groups[:number]),
        replace(tiles, groups=tiles.groups[:-1]),
        replace(tiles, extremes=tuple(extremes)),
        replace(tiles, extremes=tiles.extremes[1:]),
    )
    return {"tiles": [None, *others]}


def _other_grids(lic: LosslessFile, random: Random) -> Fields:
    """Other grids of as many pieces; and alpha or none, as the pieces may have it."""
    own, count = lic.grid, lic.grid.count
    return {
        "grid": [Grid(own.rows, own.columns), Grid(count, 1), Grid(1, count)],
        "pieces": [lic.pieces[::-1], random.sample(lic.pieces, count), lic.pieces[:1] * count],
        "header": [replace(lic.header, has_alpha=not lic.header.has_alpha)],
    }


def other_stream(data: bytes, random: Random) -> Change:
    """Other symbols or escapes, whose lengths the payload states rightly, or another bitstream of
    a piece that says of itself what it did."""
    lic = read_file(data)
    if isinstance(lic, LosslessFile):
        return _other_piece(lic, random)
    streams, at = list(lic.streams), random.randrange(len(lic.streams))
    part = "escapes" if random.random() < 0.3 else "rans"
    change = edited(getattr(streams[at], part), random)
    whole = change.data
    if part == "rans" and random.random() < 0.7:
        whole += bytes(-len(whole) % 4)  # a whole number of words, as the coder has them
    streams[at] = replace(streams[at], **{part: whole})
    if random.random() < 0.1:
        random.shuffle(streams)
    others = replace(lic, streams=tuple(streams))
    return Change(f"{change.kind} in {part}", write_chunks(others.to_chunks()))


def _other_piece(lic: LosslessFile, random: Random) -> Change:
    pieces, at = list(lic.pieces), random.randrange(len(lic.pieces))
    change = edited(pieces[at][WEBP_HEAD_BYTES:], random)
    bits = pieces[at][20:WEBP_HEAD_BYTES] + change.data
    chunk = b"VP8L" + len(bits).to_bytes(4, "little") + bits + bytes(len(bits) % 2)
    pieces[at] = b"RIFF" + (4 + len(chunk)).to_bytes(4, "little") + b"WEBP" + chunk
    others = replace(lic, pieces=tuple(pieces))
    return Change(f"{change.kind} in piece", write_chunks(others.to_chunks()))


# Whole changes ---------------------------------------------------------------------------------


def changed(data: bytes, others: Sequence[bytes], random: Random) -> Change:
    """A change of the bytes as they lie in the file, wherever they belong."""
    roll = random.random()
    if roll < 0.1:
        return Change("other_length", other_length(data, random))
    if roll < 0.2:
        return _chunk_edit(data, others, random)
    change = edited(data, random)
    while random.random() < FURTHER:
        further = edited(change.data, random)
        change = Change(f"{change.kind}, {further.kind}", further.data)
    return change


def changed_and_repaired(data: bytes, others: Sequence[bytes], random: Random) -> Change:
    """A change with every length and checksum made right again, but for one length where that
    is the change."""
    roll = random.random()
    if roll < 0.05:
        return Change("other_length", repair_checksums(other_length(data, random)))
    if roll < 0.15:
        return _chunk_edit(data, others, random)
    if roll < 0.35:
        return other_field(data, random)
    if roll < 0.6:
        return other_stream(data, random)
    chunks = split_chunks(data)
    kinds = []
    while not kinds or random.random() < FURTHER:
        at = random.randrange(len(chunks))
        kind, content = chunks[at]
        change = edited(content, random)
        repaired = kind == b"ALPH" and random.random() < 0.7
        chunks[at] = kind, repair_png(change.data) if repaired else change.data
        kinds.append(f"{change.kind} in {kind.decode()}")
    return Change(", ".join(kinds), join_chunks(chunks))


def _chunk_edit(data: bytes, others: Sequence[bytes], random: Random) -> Change:
    chunks = split_chunks(data)
    edit = random.choice(CHUNK_EDITS)
    foreign = split_chunks(random.choice(others))
    result = edit(chunks, random.randrange(len(chunks)), foreign, random)
    return Change(edit.__name__, join_chunks(result))


def repair_png(data: bytes) -> bytes:
    """A PNG with the checksum of every chunk that can still be told apart made right."""
    at, parts = len(MAGIC), [data[: len(MAGIC)]]
    while at + HEAD_BYTES + 4 <= len(data):
        end = at + HEAD_BYTES + int.from_bytes(data[at : at + 4], "big")
        if end + 4 > len(data):
            break
        parts += [data[at:end], zlib.crc32(data[at + 4 : end]).to_bytes(4, "big")]
        at = end + 4
    return b"".join([*parts, data[at:]])
