"""From a calibrated float module, weight widths and activation ranges to a program.

The module is traced with ``torch.fx`` (:mod:`licodec.compiler.graphs`), every value gets a grid
(:mod:`licodec.compiler.grids`), and each leaf (convolution, ReLU, addition, concatenation, pixel
shuffle, gain, scalar table, ...) becomes a few operations by its rule
(:mod:`licodec.compiler.rules`).
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Unpack

import numpy as np
from torch import Tensor, fx, nn

from licodec.compiler.forms import (
    OWN,
    ByKnot,
    Calibrated,
    Compiled,
    Condition,
    Convolved,
    Grid,
    Place,
    Source,
    Value,
)
from licodec.compiler.graphs import is_item
from licodec.compiler.grids import GridAssignment
from licodec.compiler.leaves import WIDEST, numbers
from licodec.compiler.ranges import RANGE_MARGIN
from licodec.compiler.rules import ACTIVATIONS, Emitted
from licodec.compiler.weight_steps import quantize_weight
from licodec.exact.operations import KINDS
from licodec.exact.program import Operation, Port, Program
from licodec.rate.conditions import PREFIX
from licodec.rate.gains import GAIN_ONE

LARGEST_BIAS = 2**30  # in integers; where a bias is larger, the weights take a coarser step
LARGEST_GAIN = 2**23  # what the largest gain of a channel, over all knots, counts


class Compilation(GridAssignment):
    """One module on its way to a program; what rules work with."""

    def __init__(
        self,
        source: Source,
        calibrated: Calibrated,
        widths: Callable[[str], int],
        activation_bits: int,
    ) -> None:
        super().__init__(source, calibrated, activation_bits)
        self.widths_of = widths
        self.beside: dict[str, dict[str, str]] = {}  # Compiled.conditions
        self.layers: dict[str, Convolved] = {}
        self.operations: list[Operation] = []
        self.tensors: dict[str, np.ndarray] = {}
        self.widths: dict[str, int] = {}
        self.grids: dict[str, Grid] = {}  # of values already emitted
        self.channel_steps: dict[str, np.ndarray] = {}  # of the same, (channels,)
        self.aliases: dict[str, Emitted] = {}  # the value of each node
        self.constants: dict[str, Tensor] = {}  # of nodes that depend on parameters alone
        self.orders: dict[str, np.ndarray] = {}  # see `ordered`
        self.counter = 0

    # Values --------------------------------------------------------------------------

    def place(self, value: str, grid: Grid, channels: int) -> str:
        """Note that `value` holds `channels` planes on `grid`."""
        self.grids[value] = grid
        self.channel_steps[value] = np.full(channels, grid.step)
        return value

    def channels(self, value: str) -> int:
        return len(self.channel_steps[value])

    def operand(self, node: fx.Node, position: int = 0) -> str:
        """The value of one of the nodes that `node` reads."""
        return self.value_named(node.all_input_nodes[position])

    def operands(self, node: fx.Node) -> list[str]:
        """The values of all nodes that `node` reads."""
        return [self.value_named(operand) for operand in node.all_input_nodes]

    def value_named(self, node: fx.Node) -> str:
        value = self.aliases[node.name]
        if not isinstance(value, str):
            raise ValueError(f"{self.source.name}: {node.name} is several values")
        return value

    def ordered(self, value: str) -> np.ndarray:
        """For each channel of `value`, which channel of the float value it is, (channels,).

        Only the rules that ask may be given channels in another order.
        """
        return self.orders.get(value, np.arange(self.channels(value)))

    # Operations ----------------------------------------------------------------------

    def emit(
        self,
        kind: str,
        inputs: Sequence[str],
        tensors: Mapping[str, np.ndarray] | None = None,
        conditions: Mapping[str, ByKnot] | None = None,
        *,
        width: int | None = None,
        **attributes: int,
    ) -> str:
        """Emit an operation; `conditions` are integers, by the role of the tensor they are of, and
        `width` the bits of the tensor "weight", where there is one."""
        self.counter += 1
        output = f"v{self.counter}"
        names = {}
        for role, values in (tensors or {}).items():
            names[role] = f"{self.source.name}.{self.counter}.{role}"
            self.tensors[names[role]] = values
        if width is not None:
            self.widths[names["weight"]] = width
        for role, tables in (conditions or {}).items():
            name = names[role] = f"{self.source.name}.{self.counter}.{role}"
            for adapters, table in tables.items():
                stored = f"{adapters}.{name}" if adapters else PREFIX + name
                self.tensors[stored] = table.astype(np.int32)
                if adapters:
                    self.beside.setdefault(adapters, {})[name] = stored
        stated = KINDS[kind].defaults | attributes
        self.operations.append(Operation(kind, tuple(inputs), output, names, stated))
        return output

    def moved(self, kind: str, value: str, channels: int, **attributes: int) -> str:
        """Emit an operation that leaves the integers of `value` as they are."""
        output = self.emit(kind, [value], None, None, **attributes)
        return self.place(output, self.grids[value], channels)

    def requantize(
        self,
        value: str,
        steps: np.ndarray,
        grid: Grid,
        low: int,
        negative_slope: float = 1.0,
    ) -> str:
        """Bring `value`, whose channels count in `steps`, to `grid`, clamped at `low`; what is
        negative is multiplied by `negative_slope`."""
        tensors = {"multiplier": _multiplier(steps / grid.step)}
        if negative_slope != 1:
            tensors["negative_multiplier"] = _multiplier(steps * negative_slope / grid.step)
        output = self.emit("requantize", [value], tensors, low=low, high=grid.high)
        return self.place(output, grid, len(steps))

    def requantize_times(
        self, value: str, steps: np.ndarray, grid: Grid, low: int, gain: ByKnot
    ) -> str:
        """The same of `value` times `gain`, which depends on the condition."""
        largest = np.max([np.abs(table).max(0) for table in gain.values()], 0)
        largest = np.maximum(largest, np.finfo(np.float32).tiny)
        counts = {name: np.rint(table / largest * LARGEST_GAIN) for name, table in gain.items()}
        tensors = {"multiplier": (steps * largest / (LARGEST_GAIN * grid.step)).astype(np.float32)}
        conditions = {"multiplier": counts}
        output = self.emit("requantize", [value], tensors, conditions, low=low, high=grid.high)
        return self.place(output, grid, len(steps))

    def uniform(self, value: str) -> str:
        """`value` with one step for all channels, requantized where they have several."""
        steps = self.channel_steps[value]
        if np.all(steps == steps[0]):
            return value
        low, high = -(2 ** (WIDEST - 1)), 2 ** (WIDEST - 1) - 1
        return self.requantize(value, steps, Grid(float(steps.max()), low, high), low)

    def on_grid(self, value: str, grid: Grid) -> str:
        """`value` itself where it is on `grid`, else requantized to it."""
        if self.grids[value].step == grid.step:
            return value
        return self.requantize(value, self.channel_steps[value], grid, grid.low)

    def reached(self, node: fx.Node, grid: Grid) -> Grid:
        """`grid`, the node's, cut to what calibration saw and some margin: a table's domain, beyond
        which it keeps its last value."""
        low, high = (math.floor(end * RANGE_MARGIN / grid.step) for end in self.ranges[node.name])
        low, high = max(grid.low, min(low, 0)), min(grid.high, max(high, 0) + 1)
        return Grid(grid.step, low, high)

    # Convolutions --------------------------------------------------------------------

    def convolution(
        self,
        node: fx.Node,
        layer: str,
        kernel: Tensor,
        bias: Tensor | None,
        condition: Condition | None = None,
        made: fx.Node | None = None,
        **place: Unpack[Place],
    ) -> str:
        """Convolve what `node` reads with `kernel` (O, I / groups, k, k) and `bias` (O,), and
        apply the condition and the activation that follows where it is folded.

        `layer` is the path of the layer, by which the weights' width is told; `made` is the node
        whose value it is, where that is not `node`.
        """
        x, node = self.operand(node), made or node
        acc, steps = self.accumulated(x, layer, kernel, bias, condition, **place)
        grid, users = self.node_grids[node.name], list(node.users)
        operation, path = len(self.operations) - 1, str(made.target) if made else None
        self.layers[layer] = Convolved(operation, self.channel_steps[x], steps, grid.step, path)
        activation = None
        if len(users) == 1 and self.is_folded(users[0]):
            activation = self.module_of(users[0], ACTIVATIONS)
        if isinstance(activation, nn.LeakyReLU):
            return self.requantize(acc, steps, grid, grid.low, activation.negative_slope)
        low = grid.low if activation is None else max(0, grid.low)
        if condition is not None and condition.gain is not None:
            return self.requantize_times(acc, steps, grid, low, condition.gain)
        return self.requantize(acc, steps, grid, low)

    def accumulated(
        self,
        x: str,
        layer: str,
        kernel: Tensor,
        bias: Tensor | None,
        condition: Condition | None,
        **place: Unpack[Place],
    ) -> tuple[str, np.ndarray]:
        """The sums of a convolution of the value `x`, and what they count in, (O,)."""
        width = self.widths_of(f"{self.source.name}.{layer}")
        weights = numbers(kernel)
        groups = place.get("groups", 1)
        if x in self.orders:
            weights = weights[:, self.ordered(x)]
        # The operand's channel steps become part of the weights, group by group.
        steps = self.channel_steps[x].reshape(groups, 1, -1, 1, 1)
        weights = (weights.reshape(groups, -1, *weights.shape[1:]) * steps).reshape(weights.shape)
        constant = np.zeros(len(weights)) if bias is None else numbers(bias)
        offset = {OWN: np.zeros(1)} if condition is None else condition.offset
        constants = {name: constant + table for name, table in offset.items()}
        most = np.max([np.abs(np.atleast_2d(table)).max(0) for table in constants.values()], 0)
        weight, sum_steps = quantize_weight(weights, width, most / LARGEST_BIAS)
        biases = {name: np.rint(table / sum_steps) for name, table in constants.items()}
        tensors = {"weight": weight}
        conditions: Mapping[str, ByKnot] | None = None
        if condition is None:
            tensors["bias"] = biases[OWN].astype(np.int32)
        else:
            conditions = {"bias": biases}
        acc = self.emit("conv2d", [x], tensors, conditions, width=width, **place)
        return acc, sum_steps

    # Nodes ---------------------------------------------------------------------------

    def value_of(self, node: fx.Node) -> Emitted:
        """Emit what `node` computes and return its value's name."""
        if node.op == "placeholder":
            return self.port_of(node)
        if is_item(node) and isinstance(index := node.args[1], int):
            return self.aliases[node.all_input_nodes[0].name][index]
        rule = self.rule_of(node)
        if rule is None:
            raise ValueError(f"{self.source.name}: no rule for {node.format_node()}")
        read = [self.aliases.get(operand.name) for operand in node.all_input_nodes]
        if not rule.takes_order and not self.orders.keys().isdisjoint(read):
            raise ValueError(f"{self.source.name}: {node.name} reads channels in another order")
        return rule.emit(self, node, self.module_of(node, nn.Module))

    def port_of(self, node: fx.Node) -> str:
        """The port that an argument's planes come in by."""
        port = self.ports[node.name]
        given = self.source.inputs[port]
        self.grids[port], self.channel_steps[port] = given.grid, given.steps
        return port

    def is_constant(self, node: fx.Node) -> bool:
        """Whether `node` is a parameter or made of such; notes its value where it is."""
        if node.op == "get_attr":
            self.constants[node.name] = operator.attrgetter(str(node.target))(self.traced)
            return True
        names = [n.name for n in node.all_input_nodes]
        if node.op != "call_module" or not all(name in self.constants for name in names):
            return False
        module = self.modules[str(node.target)]
        self.constants[node.name] = module(*(self.constants[name] for name in names))
        return True

    def compile(self) -> Compiled:
        self.assign_grids()
        for node in self.traced.graph.nodes:
            if node.op != "output" and not self.is_constant(node):
                self.aliases[node.name] = self.value_of(node)
        names, outputs = [], {}
        for name, node in self.outputs().items():
            value, final = self.value_named(node), self.source.outputs[name].final
            if final is not None:
                value = self.requantize(value, self.channel_steps[value], final, final.low)
            names.append(value)
            outputs[name] = Value(self.grids[value], self.channel_steps[value])
        ports = tuple(
            Port(name, len(value.steps), value.grid.low, value.grid.high)
            for name, value in self.source.inputs.items()
        )
        ports += tuple(Port(name, None, 0, GAIN_ONE) for name in self.source.numbers)
        program = Program(self.source.name, ports, tuple(self.operations), tuple(names))
        return Compiled(program, self.tensors, self.widths, outputs, self.beside, self.layers)


def _multiplier(values: np.ndarray) -> np.ndarray:
    """(channels,) as binary32, or (1,) where all are one."""
    values = values.astype(np.float32)
    return values[:1] if np.all(values == values[0]) else values


def compile_module(
    source: Source, calibrated: Calibrated, widths: Callable[[str], int], activation_bits: int
) -> Compiled:
    """Compile one traced module.

    widths           bits of a weight (2-8, or 16) by "program.layer" name
    activation_bits  bits of every grid the caller does not fix (8-16)

    Raises ValueError where the module holds something that has no rule.
    """
    return Compilation(source, calibrated, widths, activation_bits).compile()
