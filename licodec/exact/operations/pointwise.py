"""Operations on each integer of a plane by itself."""

from __future__ import annotations

import numpy as np

from licodec.exact.operations.kind import OperationKind, TrialFacts
from licodec.exact.passes import KernelLimits
from licodec.exact.values import VALUE_LIMIT, ValueInfo, require

TABLE_LIMIT = 2**16  # entries


def _require_equal_shapes(a: ValueInfo, b: ValueInfo) -> None:
    require((a.channels, a.rate) == (b.channels, b.rate), "operands differ in shape")


def _add_info(a: ValueInfo, b: ValueInfo, *, low: int, high: int) -> ValueInfo:
    _require_equal_shapes(a, b)
    return a.within(low, high)


def _add(a: np.ndarray, b: np.ndarray, *, low: int, high: int) -> np.ndarray:
    return np.clip(a + b, low, high)


def _mul_info(a: ValueInfo, b: ValueInfo) -> ValueInfo:
    _require_equal_shapes(a, b)
    return _scale_info(a, b)


def _scale_info(x: ValueInfo, factor: ValueInfo) -> ValueInfo:
    corners = [i * n for i in (x.low, x.high) for n in (factor.low, factor.high)]
    return ValueInfo(x.channels, min(corners), max(corners), x.rate, accumulator=True)


def _product(x: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """The planes (C, H, W) times such planes, or the number ()."""
    return x * factor


def _clamp(x: np.ndarray, *, low: int, high: int) -> np.ndarray:
    return np.clip(x, low, high)


def _table_info(x: ValueInfo, *, table: np.ndarray, low: int) -> ValueInfo:
    require_table(table)
    require(abs(low) < VALUE_LIMIT, "low out of range")
    return x.within(int(table.min()), int(table.max()))


def require_table(table: np.ndarray) -> None:
    """Raise IllegalOperation unless `table` has the form of one."""
    require(table.ndim == 1 and table.dtype == np.int32, "table tensor")
    require(1 <= len(table) <= TABLE_LIMIT, f"{len(table)} entries of the table")


def _table(x: np.ndarray, *, table: np.ndarray, low: int) -> np.ndarray:
    return table.astype(np.int64)[np.clip(x - low, 0, len(table) - 1)]


def _entries(limits: KernelLimits, x: ValueInfo, *, table: np.ndarray, low: int) -> tuple[int, int]:
    """The range of a table's entries."""
    return int(table.min()), int(table.max())


def _trial_table(
    random: np.random.Generator, role: str, shape: tuple[int, ...], entries: tuple[int, int]
) -> np.ndarray:
    low, high = entries
    return random.integers(low, high + 1, shape)


RANGE: dict[str, int | None] = {"low": None, "high": None}
KINDS = (
    OperationKind("add", _add_info, _add, attributes=RANGE, inputs=2),
    OperationKind("mul", _mul_info, _product, inputs=2),
    OperationKind("scale", _scale_info, _product, inputs=2, numbers=(1,)),
    OperationKind("clamp", ValueInfo.within, _clamp, attributes=RANGE),
    OperationKind(
        "table",
        _table_info,
        _table,
        tensors=("table",),
        attributes={"low": None},
        trial=TrialFacts(_trial_table, _entries),
    ),
)
