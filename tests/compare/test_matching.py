"""The search for the setting that is nearest."""

from __future__ import annotations

import math

import pytest

from licodec.compare.matching import excess, nearest, ratio


@pytest.mark.parametrize(
    ("target", "found"), [(49, 7), (55, 7), (57, 8), (1, 3), (9, 3), (81, 9), (1000, 9)]
)
def test_the_nearest_of_squares(target: int, found: int) -> None:
    assert nearest(range(3, 10), lambda n: n * n - target) == found


def test_each_setting_is_asked_about_once_and_few_are() -> None:
    asked: list[int] = []

    def difference(setting: int) -> float:
        asked.append(setting)
        return setting - 37.4

    assert nearest(range(1, 101), difference) == 37
    assert len(asked) == len(set(asked)) <= 8


def test_what_is_infinite_is_nearest_to_the_infinite() -> None:
    values = [30.0, 40.0, math.inf]
    assert nearest(range(3), lambda n: excess(values[n], math.inf)) == 2
    assert nearest(range(3), lambda n: excess(values[n], 41.0)) == 1


def test_sizes_differ_by_their_ratio() -> None:
    assert ratio(200, 100) == -ratio(50, 100) > 0 == ratio(7, 7)
