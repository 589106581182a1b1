"""The search for the setting that meets a target: so many bytes, or so much PSNR."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Generic, TypeVar

from licodec.rate.modes import Rate, RateMode
from licodec.rate.setting import Setting

Result = TypeVar("Result")

BISECT_EVERY = 3  # attempts: however uneven the outcomes are, a search ends


class TargetKind(Enum):
    """What a target bounds."""

    SIZE = "size"  # bytes of the file, at most
    PSNR = "psnr"  # dB over the decoded pixels, at least


@dataclass(frozen=True)
class Target:
    """The best quality within `value` bytes, or the smallest file with `value` dB."""

    kind: TargetKind
    value: float

    def is_passed(self, value: float) -> bool:
        """Whether a setting with this outcome is so coarse that the answer is no coarser: of
        sizes one that fits, of PSNR one that falls short."""
        return value <= self.value if self.kind is TargetKind.SIZE else value < self.value

    def distance(self, value: float) -> float:
        """From the target to an outcome, on a scale on which both change evenly with rate."""
        return math.log(value / self.value) if self.kind is TargetKind.SIZE else value - self.value


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
class Interval:
    """Integers, and a scale on which outcomes change evenly with them.

    low, high  the ends
    start      where a search begins
    stride     on the scale: how far it steps to get the answer between two attempts
    width      on the scale: a search ends when the answer is known this closely
    place      an integer's place on the scale
    at         the integer nearest to a place
    """

    low: int
    high: int
    start: int
    stride: float
    width: float
    place: Callable[[int], float]
    at: Callable[[float], int]

    def is_narrow(self, low: int, high: int) -> bool:
        return high - low <= 1 or self.place(high) - self.place(low) <= self.width

    def beyond(self, n: int, direction: int) -> int:
        """The integer a stride away from `n`, up (1) or down (-1), as far as the ends."""
        moved = self.at(self.place(n) + direction * self.stride)
        return min(max(moved, self.low), self.high)

    def between(self, low: int, high: int, share: float) -> int:
        """An integer strictly between two, about at `share` of the way on the scale: never so near
        to one of them that the search would not end where the answer lies just there."""
        start, stop = self.place(low), self.place(high)
        margin = min(self.width, stop - start) / 2
        place = min(max(start + share * (stop - start), start + margin), stop - margin)
        return min(max(self.at(place), low + 1), high - 1)


def by_ratio(low: int, high: int, start: int, stride: float, ratio: float) -> Interval:
    """An interval whose scale is logarithmic; `stride` and the `ratio` to end at are factors."""
    return Interval(
        low, high, start, math.log(stride), math.log(ratio), math.log, lambda x: round(math.exp(x))
    )


def by_difference(low: int, high: int, start: int, stride: int, width: int) -> Interval:
    """An interval whose scale is that of the integers themselves."""
    return Interval(low, high, start, stride, width, float, round)


@dataclass(frozen=True)
class Axis:
    """What a search goes over: integers, and the setting that each means."""

    interval: Interval
    setting: Callable[[int], Setting]

    @property
    def objective(self) -> str | None:
        """Of the adapter set that the coarsest setting uses, None where none does."""
        return self.setting(self.interval.high).objective


@dataclass(frozen=True)
class Found(Generic[Result]):
    """The outcome of a search: its setting, what it gave, and whether it met the target."""

    setting: Setting
    result: Result
    met: bool


@dataclass(frozen=True)
class _Attempt(Generic[Result]):
    place: int
    result: Result
    passed: bool
    distance: float


def search(
    axis: Axis,
    target: Target,
    attempt: Callable[[Setting], Result],
    measure: Callable[[Result], float],
) -> Found[Result]:
    """The setting on `axis` that meets `target` most closely.

    `attempt` codes at a setting and `measure` gives the target's quantity of the outcome.
    Both size and PSNR fall along the axis. A target out of reach gives the nearest outcome.
    Attempts are few: strides until the answer lies between two, then the Illinois method.
    """
    interval, by_size = axis.interval, target.kind is TargetKind.SIZE

    def attempted(place: int) -> _Attempt[Result]:
        result = attempt(axis.setting(place))
        value = measure(result)
        return _Attempt(place, result, target.is_passed(value), target.distance(value))

    def found(best: _Attempt[Result], met: bool) -> Found[Result]:
        return Found(axis.setting(best.place), best.result, met)

    here = attempted(interval.start)
    finer = coarser = here
    while finer.passed or not coarser.passed:
        end = interval.low if here.passed else interval.high
        if here.place == end:
            return found(here, here.passed is by_size)
        here = attempted(interval.beyond(here.place, -1 if here.passed else 1))
        finer, coarser = (finer, here) if here.passed else (here, coarser)

    count = again = 0  # attempts, and those in a row that fell on the same side
    while not interval.is_narrow(finer.place, coarser.place):
        # The end that stays counts less and less, so that attempts come to its side.
        ends = [finer.distance, -coarser.distance]
        ends[0 if here.passed else 1] *= 0.5**again
        count += 1
        # The PSNR of equal pixels is infinite, and says nothing of how far the answer is.
        even = count % BISECT_EVERY == 0 or not 0 < sum(ends) < math.inf
        share = 0.5 if even else ends[0] / sum(ends)
        side = here.passed
        here = attempted(interval.between(finer.place, coarser.place, share))
        finer, coarser = (finer, here) if here.passed else (here, coarser)
        again = again + 1 if here.passed is side else 0
    return found(coarser if by_size else finer, True)
