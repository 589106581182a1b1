"""Streams: round trips, escapes, cuts, and damage."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from licodec.container.file import Stream
from licodec.entropy import rans
from licodec.entropy.coder_tables import CoderTables
from licodec.entropy.escapes import EscapeReader, encode_escapes
from licodec.entropy.rans import StreamReader, StreamWriter, stream_lengths
from licodec.entropy.tables import FrequencyTables, integer_frequencies
from licodec.errors import CorruptFileError

NARROW = FrequencyTables(
    (integer_frequencies(np.array([1, 8, 1, 0.01])),), np.array([-1], np.int32)
)
WIDE = FrequencyTables((integer_frequencies(np.ones(200)),), np.array([-100], np.int32))
TABLES = CoderTables.join(NARROW, WIDE)


def write(values: list[int], indexes: list[int], parts: int = 1) -> tuple[Stream, ...]:
    writer = StreamWriter(TABLES, len(values))
    for piece in np.array_split(np.arange(len(values)), parts):
        writer.write(np.array(values)[piece], np.array(indexes)[piece])
    return writer.finish()


symbols = st.lists(
    st.tuples(st.integers(-(2**15) + 1, 2**15 - 1) | st.integers(-3, 3), st.integers(0, 1)),
    min_size=1,
    max_size=200,
)


@given(symbols, st.integers(1, 4))
def test_values_come_back(pairs: list[tuple[int, int]], parts: int) -> None:
    values, indexes = (list(column) for column in zip(*pairs, strict=True))
    streams = write(values, indexes)
    reader = StreamReader(TABLES, len(values), streams)
    pieces = np.array_split(np.array(indexes), parts)
    assert np.concatenate([reader.read(piece) for piece in pieces]).tolist() == values


def test_streams_are_cut_and_the_last_one_is_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rans, "SYMBOLS_PER_STREAM", 64)
    assert stream_lengths(10) == [10]
    assert stream_lengths(127) == [127]
    assert stream_lengths(130) == [64, 66]
    rng = np.random.default_rng(5)
    values, indexes = rng.integers(-150, 150, 300).tolist(), rng.integers(0, 2, 300).tolist()
    streams = write(values, indexes, parts=7)
    assert len(streams) == 4
    assert StreamReader(TABLES, 300, streams).read(np.array(indexes)).tolist() == values


@settings(max_examples=300)
@given(st.binary(max_size=60).map(lambda b: b[: len(b) // 4 * 4]), st.binary(max_size=5))
def test_any_bytes_end_in_values_or_a_clear_error(words: bytes, escapes: bytes) -> None:
    try:
        reader = StreamReader(TABLES, 40, (Stream(words, escapes),))
        values = reader.read(np.tile([0, 1], 20))
    except CorruptFileError:
        return
    assert len(values) == 40


@pytest.mark.parametrize("length", [0, 4, 9, 10**6])
def test_streams_of_impossible_length_are_refused(length: int) -> None:
    with pytest.raises(CorruptFileError, match="length"):
        StreamReader(TABLES, 10, (Stream(bytes(length), b""),))


def test_a_wrong_number_of_streams_is_refused() -> None:
    with pytest.raises(CorruptFileError, match="2 streams where the picture has 1"):
        StreamReader(TABLES, 10, (Stream(bytes(8), b""),) * 2)


@given(st.lists(st.integers(-(2**15) + 1, 2**15 - 1).filter(lambda v: not -4 <= v <= 9)))
def test_escapes_come_back(values: list[int]) -> None:
    count = len(values)
    data = encode_escapes(np.array(values, int), np.full(count, -4), np.full(count, 9))
    reader = EscapeReader(data)
    assert [reader.read(-4, 9) for _ in values] == values
    reader.require_end()


@pytest.mark.parametrize(
    "data",
    [b"", b"\x80", b"\x80\x80\x80\x01", b"\x81\x00", b"\xff\xff\x7f"],
    ids=["empty", "cut", "long", "padded", "large"],
)
def test_damaged_escapes_are_refused(data: bytes) -> None:
    with pytest.raises(CorruptFileError, match="escape"):
        EscapeReader(data).read(-4, 9)


def test_leftover_escapes_are_refused() -> None:
    streams = write([0, 1, 0], [0, 0, 0])
    with pytest.raises(CorruptFileError, match="left over"):
        StreamReader(TABLES, 3, (Stream(streams[0].rans, b"\x01"),)).read(np.zeros(3, int))
