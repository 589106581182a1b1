"""rANS over the stored tables, through CompressAI's coder.

The coder is one extension file; it is loaded by itself, because ``import compressai``
takes seconds and needs a working torchvision. Its own escape mechanism can neither be
bounded nor kept inside its buffers, so it is made unreachable: every cumulative table
ends in a zero-width entry, symbols are indexes into the table (the escape is the last),
and streams are padded so that no read leaves them.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType

import numpy as np

from licodec.container.file import Stream
from licodec.entropy.escapes import EscapeReader, encode_escapes
from licodec.entropy.tables import FrequencyTables
from licodec.errors import CorruptFileError, LicodecError

SYMBOLS_PER_STREAM = 1 << 20
WORD = 4  # bytes the coder reads at a time, at most one word per symbol
STATE_BYTES = 8
STATE_LOW, STATE_HIGH = 1 << 31, 1 << 63  # a state is in [low, high)
FEWEST_SYMBOLS = 3  # with fewer the coder writes before the start of its buffer


@cache
def coder() -> ModuleType:
    """CompressAI's ``ans`` extension, loaded without the package around it."""
    package = importlib.util.find_spec("compressai")
    for folder in package.submodule_search_locations or () if package else ():
        for suffix in importlib.machinery.EXTENSION_SUFFIXES:
            path = Path(folder) / f"ans{suffix}"
            if path.exists():
                spec = importlib.util.spec_from_file_location("ans", path)
                module = importlib.util.module_from_spec(spec)
                spec.loader.exec_module(module)
                return module
    raise LicodecError(
        "the entropy coder of the package compressai is not installed: run 'pip install compressai'"
    )


@dataclass(frozen=True)
class CoderTables:
    """Several families of tables joined into the lists the coder takes.

    `low` and `high` (count,) are the values each table holds; table indexes of the second
    family start at the length of the first, and so on.
    """

    cumulatives: list[list[int]]
    sizes: list[int]
    zeros: list[int]
    low: np.ndarray
    high: np.ndarray

    @classmethod
    def join(cls, *families: FrequencyTables) -> CoderTables:
        cumulatives = []
        for family in families:
            for frequencies in family.frequencies:
                total = np.concatenate([[0], np.cumsum(frequencies)])
                cumulatives.append([*total.tolist(), int(total[-1])])
        low = np.concatenate([family.offsets for family in families]).astype(np.int64)
        lengths = np.concatenate([family.lengths for family in families])
        sizes = [len(c) for c in cumulatives]
        return cls(cumulatives, sizes, [0] * len(sizes), low, low + lengths - 2)


def stream_lengths(total: int) -> list[int]:
    """Symbols in each stream of a picture: 2^20, the last one longer rather than short."""
    count = max(1, total // SYMBOLS_PER_STREAM)
    return [SYMBOLS_PER_STREAM] * (count - 1) + [total - (count - 1) * SYMBOLS_PER_STREAM]


class StreamWriter:
    """Collects values in coding order and flushes a stream whenever one is full."""

    def __init__(self, tables: CoderTables, total: int) -> None:
        if total < FEWEST_SYMBOLS:
            raise LicodecError(f"a picture of {total} symbols: the pack is too small to code it")
        self._tables = tables
        self._lengths = stream_lengths(total)
        self._streams: list[Stream] = []
        self._begin()

    def _begin(self) -> None:
        self._encoder = coder().BufferedRansEncoder()
        self._escapes = bytearray()
        self._room = self._lengths[len(self._streams)]

    def write(self, values: np.ndarray, indexes: np.ndarray) -> None:
        """Append `values` (n,) coded with the tables `indexes` (n,)."""
        while len(values):
            count = min(self._room, len(values))
            self._write_part(values[:count], indexes[:count])
            values, indexes = values[count:], indexes[count:]
            if self._room == 0:
                stream = Stream(self._encoder.flush(), bytes(self._escapes))
                self._streams.append(stream)
                if len(self._streams) < len(self._lengths):
                    self._begin()

    def _write_part(self, values: np.ndarray, indexes: np.ndarray) -> None:
        tables = self._tables
        low, high = tables.low[indexes], tables.high[indexes]
        outside = (values < low) | (values > high)
        symbols = np.where(outside, high - low + 1, values - low)
        if outside.any():
            self._escapes += encode_escapes(values[outside], low[outside], high[outside])
        self._encoder.encode_with_indexes(
            symbols.tolist(), indexes.tolist(), tables.cumulatives, tables.sizes, tables.zeros
        )
        self._room -= len(values)

    def finish(self) -> tuple[Stream, ...]:
        """All streams, once every value has been written."""
        assert len(self._streams) == len(self._lengths), "values are missing"
        return tuple(self._streams)


class StreamReader:
    """The inverse of :class:`StreamWriter`."""

    def __init__(self, tables: CoderTables, total: int, streams: tuple[Stream, ...]) -> None:
        self._tables = tables
        self._lengths = stream_lengths(total)
        if len(streams) != len(self._lengths):
            raise CorruptFileError(
                f"payload: {len(streams)} streams where the picture has {len(self._lengths)}"
            )
        for stream, length in zip(streams, self._lengths, strict=True):
            largest = WORD * length + STATE_BYTES
            if len(stream.rans) % WORD or not STATE_BYTES <= len(stream.rans) <= largest:
                raise CorruptFileError("payload: a stream's length is not legal")
            state = int.from_bytes(stream.rans[:STATE_BYTES], "little")
            if not STATE_LOW <= state < STATE_HIGH:
                raise CorruptFileError("payload: a stream's first state is not legal")
        self._streams = streams
        self._next = 0
        self._begin()

    def _begin(self) -> None:
        stream, length = self._streams[self._next], self._lengths[self._next]
        self._decoder = coder().RansDecoder()
        # One word per symbol is the most the coder can read, whatever the bytes say.
        self._decoder.set_stream(stream.rans + bytes(WORD * length + STATE_BYTES))
        self._escapes = EscapeReader(stream.escapes)
        self._room = length

    def read(self, indexes: np.ndarray) -> np.ndarray:
        """The next values, int64 (n,), for table indexes (n,). Raises CorruptFileError."""
        parts = []
        while len(indexes):
            parts.append(self._read_part(indexes[: self._room]))
            indexes = indexes[len(parts[-1]) :]
            if self._room == 0:
                self._escapes.require_end()
                self._next += 1
                if self._next < len(self._streams):
                    self._begin()
        return np.concatenate(parts) if parts else np.zeros(0, np.int64)

    def _read_part(self, indexes: np.ndarray) -> np.ndarray:
        tables = self._tables
        symbols = _array(
            self._decoder.decode_stream(
                indexes.tolist(), tables.cumulatives, tables.sizes, tables.zeros
            )
        )
        low, high = tables.low[indexes], tables.high[indexes]
        values = symbols + low
        for i in np.flatnonzero(values > high):
            values[i] = self._escapes.read(int(low[i]), int(high[i]))
        self._room -= len(values)
        return values


def _array(symbols: list[int]) -> np.ndarray:
    """The list as int64 (n,): through bytes, four times faster, where every symbol is one."""
    try:
        return np.frombuffer(bytes(symbols), np.uint8).astype(np.int64)
    except ValueError:
        return np.array(symbols, np.int64)
