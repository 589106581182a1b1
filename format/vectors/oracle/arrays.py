"""Arrays of integers and fractions, and the roundings of the specification."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

Number = int | Fraction
Json = dict[str, Any]
LARGEST_VALUE = 2**24 - 1
LATENT_LOW, LATENT_HIGH = -(2**15), 2**15 - 1
ONE = 65535  # what alpha and beta count in
LARGEST_BIAS = 2**30


@dataclass(frozen=True)
class Array:
    """Integers or fractions of one shape, the last index varying fastest.

    `type` is the type of a stored tensor: int8, int16, int32 or float32.
    """

    shape: tuple[int, ...]
    values: tuple[Number, ...]
    type: str = "int32"

    def __post_init__(self) -> None:
        assert math.prod(self.shape) == len(self.values)

    def __getitem__(self, index: tuple[int, ...]) -> Number:
        position = 0
        for i, size in zip(index, self.shape, strict=True):
            assert 0 <= i < size
            position = position * size + i
        return self.values[position]

    def indexes(self) -> Iterator[tuple[int, ...]]:
        return itertools.product(*(range(size) for size in self.shape))


def array(shape: Sequence[int], element: Callable[..., Number]) -> Array:
    """The array whose element at each index is `element` of that index."""
    indexes = itertools.product(*(range(size) for size in shape))
    return Array(tuple(shape), tuple(element(*index) for index in indexes))


def vector(*values: Number, type: str = "int32") -> Array:
    return Array((len(values),), values, type)


def plane(*values: int) -> Array:
    """One channel and one row."""
    return Array((1, 1, len(values)), values)


class Noise:
    """The same integers in every run and every version of Python."""

    def __init__(self, seed: int) -> None:
        self.state = seed

    def integer(self, low: int, high: int) -> int:
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) % 2**64
        return low + (self.state >> 33) % (high - low + 1)

    def array(self, shape: Sequence[int], low: int, high: int, type: str = "int32") -> Array:
        return replace(array(shape, lambda *_: self.integer(low, high)), type=type)


def rne(value: Number) -> int:
    """The nearest integer, half to even: what Python's `round` is for fractions."""
    return round(Fraction(value))


def sat(value: int, low: int, high: int) -> int:
    return low if value < low else high if value > high else value


def fl32(value: Number) -> Fraction:
    """`value` rounded to binary32, half to even, by its definition."""
    value = Fraction(value)
    if value == 0:
        return value
    exponent = 0
    while abs(value) >= Fraction(2) ** (exponent + 1):
        exponent += 1
    while abs(value) < Fraction(2) ** exponent:
        exponent -= 1
    step = Fraction(2) ** (max(exponent, -126) - 23)
    return rne(value / step) * step


def array_to_json(x: Array, stored: bool) -> Json:
    values = [int(v) if Fraction(v).denominator == 1 else float(v) for v in x.values]
    assert all(Fraction(a) == b for a, b in zip(values, x.values, strict=True))
    kind = {"type": x.type} if stored else {}
    return {**kind, "shape": list(x.shape), "values": values}


def array_from_json(x: Json) -> Array:
    values = (v if isinstance(v, int) else Fraction(v) for v in x["values"])
    return Array(tuple(x["shape"]), tuple(values), x.get("type", "int32"))


def arrays_to_json(arrays: dict[str, Array], stored: bool) -> Json:
    return {name: array_to_json(x, stored) for name, x in arrays.items()}
