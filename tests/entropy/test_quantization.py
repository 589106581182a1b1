"""The encoder's choice of symbols against a search over all of them."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from licodec.entropy.quantization import (
    COST_UNIT,
    ESCAPE_BITS,
    SymbolCosts,
    nearest_symbols,
    rdoq_symbols,
)
from licodec.entropy.tables import TOTAL, FrequencyTables

TABLES = FrequencyTables(
    (
        np.array([100, 1000, TOTAL - 2200, 1000, 100], np.int32),
        np.array([TOTAL // 4, TOTAL // 2, TOTAL // 4 - 1, 1], np.int32),
    ),
    np.array([-1, -1], np.int32),
)
COSTS = SymbolCosts.of_tables(TABLES)


def bits(frequency: int) -> int:
    return round((16 - math.log2(frequency)) * COST_UNIT)


def test_costs_are_those_of_the_tables() -> None:
    values = np.array([-1, 0, 1, 2, 3, -2, -1, 0, 1, 2])
    indexes = np.array([0] * 6 + [1] * 4)
    escape = bits(100) + ESCAPE_BITS * COST_UNIT
    first = [bits(100), bits(1000), bits(TOTAL - 2200), bits(1000), escape, escape]
    second = [2 * COST_UNIT, COST_UNIT, bits(TOTAL // 4 - 1), 16 * COST_UNIT + 8 * COST_UNIT]
    assert COSTS.of(values, indexes).tolist() == first + second


@given(
    st.lists(st.integers(-400, 400), min_size=1, max_size=20),
    st.integers(1, 300),
    st.integers(0, 1),
    st.integers(1, 100 * COST_UNIT),
)
def test_the_choice_costs_least_of_the_two(
    residuals: list[int], step: int, index: int, weight: int
) -> None:
    residual = np.array(residuals)
    indexes = np.full(len(residuals), index)
    nearest = nearest_symbols(residual, np.array([step]))
    chosen = rdoq_symbols(residual, np.array([step]), indexes, COSTS, weight)

    def cost(symbol: int, value: int) -> Fraction:
        error = Fraction(value - symbol * step, step)
        (rate,) = COSTS.of(np.array([symbol]), np.array([index])).tolist()
        return rate + weight * error**2

    for value, near, found in zip(residuals, nearest.tolist(), chosen.tolist(), strict=True):
        other = near - int(np.sign(near))
        assert found in (near, other)
        assert cost(found, value) == min(cost(near, value), cost(other, value))


def test_a_heavy_weight_is_the_nearest_symbol() -> None:
    residual = np.arange(-100, 101)
    indexes = np.zeros(len(residual), np.int64)
    step = np.array([16])
    chosen = rdoq_symbols(residual, step, indexes, COSTS, 2**24 - 1)
    halfway = np.abs(residual) % 16 == 8  # there both are as near
    assert np.array_equal(chosen[~halfway], nearest_symbols(residual, step)[~halfway])
