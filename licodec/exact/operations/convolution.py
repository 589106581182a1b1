"""Convolution, and the requantization that rounds its sums and all others."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from licodec.exact.operations.kind import OperationKind, TrialFacts
from licodec.exact.passes import BYTE, KernelLimits, split_into_passes
from licodec.exact.values import MULTIPLIER_LIMIT, ValueInfo, require

KERNEL_LIMIT = 32


# conv2d ----------------------------------------------------------------------------------------


def accumulator_bound(weight: np.ndarray, bias: np.ndarray, largest: int) -> int:
    """max over outputs of |bias| + sum |w| * largest, for weight (O, ...), bias (O,)."""
    sums = np.abs(weight, dtype=np.int64).reshape(len(weight), -1).sum(1)
    return int((np.abs(bias, dtype=np.int64) + sums * largest).max(initial=0))


def _conv2d_info(
    x: ValueInfo, *, weight: np.ndarray, bias: np.ndarray, stride: int, padding: int, groups: int
) -> ValueInfo:
    require(weight.ndim == 4 and weight.dtype in (np.int8, np.int16), "weight tensor")
    outputs, inputs, rows, columns = weight.shape
    require(bias.shape == (outputs,) and bias.dtype == np.int32, "bias tensor")
    require(rows == columns and 1 <= rows <= KERNEL_LIMIT, f"kernel {rows}x{columns}")
    require(outputs >= 1, "no channels out")
    # Then the output plane is the input plane divided by the stride, whatever its size.
    keeps = padding >= 0 and stride >= 1 and rows - stride <= 2 * padding < rows
    require(keeps, "stride and padding do not keep the plane")
    require(groups >= 1 and outputs % groups == 0, "groups")
    require(inputs * groups == x.channels, f"{x.channels} channels in")
    x.require_activation()
    bound = accumulator_bound(weight, bias, x.largest)
    return ValueInfo(outputs, -bound, bound, x.rate / stride, accumulator=True)


def _conv2d(
    x: np.ndarray, *, weight: np.ndarray, bias: np.ndarray, stride: int, padding: int, groups: int
) -> np.ndarray:
    """bias + sum w * x, zero padding: (I, H, W) -> (O, H/stride, W/stride)."""
    # (O, I/groups, k, k) -> (k, k, O, I/groups): a matrix for each tap
    taps = np.ascontiguousarray(np.moveaxis(weight, (2, 3), (0, 1)), np.float64)
    kernel = len(taps)
    padded = np.pad(x.astype(np.float64), ((0, 0), (padding, padding), (padding, padding)))
    rows = (padded.shape[1] - kernel) // stride + 1
    columns = (padded.shape[2] - kernel) // stride + 1
    parts = []
    for w, plane in zip(np.split(taps, groups, 2), np.split(padded, groups), strict=True):
        acc = np.zeros((w.shape[2], rows * columns))
        for i in range(kernel):
            for j in range(kernel):
                tap = plane[:, i : i + stride * rows : stride, j : j + stride * columns : stride]
                acc += w[i, j] @ tap.reshape(len(tap), -1)
        parts.append(acc.reshape(-1, rows, columns))
    return np.concatenate(parts).astype(np.int64) + bias.astype(np.int64)[:, None, None]


def _conv2d_reach(rows: int, *, stride: int, padding: int, groups: int) -> Fraction:
    # kernel - stride <= 2 * padding, so no further downwards.
    return rows + Fraction(padding, stride)


@dataclass(frozen=True)
class Sums:
    """What decides how a convolution is cut into passes, and so which kernels run.

    least, largest  range of the weights
    total           sum of the weights' magnitudes for an output, at the most that leaves
                    the passes as they are whatever the weights' signs
    bias            magnitude of the bias to the byte: a power of 256, or 0
    """

    least: int
    largest: int
    total: int
    bias: int


def _sums(
    limits: KernelLimits, x: ValueInfo, *, weight: np.ndarray, bias: np.ndarray, groups: int,
    **others: int,
) -> Sums:  # fmt: skip
    weight, bias = weight.astype(np.int64), bias.astype(np.int64)
    passes = split_into_passes(weight, bias, x.low, x.high, groups, limits)
    bits = int(max(weight.max(), -1 - weight.min())).bit_length()
    least, largest = min(1 - (1 << bits), int(weight.min())), (1 << bits) - 1
    bias_bits = int(np.abs(bias).max()).bit_length()
    bias_magnitude = 1 << (bias_bits - 1) // BYTE * BYTE if bias_bits else 0
    if any(one.weight.shape != weight.shape or (one.weight != weight).any() for one in passes):
        total = int(np.abs(weight).reshape(len(weight), -1).sum(1).max())
    else:
        # The first pass takes most of the bias, the others what rounding to it leaves over.
        shares = [bias_magnitude // passes[0].coefficient + 1] + [128] * (len(passes) - 1)
        room = [
            (limits.sum_limit - 1 - share) // max(1, -one.operand.low, one.operand.high)
            for one, share in zip(passes, shares, strict=True)
        ]
        total = min(*room, largest * weight[0].size)
    return Sums(least, largest, max(1, total), bias_magnitude)


def _trial_tensor(
    random: np.random.Generator, role: str, shape: tuple[int, ...], sums: Sums
) -> np.ndarray:
    if role == "weight":
        return _trial_weight(random, shape, sums)
    # Odd, so that the sums of saturated operands are odd too for even sums of weights.
    return random.integers(-sums.bias, sums.bias + 1, shape) | 1


def _trial_weight(random: np.random.Generator, shape: tuple[int, ...], sums: Sums) -> np.ndarray:
    """(O, I, k, k) weights whose magnitudes add up to `sums.total` at most for each output.

    By turns: the largest weights side by side along the input channels (pairs of products that
    overflow 16 bits), the same negative, the same with random signs, and random weights.
    """
    outputs, inputs, kernel, _ = shape
    taps = inputs * kernel**2
    profile = np.zeros(taps, np.int32)
    full, rest = divmod(sums.total, sums.largest) if sums.largest else (0, 0)
    profile[: full + 1] = [*[sums.largest] * min(full, taps), rest][: min(full + 1, taps)]
    turned = np.lib.stride_tricks.sliding_window_view(np.tile(profile, 2), taps)
    weight = turned[random.integers(0, taps, outputs)]
    signs = random.integers(0, 2, weight.shape, np.int8) * 2 - 1
    weight[1::4] *= -1
    if sums.least < -sums.largest and sums.total > sums.largest:
        weight[1::4, 0] = sums.least
    weight[2::4] *= signs[2::4]
    cap = min(sums.largest, 2 * sums.total // taps + 1)
    spread = random.integers(0, cap + 1, weight[3::4].shape)
    spread[np.cumsum(spread, axis=1) > sums.total] = 0
    weight[3::4] = spread * signs[3::4]
    return weight.reshape(outputs, kernel, kernel, inputs).transpose(0, 3, 1, 2)


# requantize ------------------------------------------------------------------------------------


def require_multiplier(multiplier: np.ndarray, channels: int) -> None:
    """Raise IllegalOperation unless it is one, or one by channel, of legal size."""
    shaped = multiplier.shape in ((1,), (channels,)) and multiplier.dtype == np.float32
    require(shaped, "multiplier tensor")
    legal = np.all((multiplier >= 0) & (multiplier < MULTIPLIER_LIMIT))
    require(bool(legal), "multiplier out of range")


def _requantize_info(x: ValueInfo, *, low: int, high: int, **multipliers: np.ndarray) -> ValueInfo:
    for multiplier in multipliers.values():
        require_multiplier(multiplier, x.channels)
    return x.within(low, high)


def _requantize(
    acc: np.ndarray, *, multiplier: np.ndarray, negative_multiplier: np.ndarray | None = None,
    low: int, high: int,
) -> np.ndarray:  # fmt: skip
    """sat(rne(fl32(fl32(acc) * m[c])))."""
    factor = multiplier[:, None, None]
    if negative_multiplier is not None:
        factor = np.where(acc < 0, negative_multiplier[:, None, None], factor)
    # Clamping before the cast keeps the integer conversion in range; both orders agree.
    return np.clip(np.rint(acc.astype(np.float32) * factor), low, high).astype(np.int64)


def _trial_multiplier(
    random: np.random.Generator, role: str, shape: tuple[int, ...], facts: None
) -> np.ndarray:
    """Halves give ties, the others products that need rounding."""
    anything = np.exp2(random.uniform(-12, 0, shape))
    return np.where(random.random(shape) < 0.25, 0.5, anything)


KINDS = (
    OperationKind(
        "conv2d",
        _conv2d_info,
        _conv2d,
        tensors=("weight", "bias"),
        attributes={"stride": 1, "padding": 0, "groups": 1},
        reach=_conv2d_reach,
        trial=TrialFacts(_trial_tensor, _sums),
    ),
    OperationKind(
        "requantize",
        _requantize_info,
        _requantize,
        tensors=("multiplier",),
        optional_tensors=("negative_multiplier",),
        attributes={"low": None, "high": None},
        reads_sums=True,
        trial=TrialFacts(_trial_multiplier),
    ),
)
