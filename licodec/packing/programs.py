"""Programs of a network as they are compiled, one after the other, into one pack."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from licodec.compiler.compilation import compile_module
from licodec.compiler.forms import Compiled, LayerSteps, Output, Source
from licodec.exact.program import Program
from licodec.packing.exact_form import Calibrated, ExactForm, Ranges, Value
from licodec.rate.conditions import PREFIX
from licodec.rate.gains import GAIN_ONE


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
    """The programs of a pack as they are compiled, one after the other, with weights of the bits
    that `widths` gives by "program.layer" name.

    added       what each of them reads and makes
    conditions  of adapter sets, by their objective, see ``compiler.forms.Compiled``
    layers      what the integers of each convolution stand for, by "program.layer" name
    """

    form: ExactForm
    calibrated: Mapping[str, Calibrated]
    widths: Callable[[str], int]
    activation_bits: int
    programs: dict[str, Program] = field(default_factory=dict)
    tensors: dict[str, np.ndarray] = field(default_factory=dict)
    stored_widths: dict[str, int] = field(default_factory=dict)
    added: dict[str, tuple[Mapping[str, Value], dict[str, Value]]] = field(default_factory=dict)
    conditions: dict[str, dict[str, str]] = field(default_factory=dict)
    layers: dict[str, LayerSteps] = field(default_factory=dict)

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
        leaves = self.form.TABLES, self.form.RULES
        compiled: Compiled = compile_module(
            source, part.traced, ranges, widths, self.activation_bits, *leaves
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
