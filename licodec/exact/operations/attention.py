"""Attention within windows of a plane."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from licodec.exact.operations.convolution import require_multiplier
from licodec.exact.operations.kind import OperationKind
from licodec.exact.operations.normalization import divide_rne
from licodec.exact.operations.pointwise import require_table
from licodec.exact.values import DIVIDEND_LIMIT, ValueInfo, require

SCORE_LIMIT = 2**21  # of each term of a score
WINDOW_LIMIT = 16


def _attention_info(
    x: ValueInfo, *, multiplier: np.ndarray, bias: np.ndarray, table: np.ndarray, heads: int,
    window: int, shift: int,
) -> ValueInfo:  # fmt: skip
    require(1 <= window <= WINDOW_LIMIT, f"windows of {window}")
    require(0 <= shift < window, f"shift {shift}")
    require(heads >= 1 and x.channels % (3 * heads) == 0, f"{heads} heads")
    x.require_activation()
    depth, distances = x.channels // (3 * heads), 2 * window - 1
    require_multiplier(multiplier, heads)
    score = depth * x.largest**2 * Fraction(float(multiplier.max()))
    require(score <= SCORE_LIMIT, f"scores up to {float(score):.0f}")
    shaped = bias.shape == (heads, distances, distances) and bias.dtype == np.int32
    require(shaped, "bias tensor")
    require(bool(np.all((bias > -SCORE_LIMIT) & (bias < SCORE_LIMIT))), "bias out of range")
    require_table(table)
    require(bool(table[0] >= 1 and np.all(table >= 0)), "entries of the table")
    dividend = window**2 * int(table.max()) * x.largest
    require(dividend < DIVIDEND_LIMIT, f"dividends up to {dividend}")
    # A mean of values, weighted by what is not negative, lies among them.
    return ValueInfo(heads * depth, x.low, x.high, x.rate)


def _attention(
    x: np.ndarray, *, multiplier: np.ndarray, bias: np.ndarray, table: np.ndarray, heads: int,
    window: int, shift: int,
) -> np.ndarray:  # fmt: skip
    """(3 * heads * depth, H, W) queries, keys, values -> (heads * depth, H, W).

    The plane is completed to whole windows; what does not belong to it has no weight.
    """
    w, (_, rows, columns) = window, x.shape
    before = -shift % w
    border = [(0, 0), *((before, -(before + n) % w) for n in (rows, columns))]
    q, k, v = np.split(_windows(np.pad(x.astype(np.float64), border), 3 * heads, w), 3)
    inside = _windows(np.pad(np.ones((1, rows, columns), bool), border), 1, w)[0, :, :, 0]

    products = (q @ k.swapaxes(2, 3)).astype(np.float32)
    scores = np.rint(products * multiplier[:, None, None, None]).astype(np.int64)
    scores += relative_bias(bias)[:, None]  # (heads, windows, queries, keys)
    scores = np.where(inside[:, None], scores, -(2**32))
    entries = np.append(table.astype(np.int64), 0)  # and 0 beyond it
    below = scores.max(3, keepdims=True) - scores
    weights = entries[np.minimum(below, len(table))]
    mean = divide_rne(weights.astype(np.float64) @ v, weights.sum(3, keepdims=True))

    down, across = (-(-(before + n) // w) for n in (rows, columns))
    planes = mean.reshape(heads, down, across, w, w, -1).transpose(0, 5, 1, 3, 2, 4)
    planes = planes.reshape(-1, down * w, across * w)
    return planes[:, before : before + rows, before : before + columns]


def _windows(planes: np.ndarray, groups: int, w: int) -> np.ndarray:
    """(groups * n, H, W) -> (groups, windows, w * w, n)."""
    _, rows, columns = planes.shape
    split = planes.reshape(groups, -1, rows // w, w, columns // w, w)
    return split.transpose(0, 2, 4, 3, 5, 1).reshape(groups, -1, w * w, split.shape[1])


def relative_bias(bias: np.ndarray) -> np.ndarray:
    """(heads, 2w-1, 2w-1) by distance -> (heads, w*w, w*w): for each query and key."""
    w = (bias.shape[1] + 1) // 2
    rows, columns = (place.ravel() for place in np.indices((w, w)))
    distances = (place[:, None] - place[None, :] + w - 1 for place in (rows, columns))
    return bias[:, *distances]


def _attention_reach(rows: int, *, heads: int, window: int, shift: int) -> int:
    """How far the windows reach that so many rows beyond a strip lie in.

    A strip begins and ends at a multiple of `window`, where a window begins if there is no
    `shift`. The longer of the two ways, up and down.
    """
    up = -(-(rows + shift) // window) * window - shift
    down = -(-(rows - shift) // window) * window + shift
    return max(up, down)


KINDS = (
    OperationKind(
        "window_attention",
        _attention_info,
        _attention,
        tensors=("multiplier", "bias", "table"),
        attributes={"heads": None, "window": None, "shift": 0},
        reach=_attention_reach,
        cell="window",
    ),
)
