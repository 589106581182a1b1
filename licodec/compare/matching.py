"""The search for the setting at which a codec comes nearest to a size or a quality."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable
from enum import StrEnum
from functools import cache


class Equal(StrEnum):
    """What codecs are made equal in, so that they compare by the other."""

    SIZE = "size"
    QUALITY = "quality"


def nearest(settings: range, difference: Callable[[int], float]) -> int:
    """The setting whose outcome is nearest to a target.

    `difference` is an outcome less its target; it rises with the setting, and is asked about
    log2(len(settings)) times. A target out of reach gives the setting at that end.
    """
    remembered = cache(difference)
    place = bisect_left(settings, 0.0, key=remembered)
    around = settings[max(0, place - 1) : place + 1]
    return min(around, key=lambda setting: abs(remembered(setting)))


def ratio(value: float, target: float) -> float:
    """How far a size is from another: even for twice and half of it."""
    return math.log(value / target)


def excess(value: float, target: float) -> float:
    """How far a quality is from another; 0 where both are infinite, the PSNR of equal pixels."""
    return 0.0 if value == target else value - target
