"""From a calibrated float module, weight widths and activation ranges to a program.

The module is traced with ``torch.fx``; every leaf (convolution, ReLU, addition, product,
concatenation, pixel shuffle, gain, scalar table) has one rule below, and the caller brings
rules for leaves of its own. Values that are added share one grid, and values that are
concatenated keep their own, which the weights behind them absorb. Grids that the coding
schedule fixes (latents, means, scales, pixels) are stated by the caller, the others come from
the calibrated ranges.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor, fx, nn

from licodec.compiler.ranges import RANGE_MARGIN
from licodec.compiler.weight_steps import quantize_weight
from licodec.exact.operations import KINDS
from licodec.exact.program import Operation, Port, Program
from licodec.networks.compiled_leaves import ChannelGain, ChannelOffset, FirstChannels, Narrowed
from licodec.rate.conditions import PREFIX

GRID_KEEPERS = (  # move integers, as they are
    nn.Identity,
    nn.PixelShuffle,
    nn.PixelUnshuffle,
    FirstChannels,
)
ACTIVATIONS = (nn.ReLU, nn.LeakyReLU)  # straight behind a convolution they are part of it
LARGEST_BIAS = 2**30  # in integers; where a bias is larger, the weights take a coarser step
WIDEST = 16  # bits of a value that a convolution reads
GAIN_ONE = 2**23  # what the largest gain of a channel, over all knots, counts
LEAST_REACH = 1e-4  # of a grid: what is always 0 needs one, too
OFFSET_BITS = 14  # of the fraction to which a channel's offset is rounded
CONTEXT_BITS = 2  # further bits of latents that features are made of: their range is far wider


@dataclass(frozen=True)
class Grid:
    """Integers n in [low, high] standing for n * step."""

    step: float
    low: int
    high: int


@dataclass(frozen=True)
class Output:
    """What the caller fixes of one output: its grid, or None to choose one.

    `final` adds a last requantization from `grid` (the pixels are summed on a finer grid
    than they are given out on).
    """

    grid: Grid | None = None
    final: Grid | None = None


ByKnot = Mapping[str, np.ndarray]
"""Constants (knots, channels) by adapter set, OWN for those of the pack itself."""
OWN = ""


@dataclass(frozen=True)
class Condition:
    """What becomes of a convolution's result x: (x + offset) * gain, by channel. Without a gain
    that is 1."""

    offset: ByKnot
    gain: ByKnot | None = None


@dataclass(frozen=True)
class Source:
    """One float module to compile: what its inputs and outputs are.

    `inputs` and `channels` describe each forward argument in order, by the name of the
    program's port; `outputs` describes each result in order. `steps` (channels,) replaces an
    input's one step where its channels count in different ones. `numbers` are further ports,
    of one integer each, from 0 to what is stated here; rules scale planes by them.
    """

    name: str
    inputs: Mapping[str, Grid]
    channels: Mapping[str, int]
    outputs: Mapping[str, Output]
    steps: Mapping[str, np.ndarray] = field(default_factory=dict)
    numbers: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Compiled:
    """A program, its tensors, the width of each weight tensor, and of its outputs the grids
    and what each channel counts in, (channels,).

    conditions  of adapter sets: the tensors beside those of the pack, by the conditions' names
    layers      what the integers of every convolution count, by its path
    """

    program: Program
    tensors: dict[str, np.ndarray]
    widths: dict[str, int]
    output_grids: dict[str, Grid]
    output_steps: dict[str, np.ndarray]
    conditions: dict[str, dict[str, str]] = field(default_factory=dict)
    layers: dict[str, LayerSteps] = field(default_factory=dict)


@dataclass(frozen=True)
class LayerSteps:
    """What the integers of a convolution stand for, in float: with it weights are read back.

    operand  what it reads, (channels,)
    total    its sums, (outputs,); a weight counts total / operand
    result   what it is requantized to
    """

    operand: np.ndarray
    total: np.ndarray
    result: float


class LeafTracer(fx.Tracer):
    """Traces down to the modules the rules know."""

    def __init__(self, leaves: tuple[type[nn.Module], ...]) -> None:
        super().__init__()
        self.leaves = leaves

    def is_leaf_module(self, module: nn.Module, qualified_name: str) -> bool:
        known = (*self.leaves, ChannelGain, ChannelOffset, FirstChannels, Narrowed)
        return isinstance(module, known) or super().is_leaf_module(module, qualified_name)


def trace(module: nn.Module, table_leaves: tuple[type[nn.Module], ...]) -> fx.GraphModule:
    graph = LeafTracer(table_leaves).trace(module)
    return fx.GraphModule(module, graph)


@dataclass
class _Class:
    """Values that share a grid."""

    members: set[str] = field(default_factory=set)
    fixed: Grid | None = None


Emitted = str | tuple[str, ...]  # the value of a node, or the values where it gives several


@dataclass(frozen=True)
class Rule:
    """How one kind of leaf is compiled.

    emit          emits what a node of that kind computes and returns its value
    keeps_grid    its results are its operand's integers, as they are
    further_bits  that a grid has for what is added on it to such a node's results, unless a table
                  reads the sum
    conditions    it is the condition of the convolution that it reads, and emits that, too
    """

    emit: Callable[[Compilation, fx.Node, nn.Module], Emitted]
    keeps_grid: bool = False
    further_bits: int = 0
    conditions: bool = False


Rules = Mapping[type[nn.Module], Rule]
Tables = Mapping[type[nn.Module], Callable[[nn.Module, np.ndarray], np.ndarray]]


class Compilation:
    """One module on its way to a program; what rules work with."""

    def __init__(
        self,
        source: Source,
        traced: fx.GraphModule,
        ranges: Mapping[str, tuple[float, float]],
        widths: Callable[[str], int],
        activation_bits: int,
        tables: Tables,
        rules: Rules,
    ) -> None:
        self.source, self.traced, self.ranges = source, traced, ranges
        self.widths_of, self.activation_bits, self.tables = widths, activation_bits, tables
        self.rules = rules
        self.keepers = (*GRID_KEEPERS, *(kind for kind, rule in rules.items() if rule.keeps_grid))
        self.conditions = tuple(kind for kind, rule in rules.items() if rule.conditions)
        self.beside: dict[str, dict[str, str]] = {}  # Compiled.conditions
        self.layer_steps: dict[str, LayerSteps] = {}  # Compiled.layers
        self.modules = dict(traced.named_modules())
        self.operations: list[Operation] = []
        self.tensors: dict[str, np.ndarray] = {}
        self.widths: dict[str, int] = {}
        self.grids: dict[str, Grid] = {}  # of values already emitted
        self.channel_steps: dict[str, np.ndarray] = {}  # of the same, (channels,)
        self.aliases: dict[str, Emitted] = {}  # the value of each node
        self.constants: dict[str, Tensor] = {}  # of nodes that depend on parameters alone
        self.orders: dict[str, np.ndarray] = {}  # see `ordered`
        self.counter = 0
        arguments = [n.name for n in traced.graph.nodes if n.op == "placeholder"]
        self.ports = dict(zip(arguments, source.inputs, strict=True))

    # Grids ---------------------------------------------------------------------------

    def assign_grids(self) -> None:
        """Group the nodes that must share a grid and choose one for each group."""
        parent: dict[str, str] = {}

        def find(name: str) -> str:
            while parent.setdefault(name, name) != name:
                name = parent[name]
            return name

        nodes = {node.name: node for node in self.traced.graph.nodes}
        for node in nodes.values():
            if (
                _is_sum(node)
                or _is_item(node)
                or self.module_of(node, self.keepers)
                or self.is_made_narrow(node)
            ):
                for operand in node.all_input_nodes:
                    if not self.is_brought_to_sum(operand, node):
                        parent[find(operand.name)] = find(node.name)
            elif self.is_folded(node):
                parent[find(node.all_input_nodes[0].name)] = find(node.name)
        fixed = {argument: self.source.inputs[port] for argument, port in self.ports.items()}
        fixed |= self.stated_grids()
        groups: dict[str, _Class] = {}
        for name in nodes:
            group = groups.setdefault(find(name), _Class())
            group.members.add(name)
            if name in fixed:
                if group.fixed not in (None, fixed[name]):
                    raise ValueError(f"{self.source.name}: two grids meet at {name}")
                group.fixed = fixed[name]
        self.node_grids: dict[str, Grid] = {}
        for group in groups.values():
            brought = {
                operand.name
                for name in group.members
                for operand in nodes[name].all_input_nodes
                if self.is_brought_to_sum(operand, nodes[name])
            }
            bits = self.bits_of([nodes[name] for name in group.members])
            grid = group.fixed or self.choose_grid(group.members | brought, bits)
            self.node_grids |= dict.fromkeys(group.members, grid)

    def is_brought_to_sum(self, operand: fx.Node, node: fx.Node) -> bool:
        """An input whose grid, made for other ends, the sum `node` does not share."""
        return _is_sum(node) and operand.op == "placeholder"

    def stated_grids(self) -> dict[str, Grid]:
        """The grids that the caller fixes of outputs, by node; of a concatenation, of its parts."""
        stated = {}
        for name, node in self.outputs().items():
            grid = self.source.outputs[name].grid
            parts = node.all_input_nodes if _is_concat(node) else [node]
            if grid is not None:
                stated |= {part.name: grid for part in parts}
        return stated

    def is_made_narrow(self, node: fx.Node) -> bool:
        """A Narrowed that alone reads what a layer makes, which is then made on its grid.

        Sums are not: what they share a grid with may need more bits.
        """
        if self.module_of(node, Narrowed) is None:
            return False
        (operand,) = node.all_input_nodes
        return self.module_of(operand, nn.Module) is not None and len(operand.users) == 1

    def bits_of(self, members: Sequence[fx.Node]) -> int:
        """Of the grid that `members` share."""
        bits = self.activation_bits
        if any(self.module_of(node, ChannelGain) for node in members):
            bits += CONTEXT_BITS
        users = (user for node in members for user in node.users)
        if not any(self.module_of(user, tuple(self.tables)) for user in users):  # long tables
            rules = (self.rule_of(self.module_of(node, nn.Module)) for node in members)
            bits += max((rule.further_bits for rule in rules if rule), default=0)
        limits = [module.bits for node in members if (module := self.module_of(node, Narrowed))]
        return min(bits, *limits, WIDEST)

    def choose_grid(self, members: Iterable[str], bits: int) -> Grid:
        # A Narrowed is what is read, and its range may leave rare extremes out.
        narrowed = {n.name for n in self.traced.graph.nodes if self.module_of(n, Narrowed)}
        members = narrowed.intersection(members) or members
        seen = [self.ranges[m] for m in members if m in self.ranges]
        # What a ReLU cuts off before requantization does not need to be representable.
        folded = {n.all_input_nodes[0].name for n in self.traced.graph.nodes if self.is_folded(n)}
        kept = [self.ranges[m] for m in members if m in self.ranges and m not in folded] or seen
        low = min((r[0] for r in kept), default=0.0)
        high = max((r[1] for r in kept), default=1.0)
        return _reaching(low, high, bits)

    # Nodes ---------------------------------------------------------------------------

    def module_of(self, node: fx.Node, kind: type | tuple[type, ...]) -> nn.Module | None:
        module = self.modules.get(str(node.target)) if node.op == "call_module" else None
        return module if isinstance(module, kind) else None

    def is_folded(self, node: fx.Node) -> bool:
        """A ReLU or LeakyReLU straight behind a convolution, or its condition, that nothing else
        reads."""
        if self.module_of(node, ACTIVATIONS) is None:
            return False
        (operand,) = node.all_input_nodes
        behind = self.module_of(operand, (nn.Conv2d, *self.conditions))
        return behind is not None and len(operand.users) == 1

    def is_conditioned(self, node: fx.Node) -> bool:
        """A convolution that the condition behind it emits."""
        users = list(node.users)
        return len(users) == 1 and self.module_of(users[0], self.conditions) is not None

    def outputs(self) -> dict[str, fx.Node]:
        (output,) = (n for n in self.traced.graph.nodes if n.op == "output")
        found = output.args[0]
        nodes = list(found) if isinstance(found, (tuple, list)) else [found]
        return dict(zip(self.source.outputs, nodes, strict=True))

    # Emission ------------------------------------------------------------------------

    def emit(
        self,
        kind: str,
        inputs: Sequence[str],
        tensors: Mapping[str, np.ndarray] | None = None,
        conditions: Mapping[str, ByKnot] | None = None,
        **attributes: int,
    ) -> str:
        """Emit an operation; `conditions` are integers, by the role of the tensor they are of."""
        self.counter += 1
        output = f"v{self.counter}"
        names = {}
        for role, values in (tensors or {}).items():
            names[role] = f"{self.source.name}.{self.counter}.{role}"
            self.tensors[names[role]] = values
        for role, tables in (conditions or {}).items():
            name = names[role] = f"{self.source.name}.{self.counter}.{role}"
            for adapters, table in tables.items():
                stored = f"{adapters}.{name}" if adapters else PREFIX + name
                self.tensors[stored] = table.astype(np.int32)
                if adapters:
                    self.beside.setdefault(adapters, {})[name] = stored
        defaults = {k: v for k, v in KINDS[kind].attributes.items() if v is not None}
        stated = {**defaults, **attributes}
        self.operations.append(Operation(kind, tuple(inputs), output, names, stated))
        return output

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

    def uniform(self, value: str) -> str:
        """`value` with one step for all channels, requantized where they have several."""
        steps = self.channel_steps[value]
        if np.all(steps == steps[0]):
            return value
        low, high = -(2 ** (WIDEST - 1)), 2 ** (WIDEST - 1) - 1
        return self.requantize(value, steps, Grid(float(steps.max()), low, high), low)

    def requantize(
        self,
        value: str,
        steps: np.ndarray,
        grid: Grid,
        low: int,
        negative_slope: float = 1.0,
        gain: ByKnot | None = None,
    ) -> str:
        """Bring `value`, whose channels count in `steps`, times `gain` to `grid`, clamped at `low`.

        What is negative is multiplied by `negative_slope`, where there is no gain.
        """
        if gain is not None:
            largest = np.max([np.abs(table).max(0) for table in gain.values()], 0)
            largest = np.maximum(largest, np.finfo(np.float32).tiny)
            counts = {name: np.rint(t / largest * GAIN_ONE) for name, t in gain.items()}
            whole = (steps * largest / (GAIN_ONE * grid.step)).astype(np.float32)
            of_gain = {"multiplier": counts}
            output = self.emit(
                "requantize", [value], {"multiplier": whole}, of_gain, low=low, high=grid.high
            )
            return self.place(output, grid, len(steps))
        tensors = {"multiplier": _multiplier(steps / grid.step)}
        if negative_slope != 1:
            tensors["negative_multiplier"] = _multiplier(steps * negative_slope / grid.step)
        output = self.emit("requantize", [value], tensors, low=low, high=grid.high)
        return self.place(output, grid, len(steps))

    def on_grid(self, value: str, grid: Grid) -> str:
        """`value` itself where it is on `grid`, else requantized to it."""
        if self.grids[value].step == grid.step:
            return value
        return self.requantize(value, self.channel_steps[value], grid, grid.low)

    def conditioned_convolution(self, node: fx.Node, condition: Condition) -> str:
        """What the condition `node` and the convolution before it make."""
        (before,) = node.all_input_nodes
        module = self.module_of(before, nn.Conv2d)
        if module is None or not self.is_conditioned(before):
            raise ValueError(f"{self.source.name}: {node.name} is behind no convolution of its own")
        return self.convolution(
            before,
            str(before.target),
            module.weight,
            module.bias,
            condition,
            made=node,
            **_attributes(module),
        )

    def convolution(
        self,
        node: fx.Node,
        layer: str,
        kernel: Tensor,
        bias: Tensor | None,
        condition: Condition | None = None,
        made: fx.Node | None = None,
        **attributes: int,
    ) -> str:
        """Convolve what `node` reads with `kernel` (O, I / groups, k, k) and `bias` (O,), and
        apply the condition and the activation that follows where it is folded.

        `layer` is the path of the layer, by which the weights' width is told; `made` is the node
        whose value it is, where that is not `node`.
        """
        x = self.operand(node)
        width = self.widths_of(f"{self.source.name}.{layer}")
        weights = kernel.detach().cpu().double().numpy()
        groups = attributes.get("groups", 1)
        if x in self.orders:
            weights = weights[:, self.ordered(x)]
        # The operand's channel steps become part of the weights, group by group.
        steps = self.channel_steps[x].reshape(groups, 1, -1, 1, 1)
        weights = (weights.reshape(groups, -1, *weights.shape[1:]) * steps).reshape(weights.shape)
        constant = np.zeros(len(weights))
        if bias is not None:
            constant = bias.detach().cpu().double().numpy()
        offset = {OWN: np.zeros(1)} if condition is None else condition.offset
        constants = {name: constant + table for name, table in offset.items()}
        most = np.max([np.abs(np.atleast_2d(table)).max(0) for table in constants.values()], 0)
        weight, acc_steps = quantize_weight(weights, width, most / LARGEST_BIAS)
        biases = {name: np.rint(table / acc_steps) for name, table in constants.items()}
        if condition is None:
            tensors = {"weight": weight, "bias": biases[OWN].astype(np.int32)}
            acc = self.weighted("conv2d", [x], tensors, width, **attributes)
        else:
            of_bias = {"bias": biases}
            acc = self.weighted("conv2d", [x], {"weight": weight}, width, of_bias, **attributes)
        node = made or node
        grid, users = self.node_grids[node.name], list(node.users)
        self.layer_steps[layer] = LayerSteps(self.channel_steps[x], acc_steps, grid.step)
        activation = None
        if len(users) == 1 and self.is_folded(users[0]):
            activation = self.module_of(users[0], ACTIVATIONS)
        if isinstance(activation, nn.LeakyReLU):
            return self.requantize(acc, acc_steps, grid, grid.low, activation.negative_slope)
        low = grid.low if activation is None else max(0, grid.low)
        gain = None if condition is None else condition.gain
        return self.requantize(acc, acc_steps, grid, low, gain=gain)

    def weighted(
        self,
        kind: str,
        inputs: Sequence[str],
        tensors: Mapping[str, np.ndarray],
        width: int,
        conditions: Mapping[str, ByKnot] | None = None,
        **attributes: int,
    ) -> str:
        """Emit an operation whose tensor "weight" has `width` bits."""
        self.widths[f"{self.source.name}.{self.counter + 1}.weight"] = width
        return self.emit(kind, inputs, tensors, conditions, **attributes)

    def offset(self, node: fx.Node, module: ChannelOffset) -> str:
        """A convolution of each channel by itself, whose bias is the offset."""
        x = self.operand(node)
        steps, grid = self.channel_steps[x], self.grids[x]
        offset = module.offset.detach().cpu().double().numpy().ravel()
        # Fewer bits where the offset is far larger than what it is added to.
        most = float(np.abs(offset / steps).max())
        bits = next(b for b in range(OFFSET_BITS, -1, -1) if b == 0 or most * 2**b < 2**31 - 1)
        unit = 2**bits
        tensors = {
            "weight": np.full((len(steps), 1, 1, 1), unit, np.int16),
            "bias": np.rint(offset / steps * unit).astype(np.int32),
        }
        acc = self.weighted("conv2d", [x], tensors, 16, groups=len(steps))
        stated = self.stated_grids().get(node.name)
        if stated is None:  # one that holds whatever the operand can be
            ends = np.outer((grid.low, grid.high), steps) + offset
            highest = 2 ** (WIDEST - 1) - 1
            stated = Grid(float(np.abs(ends).max()) / highest, -highest - 1, highest)
        return self.requantize(acc, steps / unit, stated, stated.low)

    def table(self, node: fx.Node, function: Callable[[np.ndarray], np.ndarray]) -> str:
        x = self.uniform(self.operand(node))
        grid_in = self.reached(node.all_input_nodes[0], self.grids[x])
        grid_out = self.node_grids[node.name]
        argument = np.arange(grid_in.low, grid_in.high + 1) * grid_in.step
        entries = np.clip(np.rint(function(argument) / grid_out.step), grid_out.low, grid_out.high)
        output = self.emit("table", [x], {"table": entries.astype(np.int32)}, low=grid_in.low)
        return self.place(output, grid_out, self.channels(x))

    def reached(self, node: fx.Node, grid: Grid) -> Grid:
        """`grid`, the node's, cut to what calibration saw and some margin: a table's domain, beyond
        which it keeps its last value."""
        low, high = (math.floor(end * RANGE_MARGIN / grid.step) for end in self.ranges[node.name])
        low, high = max(grid.low, min(low, 0)), min(grid.high, max(high, 0) + 1)
        return Grid(grid.step, low, high)

    def concatenation(self, node: fx.Node) -> str:
        operands = []
        for operand in node.all_input_nodes:
            value = self.value_named(operand)
            narrower = self.activation_bits + CONTEXT_BITS < WIDEST
            if operand.op == "placeholder" and narrower and _is_wide(self.grids[value]):
                bits = self.activation_bits + CONTEXT_BITS
                value = self.on_grid(value, self.choose_grid([operand.name], bits))
            operands.append(value)
        output = self.emit("concat", operands)
        self.channel_steps[output] = np.concatenate([self.channel_steps[x] for x in operands])
        own = [self.grids[x] for x in operands]
        # No step where none of the grids is that of all channels.
        step = own[0].step if all(grid.step == own[0].step for grid in own) else math.nan
        self.grids[output] = Grid(step, min(g.low for g in own), max(g.high for g in own))
        return output

    def rule_of(self, module: nn.Module | None) -> Rule | None:
        """The caller's rule for a module's class, or else for the nearest one it derives from."""
        return next((self.rules[kind] for kind in type(module).__mro__ if kind in self.rules), None)

    def value_of(self, node: fx.Node) -> Emitted:
        """Emit what `node` computes and return its value's name."""
        if node.op == "placeholder":
            port = self.ports[node.name]
            self.place(port, self.source.inputs[port], self.source.channels[port])
            if port in self.source.steps:
                self.channel_steps[port] = np.asarray(self.source.steps[port])
            return port
        module = self.module_of(node, nn.Module)
        if rule := self.rule_of(module):
            return rule.emit(self, node, module)
        if _is_item(node):
            return self.aliases[node.all_input_nodes[0].name][node.args[1]]
        grid = self.node_grids[node.name]
        operands = [self.value_named(n) for n in node.all_input_nodes]
        if isinstance(module, nn.Conv2d):
            if self.is_conditioned(node):
                return operands[0]  # the condition emits it
            return self.convolution(
                node, str(node.target), module.weight, module.bias, **_attributes(module)
            )
        if any(x in self.orders for x in operands):
            raise ValueError(f"{self.source.name}: {node.name} reads channels in another order")
        if self.is_folded(node) or isinstance(module, nn.Identity):
            return operands[0]
        if isinstance(module, Narrowed):
            return self.on_grid(operands[0], grid)
        if isinstance(module, nn.LeakyReLU):
            steps = self.channel_steps[operands[0]]
            return self.requantize(operands[0], steps, grid, grid.low, module.negative_slope)
        if _is_product(node):
            steps = self.channel_steps[operands[0]] * self.channel_steps[operands[1]]
            return self.requantize(self.emit("mul", operands), steps, grid, grid.low)
        if isinstance(module, ChannelOffset):
            return self.offset(node, module)
        if self.module_of(node, nn.ReLU):
            if stated := self.stated_grids().get(node.name):
                steps = self.channel_steps[operands[0]]
                return self.requantize(operands[0], steps, stated, max(0, stated.low))
            own = self.grids[operands[0]]
            output = self.emit("clamp", operands, low=0, high=own.high)
            return self.place(output, own, self.channels(operands[0]))
        if _is_sum(node):
            operands = [self.on_grid(x, grid) for x in operands]
            output = self.emit("add", operands, low=grid.low, high=grid.high)
            return self.place(output, grid, self.channels(operands[0]))
        if _is_concat(node):
            return self.concatenation(node)
        if module := self.module_of(node, nn.PixelShuffle):
            factor = module.upscale_factor
            output = self.emit("pixel_shuffle", operands, factor=factor)
            channels = self.channels(operands[0]) // factor**2
            return self.place(output, self.grids[operands[0]], channels)
        if module := self.module_of(node, nn.PixelUnshuffle):
            factor = module.downscale_factor
            output = self.emit("pixel_unshuffle", operands, factor=factor)
            channels = self.channels(operands[0]) * factor**2
            return self.place(output, self.grids[operands[0]], channels)
        if module := self.module_of(node, FirstChannels):
            output = self.emit("split", operands, start=0, stop=module.count)
            return self.place(output, self.grids[operands[0]], module.count)
        if module := self.module_of(node, ChannelGain):
            gains = module.gain.detach().cpu().double().numpy().ravel()
            steps = self.channel_steps[operands[0]] * gains
            return self.requantize(operands[0], steps, grid, grid.low)
        if module := self.module_of(node, tuple(self.tables)):
            function = self.tables[type(module)]
            return self.table(node, lambda x: function(module, x))
        raise ValueError(f"{self.source.name}: no rule for {node.format_node()}")

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
        names, grids, steps = [], {}, {}
        for output_name, node in self.outputs().items():
            value = self.value_named(node)
            final = self.source.outputs[output_name].final
            if final is not None:
                value = self.requantize(value, self.channel_steps[value], final, final.low)
            names.append(value)
            grids[output_name] = self.grids[value]
            steps[output_name] = self.channel_steps[value]
        ports = tuple(
            Port(name, self.source.channels[name], grid.low, grid.high)
            for name, grid in self.source.inputs.items()
        )
        ports += tuple(Port(name, None, 0, most) for name, most in self.source.numbers.items())
        program = Program(self.source.name, ports, tuple(self.operations), tuple(names))
        kept = self.beside, self.layer_steps
        return Compiled(program, self.tensors, self.widths, grids, steps, *kept)


