"""Cases for the native coder: tables, damaged streams and integers, and what is right of them.

What is right the plain form says, which has no memory to misuse.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from random import Random
from typing import BinaryIO

import numpy as np

from fuzzing.changes import edited
from licodec.container import Stream
from licodec.entropy.coder_tables import STATE_BYTES, STATE_LOW, WORD, CoderTables
from licodec.entropy.escapes import LARGEST_BYTES, LARGEST_MAGNITUDE, encode_escapes
from licodec.entropy.rans_python import PythonCoder
from licodec.entropy.tables import LARGEST_TABLE, TOTAL
from licodec.errors import CorruptFileError

FINE, BAD_INDEX, BAD_VALUE, NO_ROOM, *DAMAGED = range(6)  # enum rans_fault of rans.h
INTEGERS = (0, 1, -1, 2, TOTAL, TOTAL - 1, 2**15, -(2**15), 2**31 - 1, -(2**31), LARGEST_TABLE)


@dataclass(frozen=True)
class Case:
    """What the driver is given.

    legal       whether the tables are
    stream      perhaps damaged, to be decoded with `indexes`
    values      to be encoded with `indexes`, into buffers of `words_room` and `escapes_room` bytes
    """

    tables: CoderTables
    legal: bool
    stream: Stream
    indexes: np.ndarray
    values: np.ndarray
    words_room: int
    escapes_room: int

    def to_bytes(self) -> bytes:
        tables, rans, escapes = self.tables, self.stream.rans, self.stream.escapes
        sizes = (len(tables.lengths), len(tables.frequencies), len(rans), len(escapes))
        rooms = (self.words_room, self.escapes_room)
        arrays = (tables.frequencies, tables.lengths, tables.offsets)
        return b"".join(
            [
                struct.pack("<7q", *sizes, len(self.indexes), *rooms),
                *(array.astype("<i4").tobytes() for array in arrays),
                rans,
                escapes,
                *(array.astype("<i4").tobytes() for array in (self.indexes, self.values)),
            ]
        )


@dataclass(frozen=True)
class Decoded:
    """What became of a stream, and how far in its words and escapes and in which state it ended."""

    fault: int
    values: list[int]
    end: tuple[int, int, int]


@dataclass(frozen=True)
class Answer:
    """What the driver says; `illegal` is the first table that is not legal, or -1."""

    illegal: int
    decoded: Decoded | None = None
    encoded: tuple[int, Stream] | None = None  # a fault, or 0 and a stream


def case_number(index: int, seed: int) -> Case:
    """The same on every machine."""
    random = Random(f"{seed} {index}")
    tables = _tables(random)
    legal = random.random() < 0.9
    count = random.choice([0, 1, 2, 3, random.randrange(80)])
    indexes = np.array([random.randrange(len(tables.lengths)) for _ in range(count)], np.int32)
    values = np.array([_value(tables, index, random) for index in indexes.tolist()], np.int32)
    stream = PythonCoder(tables).encode(values, indexes)
    if random.random() < 0.9:
        stream = _damaged(stream, tables, random)
    if count and random.random() < 0.1:
        indexes[random.randrange(count)] = random.choice([-1, len(tables.lengths), *INTEGERS[8:]])
    if count and random.random() < 0.1:
        values[random.randrange(count)] = random.choice(INTEGERS)
    words_room, escapes_room = STATE_BYTES + WORD * count, LARGEST_BYTES * count
    if random.random() < 0.1:
        words_room, escapes_room = random.randrange(words_room + 1), random.randrange(20)
    if not legal:
        tables = _illegal(tables, random)
    return Case(tables, legal, stream, indexes, values, words_room, escapes_room)


def _tables(random: Random) -> CoderTables:
    lengths = [
        random.choice([2, 3, random.randrange(2, 40), random.randrange(2, LARGEST_TABLE + 1)])
        for _ in range(random.randrange(1, 4))
    ]
    frequencies = [_frequencies(length, random) for length in lengths]
    ends = (-(2**15) + 1, 2**15 - 1)
    offsets = [random.choice([random.randrange(-60, 60), *ends]) for _ in lengths]
    as_int32 = (np.array(numbers, np.int32) for numbers in (lengths, offsets))
    return CoderTables(np.concatenate(frequencies), *as_int32)


def _frequencies(length: int, random: Random) -> np.ndarray:
    """Flat, or most of it with one symbol."""
    flat = np.full(length, TOTAL // length if random.random() < 0.5 else 1, np.int32)
    flat[random.randrange(length)] += TOTAL - flat.sum()
    return flat


def _illegal(tables: CoderTables, random: Random) -> CoderTables:
    """The same with one number changed, to one that is not legal there."""
    arrays = {name: array.copy() for name, array in vars(tables).items()}
    array = arrays[random.choice(list(arrays))]
    at = random.randrange(len(array))
    if array is arrays["offsets"]:
        array[at] = random.choice([2**15, -(2**15), 2**31 - 1, -(2**31)])
    else:
        number = int(array[at])
        others = {*INTEGERS, number - 1, number + 1} - {number}
        array[at] = random.choice(sorted(others))
    return CoderTables(**arrays)


def _value(tables: CoderTables, index: int, random: Random) -> int:
    low, length = int(tables.offsets[index]), int(tables.lengths[index])
    if random.random() < 0.9:
        return low + random.randrange(length - 1)
    return random.randrange(-LARGEST_MAGNITUDE, LARGEST_MAGNITUDE + 1)


def _damaged(stream: Stream, tables: CoderTables, random: Random) -> Stream:
    """Of whole words, as the container's checks leave them."""
    rans, escapes = stream.rans, stream.escapes
    if random.random() < 0.7:
        rans = edited(rans, random).data
    if random.random() < 0.4:
        escapes = (
            edited(escapes, random).data if random.random() < 0.7 else _extreme(tables, random)
        )
    rans += bytes(max(STATE_BYTES, len(rans) + -len(rans) % WORD) - len(rans))
    return Stream(rans, escapes)


