"""Steps of what stored tables read and give, found from their entries."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

OCTAVES, COARSE = 12, 2000  # of a first guess, either way, and how many places are tried there
FINE_REACHES, FINE = (2e-2, 1e-3, 5e-5, 2.5e-6), 401  # around the best so far, and how many


def table_input_step(
    arguments: np.ndarray,
    entries: np.ndarray,
    function: Callable[[np.ndarray], np.ndarray],
    gives: float,
    guess: float,
) -> float:
    """The step of a table's integer `arguments` (n,) with which `function` gives the most of its
    `entries` (n,), which count in `gives`; within a factor of 2^12 of `guess`."""

    def misses(step: float) -> float:
        return float(np.abs(np.rint(function(arguments * step) / gives) - entries).sum())

    coarse = guess * np.exp2(np.linspace(-OCTAVES, OCTAVES, COARSE))
    return _refined(min(coarse, key=misses), misses)


def table_output_step(values: np.ndarray, entries: np.ndarray) -> float:
    """The step in which most of a table's `entries` (n,) are `values` (n,), rounded."""

    def misses(step: float) -> float:
        return float(np.abs(np.rint(values / step) - entries).sum())

    return _refined(float((values * entries).sum() / np.square(entries, dtype=float).sum()), misses)


def _refined(step: float, misses: Callable[[float], float]) -> float:
    """The step near `step` with the fewest misses; in the middle of such."""
    for reach in FINE_REACHES:
        finer = step * (1 + np.linspace(-reach, reach, FINE))
        errors = np.array([misses(one) for one in finer])
        step = float(finer[errors == errors.min()].mean())
    return step
