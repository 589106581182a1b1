"""The rate mode: `d`, `alpha` and `beta`, the quality scale, and searches for a target.

AQVR's d > 0 multiplies quantization steps: 1 is the trained codec, larger is smaller
files. Files and searches count it in units of 2^-g (the pack's latent fraction bits).
CALICE's alpha in [0, 1] scales a pack's adapters: 0 is the trained codec, 1 the smallest
files; beta in [0, 1] trades fidelity for realism. Both count in units of 1/65535.

Quality and targets go over d; where a pack has no d, over alpha.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Generic, TypeVar

from licodec.errors import UsageError
from licodec.exact.gains import ANCHOR, GAIN_ONE, Gains

if TYPE_CHECKING:  # the command line's options come from here, and `--help` loads no NumPy
    from licodec.exact.schedule import Schedule

Result = TypeVar("Result")

NEUTRAL_QUALITY = 75.0  # the quality that is d = 1
QUALITY_PER_DOUBLING = 12.5  # 0 is d = 64, 100 is d = 0.25
SEARCH_RATIO = 1.004  # a search ends when its d is known this closely: under 0.5 % of size
SEARCH_GAIN = GAIN_ONE // 512  # and one over alpha when it is known this closely


class RateMode(Enum):
    """The ways to say how large a file may be, by their names in Python.

    BETA is not one by itself, but goes with ALPHA or, alone, with its 0.
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

    beta  the second value of mode ALPHA, 0 with all others
    """

    mode: RateMode = RateMode.D
    value: float = 1.0
    beta: float = 0.0


def choose_rate(values: Mapping[RateMode, float | None], name: Callable[[RateMode], str]) -> Rate:
    """The one rate mode that has a value, or d = 1; `name` is what its user calls a mode.

    Raises UsageError where several are given or a target is not above 0.
    """
    given = [Rate(mode, value) for mode, value in values.items() if value is not None]
    if [rate.mode for rate in given] == [RateMode.ALPHA, RateMode.BETA]:
        alpha, beta = given
        return Rate(RateMode.ALPHA, alpha.value, beta.value)
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


def gain_to_units(name: str, value: float) -> int:
    """Alpha or beta in units of 1/65535. Raises UsageError outside 0 to 1."""
    if not 0 <= value <= 1:
        raise UsageError(f"{name} {value:g} is out of range: give 0 to 1")
    return round(value * GAIN_ONE)


@dataclass(frozen=True)
class Setting:
    """The rate as a file states it: d in units of 2^-g, and the adapters' gains."""

    d: int
    gains: Gains = ANCHOR


@dataclass(frozen=True)
class RateScale:
    """What a pack's rate can be.

    title  the pack's, for messages
    modes  those that it has, of "d", "alpha" and "beta"
    """

    title: str
    schedule: Schedule
    modes: Sequence[str]

    @property
    def neutral_d(self) -> int:
        return 1 << self.schedule.latent_fraction_bits

    @property
    def goes_over_alpha(self) -> bool:
        """Whether quality and targets mean alpha."""
        return "d" not in self.modes and "alpha" in self.modes

    def setting(self, rate: Rate) -> Setting | None:
        """The rate as the file will state it, or None where it is a target to search.

        Raises UsageError for a value out of range, and for a mode that the pack does not have:
        the message lists what it has.
        """
        match rate.mode:
            case RateMode.D:
                if rate.value != 1:
                    self._require("d")
                return Setting(d_to_units(rate.value, self.schedule))
            case RateMode.QUALITY:
                units = d_from_quality(rate.value)  # refuses what is out of range
                if self.goes_over_alpha:
                    return self._with_gains(1 - rate.value / 100, 0)
                self._require("d")
                return Setting(d_to_units(units, self.schedule))
            case RateMode.ALPHA:
                self._require("alpha")
                return self._with_gains(rate.value, rate.beta)
            case RateMode.BETA:
                return self._with_gains(0, rate.value)
            case _:
                if not self.goes_over_alpha:
                    self._require("d")
                return None

    def _with_gains(self, alpha: float, beta: float) -> Setting:
        if beta:
            self._require("beta")
        gains = Gains(gain_to_units("alpha", alpha), gain_to_units("beta", beta))
        return Setting(self.neutral_d, gains)

    def _require(self, mode: str) -> None:
        if mode not in self.modes:
            has = ", ".join(_MODES_IN_WORDS[mode] for mode in self.modes) or "one rate only"
            raise UsageError(f"the pack {self.title} has no {mode}; it has {has}")


_MODES_IN_WORDS = {"d": "d (also as a quality or a target)", "alpha": "alpha", "beta": "beta"}


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
    """The outcome of a search: its setting, what it gave, and whether it met the target."""

    setting: Setting
    result: Result
    met: bool


def search(
    scale: RateScale,
    target: Target,
    attempt: Callable[[Setting], Result],
    measure: Callable[[Result], float],
) -> Found[Result]:
    """The d, or where the pack has none the alpha, that meets `target` most closely.

    `attempt` codes at a setting and `measure` gives the target's quantity of the outcome.
    Both size and PSNR fall as d or alpha grows. A target out of reach gives the nearest
    outcome.
    """
    if scale.goes_over_alpha:

        def over_alpha(alpha: int) -> Setting:
            return Setting(scale.neutral_d, Gains(alpha=alpha))

        interval = Interval(0, GAIN_ONE, lambda low, high: (low + high) // 2, SEARCH_GAIN, 1)
        return _bisect(interval, over_alpha, target, attempt, measure)
    schedule = scale.schedule
    interval = Interval(
        schedule.d_low, schedule.d_high, lambda low, high: round(math.sqrt(low * high)), 1,
        SEARCH_RATIO,
    )  # fmt: skip
    return _bisect(interval, Setting, target, attempt, measure)


@dataclass(frozen=True)
class Interval:
    """Where a search goes: integers from `low` to `high`, halved at `middle`, until what is left
    is no wider than `width` or its ends' ratio no larger than `ratio`."""

    low: int
    high: int
    middle: Callable[[int, int], int]
    width: int
    ratio: float

    def is_narrow(self, low: int, high: int) -> bool:
        return high - low <= self.width or high <= low * self.ratio


def _bisect(
    interval: Interval,
    setting: Callable[[int], Setting],
    target: Target,
    attempt: Callable[[Setting], Result],
    measure: Callable[[Result], float],
) -> Found[Result]:
    by_size = target.kind is TargetKind.SIZE

    def small_enough(result: Result) -> bool:
        """Size: the bound holds, finer may do. PSNR: the bound is broken, finer must do."""
        value = measure(result)
        return value <= target.value if by_size else value < target.value

    low, high = interval.low, interval.high
    finest = attempt(setting(low))
    if small_enough(finest):
        return Found(setting(low), finest, by_size)
    coarsest = attempt(setting(high))
    if not small_enough(coarsest):
        return Found(setting(high), coarsest, not by_size)
    best_low, best_high = finest, coarsest
    while not interval.is_narrow(low, high):
        middle = min(max(interval.middle(low, high), low + 1), high - 1)
        result = attempt(setting(middle))
        if small_enough(result):
            high, best_high = middle, result
        else:
            low, best_low = middle, result
    if by_size:
        return Found(setting(high), best_high, True)
    return Found(setting(low), best_low, True)
