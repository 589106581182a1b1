"""How an exact convolution is cut into passes that a limited kernel computes exactly.

A kernel that adds in binary32, or returns binary32, is exact as long as every sum it forms
stays below 2^24. So operand, weights and bias are written as sums of smaller integers,

    x = sum_i 2^(s i) x_i,    w = sum_j 2^(t j) w_j,    bias = sum_p c_p b_p,

and the convolution becomes sum_p c_p (b_p + sum w_j x_i), one pass p for each pair (i, j)
with the power of two c_p = 2^(s i + t j). Where that is not enough the input channels are
cut into blocks too. A kernel for unsigned operands is given x_i + offset, also in place of
the padding's zeros, and b_p - offset * sum w_j.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cache

import numpy as np

from licodec.errors import LicodecError

EXACT_IN_FLOAT32 = 2**24
EXACT_IN_FLOAT64 = 2**53
BYTE = 8  # bits of the parts that are cheapest to take out
MOST_PARTS = 4  # of an operand or of the weights; beyond, other backends are as fast
BLOCKS = (1, 2, 4, 8)  # of input channels


class NoExactSplit(LicodecError):
    """A kernel cannot form the sums of a convolution exactly, however it is cut."""


@dataclass(frozen=True)
class KernelLimits:
    """What a convolution kernel computes exactly.

    sum_limit     every sum of a pass, and every part of one, must be below it in magnitude
    operand_high  the kernel takes operands in [0, operand_high]; None: any, signed
    weight_low, weight_high  range of the weights; both None: any
    """

    sum_limit: int
    operand_high: int | None = None
    weight_low: int | None = None
    weight_high: int | None = None


FLOAT32_KERNEL = KernelLimits(EXACT_IN_FLOAT32)
FLOAT64_KERNEL = KernelLimits(EXACT_IN_FLOAT64)
INT8_KERNEL = KernelLimits(EXACT_IN_FLOAT32, operand_high=255, weight_low=-128, weight_high=127)


@dataclass(frozen=True)
class OperandPart:
    """Some bits of the operand: ((x >> shift) & (2^width - 1)) + offset.

    A `width` of None means all bits from `shift` up, sign included. Padding is by `offset`; it
    and the part lie in [low, high].
    """

    shift: int
    width: int | None
    offset: int
    low: int
    high: int

    def of(self, x: np.ndarray) -> np.ndarray:
        """The part of each element of the integer array `x`."""
        shifted = x >> self.shift
        kept = shifted if self.width is None else shifted & ((1 << self.width) - 1)
        return kept + self.offset


@dataclass(frozen=True)
class Pass:
    """One convolution: coefficient * (bias + sum weight * operand[channels]).

    weight (O, I, k, k) and bias (O,) are integers; `channels` selects the I input channels
    (all of them where the convolution has groups); `bound` limits the magnitude of the sum, and
    of what it is on the way, in whatever order its terms and the bias are added.
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
    Of equally many passes, those without blocks of channels come first. Raises NoExactSplit.
    """
    bias = bias.astype(np.int64)
    operand_bits = _bits(low, high)
    extremes = np.array([weight.min(), weight.max()])
    weight_bits = _bits(*extremes.tolist())
    for operand_count, weight_count, blocks in _counts(weight.shape[1] if groups == 1 else 1):
        for operand_step, weight_step in itertools.product(
            _steps(operand_count, operand_bits), _steps(weight_count, weight_bits)
        ):
            operands = _operand_parts(low, high, operand_count, operand_step, limits)
            if not _parts_fit(operands, extremes, weight_count, weight_step, limits):
                continue
            weights = weight_parts(weight, weight_count, weight_step)
            pairs = [
                (1 << (operand_step * i + weight_step * j), operand, part)
                for (i, operand), (j, part) in itertools.product(
                    enumerate(operands), enumerate(weights)
                )
            ]
            passes = _combine(pairs, blocks, bias)
            if _exact(passes, limits):
                return passes
    raise NoExactSplit(f"sums over {weight.shape[1:]} weights are too large to be split")


def partial_sum_bound(weight: np.ndarray, bias: np.ndarray, low: int, high: int) -> int:
    """The largest magnitude of any part of a sum bias + sum w * x, for x in [low, high], which
    holds 0: weight (O, ...), bias (O,).

    No part is above the sum of all terms that can be positive, nor below that of those that
    can be negative. Where low is 0 this is half of |bias| + sum |w| * high, as weights of both
    signs do not add up.
    """
    flat = weight.reshape(len(weight), -1)
    positive = np.maximum(flat, 0).sum(1, dtype=np.int64)
    negative = np.minimum(flat, 0).sum(1, dtype=np.int64)
    bias = bias.astype(np.int64)
    above = np.maximum(bias, 0) + positive * high + negative * low
    below = np.minimum(bias, 0) + negative * high + positive * low
    return int(np.maximum(above, -below).max(initial=0))


@cache
def _counts(channels: int) -> tuple[tuple[int, int, int], ...]:
    """(operand parts, weight parts, channel blocks), the fewest passes first."""
    counts = range(1, MOST_PARTS + 1)
    choices = itertools.product(counts, counts, (n for n in BLOCKS if n <= channels))
    return tuple(sorted(choices, key=lambda n: (n[0] * n[1] * n[2], n[::-1])))


def _bits(low: int, high: int) -> int:
    """Bits of the integers in [low, high], in two's complement where some are negative."""
    return max(high, ~low, 1).bit_length() + (low < 0)


