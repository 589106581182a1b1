"""Programs of a network as they are compiled, one after the other, into one pack, and the
stand-ins that an adapter set has for them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
import torch
from torch import nn

from licodec.compiler.compilation import compile_module
from licodec.compiler.forms import Compiled, Grid, LayerSteps, Output, Source
from licodec.compiler.graphs import output_nodes, trace
from licodec.compiler.grids import Rules, Tables
from licodec.compiler.operands import read_operands
from licodec.compiler.ranges import RANGE_MARGIN, RangeRecorder
from licodec.compiler.rules import RULES, TABLES
from licodec.exact.program import Program
from licodec.networks.adapter_branches import Gain
from licodec.networks.adapter_sets import plain_path
from licodec.packing.parts import Calibrated, Programs, Ranges
from licodec.rate.conditions import PREFIX
from licodec.rate.gains import GAIN_ONE, MODES

BRANCH_BITS = 8  # of a branch's weights, unless those of its layer have more
Range = tuple[float, float]


@dataclass(frozen=True)
class Part:
    """One module of a network that becomes one program."""

    name: str
    module: nn.Module


@contextlib.contextmanager
def run_by(parts: Sequence[Part], programs: Programs) -> Iterator[None]:
    """Let `programs` stand in for the forward passes of `parts`, which their network calls."""
    for part in parts:
        part.module.forward = programs[part.name]
    try:
        yield
    finally:
        for part in parts:
            del part.module.forward


@torch.no_grad()
def recorded(
    parts: Sequence[Part], leaves: tuple[type[nn.Module], ...], run: Callable[[], None]
) -> dict[str, Calibrated]:
    """Every part traced down to `leaves`, with the ranges that its values take while `run` uses
    their network, by name."""
    recorders = {part.name: RangeRecorder(trace(part.module, leaves)) for part in parts}
    with run_by(parts, {name: recorder.run for name, recorder in recorders.items()}):
        run()
    return {name: Calibrated(r.module, r.ranges) for name, r in recorders.items()}


@dataclass(frozen=True)
class Value:
    """Planes that go from one program to another: the range, and what each channel counts in."""

    grid: Grid
    steps: np.ndarray

    @classmethod
    def on(cls, grid: Grid, channels: int) -> Value:
        return cls(grid, np.full(channels, grid.step))

    def equals(self, other: Value) -> bool:
        return self.grid == other.grid and np.array_equal(self.steps, other.steps)


class Target(Protocol):
    """What the parts of a network are added to, in coding order."""

    def add(
        self, name: str, inputs: Mapping[str, Value], outputs: Mapping[str, Output]
    ) -> dict[str, Value]:
        """Add one part; its outputs."""


def source_of(
    name: str,
    inputs: Mapping[str, Value],
    outputs: Mapping[str, Output],
    numbers: tuple[str, ...] = (),
) -> Source:
    """What the compiler must know of a part that reads `inputs` and these gains."""
    return Source(
        name,
        {port: value.grid for port, value in inputs.items()},
        {port: len(value.steps) for port, value in inputs.items()},
        outputs,
        {port: value.steps for port, value in inputs.items()},
        dict.fromkeys(numbers, GAIN_ONE),
    )


@dataclass
class Packing:
    """The programs of a pack as they are compiled, one after the other.

    added  what each of them reads and makes
    conditions  of adapter sets, by their objective, see ``compiler.Compiled``
    layers      what the integers of each convolution stand for, by "program.layer" name
    """

    calibrated: Mapping[str, Calibrated]
    widths: Callable[[str], int]
    activation_bits: int
    tables: Tables = field(default_factory=lambda: TABLES)
    programs: dict[str, Program] = field(default_factory=dict)
    tensors: dict[str, np.ndarray] = field(default_factory=dict)
    stored_widths: dict[str, int] = field(default_factory=dict)
    added: dict[str, tuple[Mapping[str, Value], dict[str, Value]]] = field(default_factory=dict)
    conditions: dict[str, dict[str, str]] = field(default_factory=dict)
    layers: dict[str, LayerSteps] = field(default_factory=dict)
    rules: Rules = field(default_factory=lambda: RULES)

    def add(
        self, name: str, inputs: Mapping[str, Value], outputs: Mapping[str, Output]
    ) -> dict[str, Value]:
        """Compile one part; its outputs."""
        part = self.calibrated[name]
        made = self.compile(source_of(name, inputs, outputs), part, part.ranges, self.widths)
        self.added[name] = inputs, made
        return made

    def compile(
        self, source: Source, part: Calibrated, ranges: Ranges, widths: Callable[[str], int]
    ) -> dict[str, Value]:
        """Compile one program into the pack; its outputs."""
        compiled: Compiled = compile_module(
            source, part.traced, ranges, widths, self.activation_bits, self.tables, self.rules
        )
        self.programs[source.name] = compiled.program
        self.tensors.update(compiled.tensors)
        self.stored_widths.update(compiled.widths)
        self.layers |= {f"{source.name}.{layer}": s for layer, s in compiled.layers.items()}
        for objective, tensors in compiled.conditions.items():
            self.conditions.setdefault(objective, {}).update(tensors)
        return _values(compiled)

    def share(self, name: str, other: str) -> None:
        """Let the program `name` use the tensors of the program `other` that equal its own; not
        those that have conditions."""

        def content(tensor: str) -> tuple[object, ...]:
            if tensor not in self.tensors or PREFIX + tensor in self.tensors:
                return (tensor,)
            values = self.tensors[tensor]
            return values.dtype, values.shape, values.tobytes(), self.stored_widths.get(tensor)

        known = {content(t): t for o in self.programs[other].operations for t in o.tensors.values()}
        operations = []
        for operation in self.programs[name].operations:
            tensors = {r: known.get(content(t), t) for r, t in operation.tensors.items()}
            for replaced in set(operation.tensors.values()) - set(tensors.values()):
                del self.tensors[replaced]
                self.stored_widths.pop(replaced, None)
            operations.append(replace(operation, tensors=tensors))
        self.programs[name] = replace(self.programs[name], operations=tuple(operations))


def _values(compiled: Compiled) -> dict[str, Value]:
    """The outputs of a program."""
    grids, steps = compiled.output_grids, compiled.output_steps
    return {output: Value(grid, steps[output]) for output, grid in grids.items()}


@dataclass
class OperandSteps:
    """Notes what the operand of every convolution counts in, and compiles no weight.

    found  (channels,) by the layer's "program.layer" name
    """

    calibrated: Mapping[str, Calibrated]
    activation_bits: int
    tables: Tables = field(default_factory=lambda: TABLES)
    found: dict[str, np.ndarray] = field(default_factory=dict)

    def add(
        self, name: str, inputs: Mapping[str, Value], outputs: Mapping[str, Output]
    ) -> dict[str, Value]:
        part, source = self.calibrated[name], source_of(name, inputs, outputs)
        bits = self.activation_bits
        read = read_operands(source, part.traced, part.ranges, bits, self.tables, RULES)
        self.found |= {f"{name}.{layer}": steps for layer, steps in read.steps.items()}
        return _values(read.compiled)


@dataclass
class StandIns:
    """The programs of one adapter set, compiled beside the anchor's in `packing`.

    A part has a stand-in where it has adapters, where with them values were seen that the
    anchor's grids do not hold, and where it reads another grid than the anchor's part does. A
    grid stays the anchor's where it holds what was seen, so that the trunk's weights, which may
    take in their operands' steps, stay the same integers and are stored once.

    modules     the parts with the set's adapters, and `calibrated` what was seen of them
    programs    the stand-ins' names, by those of the programs that they stand in for
    """

    packing: Packing
    objective: str
    modules: Mapping[str, nn.Module]
    calibrated: Mapping[str, Calibrated]
    programs: dict[str, str] = field(default_factory=dict)

    def add(
        self, name: str, inputs: Mapping[str, Value], outputs: Mapping[str, Output]
    ) -> dict[str, Value]:
        """Compile the stand-in of one part, if it needs one; what is made in the part's place."""
        part, anchor = self.calibrated[name], self.packing.calibrated[name]
        read, made = self.packing.added[name]
        numbers = modes_in(part.traced)
        ranges = settled(part, anchor)
        same = all(value.equals(read[port]) for port, value in inputs.items())
        if not numbers and same and ranges == anchor.ranges:
            return made
        own = self.programs[name] = f"{self.objective}.{name}"
        for (port, output), node in zip(outputs.items(), output_nodes(part.traced), strict=True):
            kept = made[port]
            if output == Output() and _uniform(kept) and _holds(kept.grid, part.ranges[node.name]):
                outputs = {**outputs, port: Output(kept.grid)}
        source = source_of(own, inputs, outputs, numbers)
        found = self.packing.compile(source, part, ranges, lambda layer: self._width(name, layer))
        self.packing.share(own, name)
        return found

    def _width(self, name: str, layer: str) -> int:
        """Bits of a weight of a stand-in, by its own "program.layer" name: those of the trunk's."""
        path, in_branch = plain_path(
            self.modules[name], layer.removeprefix(f"{self.objective}.{name}.")
        )
        width = self.packing.widths(f"{name}.{path}")
        return max(width, BRANCH_BITS) if in_branch else width


