"""What is known of a program's values, and the limits within which every backend is exact.

Normative counterpart: format/SPEC.md, "Arithmetic" and "Rules for every program".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

Planes = Mapping[str, np.ndarray]
"""By the name of an input or output: integer planes (C, H, W), or numbers ()."""
Run = Callable[[Planes], dict[str, np.ndarray]]
"""A program on a backend: inputs, of any integer type, within the ranges of their ports ->
outputs, of an integer type that holds what is proved of them."""

ACCUMULATOR_LIMIT = 2**53  # sums below it are exact in binary64, so every backend can form them
ACTIVATION_LOW, ACTIVATION_HIGH = -(2**15), 2**16 - 1  # what a convolution may read ...
ACTIVATION_SPAN = 2**16 - 1  # ... in at most 16 bits
VALUE_LIMIT = 2**24  # any stored or computed value is exact in binary32
MULTIPLIER_LIMIT = 2.0**24
DIVIDEND_LIMIT = 2**52  # below it a quotient in binary64 rounds as the exact one does
BITS_LIMIT = 32  # attributes that state a power of two
CHANNEL_LIMIT = 2**13
# Numbers for each position of a program's inputs: of a value, and of all that are alive at a time.
EXPANSION_LIMIT = 2**15
ALIVE_LIMIT = 2**17


class IllegalOperation(Exception):
    """What an operation or a value breaks of the rules for programs."""


def require(condition: bool, message: str) -> None:
    """Raise IllegalOperation with `message` unless `condition` holds."""
    if not condition:
        raise IllegalOperation(message)


@dataclass(frozen=True)
class ValueInfo:
    """One value of a program: integer planes in [low, high].

    `rate` is rows (and columns) per row of the program's inputs. An accumulator is an
    exact sum that only a requantization may read, and only one. A number is one integer
    for all positions.
    """

    channels: int
    low: int
    high: int
    rate: Fraction
    accumulator: bool = False
    number: bool = False

    @property
    def largest(self) -> int:
        """The largest magnitude."""
        return max(-self.low, self.high)

    @property
    def dtype(self) -> np.dtype:
        """The smallest of uint8, int16 and int32 that holds it."""
        for dtype in (np.uint8, np.int16):
            if np.iinfo(dtype).min <= self.low and self.high <= np.iinfo(dtype).max:
                return np.dtype(dtype)
        return np.dtype(np.int32)

    @property
    def expansion(self) -> Fraction:
        """How many numbers it holds for each position of the program's inputs."""
        return Fraction(0) if self.number else self.channels * self.rate**2

    def within(self, low: int, high: int) -> ValueInfo:
        """Planes of the same shape with integers in [low, high]."""
        return ValueInfo(self.channels, low, high, self.rate)

    def checked(self) -> ValueInfo:
        """The same. Raises IllegalOperation unless size and range are within the limits."""
        require(0 < self.channels <= CHANNEL_LIMIT, f"{self.channels} channels")
        expansion = self.expansion
        message = f"a value of {float(expansion):.6g} numbers a position"
        require(expansion <= EXPANSION_LIMIT, message)
        require(self.low <= self.high, f"empty range {self.low} ... {self.high}")
        limit = ACCUMULATOR_LIMIT if self.accumulator else VALUE_LIMIT
        require(self.largest < limit, f"values up to {self.largest}, the limit is {limit}")
        return self

    def require_activation(self) -> None:
        """Raise IllegalOperation unless a convolution may read it."""
        fits = self.low >= ACTIVATION_LOW and self.high <= ACTIVATION_HIGH
        message = f"operand {self.low} ... {self.high}: over 16 bits"
        require(fits and self.high - self.low <= ACTIVATION_SPAN, message)