def _steps(count: int, bits: int) -> tuple[int, ...]:
    """Bits per part to try: bytes, then the even cut, whose largest sum is the smallest.

    One part holds everything, so its step does not matter.
    """
    return (0,) if count == 1 else tuple(dict.fromkeys((BYTE, -(-bits // count))))


def _operand_parts(
    low: int, high: int, count: int, step: int, limits: KernelLimits
) -> list[OperandPart]:
    """Lowest bits first; the last part takes the sign and all that is left."""
    below = [OperandPart(i * step, step, 0, 0, (1 << step) - 1) for i in range(count - 1)]
    shift = (count - 1) * step
    low, high = min(low >> shift, 0), max(high >> shift, 0)  # with the padding's zeros
    offset = 0 if limits.operand_high is None else max(0, -low)
    return [*below, OperandPart(shift, None, offset, low + offset, high + offset)]


def weight_parts(weight: np.ndarray, count: int, step: int) -> list[np.ndarray]:
    """Weights of at most 16 bits as balanced digits in [-2^(step-1), 2^(step-1)), lowest first;
    the last takes what is left."""
    if count == 1:
        return [weight]
    parts, left, half = [], weight.astype(np.int32), 1 << (step - 1)
    for _ in range(count - 1):
        digit = ((left + half) & (2 * half - 1)) - half
        parts.append(digit)
        left = (left - digit) >> step
    return [*parts, left]


def _parts_fit(
    operands: list[OperandPart], extremes: np.ndarray, count: int, step: int, limits: KernelLimits
) -> bool:
    """Whether the parts of operands, and those of weights that lie between two extremes, are in
    the kernel's range."""
    if limits.operand_high is not None and max(x.high for x in operands) > limits.operand_high:
        return False
    if limits.weight_low is None or limits.weight_high is None:
        return True
    # The last part grows with the weight, so its own extremes are those of the extremes.
    *digits, (last_low, last_high) = (part.tolist() for part in weight_parts(extremes, count, step))
    half = 1 << (step - 1) if digits else 0
    low, high = min(-half, last_low), max(half - 1, last_high)
    return limits.weight_low <= low and high <= limits.weight_high


def _combine(
    pairs: list[tuple[int, OperandPart, np.ndarray]], blocks: int, bias: np.ndarray
) -> tuple[Pass, ...]:
    """One pass per (coefficient, operand part, weight part) and block of channels, with the bias
    dealt out on the way.

    The first pass of each coefficient takes the multiple of it that is nearest to what is left
    of the bias; the last coefficient is 1.
    """
    left, previous = bias, 0
    passes = []
    for coefficient, operand, weight in sorted(pairs, key=lambda pair: -pair[0]):
        share = np.zeros_like(bias)
        if coefficient != previous:
            share = (left + coefficient // 2) // coefficient
            left, previous = left - share * coefficient, coefficient
        edges = [weight.shape[1] * i // blocks for i in range(blocks + 1)]
        for start, stop in itertools.pairwise(edges):
            part = weight[:, start:stop]
            own = share if start == 0 else np.zeros_like(bias)
            if operand.offset:
                own = own - operand.offset * part.sum((1, 2, 3), dtype=np.int64)
            bound = partial_sum_bound(part, own, operand.low, operand.high)
            selected = slice(None) if blocks == 1 else slice(start, stop)
            passes.append(Pass(coefficient, selected, operand, part, own, bound))
    return tuple(passes)


def _exact(passes: tuple[Pass, ...], limits: KernelLimits) -> bool:
    """Every pass is within the kernel's limit and their sum within binary64's."""
    total = sum(one.coefficient * one.bound for one in passes)
    return total < EXACT_IN_FLOAT64 and all(one.bound < limits.sum_limit for one in passes)
