"""The rate as a file states it, in integers, and how the numbers of users become it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from licodec.errors import UsageError
from licodec.exact.schedule import Schedule
from licodec.rate.gains import ANCHOR, GAIN_ONE, Gains

NEUTRAL_QUALITY = 75.0  # the quality that is d = 1
QUALITY_PER_DOUBLING = 12.5  # 0 is d = 64, 100 is d = 0.25


@dataclass(frozen=True)
class Setting:
    """The rate as a file states it: d in its units, and the adapters' gains.

    objective  of the adapter set; None at the anchor
    """

    d: int
    gains: Gains = ANCHOR
    objective: str | None = None


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


def d_from_quality(quality: float) -> float:
    """d = 2^((75 - q) / 12.5) for a quality of 0 to 100. Raises UsageError."""
    if not 0 <= quality <= 100:
        raise UsageError(f"quality {quality:g} is out of range: 0 (smallest) to 100 (best)")
    return 2 ** ((NEUTRAL_QUALITY - quality) / QUALITY_PER_DOUBLING)


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
