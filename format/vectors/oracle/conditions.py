"""What conditions are worth, and the steps and tables that symbols are coded with."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from oracle.arrays import ONE, Array, Json, Number, array, rne


def worth(rows: Array, knots: Sequence[int], d: int, others: Array | None = None,
          beta: int = 0) -> Array:  # fmt: skip
    """What conditions are worth at d, and at beta where there are `others`."""
    i = max(j for j in range(len(knots) - 1) if knots[j] <= d)
    below, above, span = knots[i + 1] - d, d - knots[i], knots[i + 1] - knots[i]

    def element(c: int) -> int:
        dividend = rows[i, c] * below + rows[i + 1, c] * above
        if others is None:
            return rne(Fraction(dividend, span))
        other = others[i, c] * below + others[i + 1, c] * above
        return rne(Fraction((ONE - beta) * dividend + beta * other, ONE * span))

    return array(rows.shape[1:], element)


def coded_channels(step: Json) -> list[int]:
    """The latent channel of each channel of a step's mean."""
    if "phases" in step:
        return [first + k for first in step["phases"] for k in range(step["count"])]
    return list(range(step["start"], step["stop"]))


def scale_index(scale: Number, unit: int, delta: int, thresholds: Sequence[int]) -> int:
    return sum(scale * unit > t * delta for t in thresholds)


def band_of(d: int, bands: Sequence[int]) -> int:
    return sum(change <= d for change in bands)
