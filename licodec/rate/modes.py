"""What a user asks for: one rate mode with its value, and what may stand beside it.

The command line's options come from here, so nothing heavy is imported.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from numbers import Real
from typing import Any

from licodec.errors import UsageError


class RateMode(Enum):
    """The ways to say how large a file may be, by their names in Python.

    BETA stands beside any other or, alone, with an alpha of 0.
    """

    D = "d"
    QUALITY = "quality"
    BPP = "target_bpp"
    SIZE = "target_size"
    PSNR = "target_psnr"
    ALPHA = "alpha"
    BETA = "beta"


@dataclass(frozen=True)
class Rate:
    """One rate mode and its value: d, quality, bits per pixel, bytes, dB, alpha or beta.

    beta       beside any other mode; 0 is without
    d          beside mode ALPHA, instead of the d that goes with that alpha
    objective  what the adapters were trained for; None leaves the choice to the pack
    lossless   True: every pixel, whatever the rest says; False: never; None: where that is no
               larger (licodec.choice)
    """

    mode: RateMode = RateMode.D
    value: float = 1.0
    beta: float = 0.0
    d: float | None = None
    objective: str | None = None
    lossless: bool | None = None

    @property
    def is_target(self) -> bool:
        """Whether it is to be searched for."""
        return self.mode in (RateMode.BPP, RateMode.SIZE, RateMode.PSNR)


def choose_rate(name: Callable[[RateMode], str], **given: Any) -> Rate:
    """The one rate mode that has a value, or d = 1; `name` is what its user calls a mode.

    `given` are values by the modes' names in Python, None where there is none, and what else a
    Rate has, as it stands there. Beta may stand beside any other mode, and d beside alpha. Raises
    UsageError where others are given together, any beside what is lossless, for what is no number,
    and where a target is not above 0.
    """
    by_mode = {mode: given.pop(mode.value, None) for mode in RateMode}
    values = {mode: value for mode, value in by_mode.items() if value is not None}
    for mode, value in values.items():
        if not isinstance(value, Real) or isinstance(value, bool):
            raise UsageError(f"{name(mode)} {value!a}: give a number")
        if isinstance(value, int) and value.bit_length() > 64:  # beyond what a float holds, even
            raise UsageError(f"{name(mode)}: the number is too large")
    if not isinstance(given.get("lossless"), bool | None):
        raise UsageError(f"lossless {given['lossless']!a}: give True, False or None")
    if given.get("lossless") and (values or given.get("objective") is not None):
        raise UsageError("lossless coding keeps every pixel and takes no rate; give one of them")
    beta = values.pop(RateMode.BETA, None)
    d = values.pop(RateMode.D, None) if RateMode.ALPHA in values else None
    if len(values) > 1:
        first, second = map(name, list(values)[:2])
        raise UsageError(f"{first} and {second} exclude each other; give one of them")
    if not values and beta is not None:
        return Rate(RateMode.BETA, beta, **given)
    (mode, value), *_ = [*values.items(), (RateMode.D, 1.0)]
    rate = Rate(mode, value, beta or 0.0, d, **given)
    if rate.is_target and not 0 < value < math.inf:
        raise UsageError(f"{name(mode)} {value:g}: give a number above 0")
    return rate
