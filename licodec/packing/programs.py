"""Programs of a network as they are compiled, one after the other, into one pack."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from licodec.compiler.compilation import compile_module
from licodec.compiler.forms import Calibrated, Compiled, Convolved, Output, Source
from licodec.exact.program import Program
from licodec.packing.exact_form import ExactForm, Values
from licodec.rate.conditions import PREFIX


@dataclass
class Packing:
    """The programs of a pack as they are compiled, one after the other, with weights of the bits
    that `widths` gives by "program.layer" name.

    added       what each part reads and makes
    conditions  of adapter sets, by their objective, see ``compiler.forms.Compiled``
    layers      the convolutions of the parts, by "program.layer" name
    """

    form: ExactForm
    calibrated: Mapping[str, Calibrated]
    widths: Callable[[str], int]
    programs: dict[str, Program] = field(default_factory=dict)
    tensors: dict[str, np.ndarray] = field(default_factory=dict)
    stored_widths: dict[str, int] = field(default_factory=dict)
    added: dict[str, tuple[Values, Values]] = field(default_factory=dict)
    conditions: dict[str, dict[str, str]] = field(default_factory=dict)
    layers: dict[str, Convolved] = field(default_factory=dict)

    def add(self, name: str, inputs: Values, outputs: Mapping[str, Output]) -> Values:
        """Compile one part; its outputs."""
        source = Source(name, inputs, outputs)
        made = self.compile(source, self.calibrated[name], self.widths)
        self.added[name] = inputs, made.outputs
        self.layers |= {f"{name}.{layer}": own for layer, own in made.layers.items()}
        for objective, tensors in made.conditions.items():
            self.conditions.setdefault(objective, {}).update(tensors)
        return made.outputs

    def compile(self, source: Source, part: Calibrated, widths: Callable[[str], int]) -> Compiled:
        """Compile one program into the pack."""
        compiled = compile_module(source, part, widths, self.form.ACTIVATION_BITS)
        self.programs[source.name] = compiled.program
        self.tensors.update(compiled.tensors)
        self.stored_widths.update(compiled.widths)
        return compiled

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
