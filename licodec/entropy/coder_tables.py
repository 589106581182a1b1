"""The tables of all families, as a coder takes them, and what it says of damaged streams."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from licodec.container.file import Stream
from licodec.entropy.tables import FrequencyTables

STATE_BYTES = 8
WORD = 4  # bytes that a coder reads or writes at a time, at most one word for an integer
STATE_LOW, STATE_HIGH = 1 << 31, 1 << 63  # between integers a state is in [low, high)

CUT_OFF = "payload: a stream ends before its last symbol"
WORDS_LEFT = "payload: a stream does not end with its last symbol"


@dataclass(frozen=True)
class CoderTables:
    """Families of tables one behind the other, all int32.

    Table indexes of the second family start at the length of the first, and so on.
    `frequencies` has every table's, `lengths` (count,) how many each has, and `offsets` (count,)
    the first integer that it holds.
    """

    frequencies: np.ndarray
    lengths: np.ndarray
    offsets: np.ndarray

    @classmethod
    def join(cls, *families: FrequencyTables) -> CoderTables:
        frequencies = [own for family in families for own in family.frequencies]
        return cls(
            np.concatenate(frequencies).astype(np.int32),
            np.array([len(own) for own in frequencies], np.int32),
            np.concatenate([family.offsets for family in families]).astype(np.int32),
        )


class Decoder(Protocol):
    """A stream as far as it is read."""

    def read(self, indexes: np.ndarray) -> np.ndarray:
        """The next integers, int32 (n,), for table indexes (n,). Raises CorruptFileError."""

    def require_end(self) -> None:
        """Raise CorruptFileError unless the stream and its escapes end here."""


class Coder(Protocol):
    """rANS with one set of tables. Both forms of it give the same bytes and integers."""

    def encode(self, values: np.ndarray, indexes: np.ndarray) -> Stream:
        """The stream of integers (n,) coded with the tables `indexes` (n,).

        Integers that their table does not hold are at most 32767 in magnitude.
        """

    def decoder(self, stream: Stream) -> Decoder:
        """Begin to read a stream, of at least STATE_BYTES."""
