"""Operations that move integers and leave them as they are."""

from __future__ import annotations

import numpy as np

from licodec.exact.operations.kind import OperationKind, TrialFacts
from licodec.exact.values import ValueInfo, require

FACTOR_LIMIT = 64


def _concat_info(*xs: ValueInfo) -> ValueInfo:
    require(len({x.rate for x in xs}) == 1, "operands differ in shape")
    low, high = min(x.low for x in xs), max(x.high for x in xs)
    return ValueInfo(sum(x.channels for x in xs), low, high, xs[0].rate)


def _concat(*xs: np.ndarray) -> np.ndarray:
    return np.concatenate(xs)


def _split_info(x: ValueInfo, *, start: int, stop: int) -> ValueInfo:
    require(0 <= start < stop <= x.channels, f"channels {start} ... {stop}")
    return ValueInfo(stop - start, x.low, x.high, x.rate)


def _split(x: np.ndarray, *, start: int, stop: int) -> np.ndarray:
    return x[start:stop]


def _pixel_shuffle_info(x: ValueInfo, *, factor: int) -> ValueInfo:
    require(1 <= factor <= FACTOR_LIMIT and x.channels % factor**2 == 0, "factor")
    return ValueInfo(x.channels // factor**2, x.low, x.high, x.rate * factor)


def _pixel_shuffle(x: np.ndarray, *, factor: int) -> np.ndarray:
    """(C*f*f, H, W) -> (C, H*f, W*f), PyTorch's channel order."""
    f, (channels, rows, columns) = factor, x.shape
    x = x.reshape(channels // f**2, f, f, rows, columns).transpose(0, 3, 1, 4, 2)
    return x.reshape(channels // f**2, rows * f, columns * f)


def _pixel_unshuffle_info(x: ValueInfo, *, factor: int) -> ValueInfo:
    require(1 <= factor <= FACTOR_LIMIT, "factor")
    return ValueInfo(x.channels * factor**2, x.low, x.high, x.rate / factor)


def _pixel_unshuffle(x: np.ndarray, *, factor: int) -> np.ndarray:
    """The inverse of pixel_shuffle: (C, H*f, W*f) -> (C*f*f, H, W)."""
    f, channels, rows, columns = factor, x.shape[0], x.shape[1] // factor, x.shape[2] // factor
    x = x.reshape(channels, rows, f, columns, f).transpose(0, 2, 4, 1, 3)
    return x.reshape(channels * f**2, rows, columns)


def _phase_info(x: ValueInfo, *, factor: int, row: int, column: int) -> ValueInfo:
    require(2 <= factor <= FACTOR_LIMIT, "factor")
    require(0 <= row < factor and 0 <= column < factor, "row or column")
    return ValueInfo(x.channels, x.low, x.high, x.rate / factor)


def _phase(x: np.ndarray, *, factor: int, row: int, column: int) -> np.ndarray:
    """(C, H*f, W*f) -> (C, H, W)."""
    return x[:, row::factor, column::factor]


FACTOR: dict[str, int | None] = {"factor": None}
WHOLE_BLOCKS = TrialFacts(multiple_of="factor")
KINDS = (
    OperationKind("concat", _concat_info, _concat, inputs=None),
    OperationKind("split", _split_info, _split, attributes={"start": None, "stop": None}),
    OperationKind("pixel_shuffle", _pixel_shuffle_info, _pixel_shuffle, attributes=FACTOR),
    OperationKind(
        "pixel_unshuffle",
        _pixel_unshuffle_info,
        _pixel_unshuffle,
        attributes=FACTOR,
        trial=WHOLE_BLOCKS,
    ),
    OperationKind(
        "phase",
        _phase_info,
        _phase,
        attributes=FACTOR | {"row": 0, "column": 0},
        trial=WHOLE_BLOCKS,
    ),
)