def _attributes(module: nn.Conv2d) -> dict[str, int]:
    return {
        "stride": module.stride[0],
        "padding": module.padding[0],
        "groups": module.groups,
    }


def _reaching(low: float, high: float, bits: int) -> Grid:
    """The grid of `bits` bits that holds [low, high] and some margin."""
    # Without a sign the widest would not fit in one convolution with signed channels.
    unsigned = low >= 0 and bits < WIDEST
    integers = (0, 2**bits - 1) if unsigned else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    reach = max(-low, high, LEAST_REACH) * RANGE_MARGIN
    return Grid(reach / integers[1], *integers)


def _is_wide(grid: Grid) -> bool:
    """A grid of 16 bits, on which few values are close to the ends."""
    return grid.high - grid.low >= 2**16 - 1


def _is_sum(node: fx.Node) -> bool:
    return node.op == "call_function" and node.target in (operator.add, torch.add)


def _is_product(node: fx.Node) -> bool:
    return node.op == "call_function" and node.target in (operator.mul, torch.mul)


def _is_item(node: fx.Node) -> bool:
    """One of several results."""
    return node.op == "call_function" and node.target is operator.getitem


def _multiplier(values: np.ndarray) -> np.ndarray:
    """(channels,) as binary32, or (1,) where all are one."""
    values = values.astype(np.float32)
    return values[:1] if np.all(values == values[0]) else values


