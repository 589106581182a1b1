"""The rate mode: `d`, `alpha` and `beta`, the quality scale, and what targets mean.

AQVR's d > 0 multiplies quantization steps: 1 is the trained codec, larger is smaller
files. Files and searches count it in units of a power of two, the pack's.
CALICE's alpha in [0, 1] scales a pack's adapters: 0 is the trained codec, 1 the smallest
files; beta in [0, 1] trades fidelity for realism. Both count in units of 1/65535.

Quality and targets go over d; where a pack has no d, or an objective or a beta is given, over
alpha. An adapter set says which d goes with alpha = 1; with an alpha below it goes that to the
power of alpha.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING

from licodec.errors import UsageError
from licodec.rate.gains import ANCHOR, BETA, GAIN_ONE, MODES, Gains
from licodec.rate.targets import Axis, Target, TargetKind, by_difference, by_ratio

if TYPE_CHECKING:  # the command line's options come from here, and `--help` loads no NumPy
    from licodec.exact.schedule import Schedule

NEUTRAL_QUALITY = 75.0  # the quality that is d = 1
QUALITY_PER_DOUBLING = 12.5  # 0 is d = 64, 100 is d = 0.25
SEARCH_RATIO = 1.004  # a search ends when its d is known this closely: under 0.5 % of size
SEARCH_STRIDE = 4.0  # factor of d between a search's first attempts
SEARCH_GAIN = GAIN_ONE // 512  # and one over alpha when it is known this closely


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


TARGETS = (RateMode.BPP, RateMode.SIZE, RateMode.PSNR)
DEFAULT_OBJECTIVE = "mse"


@dataclass(frozen=True)
class Rate:
    """One rate mode and its value: d, quality, bits per pixel, bytes, dB, alpha or beta.

    beta       beside any other mode; 0 is without
    d          beside mode ALPHA, instead of the d that goes with that alpha
    objective  what the adapters were trained for; None leaves the choice to the pack
    """

    mode: RateMode = RateMode.D
    value: float = 1.0
    beta: float = 0.0
    d: float | None = None
    objective: str | None = None


def choose_rate(
    values: Mapping[RateMode, float | None],
    name: Callable[[RateMode], str],
    objective: str | None = None,
) -> Rate:
    """The one rate mode that has a value, or d = 1; `name` is what its user calls a mode.

    Beta may stand beside any other, and d beside alpha. Raises UsageError where others are
    given together, and where a target is not above 0.
    """
    given = {mode: value for mode, value in values.items() if value is not None}
    beta = given.pop(RateMode.BETA, None)
    d = given.pop(RateMode.D, None) if RateMode.ALPHA in given else None
    if len(given) > 1:
        first, second = map(name, list(given)[:2])
        raise UsageError(f"{first} and {second} exclude each other; give one of them")
    (mode, value), *_ = [*given.items(), (RateMode.D, 1.0)]
    if mode in TARGETS and not 0 < value < math.inf:
        raise UsageError(f"{name(mode)} {value:g}: give a number above 0")
    if not given and beta is not None:
        return Rate(RateMode.BETA, beta, objective=objective)
    return Rate(mode, value, beta or 0.0, d, objective)


def d_from_quality(quality: float) -> float:
    """d = 2^((75 - q) / 12.5) for a quality of 0 to 100. Raises UsageError."""
    if not 0 <= quality <= 100:
        raise UsageError(f"quality {quality:g} is out of range: 0 (smallest) to 100 (best)")
    return 2 ** ((NEUTRAL_QUALITY - quality) / QUALITY_PER_DOUBLING)


def d_to_units(d: float, schedule: Schedule) -> int:
    """d in the pack's units. Raises UsageError outside the pack's range."""
    unit = schedule.d_unit
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
    """The rate as a file states it: d in its units, and the adapters' gains.

    objective  of the adapter set; None at the anchor
    """

    d: int
    gains: Gains = ANCHOR
    objective: str | None = None


@dataclass(frozen=True)
class AdapterRates:
    """What an adapter set does for the rate.

    objective  what it was trained for
    modes      what it scales by, "alpha", "beta" or both
    d          that goes with alpha = 1, in its units; the neutral one where alpha
               leaves it alone
    """

    objective: str
    modes: tuple[str, ...]
    d: int

    def brings_d(self, neutral: int) -> bool:
        """Whether a coarser d goes with its alpha."""
        return self.d > neutral

    def d_at(self, alpha: int, neutral: int) -> int:
        """The d that goes with an alpha: geometric between the neutral one and the set's."""
        return round(neutral * (self.d / neutral) ** (alpha / GAIN_ONE))

    def alpha_at(self, d: int, neutral: int) -> int:
        """The alpha that goes with a d, or the nearest to it."""
        share = math.log(d / neutral) / math.log(self.d / neutral)
        return round(GAIN_ONE * min(max(share, 0.0), 1.0))

    def __str__(self) -> str:
        return f"{self.objective} ({', '.join(self.modes)})"


