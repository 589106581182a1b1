"""AQVR's integers against the paper's formulas in exact fractions."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from licodec.entropy.adaptive import (
    adaptive_steps,
    divide_half_even,
    scale_indexes,
    step_range,
)

UNIT = 64


@given(st.integers(-(2**40), 2**40), st.integers(1, 2**30))
def test_division_rounds_half_to_even(numerator: int, denominator: int) -> None:
    result = divide_half_even(np.array([numerator]), np.array([denominator]))
    assert int(result[0]) == round(Fraction(numerator, denominator))


@given(st.integers(1, 4096), st.integers(0, 9))
def test_step_range_is_the_papers(d: int, index: int) -> None:
    count = 10
    lo, hi = step_range(d, UNIT, index, count)
    if d >= UNIT:
        assert (lo, hi) == (UNIT, UNIT + round(Fraction((d - UNIT) * (index + 1), count)))
    else:
        assert (lo, hi) == (d + round(Fraction((UNIT - d) * index, count)), UNIT)
    assert 1 <= lo <= hi


@given(st.lists(st.integers(0, 2**17), min_size=1, max_size=30), st.integers(1, 4096))
def test_steps_give_large_scales_the_fine_step(scales: list[int], d: int) -> None:
    scale = np.array(scales).reshape(1, 1, -1)
    least, largest = scale.min((1, 2)), scale.max((1, 2))
    lo, hi = step_range(d, UNIT, 1, 4)
    steps = adaptive_steps(scale, least, largest, (lo, hi))
    steps = np.broadcast_to(steps, scale.shape).ravel()
    for value, step in zip(scales, steps, strict=True):
        if max(scales) == min(scales):
            assert step == hi
        else:
            share = Fraction((value - min(scales)) * (hi - lo), max(scales) - min(scales))
            assert step == hi - round(share)
    order = np.argsort(scales, kind="stable")
    assert np.all(np.diff(steps[order]) <= 0)


@given(
    st.lists(st.integers(1, 2**20), min_size=1, max_size=8, unique=True),
    st.integers(-5, 2**17),
    st.integers(1, 4096),
)
def test_scale_index_counts_thresholds(thresholds: list[int], scale: int, step: int) -> None:
    thresholds = sorted(thresholds)
    expected = sum(scale * UNIT > t * step for t in thresholds)
    found = scale_indexes(np.array([scale]), np.array([step]), UNIT, np.array(thresholds))
    assert int(found[0]) == expected


def test_d_of_one_is_the_plain_codec() -> None:
    for index in range(5):
        assert step_range(UNIT, UNIT, index, 5) == (UNIT, UNIT)