def _is_concat(node: fx.Node) -> bool:
    return node.op == "call_function" and node.target is torch.cat


def node_grids(
    source: Source,
    traced: fx.GraphModule,
    ranges: Mapping[str, tuple[float, float]],
    activation_bits: int,
) -> dict[str, Grid]:
    """The grid on which the program of `traced` holds each node, by node name.

    A concatenation keeps its operands' grids and a folded ReLU's convolution is never
    rounded by itself: neither is listed.
    """
    compilation = Compilation(source, traced, ranges, lambda layer: 8, activation_bits, {}, {})
    compilation.assign_grids()
    unrounded = {
        node.all_input_nodes[0].name for node in traced.graph.nodes if compilation.is_folded(node)
    } | {node.name for node in traced.graph.nodes if _is_concat(node)}
    return {n: g for n, g in compilation.node_grids.items() if n not in unrounded}


def operand_steps(
    operand: fx.Node,
    grids: Mapping[str, Grid],
    ranges: Mapping[str, tuple[float, float]],
    activation_bits: int,
    channels: Mapping[str, int],
) -> Tensor:
    """The step of every channel of `operand`, (channels,), where it is concatenated or not.

    `grids` comes from :func:`node_grids`, `channels` gives the number of each node's.
    """
    if _is_concat(operand):
        inner = (grids, ranges, activation_bits, channels)
        return torch.cat([operand_steps(node, *inner) for node in operand.all_input_nodes])
    grid, step = grids[operand.name], grids[operand.name].step
    if operand.op == "placeholder" and activation_bits + CONTEXT_BITS < WIDEST and _is_wide(grid):
        step = _reaching(*ranges[operand.name], activation_bits + CONTEXT_BITS).step
    return torch.full((channels[operand.name],), step, dtype=torch.float64)


def compile_module(
    source: Source,
    traced: fx.GraphModule,
    ranges: Mapping[str, tuple[float, float]],
    widths: Callable[[str], int],
    activation_bits: int,
    tables: Tables,
    rules: Rules = MappingProxyType({}),
) -> Compiled:
    """Compile one traced module.

    ranges           what the grid of every node should hold, from ``ranges.RangeRecorder``
    widths           bits of a weight (2-8, or 16) by "program.layer" name
    activation_bits  bits of every grid the caller does not fix (8-16)
    tables           the scalar modules and their functions, evaluated here once in float64
    rules            the caller's, by the leaf's class; they come before the ones here

    Raises ValueError where the module holds something that has no rule.
    """
    compilation = Compilation(source, traced, ranges, widths, activation_bits, tables, rules)
    return compilation.compile()