def _extreme(tables: CoderTables, random: Random) -> bytes:
    """Escapes of the largest integers, and of some that are larger."""
    at = random.randrange(len(tables.lengths))
    value = random.choice([-1, 1]) * (LARGEST_MAGNITUDE + random.randrange(2))
    low = int(tables.offsets[at])
    bounds = (low, low + int(tables.lengths[at]) - 2)
    if bounds[0] <= value <= bounds[1]:
        return b""
    return encode_escapes(*(np.array([number]) for number in (value, *bounds))) * 3


def read_answer(file: BinaryIO) -> Answer | None:
    """The next one; None where there is no whole one."""
    try:
        (illegal,) = _numbers(file, 1)
        if illegal >= 0:
            return Answer(illegal)
        fault, done, words_at, escapes_at, state = _numbers(file, 5)
        values = np.frombuffer(_bytes(file, 4 * done), "<i4").tolist()
        encode_fault, _, words, escapes = _numbers(file, 4)
        stream = Stream(_bytes(file, words), _bytes(file, escapes))
    except EOFError:
        return None
    end = (words_at, escapes_at, state % 2**64)
    return Answer(illegal, Decoded(fault, values, end), (encode_fault, stream))


def _numbers(file: BinaryIO, count: int) -> tuple[int, ...]:
    return struct.unpack(f"<{count}q", _bytes(file, 8 * count))


def _bytes(file: BinaryIO, count: int) -> bytes:
    data = file.read(count)
    if len(data) < count:
        raise EOFError
    return data


def fault_of(case: Case, answer: Answer) -> str | None:
    """What is wrong with an answer; None where it is right."""
    if answer.illegal >= 0 or not case.legal:
        return None if (answer.illegal < 0) == case.legal else "the check of the tables"
    assert answer.decoded is not None and answer.encoded is not None
    if not _is_right(case, answer.decoded):
        return "decoding"
    fault, stream = answer.encoded
    expected = _encoded(case)
    right = fault == expected if isinstance(expected, int) else (FINE, expected) == (fault, stream)
    return None if right else "encoding"


def _is_right(case: Case, decoded: Decoded) -> bool:
    legal = (case.indexes >= 0) & (case.indexes < len(case.tables.lengths))
    known = len(legal) if legal.all() else int(legal.argmin())
    decoder = PythonCoder(case.tables).decoder(case.stream)
    try:
        expected = decoder.read(case.indexes[:known]).tolist()
    except CorruptFileError:
        return decoded.fault in DAMAGED and len(decoded.values) < known
    try:
        decoder.require_end()
        ended = True
    except CorruptFileError:
        ended = False
    whole = (len(case.stream.rans), len(case.stream.escapes), STATE_LOW)
    fault = FINE if known == len(legal) else BAD_INDEX
    return (fault, expected, ended) == (decoded.fault, decoded.values, decoded.end == whole)


def _encoded(case: Case) -> int | Stream:
    """The first fault in coding order, or else the stream."""
    escapes_room = case.escapes_room
    for value, index in zip(case.values.tolist(), case.indexes.tolist(), strict=True):
        if not 0 <= index < len(case.tables.lengths):
            return BAD_INDEX
        low = int(case.tables.offsets[index])
        high = low + int(case.tables.lengths[index]) - 2
        if low <= value <= high:
            continue
        if abs(value) > LARGEST_MAGNITUDE:
            return BAD_VALUE
        if escapes_room < LARGEST_BYTES:
            return NO_ROOM
        escapes_room -= len(encode_escapes(*(np.array([n]) for n in (value, low, high))))
    stream = PythonCoder(case.tables).encode(case.values, case.indexes)
    return stream if len(stream.rans) <= case.words_room else NO_ROOM
