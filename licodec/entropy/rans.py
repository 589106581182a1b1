"""The streams of a picture, written and read in coding order and cut at 2^20 symbols."""

from __future__ import annotations

import numpy as np

from licodec.container.file import Stream
from licodec.entropy.coder_tables import STATE_BYTES, STATE_HIGH, STATE_LOW, WORD, CoderTables
from licodec.entropy.forms import fastest
from licodec.errors import CorruptFileError

SYMBOLS_PER_STREAM = 1 << 20


def stream_lengths(total: int) -> list[int]:
    """Symbols in each stream of a picture: 2^20, the last one longer rather than short."""
    count = max(1, total // SYMBOLS_PER_STREAM)
    return [SYMBOLS_PER_STREAM] * (count - 1) + [total - (count - 1) * SYMBOLS_PER_STREAM]


class StreamWriter:
    """Collects values in coding order and encodes a stream whenever one is full."""

    def __init__(self, tables: CoderTables, total: int) -> None:
        self._coder = fastest().coder(tables)
        self._lengths = stream_lengths(total)
        self._streams: list[Stream] = []
        self._begin()

    def _begin(self) -> None:
        length = self._lengths[len(self._streams)]
        self._values, self._indexes = np.empty((2, length), np.int32)
        self._filled = 0

    def write(self, values: np.ndarray, indexes: np.ndarray) -> None:
        """Append `values` (n,) coded with the tables `indexes` (n,)."""
        while len(values):
            part = slice(self._filled, min(self._filled + len(values), len(self._values)))
            count = part.stop - part.start
            self._values[part], self._indexes[part] = values[:count], indexes[:count]
            self._filled = part.stop
            values, indexes = values[count:], indexes[count:]
            if self._filled == len(self._values):
                self._streams.append(self._coder.encode(self._values, self._indexes))
                if len(self._streams) < len(self._lengths):
                    self._begin()

    def finish(self) -> tuple[Stream, ...]:
        """All streams, once every value has been written."""
        assert len(self._streams) == len(self._lengths), "values are missing"
        return tuple(self._streams)


class StreamReader:
    """The inverse of :class:`StreamWriter`."""

    def __init__(self, tables: CoderTables, total: int, streams: tuple[Stream, ...]) -> None:
        self._coder = fastest().coder(tables)
        self._lengths = stream_lengths(total)
        if len(streams) != len(self._lengths):
            raise CorruptFileError(
                f"payload: {len(streams)} streams where the picture has {len(self._lengths)}"
            )
        for stream, length in zip(streams, self._lengths, strict=True):
            require_legal(stream, length)
        self._streams = streams
        self._next = 0
        self._begin()

    def _begin(self) -> None:
        self._decoder = self._coder.decoder(self._streams[self._next])
        self._room = self._lengths[self._next]

    def read(self, indexes: np.ndarray) -> np.ndarray:
        """The next values, int32 (n,), for table indexes (n,). Raises CorruptFileError."""
        parts = []
        while len(indexes):
            parts.append(self._decoder.read(indexes[: self._room]))
            indexes = indexes[len(parts[-1]) :]
            self._room -= len(parts[-1])
            if self._room == 0:
                self._decoder.require_end()
                self._next += 1
                if self._next < len(self._streams):
                    self._begin()
        return np.concatenate(parts) if parts else np.zeros(0, np.int32)


def require_legal(stream: Stream, symbols: int) -> None:
    """Raise CorruptFileError unless a stream can begin, and be as long, as one of so many
    symbols."""
    largest = WORD * symbols + STATE_BYTES
    if len(stream.rans) % WORD or not STATE_BYTES <= len(stream.rans) <= largest:
        raise CorruptFileError("payload: a stream's length is not legal")
    state = int.from_bytes(stream.rans[:STATE_BYTES], "little")
    if not STATE_LOW <= state < STATE_HIGH:
        raise CorruptFileError("payload: a stream's first state is not legal")
