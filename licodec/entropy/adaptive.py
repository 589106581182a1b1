"""AQVR in integers: the quantization step of every latent, its scale index, and the way back from
its symbol. Adapter sets may take even steps instead.

"Training-Free Adaptive Quantization for Variable Rate Image Coding for Machines",
restated without division by floats (format/SPEC.md, "Entropy coding").
"""

from __future__ import annotations

import numpy as np

LATENT_LOW, LATENT_HIGH = -(2**15), 2**15 - 1
SHARE_ONE = 2**16 - 1  # the share of d - 1 that is all of it


def divide_half_even(numerator: np.ndarray, denominator: np.ndarray | np.integer) -> np.ndarray:
    """Round-half-even quotient of int64 arrays, or by a number; the denominator is positive."""
    quotient, remainder = np.divmod(numerator, denominator)
    twice = 2 * remainder
    up = (twice > denominator) | ((twice == denominator) & (quotient & 1 == 1))
    return quotient + up


def step_range(d: int, unit: int, index: int, count: int) -> tuple[int, int]:
    """(lo, hi): the least and largest step of slice `index` of `count`, in units.

    `unit` is 2^g, the integer that stands for 1; `d` is in the same units.
    """
    if d >= unit:
        return unit, unit + _divide((d - unit) * (index + 1), count)
    return d + _divide((unit - d) * index, count), unit


def even_step(d: int, unit: int, share: int) -> int:
    """The step of a whole slice, in units: 1 + (d - 1) * share / SHARE_ONE, `share` from 0."""
    return unit + _divide((d - unit) * share, SHARE_ONE)


def share_between(share: int, other: int, place: int) -> int:
    """The share at `place`, from `share` at 0 to `other` at SHARE_ONE."""
    return share + _divide((other - share) * place, SHARE_ONE)


def _divide(numerator: int, denominator: int) -> int:
    return int(divide_half_even(np.array(numerator), np.array(denominator)))


def adaptive_steps(
    scale: np.ndarray, least: np.ndarray, largest: np.ndarray, steps: tuple[int, int]
) -> np.ndarray:
    """Steps for scales (C, H, W); `least` and `largest` (C,) are the plane's extremes.

    delta = hi - rne((scale - least)(hi - lo) / (largest - least)): important places, those
    with a large scale, get the finer step. int64 in [lo, hi].
    """
    lo, hi = steps
    # Widened first: the difference of two 16-bit scales does not fit in 16 bits.
    least, largest = (bound.astype(np.int64)[:, None, None] for bound in (least, largest))
    span = np.maximum(largest - least, 1)  # 0 where every scale is the least: delta = hi
    return hi - divide_half_even((scale.astype(np.int64) - least) * (hi - lo), span)


def scale_indexes(
    scale: np.ndarray, step: np.ndarray, unit: int, thresholds: np.ndarray
) -> np.ndarray:
    """The number of `thresholds` T (ascending) with scale * unit > T * step, elementwise, int64.

    With integers, s > T * step is T <= (s - 1) // step: one division for all thresholds.
    """
    return np.searchsorted(thresholds, (scale.astype(np.int64) * unit - 1) // step, side="right")


def dequantize(symbols: np.ndarray, step: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """The latents of symbols, int16: symbol * step + mean, kept within 16 bits."""
    return np.clip(symbols * step + mean, LATENT_LOW, LATENT_HIGH).astype(np.int16)