def modes_in(traced: nn.Module) -> tuple[str, ...]:
    """The modes of the adapters in a part, in the order of MODES."""
    found = {module.mode for module in traced.modules() if isinstance(module, Gain)}
    return tuple(mode for mode in MODES if mode in found)


def settled(part: Calibrated, anchor: Calibrated) -> dict[str, Range]:
    """The ranges to compile a part with adapters for: the anchor's where they do for what was
    seen, so that grids stay what they are, and else both together."""
    known = {
        (node.op, node.target): anchor.ranges[node.name]
        for node in anchor.traced.graph.nodes
        if node.name in anchor.ranges and node.op in ("placeholder", "call_module")
    }
    if not modes_in(part.traced):  # then both have the same nodes
        known = {node.name: anchor.ranges[node.name] for node in part.traced.graph.nodes
                 if node.name in anchor.ranges}  # fmt: skip
    found = {}
    for node in part.traced.graph.nodes:
        if node.name in part.ranges:
            before = known.get(node.name, known.get((node.op, node.target)))
            found[node.name] = _joined(before, part.ranges[node.name])
    return found


def _joined(before: Range | None, seen: Range) -> Range:
    if before is None:
        return seen
    reach = RANGE_MARGIN * max(-before[0], before[1])
    if max(-seen[0], seen[1]) <= reach and (before[0] < 0 or seen[0] >= 0):
        return before
    return min(before[0], seen[0]), max(before[1], seen[1])


def _uniform(value: Value) -> bool:
    return bool(np.all(value.steps == value.grid.step))


def _holds(grid: Grid, seen: Range) -> bool:
    return grid.low * grid.step <= seen[0] and seen[1] <= grid.high * grid.step
