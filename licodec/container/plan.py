"""The `PLAN` chunk: the weight width of every weighted operation, run-length coded.

Normative in format/SPEC.md, "Precision plan". A run is one byte: length - 1 in the upper five
bits, the width's code in the lower three.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby, pairwise

from licodec.container.limits import MAX_PLAN_BYTES
from licodec.errors import CorruptFileError, LimitError

# A width's place is its code.
WIDTHS = (2, 3, 4, 5, 6, 7, 8, 16)

MAX_RUN = 32
_CODE_BITS = 3
_CODE_MASK = (1 << _CODE_BITS) - 1


def pack_plan(widths: Sequence[int]) -> bytes:
    """The data of the `PLAN` chunk for the widths in bits of the weighted operations, in order.

    Raises LimitError over 64 bytes (see `storable_plan`), CorruptFileError for a width that the
    format lacks or no operation at all.
    """
    if not widths:
        raise CorruptFileError("precision plan names no operation")
    unknown = set(widths) - set(WIDTHS)
    if unknown:
        raise CorruptFileError(f"precision plan has a width of {min(unknown)} bits")
    runs = bytes(_runs(widths))
    if len(runs) > MAX_PLAN_BYTES:
        raise LimitError(
            f"precision plan of {len(runs)} bytes is over the limit of {MAX_PLAN_BYTES}"
        )
    return runs


def unpack_plan(data: bytes) -> tuple[int, ...]:
    """Parse the data of a `PLAN` chunk into widths in bits.

    Raises CorruptFileError, and LimitError over 64 bytes.
    """
    if not data:
        raise CorruptFileError("chunk PLAN is empty")
    if len(data) > MAX_PLAN_BYTES:
        raise LimitError(f"chunk PLAN of {len(data)} bytes is over the limit of {MAX_PLAN_BYTES}")
    for first, second in pairwise(data):
        if first & _CODE_MASK == second & _CODE_MASK and first >> _CODE_BITS < MAX_RUN - 1:
            raise CorruptFileError("chunk PLAN: two runs of one width where one would do")
    return tuple(WIDTHS[run & _CODE_MASK] for run in data for _ in range((run >> _CODE_BITS) + 1))


def storable_plan(widths: Sequence[int]) -> tuple[int, ...] | None:
    """The plan as a file carries it: itself, or None where it takes more than 64 bytes.

    A file without a plan means the plan of the pack that its weights id names.
    """
    runs = sum(1 for _ in _runs(widths))
    return tuple(widths) if runs <= MAX_PLAN_BYTES else None


def _runs(widths: Sequence[int]) -> Iterator[int]:
    for width, group in groupby(widths):
        code = WIDTHS.index(width)
        left = sum(1 for _ in group)
        while left > 0:
            length = min(left, MAX_RUN)
            yield (length - 1) << _CODE_BITS | code
            left -= length
