"""Tasks bound to their tensors: packed weights and rows of tables, whatever the planes' size."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from licodec.exact.native import packing
from licodec.exact.native.levels import Level
from licodec.exact.native.packing import Packed, Storage
from licodec.exact.native.planner import INPUT, LOAD, Planner, Stage, Task
from licodec.exact.native.tables import Source, StageKind, StageRow
from licodec.exact.program import Operation, Tensors

SUMS_IN_FLOAT = frozenset({"mul", "scale", "igdn"})
SOURCES = {
    INPUT: Source.LOAD,
    LOAD: Source.LOAD,
    "concat": Source.LOAD,
    "split": Source.LOAD,
    "phase": Source.LOAD,
    "pixel_shuffle": Source.SHUFFLE,
    "pixel_unshuffle": Source.UNSHUFFLE,
    "conv2d": Source.CONVOLUTION,
    "igdn": Source.NORMALIZE,
    "gdn": Source.DIVIDE,
    "layernorm": Source.LAYERNORM,
    "window_attention": Source.ATTENTION,
}


class BoundStage(NamedTuple):
    """A stage and its row; the plane that goes with it is another matter."""

    stage: Stage
    row: StageRow


class BoundTask(NamedTuple):
    """work  multiplications for each position of a tile, about"""

    task: Task
    source: Source
    stages: tuple[BoundStage, ...]
    packed: Packed | None
    work: int


class Binder:
    """Binds tasks for a level. `kept` are the arrays that pointers lead into."""

    def __init__(self, listed: Planner, tensors: Tensors, level: Level) -> None:
        self.values, self.tensors, self.level = listed.values, tensors, level
        self.joined = listed.joined
        self.kept: list[np.ndarray] = []
        self.storage: dict[str, Storage] = {}
        self.numbers: list[str] = []  # names of those that scale reads
        for task in listed.tasks:
            for name in (*task.read, *task.written):
                if (root := self.root(name)[0]) not in self.storage:
                    self.storage[root] = self._storage(root, listed)
        self.tasks = tuple(self._task(task) for task in listed.tasks)

    def root(self, name: str) -> tuple[str, int]:
        """The value whose plane holds a value, from which channel on."""
        start = 0
        while name in self.joined:
            name, first = self.joined[name]
            start += first
        return name, start

    def _storage(self, root: str, listed: Planner) -> Storage:
        convolutions = [o for o in listed.readers[root] if o.kind == "conv2d"]
        border = max((o.attributes["padding"] for o in convolutions), default=0)
        in_bytes = all(
            packing.takes_bytes(self.tensors[o.tensors["weight"]], self.level) for o in convolutions
        )
        return packing.choose_storage(self.values[root], border, in_bytes)

    def _task(self, task: Task) -> BoundTask:
        source, packed = SOURCES[task.source], self._pack(task)
        if packed is not None:
            self.kept += packed.arrays
            source = Source.WIDE_CONVOLUTION if packed.wide else source
        floats = task.source in SUMS_IN_FLOAT or source == Source.WIDE_CONVOLUTION
        stages = []
        for stage in task.stages:
            stages.append(BoundStage(stage, self._stage(stage, floats)))
            floats = stage.kind in SUMS_IN_FLOAT
        weight = task.operation.weight if task.operation else None
        weights = 0 if weight is None else self.tensors[weight].size
        work = self.values[task.value].channels + weights
        return BoundTask(task, source, tuple(stages), packed, work)

    def _pack(self, task: Task) -> Packed | None:
        operation = task.operation
        if operation is None or not operation.tensors:
            return None
        roles = operation.roles(self.tensors)
        if operation.kind == "conv2d":
            return packing.pack_convolution(
                operation,
                self.values[task.reads],
                self.values[operation.output],
                self.storage[task.reads],
                roles,
                task.order,
                self.level,
            )
        if operation.kind in ("gdn", "igdn"):
            return packing.pack_normalization(operation, roles)
        if operation.kind == "layernorm":
            return packing.pack_layernorm(operation, roles)
        return packing.pack_attention(operation, roles)

    def _stage(self, stage: Stage, floats: bool) -> StageRow:
        if stage.operation is None:
            return StageRow(StageKind.STORE)
        a = stage.operation.attributes
        if stage.kind == "requantize":
            return self._requantize(stage, stage.operation, floats)
        if stage.kind == "table":
            entries = self._keep(self.tensors[stage.operation.tensors["table"]])
            return StageRow(StageKind.TABLE, a["low"], len(entries) - 1, table=entries.ctypes.data)
        if stage.kind == "scale":
            if stage.other not in self.numbers:
                self.numbers.append(stage.other)
            return StageRow(StageKind.SCALE, number=self.numbers.index(stage.other))
        if stage.kind == "mul":
            return StageRow(StageKind.MULTIPLY)
        return StageRow(StageKind[stage.kind.upper()], a["low"], a["high"])

    def _requantize(self, stage: Stage, operation: Operation, floats: bool) -> StageRow:
        roles = operation.roles(self.tensors)
        by_channel = any(multiplier.size > 1 for multiplier in roles.values())
        addresses = []
        for role in ("multiplier", "negative_multiplier"):
            if (multiplier := roles.get(role)) is None:
                addresses.append(0)
                continue
            if by_channel:
                channels = self.values[operation.output].channels
                multiplier = np.broadcast_to(multiplier, (channels,))
                multiplier = multiplier if stage.order is None else multiplier[stage.order]
                multiplier = np.tile(multiplier, stage.repeat)
            addresses.append(self._keep(multiplier).ctypes.data)
        kind = StageKind.REQUANTIZE_FLOAT if floats else StageKind.REQUANTIZE
        low, high = operation.attributes["low"], operation.attributes["high"]
        return StageRow(kind, low, high, 0, int(by_channel), *addresses)

    def _keep(self, array: np.ndarray) -> np.ndarray:
        self.kept.append(np.ascontiguousarray(array))
        return self.kept[-1]
