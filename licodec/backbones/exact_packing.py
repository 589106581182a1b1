"""Programs of a published network as they are compiled, one after the other, into one pack."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from licodec.backbones.exact_parts import Calibrated
from licodec.backbones.exact_rules import RULES, TABLES
from licodec.exact.compiler import Compiled, Grid, Output, Source, compile_module
from licodec.exact.gains import GAIN_ONE
from licodec.exact.program import Program


@dataclass(frozen=True)
class Value:
    """Planes that go from one program to another: the range, and what each channel counts in."""

    grid: Grid
    steps: np.ndarray

    @classmethod
    def on(cls, grid: Grid, channels: int) -> Value:
        return cls(grid, np.full(channels, grid.step))


@dataclass
class Packing:
    """The programs of a pack as they are compiled, one after the other."""

    calibrated: Mapping[str, Calibrated]
    widths: Callable[[str], int]
    activation_bits: int
    programs: dict[str, Program] = field(default_factory=dict)
    tensors: dict[str, np.ndarray] = field(default_factory=dict)
    stored_widths: dict[str, int] = field(default_factory=dict)

    def add(
        self,
        name: str,
        inputs: Mapping[str, Value],
        outputs: Mapping[str, Output],
        numbers: Iterable[str] = (),
    ) -> dict[str, Value]:
        """Compile one part, which may have gains as further inputs; its outputs."""
        part = self.calibrated[name]
        source = Source(
            name,
            {port: value.grid for port, value in inputs.items()},
            {port: len(value.steps) for port, value in inputs.items()},
            outputs,
            {port: value.steps for port, value in inputs.items()},
            dict.fromkeys(numbers, GAIN_ONE),
        )
        compiled: Compiled = compile_module(
            source, part.traced, part.ranges, self.widths, self.activation_bits, TABLES, RULES
        )
        self.programs[name] = compiled.program
        self.tensors.update(compiled.tensors)
        self.stored_widths.update(compiled.widths)
        return {
            output: Value(compiled.output_grids[output], compiled.output_steps[output])
            for output in outputs
        }

    def share(self, name: str, other: str) -> None:
        """Let the program `name` use the tensors of the program `other` that equal its own."""

        def content(tensor: str) -> tuple[object, ...]:
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
