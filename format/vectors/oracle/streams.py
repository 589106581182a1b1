"""rANS streams and their escapes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from oracle.arrays import Json


def encode_rans(symbols: Sequence[tuple[int, int]]) -> bytes:
    """The stream of symbols, each (frequency, sum of the frequencies before it)."""
    x, words = 2**31, []
    for frequency, start in reversed(symbols):
        if x >= 2**47 * frequency:
            words.append(x % 2**32)
            x //= 2**32
        x = 2**16 * (x // frequency) + start + x % frequency
    words += [x // 2**32, x % 2**32]
    return b"".join(word.to_bytes(4, "little") for word in reversed(words))


def varint(value: int) -> bytes:
    digits = []
    while value >= 128:
        digits.append(value % 128 + 128)
        value //= 128
    return bytes([*digits, value])


def encode_escape(value: int, low: int, high: int) -> bytes:
    return varint(2 * (value - high - 1) if value > high else 2 * (low - 1 - value) + 1)


@dataclass(frozen=True)
class Table:
    offset: int
    frequencies: tuple[int, ...]

    @property
    def high(self) -> int:
        return self.offset + len(self.frequencies) - 2

    def to_json(self) -> Json:
        return {"offset": self.offset, "frequencies": list(self.frequencies)}


def encode_values(
    tables: Sequence[Table], indexes: Sequence[int], values: Sequence[int]
) -> tuple[bytes, bytes]:
    """The rANS stream and the escapes of `values`, each coded with the table of its index."""
    symbols, escapes = [], b""
    for index, value in zip(indexes, values, strict=True):
        one = tables[index]
        inside = one.offset <= value <= one.high
        place = value - one.offset if inside else len(one.frequencies) - 1
        symbols.append((one.frequencies[place], sum(one.frequencies[:place])))
        if not inside:
            escapes += encode_escape(value, one.offset, one.high)
    return encode_rans(symbols), escapes
