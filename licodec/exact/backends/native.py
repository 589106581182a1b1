"""Our own kernels in C, for whatever vector instructions the processor has."""

from __future__ import annotations

import _thread
import contextlib
import threading
from collections.abc import Mapping
from ctypes import c_int64, c_void_p

import numpy as np

from licodec.exact import native
from licodec.exact.bounds import CheckedProgram
from licodec.exact.native.binding import Binder
from licodec.exact.native.layout import Layout, Layouter, Size
from licodec.exact.native.levels import PLAIN, Level, best_level, wanted_level
from licodec.exact.native.planner import Planner
from licodec.exact.native.proof import failure
from licodec.exact.native.tables import INPUT_PLANE, TYPES, PlaneRow
from licodec.exact.threads import default_threads
from licodec.exact.values import Run

NAME = "native"
IDLE = 1 << 26  # bytes of memory that may be more than twice what a program needs
LAYOUTS_KEPT = 24  # of a program: strips have few heights, wavefronts some more
_RUN_ARGUMENTS = (c_int64, c_void_p, c_int64, *(c_void_p,) * 4, c_int64, c_void_p)

_threads: int | None = None
_local = threading.local()


def obstacle() -> str | None:
    """Why it cannot run here; it has proved itself where it can (licodec/exact/native/proof.py).

    Raises UsageError where the environment names a level that is not there.
    """
    if native.library() is None:
        return native.reason()
    level = best_level()
    if level.name == PLAIN != wanted_level():
        return "it has no vector instructions of this kind of processor"
    return failure(prepare, level)


def set_threads(count: int) -> None:
    """Let programs run on `count` threads."""
    global _threads
    _threads = count


def prepare(checked: CheckedProgram, level: Level | None = None) -> Run:
    """Bind a program to a level of instructions, or to the best that is there."""
    return _Prepared(checked, level or best_level())


class _Prepared:
    """A bound program: callable as `Run`."""

    def __init__(self, checked: CheckedProgram, level: Level) -> None:
        self._program, self._level = checked.program, level
        planned = Planner(checked.program, checked.values)
        self._bound = Binder(planned, checked.tensors, level)
        self._layouts: dict[tuple[Size, int], Layout] = {}

    def __call__(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        planes = {
            port.name: _readable(inputs[port.name], port.channels)
            for port in self._program.inputs
            if port.channels is not None
        }
        sizes = {(plane.shape[1], plane.shape[2]) for plane in planes.values()}
        if len(sizes) != 1:
            raise ValueError(f"inputs of different sizes: {sorted(sizes)}")
        threads = _threads or default_threads()
        layout = self._layout(sizes.pop(), threads)
        results = {
            name: np.empty(given.shape, given.dtype) for name, (_, given) in layout.outputs.items()
        }
        numbers = np.array([int(inputs[name]) for name in self._bound.numbers], np.int64)
        self._run(layout, planes, results, numbers, threads if layout.worth_threads else 1)
        return {name: result.transpose(2, 0, 1) for name, result in results.items()}

    def _layout(self, size: Size, threads: int) -> Layout:
        key = (size, threads)
        layout = self._layouts.get(key)
        if layout is None:
            layout = Layouter(self._program, self._bound, size, threads).layout()
            if len(self._layouts) >= LAYOUTS_KEPT:
                self._layouts = {}
            self._layouts[key] = layout
        return layout

    def _run(
        self,
        layout: Layout,
        planes: Mapping[str, np.ndarray],
        results: Mapping[str, np.ndarray],
        numbers: np.ndarray,
        threads: int,
    ) -> None:
        tasks = layout.tasks.copy()
        memory = np.zeros(1 + len(self._program.inputs) + len(results), np.int64)
        arena = _arena(layout.memory + threads * layout.scratch)
        memory[0] = arena.ctypes.data
        for name, (task, slot) in layout.inputs.items():
            memory[slot] = planes[name].ctypes.data
            row = _input_row(planes[name], slot)
            tasks[task, INPUT_PLANE : INPUT_PLANE + len(row)] = row
        for name, (slot, _) in layout.outputs.items():
            memory[slot] = results[name].ctypes.data
        progress = np.zeros(1 + layout.blocks, np.int64)
        arguments = (
            self._level.number, tasks.ctypes.data, len(tasks), layout.stages.ctypes.data,
            memory.ctypes.data, numbers.ctypes.data, arena.ctypes.data + layout.memory, threads,
            progress.ctypes.data,
        )  # fmt: skip
        run = native.function("licodec_run", None, *_RUN_ARGUMENTS)
        # What the pointers lead into lives as long as the threads do.
        kept = (tasks, layout, memory, numbers, progress, arena, planes, results, self._bound)
        with contextlib.suppress(RuntimeError):  # where there can be no more threads
            for _ in range(threads - 1):
                _thread.start_new_thread(lambda kept: run(*arguments), (kept,))
        run(*arguments)  # until all is done, by whomever


def _readable(plane: np.ndarray, channels: int) -> np.ndarray:
    """An input (C, H, W) in a type and a layout that the library reads as it is."""
    if plane.ndim != 3 or plane.shape[0] != channels:
        raise ValueError(f"an input of shape {plane.shape} for {channels} channels")
    in_place = plane.flags.aligned and not any(step % plane.itemsize for step in plane.strides)
    return plane if in_place and plane.dtype in TYPES else plane.astype(np.int32)


def _input_row(plane: np.ndarray, slot: int) -> PlaneRow:
    channel, row, pixel = (step // plane.itemsize for step in plane.strides)
    return PlaneRow(slot, 0, TYPES[plane.dtype], 0, row, pixel, channel, plane.shape[0])


def _arena(size: int) -> np.ndarray:
    """Memory of any content for one run at a time in this thread, kept for the next, unless much
    of it would lie idle."""
    arena = getattr(_local, "arena", None)
    if arena is None or not size <= len(arena) <= max(2 * size, IDLE):
        _local.arena = arena = None  # not both at a time
        _local.arena = arena = np.empty(size, np.uint8)
    return arena
