"""What a program was compiled from: the weights and ranges of its float module, read back.

The inverse of :mod:`licodec.exact.compiler`. Rounding aside, a pack holds the network that it
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
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor, fx, nn

from licodec.errors import BadInputError
from licodec.exact.compiler import Compilation, Grid, Rules, Source, Tables
from licodec.exact.program import WEIGHTED_KINDS, Operation, Program
from licodec.exact.ranges import RANGE_MARGIN

RANGE_ENDS = ("low", "high")
COARSE, FINE = 2000, 401  # candidates for the step that a table reads
FINE_REACHES = (2e-2, 1e-3, 5e-5, 2.5e-6)  # how far they go beyond the best so far
EPSILON = 1e-9


@dataclass(frozen=True)
class Convolved:
    """What a convolution's integers say of its weights.

    weight  (O, I, k, k) float64, but for a factor where `step` is None
    bias    (O,) float64, likewise
    """

    layer: str
    weight: np.ndarray
    bias: np.ndarray


# The step of the values that a convolution makes, where nothing fixes it: from what its
# integers say for a step of 1, and the highest integer of the grid.
Freedom = Callable[[Convolved, int], float]


@dataclass(frozen=True)
class Recovered:
    """One part of a network as a program holds it.

    weights       by the layer's path: weight (O, I, k, k) and bias (O,)
    tensors       the stored weights, by the layer's path
    ranges        by node; with them the module compiles to the program's grids
    output_grids  by port
    """

    weights: Mapping[str, tuple[Tensor, Tensor]]
    tensors: Mapping[str, str]
    ranges: Mapping[str, tuple[float, float]]
    output_grids: Mapping[str, Grid]


def _distinct(ranges: Mapping[str, tuple[float, float]]) -> dict[str, tuple[float, float]]:
    """Ranges of the same signs that no two nodes share: a step then tells what it is of."""
    reaches = (math.pi + math.sqrt(2) * i / 16 for i in range(len(ranges)))
    signs = (low < 0 for low, _ in ranges.values())
    return {
        name: (-reach if signed else 0.0, reach)
        for name, reach, signed in zip(ranges, reaches, signs, strict=True)
    }


def _check_form(template: Compilation, stored: Program, tensors: Mapping[str, np.ndarray]) -> None:
    """Raise BadInputError where `stored` is not `template` but for what its tensors hold and where
    its ranges end."""

    def form(operation: Operation) -> Operation:
        attributes = {k: v for k, v in operation.attributes.items() if k not in RANGE_ENDS}
        tensors = dict.fromkeys(operation.tensors, "")
        return replace(operation, tensors=tensors, attributes=attributes)

    same = list(map(form, template.operations)) == list(map(form, stored.operations))
    if not same or any(
        template.tensors[own.tensors["weight"]].shape != tensors[other.tensors["weight"]].shape
        for own, other in zip(template.operations, stored.operations, strict=True)
        if own.kind in WEIGHTED_KINDS
    ):
        raise BadInputError(f"its program {stored.name} is not of the form that is expected")


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


class _Template(Compilation):
    """A compilation that notes what its operations are of."""

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)  # type: ignore[arg-type]
        self.layers: dict[int, str] = {}  # by the index of an operation
        self.table_nodes: dict[int, tuple[fx.Node, Callable[[np.ndarray], np.ndarray]]] = {}
        self.chosen: dict[Grid, set[str]] = {}  # the nodes that a grid was chosen for

    def choose_grid(self, members: object, bits: int) -> Grid:
        grid = super().choose_grid(members, bits)  # type: ignore[arg-type]
        self.chosen.setdefault(grid, set()).update(members)  # type: ignore[arg-type]
        return grid

    def convolution(
        self, node: fx.Node, layer: str, kernel: Tensor, bias: Tensor | None, **attributes: int
    ) -> str:
        self.layers[len(self.operations)] = layer
        return super().convolution(node, layer, kernel, bias, **attributes)

    def table(self, node: fx.Node, function: Callable[[np.ndarray], np.ndarray]) -> str:
        output = super().table(node, function)
        self.table_nodes[len(self.operations) - 1] = node, function
        return output


@dataclass
class _Steps:
    """The steps of a stored program by those of its template, where they are known yet."""

    known: dict[float, float] = field(default_factory=dict)

    def of(self, template: np.ndarray) -> np.ndarray | None:
        """Of channels that count in `template` (channels,); None where one is not known."""
        if any(step not in self.known for step in template.tolist()):
            return None
        return np.array([self.known[step] for step in template.tolist()])


def recover(
    source: Source,
    traced: nn.Module,
    ranges: Mapping[str, tuple[float, float]],
    activation_bits: int,
    tables: Tables,
    rules: Rules,
    stored: Program,
    tensors: Mapping[str, np.ndarray],
    freedom: Freedom,
) -> Recovered:
    """What `stored` with its `tensors` was compiled from, a module of the form of `traced`.

    The arguments before `stored` are those of ``compiler.compile_module``, with grids of
    `source` as the pack has them; of the ranges only the signs matter, so that they may be those
    that `traced` has with any weights. Raises BadInputError where the program is that of another
    form.
    """
    arguments = (lambda layer: 8, activation_bits, tables, rules)
    template = _Template(source, traced, _distinct(ranges), *arguments)
    template.compile()
    _check_form(template, stored, tensors)
    # Compiled again with grids that have a sign where the stored ones have.
    template = _Template(source, traced, _signed_as(template, stored), *arguments)
    compiled = template.compile()
    _check_form(template, stored, tensors)
    for own, other in zip(template.operations, stored.operations, strict=True):
        if own.kind != "table" and own.attributes != other.attributes:
            raise BadInputError(f"grids of its program {stored.name} are of another form")
    stated = (output.grid for output in source.outputs.values())
    final = (output.final for output in source.outputs.values())
    fixed = {grid.step for grid in (*source.inputs.values(), *stated, *final) if grid is not None}
    for steps in source.steps.values():
        fixed |= set(np.asarray(steps).tolist())
    reader = _Reader(template, stored.operations, tensors, _Steps({step: step for step in fixed}))
    reader.read_table_inputs()
    weights = reader.read_weights(freedom)
    grids = {port: reader.true_grid(grid) for port, grid in compiled.output_grids.items()}
    names = {
        layer: stored.operations[index].tensors["weight"]
        for index, layer in template.layers.items()
    }
    return Recovered(weights, names, reader.ranges(), grids)


@dataclass
class _Reader:
    """Reads the stored operations beside the template's."""

    template: _Template
    stored: tuple[Operation, ...]
    tensors: Mapping[str, np.ndarray]
    steps: _Steps

    def tensor(self, index: int, role: str) -> np.ndarray:
        return self.tensors[self.stored[index].tensors[role]]

    def read_table_inputs(self) -> None:
        """The steps that tables read, where only the tables say them."""
        for index, (node, function) in self.template.table_nodes.items():
            (operand,) = self.template.operations[index].inputs
            reads = self.template.grids[operand].step
            gives = self.template.node_grids[node.name].step
            if reads in self.steps.known or gives not in self.steps.known:
                continue
            entries = self.tensor(index, "table")
            arguments = self.arguments(index)
            self.steps.known[reads] = table_input_step(
                arguments, entries, function, self.steps.known[gives], reads
            )

    def arguments(self, index: int) -> np.ndarray:
        """The integers that a stored table is for."""
        low = self.stored[index].attributes["low"]
        return np.arange(low, low + len(self.tensor(index, "table")))

    def read_weights(self, freedom: Freedom) -> dict[str, tuple[Tensor, Tensor]]:
        """Weights and biases, and every step that is not known before."""
        weights = {}
        made_by = {o.output: i for i, o in enumerate(self.template.operations)}
        for index, operation in enumerate(self.template.operations):
            if operation.kind == "table":
                self.read_table_output(index)
            if operation.kind != "requantize":
                continue
            behind = made_by.get(operation.inputs[0])
            step = self.template.grids[operation.output].step
            if behind in self.template.layers:
                high = self.stored[index].attributes["high"]
                own = self.convolved(behind, index)
                if step not in self.steps.known:
                    self.steps.known[step] = freedom(own, high)
                unit = self.steps.known[step]
                pair = torch.from_numpy(own.weight * unit), torch.from_numpy(own.bias * unit)
                weights[own.layer] = tuple(t.float() for t in pair)
            elif step not in self.steps.known:
                self.read_ratio(index, step)
        return weights

    def read_table_output(self, index: int) -> None:
        """The step of what a table gives, where what it reads is known."""
        node, function = self.template.table_nodes[index]
        (operand,) = self.template.operations[index].inputs
        gives = self.template.node_grids[node.name].step
        if gives in self.steps.known:
            return
        reads = self.steps.known[self.template.grids[operand].step]
        values = function(self.arguments(index) * reads)
        self.steps.known[gives] = table_output_step(values, self.tensor(index, "table"))

    def convolved(self, index: int, requantized: int) -> Convolved:
        """The weights of the operation `index`, in the step of `requantized`, which follows."""
        operation = self.template.operations[index]
        integers = self.tensor(index, "weight").astype(np.float64)
        steps = self.steps.of(self.template.channel_steps[operation.inputs[0]])
        if steps is None:
            raise BadInputError(f"what its layer {self.template.layers[index]} reads has no step")
        multiplier = self.tensor(requantized, "multiplier").astype(np.float64)
        multiplier = np.broadcast_to(multiplier, len(integers))
        groups = operation.attributes["groups"]
        steps = steps.reshape(groups, 1, -1, 1, 1)
        weight = integers.reshape(groups, -1, *integers.shape[1:]) / steps
        weight = weight.reshape(integers.shape) * multiplier[:, None, None, None]
        bias = self.tensor(index, "bias") * multiplier
        return Convolved(self.template.layers[index], weight, bias)

    def read_ratio(self, index: int, step: float) -> None:
        """The step of what is requantized from known ones by a constant factor."""
        operation = self.template.operations[index]
        own = self.template.tensors[operation.tensors["multiplier"]].astype(np.float64)
        before = self.template.channel_steps[operation.inputs[0]]
        known = self.steps.of(before)
        if known is None:
            raise BadInputError(f"its operation {index + 1} reads what has no step")
        factor = own * step / before
        self.steps.known[step] = float(np.median(known * factor / self.tensor(index, "multiplier")))

    def true_grid(self, grid: Grid) -> Grid:
        return replace(grid, step=self.steps.known.get(grid.step, grid.step))

    def ranges(self) -> dict[str, tuple[float, float]]:
        """Ranges by node with which the template's module compiles to the stored grids."""
        found = {}
        for name, grid in self.template.node_grids.items():
            if grid.step in self.steps.known:  # a concatenation's is nobody's
                found[name] = _range_of(self.true_grid(grid))
        for grid, members in self.template.chosen.items():
            if grid.step in self.steps.known:
                found |= dict.fromkeys(members, _range_of(self.true_grid(grid)))
        for index, (node, _) in self.template.table_nodes.items():
            (operand,) = self.template.operations[index].inputs
            grid = self.true_grid(self.template.grids[operand])
            name = node.all_input_nodes[0].name
            found[name] = _cut(found[name], self.arguments(index), grid)
        return found


