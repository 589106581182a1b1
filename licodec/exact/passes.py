"""How an exact convolution is cut into passes that a limited kernel computes exactly.

A kernel that adds in binary32, or returns binary32, is exact as long as every sum it forms
stays below 2^24. So operand, weights and bias are written as sums of smaller integers,

    x = sum_i 2^(s i) x_i,    w = sum_j 2^(t j) w_j,    bias = sum_p c_p b_p,

and the convolution becomes sum_p c_p (b_p + sum w_j x_i), one pass p for each pair (i, j)
with the power of two c_p = 2^(s i + t j). Where that is not enough the input channels are
cut into blocks too.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from licodec.errors import LicodecError
from licodec.exact.bounds import accumulator_bound

EXACT_IN_FLOAT32 = 2**24
EXACT_IN_FLOAT64 = 2**53
LARGEST_STEP = 8  # bits: parts of at most a byte, which every kernel takes
MOST_PARTS = 16  # of an operand or of the weights: one bit each


class NoExactSplit(LicodecError):
    """A kernel cannot form the sums of a convolution exactly, however it is cut."""


@dataclass(frozen=True)
class KernelLimits:
    """What a convolution kernel computes exactly.

    sum_limit     every |bias| + sum |w| * |x| of a pass must be below it
    operand_span  most by which two values of an operand part may differ, None for any
    weight_low, weight_high  range of the weights, None for any
    """

    sum_limit: int
    operand_span: int | None = None
    weight_low: int | None = None
    weight_high: int | None = None


FLOAT32_KERNEL = KernelLimits(EXACT_IN_FLOAT32)
FLOAT64_KERNEL = KernelLimits(EXACT_IN_FLOAT64)
INT8_KERNEL = KernelLimits(EXACT_IN_FLOAT32, operand_span=255, weight_low=-128, weight_high=127)


@dataclass(frozen=True)
class OperandPart:
    """Some bits of the operand: (x >> shift) & (2^width - 1), or all from `shift` up, signed,
    where `width` is None. `low` and `high` are the part's own range."""

    shift: int
    width: int | None
    low: int
    high: int

    @property
    def largest(self) -> int:
        return max(-self.low, self.high)

    def of(self, x: np.ndarray) -> np.ndarray:
        """The part of each element of the integer array `x`."""
        shifted = x >> self.shift
        return shifted if self.width is None else shifted & ((1 << self.width) - 1)


@dataclass(frozen=True)
class Pass:
    """One convolution: coefficient * (bias + sum weight * operand[channels]).

    weight is (O, I, k, k) and bias (O,), both int64; `channels` selects the I input channels
    (all of them where the convolution has groups); `bound` limits the sum's magnitude.
    """

    coefficient: int
    channels: slice
    operand: OperandPart
    weight: np.ndarray
    bias: np.ndarray
    bound: int


def split_into_passes(
    weight: np.ndarray, bias: np.ndarray, low: int, high: int, groups: int, limits: KernelLimits
) -> tuple[Pass, ...]:
    """The fewest passes, in order of falling coefficient, that `limits` allow.

    weight (O, I/groups, k, k) and bias (O,) are integers and the operand lies in [low, high].
    With equally many passes, blocks of input channels come last. Raises NoExactSplit.
    """
    weight, bias = weight.astype(np.int64), bias.astype(np.int64)
    for operand_count, weight_count, blocks in _counts(weight.shape[1] if groups == 1 else 1):
        weight_step = _steps(weight_count)
        for operand_step, step in itertools.product(_steps(operand_count), weight_step):
            operand_parts = _operand_parts(low, high, operand_count, operand_step)
            weight_parts = _weight_parts(weight, weight_count, step)
            if not _representable(operand_parts, weight_parts, limits):
                continue
            passes = _combine(operand_parts, weight_parts, operand_step, step, blocks, bias)
            if _exact(passes, limits):
                return passes
    raise NoExactSplit(f"a sum over {weight.shape[1:]} weights is too large to be split")


def _counts(channels: int) -> list[tuple[int, int, int]]:
    """(operand parts, weight parts, channel blocks), the fewest passes first."""
    counts = range(1, MOST_PARTS + 1)
    blocks = [n for n in (1, 2, 4, 8, 16) if n <= channels]
    return sorted(
        itertools.product(counts, counts, blocks), key=lambda n: (n[0] * n[1] * n[2], n[2], n[1])
    )


def _steps(count: int) -> tuple[int, ...]:
    """Bits per part to try; one part holds everything, so its step does not matter."""
    return (0,) if count == 1 else tuple(range(LARGEST_STEP, 0, -1))


def _operand_parts(low: int, high: int, count: int, step: int) -> list[OperandPart]:
    """Lowest bits first; the last part takes the sign and all that is left."""
    below = [OperandPart(i * step, step, 0, (1 << step) - 1) for i in range(count - 1)]
    shift = (count - 1) * step
    return [*below, OperandPart(shift, None, low >> shift, high >> shift)]


def _weight_parts(weight: np.ndarray, count: int, step: int) -> list[np.ndarray]:
    """Balanced digits in [-2^(step-1), 2^(step-1)), lowest first; the last takes what is left."""
    parts = []
    for _ in range(count - 1):
        half = 1 << (step - 1)
        digit = ((weight + half) & ((1 << step) - 1)) - half
        parts.append(digit)
        weight = (weight - digit) >> step
    return [*parts, weight]


def _representable(
    operands: list[OperandPart], weights: list[np.ndarray], limits: KernelLimits
) -> bool:
    if limits.operand_span is not None and any(
        part.high - part.low > limits.operand_span for part in operands
    ):
        return False
    return all(
        (limits.weight_low is None or part.min() >= limits.weight_low)
        and (limits.weight_high is None or part.max() <= limits.weight_high)
        for part in weights
    )


def _combine(
    operands: list[OperandPart],
    weights: list[np.ndarray],
    operand_step: int,
    weight_step: int,
    blocks: int,
    bias: np.ndarray,
) -> tuple[Pass, ...]:
    """One pass per pair of parts and block of channels, with the bias dealt out on the way.

    The first pass of each coefficient takes the multiple of it that is nearest to what is left
    of the bias; the last coefficient is 1.
    """
    pairs = sorted(
        (
            (1 << (operand_step * i + weight_step * j), operand, weight)
            for i, operand in enumerate(operands)
            for j, weight in enumerate(weights)
        ),
        key=lambda pair: -pair[0],
    )
    channels = weights[0].shape[1]
    edges = [channels * i // blocks for i in range(blocks + 1)]
    left, previous = bias, 0
    passes = []
    for coefficient, operand, weight in pairs:
        share = np.zeros_like(bias)
        if coefficient != previous:
            share = (left + coefficient // 2) // coefficient
            left, previous = left - share * coefficient, coefficient
        for start, stop in itertools.pairwise(edges):
            part = weight[:, start:stop]
            own = share if start == 0 else np.zeros_like(bias)
            bound = accumulator_bound(part, own, operand.largest)
            selected = slice(None) if blocks == 1 else slice(start, stop)
            passes.append(Pass(coefficient, selected, operand, part, own, bound))
    return tuple(passes)


def _exact(passes: tuple[Pass, ...], limits: KernelLimits) -> bool:
    """Every pass is within the kernel's limit and their sum within binary64's."""
    total = sum(one.coefficient * one.bound for one in passes)
    return total < EXACT_IN_FLOAT64 and all(one.bound < limits.sum_limit for one in passes)
