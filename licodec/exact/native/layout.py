"""Where everything lies for planes of one size: the tables that the native code runs."""

from __future__ import annotations

from collections.abc import Mapping
from ctypes import c_int64, c_void_p
from typing import NamedTuple

import numpy as np

from licodec.exact import native
from licodec.exact.native.binding import Binder, BoundStage, BoundTask
from licodec.exact.native.packing import Storage
from licodec.exact.native.planner import GIVE, INPUT
from licodec.exact.native.tables import (
    BLOCKS,
    TYPES,
    ConvolutionRow,
    PlaneRow,
    Source,
    TaskRow,
    TransformRow,
    Type,
)
from licodec.exact.program import Operation, Program

ALIGNMENT = 64
SLACK = 64  # bytes behind a plane: kernels read up to a dozen elements beyond the last, times 0
TILE = 4096
POSITIONS = 12
BLOCKS_PER_THREAD = 4
WORTH_THREADS = 2_000_000  # multiplications, which one thread does in a fraction of a millisecond

Size = tuple[int, int]


class Given(NamedTuple):
    """An output: its shape (rows, columns, channels), and its type in NumPy."""

    shape: tuple[int, int, int]
    dtype: np.dtype


class Layout(NamedTuple):
    """tasks, stages  tables of programs.h; slot 0 of memory is `memory` bytes
    blocks  of all tasks
    scratch bytes that each thread needs beside
    inputs  by name of each input that is a plane: the task that reads it, and its slot
    outputs by name: slot, and what is written there
    worth_threads  whether there is enough to do
    """

    tasks: np.ndarray
    stages: np.ndarray
    blocks: int
    memory: int
    scratch: int
    inputs: Mapping[str, tuple[int, int]]
    outputs: Mapping[str, tuple[int, Given]]
    worth_threads: bool


def plane_sizes(program: Program, size: Size) -> dict[str, Size]:
    """Rows and columns of every value."""
    sizes = {port.name: size for port in program.inputs if port.channels is not None}
    for operation in program.operations:
        own = [sizes[name] for name in operation.inputs if name in sizes]
        if any(other != own[0] for other in own):
            raise ValueError(f"{operation.kind}: planes of {own[0]} and {own[1:]} do not fit")
        rows, columns = own[0]
        result = _side(operation, rows, "row"), _side(operation, columns, "column")
        sizes[operation.output] = result
    return sizes