def _range_of(grid: Grid) -> tuple[float, float]:
    """The range that the compiler reaches with `grid`."""
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
        least = before[0] * (1 + EPSILON if low < -grid.high else 1 - EPSILON)
    else:
        least = (low + 0.5) * unit
    most = before[1] if high >= grid.high else (high - 0.5) * unit
    return min(least, 0.0), max(most, 0.0)


def table_input_step(
    arguments: np.ndarray,
    entries: np.ndarray,
    function: Callable[[np.ndarray], np.ndarray],
    gives: float,
    near: float,
) -> float:
    """The step of a table's `arguments` with which `function` gives the most of its `entries`,
    which count in `gives`; any scale from 2^-12 to 2^12 times `near`."""

    def misses(step: float) -> float:
        return float(np.abs(np.rint(function(arguments * step) / gives) - entries).sum())

    coarse = near * np.exp2(np.linspace(-12, 12, COARSE))
    return _refined(min(coarse, key=misses), misses)


def table_output_step(values: np.ndarray, entries: np.ndarray) -> float:
    """The step in which most of a table's `entries` are `values`, rounded."""
    entries = entries.astype(np.float64)

    def misses(step: float) -> float:
        return float(np.abs(np.rint(values / step) - entries).sum())

    return _refined(float((values * entries).sum() / np.square(entries).sum()), misses)


def _refined(step: float, misses: Callable[[float], float]) -> float:
    """The step near `step` with the fewest misses."""
    for reach in FINE_REACHES:
        finer = step * (1 + np.linspace(-reach, reach, FINE))
        errors = np.array([misses(one) for one in finer])
        step = float(finer[errors == errors.min()].mean())
    return step