def modes_of(schedule: Schedule, adapters: Sequence[AdapterRates]) -> tuple[str, ...]:
    """The modes, of "d", "alpha" and "beta", that a pack has."""
    takes_d = ("d",) if schedule.d_low < schedule.d_high else ()
    found = {mode for own in adapters for mode in own.modes}
    return (*takes_d, *(mode for mode in MODES if mode in found))


def quality_to_d(quality: float, schedule: Schedule) -> float:
    """The d of a quality of 0 to 100. Raises UsageError.

    A network that knows d covers its range: 0 is the coarsest d, NEUTRAL_QUALITY 1, 100 the finest,
    geometric between them. Others have ``d_from_quality``.
    """
    d = d_from_quality(quality)  # refuses what is out of range
    if not schedule.knots:
        return d
    low, high = schedule.d_low / schedule.d_unit, schedule.d_high / schedule.d_unit
    if quality < NEUTRAL_QUALITY:
        return high ** (1 - quality / NEUTRAL_QUALITY)
    return low ** ((quality - NEUTRAL_QUALITY) / (100 - NEUTRAL_QUALITY))


@dataclass(frozen=True)
class RateScale:
    """What a pack's rate can be.

    title      the pack's, for messages
    adapters   its adapter sets
    objective  what the pack itself was trained for, where it says so
    """

    title: str
    schedule: Schedule
    adapters: Sequence[AdapterRates] = ()
    objective: str | None = None

    @property
    def modes(self) -> tuple[str, ...]:
        return modes_of(self.schedule, self.adapters)

    @property
    def neutral_d(self) -> int:
        return self.schedule.d_unit

    def goes_over_alpha(self, rate: Rate) -> bool:
        """Whether a quality or a target means alpha: where adapters that have it are asked for, and
        where there is no d."""
        if "d" not in self.modes and "alpha" in self.modes:
            return True
        if rate.objective in (None, self.objective) and rate.beta == 0:
            return False
        return not self._leads_by_beta_alone(rate)

    def _leads_by_beta_alone(self, rate: Rate) -> bool:
        """Whether the adapter sets that a rate may mean have beta and no alpha."""
        named = [own for own in self.adapters if rate.objective in (None, own.objective)]
        return bool(named) and all(own.modes == (BETA,) for own in named)

    def _gains_beside_d(self, rate: Rate) -> Gains:
        """The gains of a rate that goes over d. An objective whose set has beta alone means all of
        it, unless a beta is given. Raises UsageError for one that leaves the choice to alpha."""
        if rate.objective in (None, self.objective) or rate.beta:
            return Gains(0, gain_to_units("beta", rate.beta))
        if self._leads_by_beta_alone(rate):
            return Gains(0, GAIN_ONE)
        self.adapters_for(ANCHOR, rate.objective)  # refuses what the pack lacks
        raise UsageError(
            f"the objective {rate.objective} chooses adapters; give a rate that they serve beside "
            "it: alpha, beta, a quality or a target"
        )

    def adapters_for(self, gains: Gains, objective: str | None = None) -> AdapterRates | None:
        """The adapter set to encode with: none at the anchor, the one for `objective`, or without
        one the first that has what `gains` need, before all one for DEFAULT_OBJECTIVE.

        Raises UsageError where there is none; the message lists what there is.
        """
        if gains.neutral and objective is None:
            return None
        wanted = [mode for mode, gain in gains.by_mode().items() if gain]
        for mode in wanted:
            self._require(mode)
        named = [own for own in self.adapters if objective in (None, own.objective)]
        able = [own for own in named if {*wanted} <= {*own.modes}]
        if not able:
            of = f" of {' and '.join(wanted)}" if wanted else ""
            trained = "" if objective is None else f" for the objective {objective}"
            has = ", ".join(map(str, self.adapters)) or "none"
            raise UsageError(f"the pack {self.title} has no adapters{of}{trained}; it has {has}")
        return next((own for own in able if own.objective == DEFAULT_OBJECTIVE), able[0])

    def setting(self, rate: Rate) -> Setting | None:
        """The rate as the file will state it, or None where it is a target to search.

        Raises UsageError for a value out of range, and for a mode that the pack does not have:
        the message lists what it has.
        """
        match rate.mode:
            case RateMode.D:
                return self._with_d(rate.value, self._gains_beside_d(rate), rate)
            case RateMode.ALPHA:
                self._require("alpha")
                return self._with_alpha(rate.value, rate)
            case RateMode.BETA:
                return self._with_gains(Gains(0, gain_to_units("beta", rate.value)), rate)
            case RateMode.QUALITY:
                d = quality_to_d(rate.value, self.schedule)
                if not self.goes_over_alpha(rate):
                    return self._with_d(d, self._gains_beside_d(rate), rate)
                own = self._scaled_for(rate)
                if not own.brings_d(self.neutral_d):
                    return self._with_alpha(1 - rate.value / 100, rate)
                return self.axis(rate).setting(d_to_units(d, self.schedule))
            case _:
                self.axis(rate)
                return None

    def _with_d(self, d: float, gains: Gains, rate: Rate) -> Setting:
        if d != 1:
            self._require("d")
        return replace(self._with_gains(gains, rate), d=d_to_units(d, self.schedule))

    def _with_alpha(self, alpha: float, rate: Rate) -> Setting:
        gains = Gains(gain_to_units("alpha", alpha), gain_to_units("beta", rate.beta))
        return self._with_gains(gains, rate)

    def _with_gains(self, gains: Gains, rate: Rate) -> Setting:
        """With the d that was given, or else the one that goes with alpha."""
        objective = None if rate.objective == self.objective else rate.objective
        own = self.adapters_for(gains, objective)
        d = self.neutral_d if own is None else own.d_at(gains.alpha, self.neutral_d)
        if rate.d is not None:
            if rate.d != 1:
                self._require("d")
            d = d_to_units(rate.d, self.schedule)
        return Setting(d, gains, None if own is None or gains.neutral else own.objective)

    def axis(self, rate: Rate) -> Axis:
        """What a quality or a target of `rate` goes over.

        That is d, or alpha with the d that goes with it, d alone going on beyond alpha's ends; or
        alpha alone, where d does not go with it. Raises UsageError for what the pack lacks.
        """
        schedule, neutral = self.schedule, self.neutral_d
        start = min(max(neutral, schedule.d_low), schedule.d_high)
        whole = by_ratio(schedule.d_low, schedule.d_high, start, SEARCH_STRIDE, SEARCH_RATIO)
        if not self.goes_over_alpha(rate):
            self._require("d")
            setting = self._with_d(1.0, self._gains_beside_d(rate), rate)
            return Axis(whole, lambda d: replace(setting, d=d))
        beta, own = gain_to_units("beta", rate.beta), self._scaled_for(rate)

        def setting(d: int, alpha: int) -> Setting:
            gains = Gains(alpha, beta)
            return Setting(d, gains, None if gains.neutral else own.objective)

        if not own.brings_d(neutral):
            alphas = by_difference(0, GAIN_ONE, GAIN_ONE // 2, GAIN_ONE // 2 + 1, SEARCH_GAIN)
            return Axis(alphas, lambda alpha: setting(neutral, alpha))
        return Axis(whole, lambda d: setting(d, own.alpha_at(d, neutral)))

    def adapters_of_target(self, rate: Rate) -> AdapterRates | None:
        """The adapter set that a target of `rate` may use, None where it uses none."""
        if self.goes_over_alpha(rate):
            return self._scaled_for(rate)
        setting = self._with_d(1.0, self._gains_beside_d(rate), rate)
        return self.adapters_for(setting.gains, setting.objective)

    def _scaled_for(self, rate: Rate) -> AdapterRates:
        """The adapter set whose alpha a quality or a target of `rate` goes over."""
        return self.adapters_for(Gains(GAIN_ONE, gain_to_units("beta", rate.beta)), rate.objective)

    def _require(self, mode: str) -> None:
        if mode not in self.modes:
            has = ", ".join(_MODES_IN_WORDS[mode] for mode in self.modes) or "one rate only"
            raise UsageError(f"the pack {self.title} has no {mode}; it has {has}")


_MODES_IN_WORDS = {"d": "d (also as a quality or a target)", "alpha": "alpha", "beta": "beta"}


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
