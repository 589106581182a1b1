"""Curves: measured once, smoothed, estimated, bisected."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from licodec.fmpq.curves import NOISE, Curves, Layer, expected_zeta, falling

CHOICES = (2, 3, 4, 5, 6, 7, 8)
LAYER = Layer("a", 10, CHOICES)
values = st.lists(st.floats(-1, 10), min_size=7, max_size=7)
tolerances = st.floats(1e-6, 11)


def counted(zeta: list[float]) -> tuple[Curves, Counter]:
    calls: Counter = Counter()

    def measure(name: str, width: int) -> float:
        calls[name, width] += 1
        return zeta[CHOICES.index(width)]

    return Curves([LAYER], measure), calls


@given(values)
def test_smoothing_falls_and_keeps_the_sum(zeta: list[float]) -> None:
    found = falling(zeta)
    assert all(a >= b - 1e-9 for a, b in pairwise(found))
    assert abs(sum(found) - sum(zeta)) < 1e-6


def test_what_falls_already_is_kept() -> None:
    assert falling([3.0, 2.0, 2.0, -1.0]) == [3.0, 2.0, 2.0, -1.0]


@given(st.dictionaries(st.sampled_from(CHOICES), st.floats(-1, 10)))
def test_the_estimate_falls_and_is_above_zero(measured: dict[int, float]) -> None:
    found = list(expected_zeta(measured, CHOICES).values())
    assert all(a >= b > 0 for a, b in pairwise(found))


@given(st.floats(1e-3, 100), st.sampled_from(CHOICES))
def test_the_law_fills_in_what_was_not_measured(strength: float, width: int) -> None:
    law = {b: strength * 4.0**-b for b in CHOICES}
    found = expected_zeta({width: law[width]}, CHOICES)
    assert found == pytest.approx(law)


def test_noise_cannot_make_bits_worthless() -> None:
    """A layer that is known to lose at 3 bits: at 5 what was measured is within the noise."""
    found = expected_zeta({3: 0.02, 5: -NOISE}, CHOICES)
    assert 0 < found[5] < 0.02 / 16
    assert found[4] > found[5] >= found[6]
    # What stands out of the noise counts as it was measured.
    assert expected_zeta({3: 0.02, 5: 0.01}, CHOICES)[5] == pytest.approx(0.01, rel=0.05)


@given(values.map(lambda v: sorted(v, reverse=True)), tolerances)
def test_the_published_rule_on_falling_values(zeta: list[float], tolerance: float) -> None:
    curves, calls = counted(zeta)
    below = [b for b, value in zip(CHOICES, zeta, strict=True) if value < tolerance]
    assert curves.least_width(LAYER, tolerance) == min(below, default=8)
    assert curves.evaluations == len(calls) <= 3


@given(values, st.lists(tolerances, min_size=1, max_size=9))
def test_nothing_is_measured_twice(zeta: list[float], asked: list[float]) -> None:
    curves, calls = counted(zeta)
    for tolerance in asked:
        curves.least_width(LAYER, tolerance)
    assert max(calls.values()) == 1


@given(values, tolerances, tolerances)
def test_a_larger_tolerance_never_takes_more_bits(zeta: list[float], a: float, b: float) -> None:
    curves, _ = counted(zeta)
    for width in CHOICES:
        curves.zeta(LAYER, width)
    assert curves.least_width(LAYER, max(a, b)) <= curves.least_width(LAYER, min(a, b))
