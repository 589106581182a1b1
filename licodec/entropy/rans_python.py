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
        self.low = tables.offsets
        self.high = tables.offsets + tables.lengths - 2

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
        state, words, tables = self._state, self._words, self._coder.sums
        symbols = []
        for index in indexes.tolist():
            sums, rest = tables[index], state & TOTAL - 1
            symbol = bisect_right(sums, rest) - 1
            start = sums[symbol]
            state = (sums[symbol + 1] - start) * (state >> PRECISION) + rest - start
            if state < STATE_LOW:
                if not words:
                    raise CorruptFileError(CUT_OFF)
                state = state << WORD_BITS | words.pop()
            symbols.append(symbol)
        self._state = state
        return self._with_escapes(np.array(symbols, np.int32), indexes)

    def _with_escapes(self, symbols: np.ndarray, indexes: np.ndarray) -> np.ndarray:
        """The integers of symbols, the last of a table being its escape."""
        low, high = self._coder.low[indexes], self._coder.high[indexes]
        values = symbols + low
        for i in np.flatnonzero(values > high):
            values[i] = self._escapes.read(int(low[i]), int(high[i]))
        return values

    def require_end(self) -> None:
        self._escapes.require_end()
        if self._words or self._state != STATE_LOW:
            raise CorruptFileError(WORDS_LEFT)
