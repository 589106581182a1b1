"""The rate mode: `d`, the quality scale that maps onto it, and searches for a target.

AQVR's d > 0 multiplies quantization steps: 1 is the trained codec, larger is smaller
files. Files and searches count it in units of 2^-g (the pack's latent fraction bits).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Generic, TypeVar

from licodec.errors import UsageError

if TYPE_CHECKING:  # the command line's options come from here, and `--help` loads no NumPy
    from licodec.exact.schedule import Schedule

Result = TypeVar("Result")

NEUTRAL_QUALITY = 75.0  # the quality that is d = 1
QUALITY_PER_DOUBLING = 12.5  # 0 is d = 64, 100 is d = 0.25
SEARCH_RATIO = 1.004  # a search ends when its d is known this closely: under 0.5 % of size


class RateMode(Enum):
    """The ways to say how large a file may be, by their names in Python."""

    D = "d"
    QUALITY = "quality"
    BPP = "target_bpp"
    SIZE = "target_size"
    PSNR = "target_psnr"
    ALPHA = "alpha"
    BETA = "beta"


@dataclass(frozen=True)
class Rate:
    """One rate mode and its value: d, quality, bits per pixel, bytes or dB."""

    mode: RateMode = RateMode.D
    value: float = 1.0


def choose_rate(values: Mapping[RateMode, float | None], name: Callable[[RateMode], str]) -> Rate:
    """The one rate mode that has a value, or d = 1; `name` is what its user calls a mode.

    Raises UsageError where several are given or a target is not above 0.
    """
    given = [Rate(mode, value) for mode, value in values.items() if value is not None]
    # The two adapter modes go together; alpha stands for both.
    if len(given) == 2 and [rate.mode for rate in given] == [RateMode.ALPHA, RateMode.BETA]:
        given = given[:1]
    if len(given) > 1:
        first, second = (name(rate.mode) for rate in given[:2])
        raise UsageError(f"{first} and {second} exclude each other; give one of them")
    rate = given[0] if given else Rate()
    targets = (RateMode.BPP, RateMode.SIZE, RateMode.PSNR)
    if rate.mode in targets and not 0 < rate.value < math.inf:
        raise UsageError(f"{name(rate.mode)} {rate.value:g}: give a number above 0")
    return rate


def d_from_quality(quality: float) -> float:
    """d = 2^((75 - q) / 12.5) for a quality of 0 to 100. Raises UsageError."""
    if not 0 <= quality <= 100:
        raise UsageError(f"quality {quality:g} is out of range: 0 (smallest) to 100 (best)")
    return 2 ** ((NEUTRAL_QUALITY - quality) / QUALITY_PER_DOUBLING)


def d_to_units(d: float, schedule: Schedule) -> int:
    """d in the pack's units of 2^-g. Raises UsageError outside the pack's range."""
    unit = 1 << schedule.latent_fraction_bits
    units = round(d * unit) if math.isfinite(d) else 0
    if not schedule.d_low <= units <= schedule.d_high:
        low, high = schedule.d_low / unit, schedule.d_high / unit
        raise UsageError(f"d = {d:g} is out of range: this backbone takes {low:g} to {high:g}")
    return units


def fixed_d(rate: Rate, schedule: Schedule) -> int | None:
    """The rate as d in the pack's units, or None where it is a target to search.

    Raises UsageError outside the pack's range.
    """
    match rate.mode:
        case RateMode.D:
            return d_to_units(rate.value, schedule)
        case RateMode.QUALITY:
            return d_to_units(d_from_quality(rate.value), schedule)
        case _:
            return None


class TargetKind(Enum):
    """What a target bounds."""

    SIZE = "size"  # bytes of the file, at most
    PSNR = "psnr"  # dB over the decoded pixels, at least


@dataclass(frozen=True)
class Target:
    """The best quality within `value` bytes, or the smallest file with `value` dB."""

    kind: TargetKind
    value: float


def target_of(rate: Rate, width: int, height: int) -> Target:
    """What a rate that is a target means for a picture of this size."""
    match rate.mode:
        case RateMode.BPP:
            return Target(TargetKind.SIZE, rate.value * width * height / 8)
        case RateMode.SIZE:
            return Target(TargetKind.SIZE, rate.value)
        case RateMode.PSNR:
            return Target(TargetKind.PSNR, rate.value)
        case _:
            raise ValueError(f"{rate.mode} is not a target")


@dataclass(frozen=True)
class Found(Generic[Result]):
    """The outcome of a search: its d in units, what it gave, and whether it met the target."""

    d: int
    result: Result
    met: bool


def search(
    schedule: Schedule,
    target: Target,
    attempt: Callable[[int], Result],
    measure: Callable[[Result], float],
) -> Found[Result]:
    """The d that meets `target` most closely, by bisection in the logarithm of d.

    `attempt` codes at a d in units and `measure` gives the target's quantity of the outcome.
    Both size and PSNR fall as d grows. A target out of reach gives the nearest outcome.
    """
    by_size = target.kind is TargetKind.SIZE

    def small_enough(result: Result) -> bool:
        """Size: the bound holds, finer may do. PSNR: the bound is broken, finer must do."""
        value = measure(result)
        return value <= target.value if by_size else value < target.value

    low, high = schedule.d_low, schedule.d_high
    finest = attempt(low)
    if small_enough(finest):
        return Found(low, finest, by_size)
    coarsest = attempt(high)
    if not small_enough(coarsest):
        return Found(high, coarsest, not by_size)
    best_low, best_high = finest, coarsest
    while high - low > 1 and high / low > SEARCH_RATIO:
        middle = min(max(round(math.sqrt(low * high)), low + 1), high - 1)
        result = attempt(middle)
        if small_enough(result):
            high, best_high = middle, result
        else:
            low, best_low = middle, result
    return Found(high, best_high, True) if by_size else Found(low, best_low, True)
