"""The search for a target: where it ends, and in how many attempts."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from licodec.rate.setting import Setting
from licodec.rate.targets import Axis, Found, Target, TargetKind, by_difference, by_ratio, search

LOW, HIGH, RATIO = 16, 4096, 1.004
SIZE, PSNR = TargetKind.SIZE, TargetKind.PSNR


def sought(
    target: Target, measure: Callable[[int], float], tried: list[int] | None = None
) -> Found[int]:
    def attempt(setting: Setting) -> int:
        if tried is not None:
            tried.append(setting.d)
        return setting.d

    return search(Axis(by_ratio(LOW, HIGH, 64, 4, RATIO), Setting), target, attempt, measure)


def assert_beside_the_target(found: Found[int], target: Target, measure) -> None:
    """It is the best integer that meets the target, or as near to it as searches go."""
    meets = [
        d
        for d in range(LOW, HIGH + 1)
        if (measure(d) <= target.value if target.kind is SIZE else measure(d) >= target.value)
    ]
    assert found.setting == Setting(found.result)
    assert found.met == bool(meets)
    if target.kind is SIZE:
        best = min(meets, default=HIGH)
        assert best <= found.result <= max(best * RATIO, best + 1)
    else:
        best = max(meets, default=LOW)
        assert best >= found.result >= min(best / RATIO, best - 1)


@given(st.floats(1, 1e6), st.sampled_from(TargetKind))
def test_search_ends_beside_the_target(value: float, kind: TargetKind) -> None:
    measure = {SIZE: lambda d: 1e6 / d, PSNR: lambda d: 5000 - d}[kind]
    assert_beside_the_target(sought(Target(kind, value), measure), Target(kind, value), measure)


@given(
    steps=st.lists(st.integers(LOW, HIGH), min_size=1, max_size=5),
    value=st.integers(0, 7),
    kind=st.sampled_from(TargetKind),
)
def test_outcomes_may_be_uneven(steps: list[int], value: int, kind: TargetKind) -> None:
    """Outcomes that stay the same for long, and jump."""

    def measure(d: int) -> float:
        return 1.0 + sum(d < step for step in steps)

    tried: list[int] = []
    target = Target(kind, value + 0.5)
    assert_beside_the_target(sought(target, measure, tried), target, measure)
    assert len(tried) <= 3 + 3 * math.log2(math.log(4) / math.log(RATIO))
    assert len(set(tried)) == len(tried)


@given(exact=st.integers(LOW, HIGH), value=st.floats(1, 60))
def test_equal_pixels_have_infinite_psnr(exact: int, value: float) -> None:
    def measure(d: int) -> float:
        return math.inf if d < exact else 60 - d / 100

    target = Target(PSNR, value)
    assert_beside_the_target(sought(target, measure), target, measure)


@given(exponent=st.floats(0.5, 1.2), bend=st.floats(0, 0.1), d=st.floats(20, 4000))
def test_few_attempts_are_needed(exponent: float, bend: float, d: float) -> None:
    """Sizes and PSNR as pictures have them."""

    def size(d: int) -> float:
        x = math.log(d / 64)
        return 5e4 * math.exp(-exponent * x - bend * x * abs(x))

    def quality(d: int) -> float:
        return 36 - 10 * exponent * math.log10(1 + (d / 64) ** 2)

    for kind, measure in ((SIZE, size), (PSNR, quality)):
        tried: list[int] = []
        target = Target(kind, measure(d))
        assert_beside_the_target(sought(target, measure, tried), target, measure)
        assert len(tried) <= 9


@pytest.mark.parametrize("value", [-1, 0, 7, 50, 99.5, 100, 101])
def test_an_interval_of_even_integers(value: float) -> None:
    axis = Axis(by_difference(0, 100, 50, 51, 1), Setting)
    found = search(axis, Target(PSNR, 100 - value), lambda s: s.d, lambda d: 100 - d)
    assert found.result == min(max(math.floor(value), 0), 100)
    assert found.met == (value >= 0)


def test_one_integer_is_a_search_too() -> None:
    axis = Axis(by_ratio(64, 64, 64, 4, RATIO), Setting)
    for kind, value, met in ((SIZE, 1, False), (SIZE, 3, True), (PSNR, 1, True), (PSNR, 3, False)):
        found = search(axis, Target(kind, value), lambda s: s.d, lambda d: 2)
        assert (found.result, found.met) == (64, met)
