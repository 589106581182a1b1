"""The encoder's choice of symbols: rate-distortion optimized quantization (RDOQ).

A decoder takes any symbol, so which one to code is the encoder's business. The nearest is
not the best: where the network expects zeros, a one costs several bits and repairs little.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from licodec.entropy.adaptive import divide_half_even
from licodec.entropy.tables import PRECISION, FrequencyTables

COST_UNIT = 1 << 8  # costs are integers in units of 2^-8 bits
ESCAPE_BITS = 8  # of the shortest escape, beside its symbol


@dataclass(frozen=True)
class SymbolCosts:
    """What each value costs in each table of a family.

    costs      the tables' costs one behind the other, int64, in units of 2^-8 bits
    starts     (count,) where each table begins
    low, high  (count,) the values it holds; its last entry is the escape's cost
    """

    costs: np.ndarray
    starts: np.ndarray
    low: np.ndarray
    high: np.ndarray

    @classmethod
    def of_tables(cls, tables: FrequencyTables) -> SymbolCosts:
        """No frequency's logarithm is so near to a half that platforms could round it apart."""
        frequencies = np.concatenate(tables.frequencies)
        costs = np.rint((PRECISION - np.log2(frequencies)) * COST_UNIT).astype(np.int64)
        lengths = tables.lengths.astype(np.int64)
        ends = np.cumsum(lengths)
        costs[ends - 1] += ESCAPE_BITS * COST_UNIT
        low = tables.offsets.astype(np.int64)
        return cls(costs, ends - lengths, low, low + lengths - 2)

    def of(self, values: np.ndarray, indexes: np.ndarray) -> np.ndarray:
        """Costs of integers with the tables `indexes`, of the same shape, int64."""
        low, high = self.low[indexes], self.high[indexes]
        inside = (values >= low) & (values <= high)
        places = np.where(inside, values, high + 1) - low
        return self.costs[self.starts[indexes] + places]


def nearest_symbols(residual: np.ndarray, step: np.ndarray) -> np.ndarray:
    """rne(residual / step), int64."""
    return divide_half_even(residual, step)


def rdoq_symbols(
    residual: np.ndarray, step: np.ndarray, indexes: np.ndarray, costs: SymbolCosts, weight: int
) -> np.ndarray:
    """RDOQ: the nearest symbol, or the next one towards zero where bits + weight * error^2 is less.

    residual   int64 (C, H, W), what is to be coded
    step       int64, broadcastable to it; errors count in steps
    indexes    tables of `costs`, (C, H, W)
    weight     bits for an error of one step, in units of 2^-8

    All in integers, so that every machine writes the same file.
    """
    nearest = nearest_symbols(residual, step)
    sign = np.sign(nearest)
    nearer_zero = nearest - sign
    saved = costs.of(nearest, indexes) - costs.of(nearer_zero, indexes)
    # With e = residual - nearest * step the squared error grows by step * (step + 2 sign e).
    growth = step + 2 * sign * (residual - nearest * step)
    return np.where(saved * step > weight * growth, nearer_zero, nearest)
