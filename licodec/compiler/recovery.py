"""What a program was compiled from: the weights and ranges of its float module, read back.

The inverse of :mod:`licodec.compiler.compilation`. Rounding aside, a pack holds the network that it
was made of, and whoever has no other copy of that can train adapters on it, or make further
sets for the pack, on the very integers that decode its files.

A module of the same form is compiled as a template, operation by operation beside the stored
program. Multipliers are ratios of steps: from the grids that the coding schedule fixes and the
stored tables they give the steps of most others. What is left is a free factor wherever a
convolution makes values for a ReLU: scaling them up and the weights that read them down
changes nothing. The caller says how large such values shall be.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Unpack

import numpy as np
import torch
from torch import Tensor, fx

from licodec.compiler.compilation import Compilation, Place
from licodec.compiler.forms import Compiled, Condition, Grid, Source
from licodec.compiler.grids import Rules, Tables
from licodec.compiler.ranges import RANGE_MARGIN
from licodec.compiler.table_steps import table_input_step, table_output_step
from licodec.errors import BadInputError
from licodec.exact.program import Operation, Program, Tensors

RANGE_ENDS = ("low", "high")
ANY_WIDTH = 8  # of the template's weights, which nothing depends on
# By how much an end of a range is moved that would fall between two integers; less than what
# binary32 multipliers resolve.
NUDGE = 1e-9


@dataclass(frozen=True)
class Convolved:
    """What a convolution's integers say of its weights, for values in steps of 1 behind it.

    layer   its path
    weight  (O, I / groups, k, k) float64
    bias    (O,) float64
    """

    layer: str
    weight: np.ndarray
    bias: np.ndarray


# The step of the values that a convolution makes where nothing fixes it: from what its integers
# say, and the highest integer of their grid.
Freedom = Callable[[Convolved, int], float]


@dataclass(frozen=True)
class Recovered:
    """One part of a network as a program holds it.

    weights       by the layer's path: weight (O, I / groups, k, k) and bias (O,)
    tensors       names of the stored weights, by the layer's path
    ranges        by node; with them the module compiles to the program's grids
    output_grids  by port
    """

    weights: Mapping[str, tuple[Tensor, Tensor]]
    tensors: Mapping[str, str]
    ranges: Mapping[str, tuple[float, float]]
    output_grids: Mapping[str, Grid]


def recover(
    source: Source,
    traced: fx.GraphModule,
    ranges: Mapping[str, tuple[float, float]],
    activation_bits: int,
    tables: Tables,
    rules: Rules,
    stored: Program,
    tensors: Tensors,
    freedom: Freedom,
) -> Recovered:
    """What `stored` with its `tensors` was compiled from, a module of the form of `traced`.

    The arguments before `stored` are those of ``compiler.compile_module``, with grids of
    `source` as the pack has them; of the ranges only the signs matter, so that they may be those
    that `traced` has with any weights. Raises BadInputError where the program is that of another
    form.
    """

    def compiled(ranges: Mapping[str, tuple[float, float]]) -> _Template:
        template = _Template(
            source, traced, ranges, lambda layer: ANY_WIDTH, activation_bits, tables, rules
        )
        template.compile()
        _check_form(template, stored, tensors)
        return template

    template = compiled(_distinct(ranges))
    # Again, with grids that have a sign where the stored ones have.
    template = compiled(_signed_as(template, stored))
    for own, other in zip(template.operations, stored.operations, strict=True):
        if own.kind != "table" and own.attributes != other.attributes:
            raise BadInputError(f"grids of its program {stored.name} are of another form")
    reader = _Reader(template, stored.operations, tensors, dict(_fixed_steps(source)))
    reader.read_table_inputs()
    weights = reader.read_weights(freedom)
    names = {
        layer: stored.operations[index].tensors["weight"]
        for index, layer in template.layers.items()
    }
    return Recovered(weights, names, reader.ranges(), reader.output_grids())


class _Template(Compilation):
    """A compilation that notes what its operations are of, by their indexes."""

    def compile(self) -> Compiled:
        self.layers: dict[int, str] = {}
        self.table_nodes: dict[int, tuple[fx.Node, Callable[[np.ndarray], np.ndarray]]] = {}
        self.chosen: dict[Grid, set[str]] = {}  # the nodes that a grid was chosen for
        self.compiled = super().compile()
        return self.compiled

    def choose_grid(self, members: Iterable[str], bits: int) -> Grid:
        members = set(members)
        grid = super().choose_grid(members, bits)
        self.chosen.setdefault(grid, set()).update(members)
        return grid

    def accumulated(
        self,
        x: str,
        layer: str,
        kernel: Tensor,
        bias: Tensor | None,
        condition: Condition | None,
        **place: Unpack[Place],
    ) -> tuple[str, np.ndarray]:
        self.layers[len(self.operations)] = layer
        return super().accumulated(x, layer, kernel, bias, condition, **place)

    def table(self, node: fx.Node, function: Callable[[np.ndarray], np.ndarray]) -> str:
        output = super().table(node, function)
        self.table_nodes[len(self.operations) - 1] = node, function
        return output


def _distinct(ranges: Mapping[str, tuple[float, float]]) -> dict[str, tuple[float, float]]:
    """Ranges of the same signs that no two nodes share: a step then tells what it is of."""
    reaches = (math.pi + math.sqrt(2) * i / 16 for i in range(len(ranges)))
    signs = (low < 0 for low, _ in ranges.values())
    return {
        name: (-reach if signed else 0.0, reach)
        for name, reach, signed in zip(ranges, reaches, signs, strict=True)
    }


def _signed_as(template: _Template, stored: Program) -> dict[str, tuple[float, float]]:
    """The template's ranges, with a sign where the stored program's have one."""
    ranges = dict(template.ranges)
    for own, other in zip(template.operations, stored.operations, strict=True):
        if own.kind != "requantize" or own.attributes["low"] == other.attributes["low"]:
            continue
        for name in template.chosen.get(template.grids[own.output], ()):
            reach = max(map(abs, ranges[name]))
            ranges[name] = (-reach if other.attributes["low"] < 0 else 0.0, reach)
    return ranges


def _check_form(template: Compilation, stored: Program, tensors: Tensors) -> None:
    """Raise BadInputError where `stored` is not `template` but for what its tensors hold and where
    its ranges end."""

    def form(operation: Operation) -> Operation:
        attributes = {k: v for k, v in operation.attributes.items() if k not in RANGE_ENDS}
        roles = dict.fromkeys(operation.tensors, "")
        return replace(operation, tensors=roles, attributes=attributes)

    same = list(map(form, template.operations)) == list(map(form, stored.operations))
    if not same or any(
        template.tensors[own.tensors["weight"]].shape != tensors[other.tensors["weight"]].shape
        for own, other in zip(template.operations, stored.operations, strict=True)
        if own.weight is not None
    ):
        raise BadInputError(f"its program {stored.name} is not of the form that is expected")


def _fixed_steps(source: Source) -> Iterator[tuple[float, float]]:
    """The steps that are the same in a template and in a stored program."""
    grids = [*source.inputs.values()]
    for output in source.outputs.values():
        grids += [grid for grid in (output.grid, output.final) if grid is not None]
    yield from ((grid.step, grid.step) for grid in grids)
    for steps in source.steps.values():
        yield from ((step, step) for step in np.asarray(steps).tolist())


@dataclass
class _Reader:
    """Reads the stored operations beside the template's.

    known  steps of the stored program by those of the template, as they are found
    """

    template: _Template
    stored: tuple[Operation, ...]
    tensors: Tensors
    known: dict[float, float]

    def tensor(self, index: int, role: str) -> np.ndarray:
        """A stored tensor of the operation `index`."""
        return self.tensors[self.stored[index].tensors[role]]

    def steps_of(self, value: str) -> np.ndarray:
        """What the channels of a value count in, (channels,). Raises BadInputError."""
        steps = self.template.channel_steps[value].tolist()
        if any(step not in self.known for step in steps):
            raise BadInputError("its tables and multipliers do not say what its values count in")
        return np.array([self.known[step] for step in steps])

    def true_grid(self, grid: Grid) -> Grid:
        return replace(grid, step=self.known[grid.step])

    def output_grids(self) -> dict[str, Grid]:
        grids = self.template.compiled.output_grids
        return {port: self.true_grid(grid) for port, grid in grids.items()}

    # Tables --------------------------------------------------------------------------

    def table_steps(self, index: int) -> tuple[float, float]:
        """The template's steps of what a table reads and gives."""
        (operand,) = self.template.operations[index].inputs
        node, _ = self.template.table_nodes[index]
        return self.template.grids[operand].step, self.template.node_grids[node.name].step

    def arguments(self, index: int) -> np.ndarray:
        """The integers that a stored table is for."""
        low = self.stored[index].attributes["low"]
        return np.arange(low, low + len(self.tensor(index, "table")))

    def read_table_inputs(self) -> None:
        """The steps of what tables read, where the tables alone say them."""
        for index, (_, function) in self.template.table_nodes.items():
            reads, gives = self.table_steps(index)
            if reads not in self.known and gives in self.known:
                entries, arguments = self.tensor(index, "table"), self.arguments(index)
                self.known[reads] = table_input_step(
                    arguments, entries, function, self.known[gives], reads
                )

    def read_table_output(self, index: int) -> None:
        """The step of what a table gives, which reads what is known."""
        reads, gives = self.table_steps(index)
        if gives not in self.known:
            _, function = self.template.table_nodes[index]
            values = function(self.arguments(index) * self.known[reads])
            self.known[gives] = table_output_step(values, self.tensor(index, "table"))

    # Multipliers ---------------------------------------------------------------------

    def read_weights(self, freedom: Freedom) -> dict[str, tuple[Tensor, Tensor]]:
        """Weights and biases by layer, and every step that is not known before."""
        weights = {}
        made_by = {o.output: index for index, o in enumerate(self.template.operations)}
        for index, operation in enumerate(self.template.operations):
            if operation.kind == "table":
                self.read_table_output(index)
            if operation.kind != "requantize":
                continue
            behind = made_by.get(operation.inputs[0])
            step = self.template.grids[operation.output].step
            if behind in self.template.layers:
                own = self.convolved(behind, index)
                if step not in self.known:
                    self.known[step] = freedom(own, self.stored[index].attributes["high"])
                weight, bias = (self.known[step] * values for values in (own.weight, own.bias))
                weights[own.layer] = (
                    torch.from_numpy(weight).float(),
                    torch.from_numpy(bias).float(),
                )
            elif step not in self.known:
                self.read_ratio(index, step)
        return weights

    def convolved(self, index: int, requantized: int) -> Convolved:
        """The weights of the operation `index`, which `requantized` follows."""
        operation = self.template.operations[index]
        integers = self.tensor(index, "weight").astype(np.float64)
        groups = operation.attributes["groups"]
        steps = self.steps_of(operation.inputs[0]).reshape(groups, 1, -1, 1, 1)
        weight = (integers.reshape(groups, -1, *integers.shape[1:]) / steps).reshape(integers.shape)
        multiplier = self.tensor(requantized, "multiplier").astype(np.float64)
        multiplier = np.broadcast_to(multiplier, len(integers))
        weight = weight * multiplier[:, None, None, None]
        return Convolved(
            self.template.layers[index], weight, self.tensor(index, "bias") * multiplier
        )

    def read_ratio(self, index: int, step: float) -> None:
        """The step of what is a constant factor times what is known."""
        operation = self.template.operations[index]
        (operand,) = operation.inputs
        multiplier = self.template.tensors[operation.tensors["multiplier"]].astype(np.float64)
        factor = multiplier * step / self.template.channel_steps[operand]
        ratios = self.steps_of(operand) * factor / self.tensor(index, "multiplier")
        self.known[step] = float(np.median(ratios))

    # Ranges --------------------------------------------------------------------------

    def ranges(self) -> dict[str, tuple[float, float]]:
        """Ranges by node with which the template's module compiles to the stored grids."""
        grids = dict(self.template.node_grids)
        for grid, members in self.template.chosen.items():
            grids |= dict.fromkeys(members, grid)
        found = {  # a concatenation's grid is nobody's
            name: _range_of(self.true_grid(grid))
            for name, grid in grids.items()
            if grid.step in self.known
        }
        for index, (node, _) in self.template.table_nodes.items():
            (operand,) = self.template.operations[index].inputs
            grid, name = self.true_grid(self.template.grids[operand]), node.all_input_nodes[0].name
            found[name] = _cut(found[name], self.arguments(index), grid)
        return found


def _range_of(grid: Grid) -> tuple[float, float]:
    """The range for which the compiler chooses `grid`."""
    reach = grid.high * grid.step / RANGE_MARGIN
    return (0.0 if grid.low >= 0 else -reach), reach


def _cut(before: tuple[float, float], arguments: np.ndarray, grid: Grid) -> tuple[float, float]:
    """`before`, the range of what a table reads, with the ends that the table was made for.

    The compiler takes floor(end * margin / step), and one more above. The end that chose the grid
    stays where it is, but for what decides to which side its quotient falls.
    """
    low, high = int(arguments[0]), int(arguments[-1])
    unit = grid.step / RANGE_MARGIN
    if low <= -grid.high:
        least = before[0] * (1 + NUDGE if low < -grid.high else 1 - NUDGE)
    else:
        least = (low + 0.5) * unit
    most = before[1] if high >= grid.high else (high - 0.5) * unit
    return min(least, 0.0), max(most, 0.0)
