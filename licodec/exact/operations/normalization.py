"""Divisive normalization, its inverse and LayerNorm: roots and quotients in integers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from licodec.exact.operations.kind import OperationKind, TrialFacts
from licodec.exact.values import (
    ACCUMULATOR_LIMIT,
    BITS_LIMIT,
    DIVIDEND_LIMIT,
    MULTIPLIER_LIMIT,
    VALUE_LIMIT,
    ValueInfo,
    require,
)

RADICAND_LIMIT = 2**48  # so that the root of a normalization is exact in binary32
NORMALIZED_LIMIT = 2**23  # of what layernorm multiplies by its gain


def isqrt(v: np.ndarray) -> np.ndarray:
    """floor(sqrt(v)) of int64 0 <= v < 2^52.

    NumPy's binary64 root is correctly rounded. The root of r^2 - 1 is at least 2^-27 below r,
    and the binary64 numbers below r <= 2^26 are that close, so it is not rounded up to r.
    """
    return np.floor(np.sqrt(v.astype(np.float64))).astype(np.int64)


def divide_rne(dividend: np.ndarray, divisor: np.ndarray) -> np.ndarray:
    """rne(dividend / divisor) of int64, |dividend| < 2^52, divisor > 0.

    An exact quotient that is no tie is at least 1 / (2 * divisor) from one; binary64 rounds it
    by less than that.
    """
    return np.rint(dividend.astype(np.float64) / divisor.astype(np.float64)).astype(np.int64)


def _require_bits(**attributes: int) -> None:
    for name, bits in attributes.items():
        require(0 <= bits < BITS_LIMIT, f"{name} {bits}")


# igdn and gdn ----------------------------------------------------------------------------------


def _largest_root(
    x: ValueInfo, *, weight: np.ndarray, bias: np.ndarray, bias_bits: int, root_bits: int
) -> int:
    """Check the normalization of gdn and igdn; the largest root that it can have."""
    shaped = weight.shape == (x.channels, x.channels) and weight.dtype in (np.int8, np.int16)
    require(shaped, "weight tensor")
    require(bias.shape == (x.channels,) and bias.dtype == np.int32, "bias tensor")
    require(bool(np.all(weight >= 0) and np.all(bias >= 0)), "negative weight or bias")
    x.require_activation()
    _require_bits(bias_bits=bias_bits, root_bits=root_bits)
    sums = weight.sum(1, dtype=np.int64) * x.largest**2  # at most 2^(13 + 15 + 32)
    norm = int((sums + (bias.astype(np.int64) << bias_bits)).max())
    radicand = norm << 2 * root_bits
    require(radicand < RADICAND_LIMIT, f"the root of up to {radicand}")
    return math.isqrt(radicand)


def roots(
    x: np.ndarray, *, weight: np.ndarray, bias: np.ndarray, bias_bits: int, root_bits: int
) -> np.ndarray:
    """isqrt(n * 4^k) with n = bias * 2^b + sum w * x^2, (C, H, W) int64."""
    squares = (x * x).reshape(len(x), -1).astype(np.float64)
    norm = (weight.astype(np.float64) @ squares).astype(np.int64)
    norm += bias.astype(np.int64)[:, None] << bias_bits
    return isqrt(norm.reshape(x.shape) << 2 * root_bits)


def _igdn_info(x: ValueInfo, **norm: Any) -> ValueInfo:
    bound = x.largest * _largest_root(x, **norm)
    return ValueInfo(x.channels, -bound, bound, x.rate, accumulator=True)


def _igdn(x: np.ndarray, **norm: Any) -> np.ndarray:
    """x * isqrt(n * 4^k)."""
    return x * roots(x, **norm)


def _gdn_info(x: ValueInfo, *, fraction_bits: int, low: int, high: int, **norm: Any) -> ValueInfo:
    _largest_root(x, **norm)
    _require_bits(fraction_bits=fraction_bits)
    dividend = x.largest << norm["root_bits"] + fraction_bits
    require(dividend < DIVIDEND_LIMIT, f"dividends up to {dividend}")
    return x.within(low, high)


def _gdn(x: np.ndarray, *, fraction_bits: int, low: int, high: int, **norm: Any) -> np.ndarray:
    """sat(rne(x * 2^(k+f) / max(isqrt(n * 4^k), 1)))."""
    divisor = np.maximum(roots(x, **norm), 1)
    return np.clip(divide_rne(x << norm["root_bits"] + fraction_bits, divisor), low, high)


# layernorm -------------------------------------------------------------------------------------


def _layernorm_info(
    x: ValueInfo, *, gain: np.ndarray, bias: np.ndarray, epsilon: int, root_bits: int,
    fraction_bits: int, low: int, high: int,
) -> ValueInfo:  # fmt: skip
    channels = x.channels
    require(gain.shape == (channels,) and gain.dtype == np.float32, "gain tensor")
    require(bool(np.all(np.abs(gain) < MULTIPLIER_LIMIT)), "gain out of range")
    require(bias.shape == (channels,) and bias.dtype == np.int32, "bias tensor")
    require(int(np.abs(bias, dtype=np.int64).max()) < VALUE_LIMIT, "bias out of range")
    _require_bits(root_bits=root_bits, fraction_bits=fraction_bits)
    require(epsilon >= 0, f"epsilon {epsilon}")
    span = x.high - x.low
    require((channels * x.largest) ** 2 < ACCUMULATOR_LIMIT, "sum of squares")
    # The variance of numbers in a range is at most a quarter of its square.
    radicand = ((channels * span) ** 2 // 4 + epsilon) << 2 * root_bits
    require(radicand < DIVIDEND_LIMIT, f"the root of up to {radicand}")
    dividend = (channels - 1) * span << root_bits + fraction_bits
    require(dividend < DIVIDEND_LIMIT, f"dividends up to {dividend}")
    # No number is further than sqrt(C - 1) deviations from the mean, and the root, rounded
    # down, is more than half of what it stands for.
    squared = (channels - 1) << 2 * (fraction_bits + 1)
    require(squared < NORMALIZED_LIMIT**2, "fraction_bits")
    return x.within(low, high)


def _layernorm(
    x: np.ndarray, *, gain: np.ndarray, bias: np.ndarray, epsilon: int, root_bits: int,
    fraction_bits: int, low: int, high: int,
) -> np.ndarray:  # fmt: skip
    """sat(rne(fl32(n * gain)) + bias), n the deviation from the mean of the channels in units of
    2^-f standard deviations."""
    total = x.sum(0)
    variance = len(x) * (x * x).sum(0) - total * total + epsilon
    root = np.maximum(isqrt(variance << 2 * root_bits), 1)
    dividend = (len(x) * x - total) << root_bits + fraction_bits
    product = divide_rne(dividend, root).astype(np.float32) * gain[:, None, None]
    return np.clip(np.rint(product).astype(np.int64) + bias[:, None, None], low, high)


ROOT_BITS: dict[str, int | None] = {"bias_bits": 0, "root_bits": 0}
ROUNDED: dict[str, int | None] = {"fraction_bits": 0, "low": None, "high": None}
KINDS = (
    OperationKind("igdn", _igdn_info, _igdn, ("weight", "bias"), attributes=ROOT_BITS),
    OperationKind("gdn", _gdn_info, _gdn, ("weight", "bias"), attributes=ROOT_BITS | ROUNDED),
    OperationKind(
        "layernorm",
        _layernorm_info,
        _layernorm,
        tensors=("gain", "bias"),
        attributes={"epsilon": 0, "root_bits": 0, **ROUNDED},
        trial=TrialFacts(near_zero=True),  # they have small roots
    ),
)
