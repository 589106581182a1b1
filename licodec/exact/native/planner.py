"""What the native code does for a program: a list of tasks, whatever the size of the planes.

A task computes integers tile by tile, in a processor's cache: its source makes them (a
convolution, or reading a plane), and its stages change them or write them to planes. So what
follows a convolution and takes each integer by itself costs no way through memory.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from licodec.exact.program import Operation, Program
from licodec.exact.values import ValueInfo

BY_INTEGER = frozenset({"requantize", "clamp", "table", "add", "mul", "scale"})
INPUT, LOAD, STORE, GIVE = "input", "load", "store", "give"


class Stage(NamedTuple):
    """What a task does to its integers: an operation, or to `store` or `give` them as a value.

    other   the operand beside the integers: of add and mul read from its plane, scale's number
    order   of the channels in which they are computed, None: as they come
    repeat  how often the channels come one after the other, for a block of pixels
    """

    kind: str
    value: str
    operation: Operation | None = None
    other: str = ""
    order: np.ndarray | None = None
    repeat: int = 1


@dataclass
class Task:
    """source     the kind of the operation that makes the integers, `load` or `input`
    operation  that, None where a value is only loaded
    reads      the value whose plane the source reads
    value      what the source makes
    factor     by which planes that stages meet are larger than the tiles, each way
    order      of the channels in which they are computed, None: as they come
    """

    source: str
    operation: Operation | None
    reads: str
    value: str
    factor: int = 1
    order: np.ndarray | None = None
    stages: list[Stage] = field(default_factory=list)

    @property
    def attributes(self) -> Mapping[str, int]:
        """Of the operation."""
        return {} if self.operation is None else self.operation.attributes

    @property
    def read(self) -> list[str]:
        """Values whose planes it reads."""
        others = [stage.other for stage in self.stages if stage.kind in ("add", "mul")]
        return others if self.source == INPUT else [self.reads, *others]

    @property
    def written(self) -> list[str]:
        """Values whose planes it writes."""
        own = [self.value] if self.source == "window_attention" else []
        return own + [stage.value for stage in self.stages if stage.kind == STORE]


class Planner:
    """What the native code does for a program that has passed ``bounds.analyse``.

    tasks   in the order in which they run
    joined  values whose planes are channels of a concatenation's, from a channel on, by name
    readers operations that read a value, those without use left out, by name
    """

    def __init__(self, program: Program, values: Mapping[str, ValueInfo]) -> None:
        self.values = values
        self.outputs = set(program.outputs)
        operations = _needed(program)
        self.readers: dict[str, list[Operation]] = defaultdict(list)
        for operation in operations:
            for name in dict.fromkeys(operation.inputs):
                self.readers[name].append(operation)
        self.joined: dict[str, tuple[str, int]] = {}
        for operation in operations:
            if operation.kind == "concat":
                self._join(operation)
        self.done: set[str] = set()  # results of operations that tasks have
        self.stored: set[str] = set()
        self.given: set[str] = set()
        self.tasks: list[Task] = []
        for port in program.inputs:
            wanted = port.name in self.outputs or self.readers[port.name]
            if port.channels is not None and wanted:
                self._extend(Task(INPUT, None, port.name, port.name))
        for operation in operations:
            if operation.output not in self.done:
                self._begin(operation)

    def _join(self, operation: Operation) -> None:
        """Let operands that nothing else reads be computed where the concatenation has them."""
        start = 0
        for name in operation.inputs:
            alone = self.readers[name] == [operation] and operation.inputs.count(name) == 1
            if alone and name not in self.outputs:
                self.joined[name] = (operation.output, start)
            start += self.values[name].channels

    def _begin(self, operation: Operation) -> None:
        """A task whose source is an operation, or which loads what it reads."""
        if operation.kind in BY_INTEGER:
            name = operation.inputs[0]
            self._extend(Task(LOAD, None, name, name), operation)
            return
        self.done.add(operation.output)
        if operation.kind in ("concat", "window_attention"):
            self._make_plane(operation)
            return
        factor = operation.attributes["factor"] if operation.kind == "pixel_shuffle" else 1
        name = operation.inputs[0]
        self._extend(Task(operation.kind, operation, name, operation.output, factor))

    def _make_plane(self, operation: Operation) -> None:
        """Operations that no stage follows."""
        result = operation.output
        if operation.kind == "concat":
            copied = [n for n in operation.inputs if n not in self.joined]
            for name in dict.fromkeys(copied):
                self.tasks.append(Task("concat", operation, name, result))
                self.tasks[-1].stages.append(Stage(STORE, result))
        else:
            self.tasks.append(Task(operation.kind, operation, operation.inputs[0], result))
        self.stored.add(result)
        if result in self.outputs:
            self.tasks.append(Task(LOAD, None, result, result, stages=[Stage(GIVE, result)]))
            self.given.add(result)

    def _extend(self, task: Task, following: Operation | None = None) -> None:
        """Add stages to a task for as long as an operation takes what the last one gave."""
        current = task.value
        while True:
            following = following or self._next(task, current)
            if not self.values[current].accumulator:
                self._keep(task, current, following)
            if following is None:
                break
            self.done.add(following.output)
            if following.kind == "pixel_shuffle":
                _shuffle(task, self.values[current].channels, following.attributes["factor"])
            else:
                task.stages.append(_stage(following, current, task.factor**2))
            current, following = following.output, None
        self.tasks.append(task)

    def _keep(self, task: Task, value: str, following: Operation | None) -> None:
        """Write a value to planes where anything but what follows needs it."""
        others = any(reader is not following for reader in self.readers[value])
        twice = following is not None and following.inputs.count(value) > 1
        if value not in self.stored and (others or twice):
            task.stages.append(Stage(STORE, value))
            self.stored.add(value)
        if value in self.outputs and value not in self.given:
            task.stages.append(Stage(GIVE, value))
            self.given.add(value)

    def _next(self, task: Task, current: str) -> Operation | None:
        for reader in self.readers[current]:
            if reader.output in self.done:
                continue
            if reader.kind in BY_INTEGER and self._has_others(reader, current):
                return reader
            if reader.kind == "pixel_shuffle" and self._may_shuffle(task, current):
                return reader
        return None

    def _has_others(self, operation: Operation, current: str) -> bool:
        """Whether the planes that it reads beside `current` are there."""
        return operation.kind not in ("add", "mul") or all(
            name == current or name in self.stored for name in operation.inputs
        )

    def _may_shuffle(self, task: Task, current: str) -> bool:
        """Whether all channels up to here may be computed in another order."""
        if task.source != "conv2d" or task.operation is None or task.factor != 1:
            return False
        met = any(stage.kind in (STORE, GIVE, "add", "mul") for stage in task.stages)
        alone = len(self.readers[current]) == 1 and current not in self.outputs
        return alone and not met and task.operation.attributes["groups"] == 1


def _stage(operation: Operation, current: str, repeat: int) -> Stage:
    other = ""
    if len(operation.inputs) == 2:
        other = operation.inputs[1 if operation.inputs[0] == current else 0]
    return Stage(operation.kind, operation.output, operation, other, repeat=repeat)


def _shuffle(task: Task, channels: int, factor: int) -> None:
    """From here on the integers are those of the larger plane: compute the channels in the order
    (row in block, column in block, channel), in which they lie there."""
    task.order = np.arange(channels).reshape(-1, factor**2).T.ravel()
    task.factor = factor
    task.stages = [stage._replace(order=task.order) for stage in task.stages]


def _needed(program: Program) -> list[Operation]:
    """The operations that outputs depend on."""
    wanted, kept = set(program.outputs), []
    for operation in reversed(program.operations):
        if operation.output in wanted:
            kept.append(operation)
            wanted.update(operation.inputs)
    return kept[::-1]
