"""Where the native code's blocks of rows lie, and which of them wait for which."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from licodec.exact.bounds import analyse, check
from licodec.exact.native import layout, levels, library, planner, reason
from licodec.exact.native.binding import Binder, BoundTask
from licodec.exact.strips import strip_geometry
from tests.exact.programs import RandomBuilder

if library() is None:
    pytest.skip(f"no native code: {reason()}", allow_module_level=True)


@given(seed=st.integers(0, 2**32 - 1), threads=st.integers(2, 9), units=st.integers(1, 12))
@settings(max_examples=60, deadline=None)
def test_a_block_waits_for_all_that_it_reads(seed: int, threads: int, units: int) -> None:
    program, tensors = RandomBuilder(seed).random_program()
    values = analyse(program, tensors)
    bound = Binder(planner.Planner(program, values), tensors, levels.best_level())
    rows = units * strip_geometry(check(program, tensors)).unit
    own = layout.Layouter(program, bound, (rows, rows), threads)
    for before, task in itertools.pairwise(bound.tasks):
        reach, blocks = own._reach(task, before), own._blocks(before)
        made, _ = own._tile_plane(before)
        for block in range(own._blocks(task)):
            for first, last in rows_read(own, task, before, block):
                first, last = (row // before.task.factor for row in (first, last))
                for n in range(blocks):
                    if made * n // blocks <= last and first < made * (n + 1) // blocks:
                        assert abs(n - block) <= reach


def rows_read(
    own: layout.Layouter, task: BoundTask, before: BoundTask, block: int
) -> Iterator[tuple[int, int]]:
    """The first and the last row that a block reads of each plane that `before` writes."""
    written = {own.bound.root(name)[0] for name in before.task.written}
    rows, _ = own._tile_plane(task)
    top, bottom = (rows * n // own._blocks(task) for n in (block, block + 1))
    for name in task.task.read:
        if own.bound.root(name)[0] in written:
            first, last = _rows_of(own, task, name, top, bottom - 1)
            yield max(0, first), min(own.sizes[name][0] - 1, last)


def _rows_of(
    own: layout.Layouter, task: BoundTask, name: str, top: int, bottom: int
) -> tuple[int, int]:
    """Of the rows [top, bottom] of the task's own tiles."""
    a, source = task.task.attributes, task.task.source
    if name != task.task.reads:
        return top * task.task.factor, (bottom + 1) * task.task.factor - 1
    if source == "conv2d":
        first, last = (row * a["stride"] - a["padding"] for row in (top, bottom))
        return first, last + task.packed.row.kernel - 1
    if source == "phase":
        return top * a["factor"] + a["row"], bottom * a["factor"] + a["row"]
    if source == "pixel_unshuffle":
        return top * a["factor"], (bottom + 1) * a["factor"] - 1
    if source == "window_attention":
        return 0, own.sizes[name][0] - 1
    return top, bottom
