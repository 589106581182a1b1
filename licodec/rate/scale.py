"""What a rate means for a pack: of `d`, `alpha` and `beta` those that files state.

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
from collections.abc import Sequence
from dataclasses import dataclass, replace

from licodec.errors import UsageError
from licodec.exact.schedule import Schedule
from licodec.rate.gains import ANCHOR, BETA, GAIN_ONE, MODES, Gains
from licodec.rate.modes import Rate, RateMode
from licodec.rate.setting import Setting, d_to_units, gain_to_units, quality_to_d
from licodec.rate.targets import Axis, by_difference, by_ratio

SEARCH_RATIO = 1.004  # a search ends when its d is known this closely: under 0.5 % of size
SEARCH_STRIDE = 4.0  # factor of d between a search's first attempts
SEARCH_GAIN = GAIN_ONE // 512  # and one over alpha when it is known this closely
DEFAULT_OBJECTIVE = "mse"
_MODES_IN_WORDS = {"d": "d (also as a quality or a target)", "alpha": "alpha", "beta": "beta"}


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
        """The modes, of "d", "alpha" and "beta", that the pack has."""
        takes_d = ("d",) if self.schedule.d_low < self.schedule.d_high else ()
        found = {mode for own in self.adapters for mode in own.modes}
        return (*takes_d, *(mode for mode in MODES if mode in found))

    @property
    def neutral_d(self) -> int:
        return self.schedule.d_unit

    def setting(self, rate: Rate) -> Setting | None:
        """The rate as the file will state it, or None where it is a target to search.

        Raises UsageError for a value out of range, and for a mode that the pack does not have:
        the message lists what it has.
        """
        match rate.mode:
            case RateMode.D:
                return self._setting(rate, self._gains_beside_d(rate), rate.value)
            case RateMode.ALPHA:
                self._require("alpha")
                gains = Gains(gain_to_units("alpha", rate.value), gain_to_units("beta", rate.beta))
                return self._setting(rate, gains, rate.d)
            case RateMode.BETA:
                return self._setting(rate, Gains(0, gain_to_units("beta", rate.value)), rate.d)
            case RateMode.QUALITY:
                d = quality_to_d(rate.value, self.schedule)
                if not self._goes_over_alpha(rate):
                    return self.setting(replace(rate, mode=RateMode.D, value=d))
                if not self._scaled_for(rate).brings_d(self.neutral_d):
                    alpha = 1 - rate.value / 100
                    return self.setting(replace(rate, mode=RateMode.ALPHA, value=alpha))
                return self.axis(rate).setting(d_to_units(d, self.schedule))
            case _:
                self.axis(rate)
                return None

    def axis(self, rate: Rate) -> Axis:
        """What a quality or a target of `rate` goes over.

        That is d, or alpha with the d that goes with it, d alone going on beyond alpha's ends; or
        alpha alone, where d does not go with it. Raises UsageError for what the pack lacks.
        """
        schedule, neutral = self.schedule, self.neutral_d
        start = min(max(neutral, schedule.d_low), schedule.d_high)
        whole = by_ratio(schedule.d_low, schedule.d_high, start, SEARCH_STRIDE, SEARCH_RATIO)
        if not self._goes_over_alpha(rate):
            self._require("d")
            beside = self._setting(rate, self._gains_beside_d(rate), 1.0)
            return Axis(whole, lambda d: replace(beside, d=d))
        beta, own = gain_to_units("beta", rate.beta), self._scaled_for(rate)
        if not own.brings_d(neutral):
            alphas = by_difference(0, GAIN_ONE, GAIN_ONE // 2, GAIN_ONE // 2 + 1, SEARCH_GAIN)
            return Axis(alphas, lambda alpha: _stated(neutral, Gains(alpha, beta), own))
        return Axis(whole, lambda d: _stated(d, Gains(own.alpha_at(d, neutral), beta), own))

    def adapters_for(self, gains: Gains, objective: str | None = None) -> AdapterRates:
        """The adapter set to encode with: the one for `objective`, or without one the first that
        has what `gains` need, before all one for DEFAULT_OBJECTIVE.

        Raises UsageError where there is none; the message lists what there is.
        """
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

    def _setting(self, rate: Rate, gains: Gains, d: float | None) -> Setting:
        """Gains with the d that was given, or else the one that goes with alpha."""
        if d not in (None, 1):
            self._require("d")
        objective = None if rate.objective == self.objective else rate.objective
        at_anchor = gains.neutral and objective is None
        own = None if at_anchor else self.adapters_for(gains, objective)
        if d is not None:
            units = d_to_units(d, self.schedule)
        else:
            units = self.neutral_d if own is None else own.d_at(gains.alpha, self.neutral_d)
        return _stated(units, gains, own)

    def _goes_over_alpha(self, rate: Rate) -> bool:
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

    def _scaled_for(self, rate: Rate) -> AdapterRates:
        """The adapter set whose alpha a quality or a target of `rate` goes over."""
        return self.adapters_for(Gains(GAIN_ONE, gain_to_units("beta", rate.beta)), rate.objective)

    def _require(self, mode: str) -> None:
        if mode not in self.modes:
            has = ", ".join(_MODES_IN_WORDS[mode] for mode in self.modes) or "one rate only"
            raise UsageError(f"the pack {self.title} has no {mode}; it has {has}")


def _stated(d: int, gains: Gains, own: AdapterRates | None) -> Setting:
    return Setting(d, gains, None if own is None or gains.neutral else own.objective)
