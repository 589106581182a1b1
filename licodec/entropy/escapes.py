"""The side stream of escapes: values outside their table, as canonical varints.

A value v outside low ... high is coded as 2 * (v - high - 1) above and 2 * (low - 1 - v) + 1
below, in little-endian base 128, so a value inside the table has no encoding at all.
"""

from __future__ import annotations

import numpy as np

from licodec.errors import CorruptFileError

LARGEST_MAGNITUDE = 2**15 - 1  # of any symbol; three bytes hold every legal escape
LARGEST_BYTES = 3

DAMAGED = "payload: the escape stream is damaged"
BYTES_LEFT = "payload: the escape stream has bytes left over"


def encode_escapes(values: np.ndarray, low: np.ndarray, high: np.ndarray) -> bytes:
    """Code `values` (n,), each outside its table's `low` ... `high` (n,), as bytes."""
    above = values > high
    codes = np.where(above, 2 * (values - high - 1), 2 * (low - 1 - values) + 1)
    out = bytearray()
    for code in codes.tolist():  # escapes are rare: a handful in a picture
        while code >= 128:
            out.append(code & 127 | 128)
            code >>= 7
        out.append(code)
    return bytes(out)


class EscapeReader:
    """Reads escapes one table at a time, in coding order."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0

    def read(self, low: int, high: int) -> int:
        """The next value, outside low ... high. Raises CorruptFileError."""
        code = shift = 0
        while True:
            if self._position >= len(self._data) or shift >= 7 * LARGEST_BYTES:
                raise CorruptFileError(DAMAGED)
            byte = self._data[self._position]
            self._position += 1
            code |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                break
        value = low - 1 - (code >> 1) if code & 1 else high + 1 + (code >> 1)
        if (byte == 0 and shift > 7) or abs(value) > LARGEST_MAGNITUDE:
            raise CorruptFileError(DAMAGED)
        return value

    def require_end(self) -> None:
        """Raise CorruptFileError unless everything was read."""
        if self._position != len(self._data):
            raise CorruptFileError(BYTES_LEFT)