def _side(operation: Operation, count: int, axis: str) -> int:
    """Rows, or columns, of the result for so many of the operand."""
    a = operation.attributes
    if operation.kind == "conv2d":
        return -(-count // a["stride"])  # bounds.analyse: kernel - stride <= 2 padding < kernel
    if operation.kind == "pixel_shuffle":
        return count * a["factor"]
    if operation.kind == "pixel_unshuffle":
        if count % a["factor"]:
            raise ValueError(f"pixel_unshuffle: {count} {axis}s in blocks of {a['factor']}")
        return count // a["factor"]
    if operation.kind == "phase":
        return max(0, -(-(count - a[axis]) // a["factor"]))
    return count


class Layouter:
    """Makes the tables for inputs of `size` rows and columns.

    Raises ValueError where the planes of two operands do not fit together.
    """

    def __init__(self, program: Program, bound: Binder, size: Size, threads: int) -> None:
        self.program, self.values, self.bound = program, bound.values, bound
        self.threads = threads
        self.sizes = plane_sizes(program, size)
        self.output_slots = {
            name: 1 + len(program.inputs) + i for i, name in enumerate(program.outputs)
        }
        self.input_slots = {port.name: 1 + i for i, port in enumerate(program.inputs)}
        self.offsets, self.memory = self._offsets()

    def layout(self) -> Layout:
        tasks: list[tuple[int, ...]] = []
        stages: list[tuple[int, ...]] = []
        inputs: dict[str, tuple[int, int]] = {}
        work = 0
        for i, task in enumerate(self.bound.tasks):
            own = [row for stage in task.stages for row in self._stage_rows(task, stage)]
            tasks.append(self._task_row(i, len(stages), len(own)))
            stages += own
            if task.task.source == INPUT:
                inputs[task.task.reads] = (i, self.input_slots[task.task.reads])
            rows, columns = self._tile_plane(task)
            work += task.work * rows * columns
        outputs = {
            name: (slot, Given((*self.sizes[name], x.channels), x.dtype))
            for name, slot in self.output_slots.items()
            for x in (self.values[name],)
        }
        table = np.array(tasks, np.int64)
        scratch = native.function("licodec_scratch", c_int64, c_void_p, c_int64)
        return Layout(
            table,
            np.array(stages, np.int64),
            int(table[:, BLOCKS].sum()),
            self.memory,
            scratch(table.ctypes.data, len(table)),
            inputs,
            outputs,
            work > WORTH_THREADS,
        )

    # Memory ------------------------------------------------------------------------------------

    def _offsets(self) -> tuple[dict[str, int], int]:
        """Where the plane of each value begins, and the bytes of all: planes whose lives do not
        overlap share memory. Threads may be at two tasks at a time, so a life is one longer."""
        first: dict[str, int] = {}
        last: dict[str, int] = {}
        for i, task in enumerate(self.bound.tasks):
            for name in (*task.task.read, *task.task.written):
                root, _ = self.bound.root(name)
                first.setdefault(root, i)
                last[root] = i
        offsets: dict[str, int] = {}
        live: list[tuple[int, int, str]] = []  # (begin, end, name), ascending
        memory = 0
        for root, i in first.items():
            live = [entry for entry in live if last[entry[2]] >= i - 1]
            begin, bytes_ = _gap(live, self._bytes(root)), self._bytes(root)
            live.append((begin, begin + bytes_, root))
            live.sort()
            offsets[root] = begin
            memory = max(memory, begin + bytes_)
        return offsets, memory

    def _bytes(self, root: str) -> int:
        storage, (rows, columns) = self.bound.storage[root], self.sizes[root]
        around = 2 * storage.border
        count = (rows + around) * (columns + around) * storage.channels
        return -(-(count * storage.type.size + SLACK) // ALIGNMENT) * ALIGNMENT

    # Rows --------------------------------------------------------------------------------------

    def _tile_plane(self, task: BoundTask) -> Size:
        """Rows and columns that a task's tiles cover."""
        source = task.task
        return self.sizes[source.reads if task.source == Source.SHUFFLE else source.value]

    def _tile_channels(self, task: BoundTask) -> int:
        source = task.task
        shown = source.reads if source.source in ("concat", "pixel_shuffle") else source.value
        return self.values[shown].channels

    def _blocks(self, task: BoundTask) -> int:
        units, _ = self._tile_plane(task)
        if task.source == Source.ATTENTION:
            units = -(-units // task.task.attributes["window"])
        return max(1, min(units, BLOCKS_PER_THREAD * self.threads)) if self.threads > 1 else 1

    def _reach(self, task: BoundTask, before: BoundTask) -> int:
        """How many blocks of the task before, to either side of its own place, a block reads.

        The bounds of blocks are rounded down to whole rows of tiles, which are rows of a plane
        each: `step` of the reader's, `factor` of the writer's.
        """
        blocks, written = self._blocks(task), {self.bound.root(v)[0] for v in before.task.written}
        shared = written & {self.bound.root(value)[0] for value in task.task.read}
        if not shared:
            return 0
        if blocks != self._blocks(before) or Source.ATTENTION in (task.source, before.source):
            return max(blocks, self._blocks(before))
        a = task.task.attributes
        rows = min(self.sizes[root][0] for root in shared)
        step = -(-max(self.sizes[root][0] for root in shared) // self._tile_plane(task)[0])
        around = a.get("padding", 0) + a.get("factor", 0) + step + before.task.factor
        return -(-around * blocks // rows)

    def _task_row(self, index: int, first_stage: int, stages: int) -> tuple[int, ...]:
        task = self.bound.tasks[index]
        (rows, columns), channels = self._tile_plane(task), self._tile_channels(task)
        row = TaskRow(
            task.source,
            rows,
            columns,
            channels,
            *self.sizes[task.task.reads],
            task.task.factor,
            _positions(task.source, columns, channels),
            self._blocks(task),
            self._reach(task, self.bound.tasks[index - 1]) if index else 0,
            first_stage,
            stages,
        )
        output = self._plane(task.task.value) if task.source == Source.ATTENTION else PlaneRow()
        own = task.packed.row if task.packed else None
        convolution = own if isinstance(own, ConvolutionRow) else ConvolutionRow()
        transform = own if isinstance(own, TransformRow) else TransformRow()
        return (*row, *self._input(task), *output, *convolution.flat(), *transform)

    def _input(self, task: BoundTask) -> PlaneRow:
        """The plane that the source reads; a caller's is filled in when it is known."""
        name, a = task.task.reads, task.task.attributes
        if task.task.source == INPUT:
            return PlaneRow(channels=self.values[name].channels)
        plane = self._plane(name)
        size = Type(plane.type).size
        if task.task.source == "conv2d":
            before = a["padding"] * (plane.row + plane.pixel)
            return plane._replace(offset=plane.offset - before * size)
        if task.task.source == "split":
            channels = a["stop"] - a["start"]
            return plane._replace(offset=plane.offset + a["start"] * size, channels=channels)
        if task.task.source == "phase":
            before = a["row"] * plane.row + a["column"] * plane.pixel
            return plane._replace(
                offset=plane.offset + before * size,
                row=plane.row * a["factor"],
                pixel=plane.pixel * a["factor"],
            )
        return plane

    def _plane(self, name: str) -> PlaneRow:
        root, start = self.bound.root(name)
        storage: Storage = self.bound.storage[root]
        border, channels = storage.border, storage.channels
        row = (self.sizes[root][1] + 2 * border) * channels
        first = border * (row + channels) + start
        return PlaneRow(
            0,
            self.offsets[root] + first * storage.type.size,
            storage.type,
            storage.zero,
            row,
            channels,
            1,
            self.values[name].channels,
            border,
        )

    def _stage_rows(self, task: BoundTask, bound: BoundStage) -> list[tuple[int, ...]]:
        stage, source = bound.stage, task.task.operation
        if stage.kind == GIVE:
            x, slot = self.values[stage.value], self.output_slots[stage.value]
            row = self.sizes[stage.value][1] * x.channels
            plane = PlaneRow(slot, 0, TYPES[x.dtype], 0, row, x.channels, 1, x.channels)
            return [(*bound.row, *plane)]
        if source is not None and source.kind == "concat":
            return [(*bound.row, *plane) for plane in self._parts(task, source.inputs)]
        if stage.kind in ("add", "mul"):
            return [(*bound.row, *self._plane(stage.other))]
        if stage.operation is None:
            return [(*bound.row, *self._plane(stage.value))]
        return [(*bound.row, *PlaneRow())]

    def _parts(self, task: BoundTask, joined: tuple[str, ...]) -> list[PlaneRow]:
        """Of a concatenation's plane, the channels that the task's operand makes."""
        whole, parts, start = self._plane(task.task.value), [], 0
        for name in joined:
            channels = self.values[name].channels
            if name == task.task.reads:
                offset = whole.offset + start * Type(whole.type).size
                parts.append(whole._replace(offset=offset, channels=channels))
            start += channels
        return parts


def _gap(live: list[tuple[int, int, str]], size: int) -> int:
    """The first place between what is there, in order, that `size` bytes fit into."""
    end = 0
    for begin, after, _ in live:
        if begin - end >= size:
            return end
        end = after
    return end


def _positions(source: Source, columns: int, channels: int) -> int:
    """Of a tile: as many as a cache holds, in whole blocks of a convolution's kernel."""
    count = max(1, TILE // channels)
    if source in (Source.CONVOLUTION, Source.WIDE_CONVOLUTION):
        count = max(1, count // POSITIONS) * POSITIONS
    return max(1, min(count, columns))
