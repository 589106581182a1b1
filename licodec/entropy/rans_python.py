"""rANS in plain Python: what the coder is where there is no native code, and what that is
measured against. Normative counterpart: format/SPEC.md, "rANS"."""

from __future__ import annotations

from bisect import bisect_right

import numpy as np

from licodec.container.file import Stream
from licodec.entropy.coder_tables import CUT_OFF, STATE_LOW, WORD, WORDS_LEFT, CoderTables
from licodec.entropy.escapes import EscapeReader, encode_escapes
from licodec.entropy.tables import PRECISION, TOTAL
from licodec.errors import CorruptFileError

WORD_BITS = 8 * WORD


class PythonCoder:
    """A :class:`licodec.entropy.coder_tables.Coder`."""

    def __init__(self, tables: CoderTables) -> None:
        parts = np.split(tables.frequencies, np.cumsum(tables.lengths)[:-1])
        # Of each table 0, f_0, f_0 + f_1, ..., 2^16.
        self.sums = [[0, *np.cumsum(part).tolist()] for part in parts]
        self.low = tables.offsets.astype(np.int64)
        self.high = self.low + tables.lengths - 2

    def encode(self, values: np.ndarray, indexes: np.ndarray) -> Stream:
        low, high = self.low[indexes], self.high[indexes]
        outside = (values < low) | (values > high)
        escapes = encode_escapes(values[outside], low[outside], high[outside])
        symbols = np.where(outside, high + 1, values) - low
        return Stream(self._encode(symbols.tolist(), indexes.tolist()), escapes)

    def _encode(self, symbols: list[int], indexes: list[int]) -> bytes:
        state, words = STATE_LOW, []
        for symbol, index in zip(reversed(symbols), reversed(indexes), strict=True):
            start, end = self.sums[index][symbol : symbol + 2]
            if state >= (end - start) << 47:
                words.append(state & (1 << WORD_BITS) - 1)
                state >>= WORD_BITS
            quotient, rest = divmod(state, end - start)
            state = (quotient << PRECISION) + start + rest
        words += [state >> WORD_BITS, state & (1 << WORD_BITS) - 1]
        return np.array(words[::-1], "<u4").tobytes()

    def decoder(self, stream: Stream) -> PythonDecoder:
        return PythonDecoder(self, stream)


class PythonDecoder:
    """A :class:`licodec.entropy.coder_tables.Decoder`."""

    def __init__(self, coder: PythonCoder, stream: Stream) -> None:
        low, high, *words = np.frombuffer(stream.rans, "<u4").tolist()
        self._coder = coder
        self._state = low + (high << WORD_BITS)
        self._words = words[::-1]  # the next one is the last
        self._escapes = EscapeReader(stream.escapes)

    def read(self, indexes: np.ndarray) -> np.ndarray:
        return np.array([self._read_one(index) for index in indexes.tolist()], np.int32)

    def _read_one(self, index: int) -> int:
        sums, rest = self._coder.sums[index], self._state & TOTAL - 1
        symbol = bisect_right(sums, rest) - 1
        start, end = sums[symbol : symbol + 2]
        self._state = (end - start) * (self._state >> PRECISION) + rest - start
        if self._state < STATE_LOW:
            if not self._words:
                raise CorruptFileError(CUT_OFF)
            self._state = self._state << WORD_BITS | self._words.pop()
        low, high = int(self._coder.low[index]), int(self._coder.high[index])
        return low + symbol if low + symbol <= high else self._escapes.read(low, high)

    def require_end(self) -> None:
        self._escapes.require_end()
        if self._words or self._state != STATE_LOW:
            raise CorruptFileError(WORDS_LEFT)
