"""From a calibrated float module, weight widths and activation ranges to a program.

The module is traced with ``torch.fx``; every leaf (convolution, ReLU, addition,
concatenation, pixel shuffle, gain, scalar table) has one rule below. Values that are added share
one grid, and values that are concatenated keep their own, which the weights behind them
absorb. Grids that the coding schedule fixes (latents, means, scales, pixels) are stated by
the caller, the others come from the calibrated ranges.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, fx, nn

from licodec.exact.leaves import ChannelGain, FirstChannels
from licodec.exact.program import Operation, Port, Program

RANGE_MARGIN = 1.25  # a grid reaches this much beyond the largest calibrated magnitude
GRID_KEEPERS = (nn.PixelShuffle, nn.PixelUnshuffle, FirstChannels)  # move integers, as they are
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


@dataclass(frozen=True)
class Source:
    """One float module to compile: what its inputs and outputs are.

    `inputs` and `channels` describe each forward argument in order, by the name of the
    program's port; `outputs` describes each result in order.
    """

    name: str
    inputs: Mapping[str, Grid]
    channels: Mapping[str, int]
    outputs: Mapping[str, Output]


@dataclass(frozen=True)
class Compiled:
    """A program, its tensors, the width of each weight tensor, and the grids of its outputs."""

    program: Program
    tensors: dict[str, np.ndarray]
    widths: dict[str, int]
    output_grids: dict[str, Grid]


class LeafTracer(fx.Tracer):
    """Traces down to the modules the rules know."""

    def __init__(self, leaves: tuple[type[nn.Module], ...]) -> None:
        super().__init__()
        self.leaves = leaves

    def is_leaf_module(self, module: nn.Module, qualified_name: str) -> bool:
        known = (*self.leaves, ChannelGain, FirstChannels)
        return isinstance(module, known) or super().is_leaf_module(module, qualified_name)


def trace(module: nn.Module, table_leaves: tuple[type[nn.Module], ...]) -> fx.GraphModule:
    graph = LeafTracer(table_leaves).trace(module)
    return fx.GraphModule(module, graph)


class RangeRecorder(fx.Interpreter):
    """Runs a traced module and keeps the least and largest value of every node."""

    def __init__(self, traced: fx.GraphModule) -> None:
        super().__init__(traced)
        self.ranges: dict[str, tuple[float, float]] = {}

    def run_node(self, node: fx.Node) -> object:
        result = super().run_node(node)
        if isinstance(result, Tensor):
            low, high = float(result.detach().amin()), float(result.detach().amax())
            before = self.ranges.get(node.name, (low, high))
            self.ranges[node.name] = (min(low, before[0]), max(high, before[1]))
        return result


def quantize_weight(weight: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Symmetric quantization of weight (O, ...) with one step per output channel.

    The step is the one of 24 candidates with the least squared error; returns
    (integers as int8 or int16, steps (O,) float64).
    """
    largest = 2 ** (width - 1) - 1
    flat = weight.reshape(len(weight), -1).astype(np.float64)
    peak = np.maximum(np.abs(flat).max(1), 1e-12)
    best, best_error = peak / largest, np.full(len(flat), np.inf)
    for shrink in np.linspace(1.0, 0.5 if width <= 4 else 0.9, 24):
        step = peak * shrink / largest
        rounded = np.clip(np.rint(flat / step[:, None]), -largest, largest) * step[:, None]
        error = ((rounded - flat) ** 2).sum(1)
        better = error < best_error
        best, best_error = np.where(better, step, best), np.where(better, error, best_error)
    integers = np.clip(np.rint(flat / best[:, None]), -largest, largest)
    return integers.reshape(weight.shape).astype(np.int8 if width <= 8 else np.int16), best


@dataclass
class _Class:
    """Values that share a grid."""

    members: set[str] = field(default_factory=set)
    fixed: Grid | None = None


class _Compilation:
    def __init__(
        self,
        source: Source,
        traced: fx.GraphModule,
        ranges: Mapping[str, tuple[float, float]],
        widths: Callable[[str], int],
        activation_bits: int,
        tables: Mapping[type[nn.Module], Callable[[np.ndarray], np.ndarray]],
    ) -> None:
        self.source, self.traced, self.ranges = source, traced, ranges
        self.widths_of, self.activation_bits, self.tables = widths, activation_bits, tables
        self.modules = dict(traced.named_modules())
        self.operations: list[Operation] = []
        self.tensors: dict[str, np.ndarray] = {}
        self.widths: dict[str, int] = {}
        self.grids: dict[str, Grid] = {}  # of values already emitted
        self.channel_steps: dict[str, np.ndarray] = {}  # of the same, (channels,)
        self.aliases: dict[str, str] = {}  # a ReLU folded into its convolution, and the like
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
            if _is_sum(node) or self.module_of(node, GRID_KEEPERS):
                for operand in node.all_input_nodes:
                    parent[find(operand.name)] = find(node.name)
            elif self.is_folded_relu(node):
                parent[find(node.all_input_nodes[0].name)] = find(node.name)
        fixed = {argument: self.source.inputs[port] for argument, port in self.ports.items()}
        for output_name, node in self.outputs().items():
            stated = self.source.outputs[output_name].grid
            if stated is not None:
                fixed[node.name] = stated
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
            gained = any(self.module_of(nodes[name], ChannelGain) for name in group.members)
            further_bits = CONTEXT_BITS if gained else 0
            grid = group.fixed or self.choose_grid(group.members, further_bits)
            self.node_grids |= dict.fromkeys(group.members, grid)

    def choose_grid(self, members: Iterable[str], further_bits: int = 0) -> Grid:
        seen = [self.ranges[m] for m in members if m in self.ranges]
        # What a ReLU folds away before requantization does not need to be representable.
        folded = {
            n.all_input_nodes[0].name for n in self.traced.graph.nodes if self.is_folded_relu(n)
        }
        kept = [self.ranges[m] for m in members if m in self.ranges and m not in folded] or seen
        low = min((r[0] for r in kept), default=0.0)
        high = max((r[1] for r in kept), default=1.0)
        bits = self.activation_bits + further_bits
        integers = (0, 2**bits - 1) if low >= 0 else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
        reach = max(-low, high, 1e-6) * RANGE_MARGIN
        return Grid(reach / integers[1], *integers)

    # Nodes ---------------------------------------------------------------------------

    def module_of(self, node: fx.Node, kind: type | tuple[type, ...]) -> nn.Module | None:
        module = self.modules.get(str(node.target)) if node.op == "call_module" else None
        return module if isinstance(module, kind) else None

    def is_folded_relu(self, node: fx.Node) -> bool:
        """A ReLU straight behind a convolution that nothing else reads."""
        if self.module_of(node, nn.ReLU) is None:
            return False
        (operand,) = node.all_input_nodes
        return self.module_of(operand, nn.Conv2d) is not None and len(operand.users) == 1

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
        **attributes: int,
    ) -> str:
        self.counter += 1
        output = f"v{self.counter}"
        names = {}
        for role, values in (tensors or {}).items():
            names[role] = f"{self.source.name}.{self.counter}.{role}"
            self.tensors[names[role]] = values
        self.operations.append(Operation(kind, tuple(inputs), output, names, attributes))
        return output

    def place(self, value: str, grid: Grid, channels: int) -> str:
        """Note that `value` holds `channels` planes on `grid`."""
        self.grids[value] = grid
        self.channel_steps[value] = np.full(channels, grid.step)
        return value

    def channels(self, value: str) -> int:
        return len(self.channel_steps[value])

    def requantize(self, value: str, steps: np.ndarray, grid: Grid, low: int) -> str:
        """Bring `value`, whose channels count in `steps`, to `grid`, clamped at `low`."""
        multiplier = (steps / grid.step).astype(np.float32)
        if np.all(multiplier == multiplier[0]):
            multiplier = multiplier[:1]
        tensors = {"multiplier": multiplier}
        output = self.emit("requantize", [value], tensors, low=low, high=grid.high)
        return self.place(output, grid, len(steps))

    def on_grid(self, value: str, grid: Grid) -> str:
        """`value` itself where it is on `grid`, else requantized to it."""
        if self.grids[value].step == grid.step:
            return value
        return self.requantize(value, self.channel_steps[value], grid, grid.low)

    def convolution(self, node: fx.Node, module: nn.Conv2d) -> str:
        x = self.aliases[node.all_input_nodes[0].name]
        width = self.widths_of(f"{self.source.name}.{node.target}")
        kernel = module.weight.detach().cpu().double().numpy()  # (O, I/groups, k, k)
        # The operand's channel steps become part of the weights, group by group.
        steps = self.channel_steps[x].reshape(module.groups, 1, -1, 1, 1)
        kernel = (kernel.reshape(module.groups, -1, *kernel.shape[1:]) * steps).reshape(
            kernel.shape
        )
        weight, acc_steps = quantize_weight(kernel, width)
        self.widths[f"{self.source.name}.{self.counter + 1}.weight"] = width
        bias = np.zeros(len(weight))
        if module.bias is not None:
            bias = module.bias.detach().cpu().double().numpy()
        bias = np.clip(np.rint(bias / acc_steps), -(2**30), 2**30).astype(np.int32)
        acc = self.emit(
            "conv2d",
            [x],
            {"weight": weight, "bias": bias},
            stride=module.stride[0],
            padding=module.padding[0],
            groups=module.groups,
        )
        grid = self.node_grids[node.name]
        users = list(node.users)
        folded = len(users) == 1 and self.is_folded_relu(users[0])
        return self.requantize(acc, acc_steps, grid, max(0, grid.low) if folded else grid.low)

    def table(self, node: fx.Node, function: Callable[[np.ndarray], np.ndarray]) -> str:
        x = self.aliases[node.all_input_nodes[0].name]
        grid_in, grid_out = self.reached(node.all_input_nodes[0]), self.node_grids[node.name]
        argument = np.arange(grid_in.low, grid_in.high + 1) * grid_in.step
        entries = np.clip(np.rint(function(argument) / grid_out.step), grid_out.low, grid_out.high)
        output = self.emit("table", [x], {"table": entries.astype(np.int32)}, low=grid_in.low)
        return self.place(output, grid_out, self.channels(x))

    def reached(self, node: fx.Node) -> Grid:
        """The node's grid cut to what calibration saw and some margin: a table's domain, beyond
        which it keeps its last value."""
        grid = self.grids[self.aliases[node.name]]
        low, high = (math.floor(end * RANGE_MARGIN / grid.step) for end in self.ranges[node.name])
        low, high = max(grid.low, min(low, 0)), min(grid.high, max(high, 0) + 1)
        return Grid(grid.step, low, high)

    def concatenation(self, node: fx.Node) -> str:
        operands = []
        for operand in node.all_input_nodes:
            value = self.aliases[operand.name]
            if operand.op == "placeholder" and _is_wide(self.grids[value]):
                value = self.on_grid(value, self.choose_grid([operand.name], CONTEXT_BITS))
            operands.append(value)
        output = self.emit("concat", operands)
        self.channel_steps[output] = np.concatenate([self.channel_steps[x] for x in operands])
        return output

    def value_of(self, node: fx.Node) -> str:
        """Emit what `node` computes and return its value's name."""
        operands = [self.aliases[n.name] for n in node.all_input_nodes]
        grid = self.node_grids[node.name]
        if node.op == "placeholder":
            port = self.ports[node.name]
            return self.place(port, self.source.inputs[port], self.source.channels[port])
        if conv := self.module_of(node, nn.Conv2d):
            return self.convolution(node, conv)
        if self.is_folded_relu(node):
            return operands[0]
        if self.module_of(node, nn.ReLU):
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

    def compile(self) -> Compiled:
        self.assign_grids()
        for node in self.traced.graph.nodes:
            if node.op != "output":
                self.aliases[node.name] = self.value_of(node)
        names, grids = [], {}
        for output_name, node in self.outputs().items():
            value = self.aliases[node.name]
            final = self.source.outputs[output_name].final
            if final is not None:
                value = self.requantize(value, self.channel_steps[value], final, final.low)
            names.append(value)
            grids[output_name] = self.grids[value]
        ports = tuple(
            Port(name, self.source.channels[name], grid.low, grid.high)
            for name, grid in self.source.inputs.items()
        )
        program = Program(self.source.name, ports, tuple(self.operations), tuple(names))
        return Compiled(program, self.tensors, self.widths, grids)


def _is_wide(grid: Grid) -> bool:
    """A grid of 16 bits, on which few values are close to the ends."""
    return grid.high - grid.low >= 2**16 - 1


def _is_sum(node: fx.Node) -> bool:
    return node.op == "call_function" and node.target in (operator.add, torch.add)


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
    compilation = _Compilation(source, traced, ranges, lambda layer: 8, activation_bits, {})
    compilation.assign_grids()
    unrounded = {
        node.all_input_nodes[0].name
        for node in traced.graph.nodes
        if compilation.is_folded_relu(node)
    } | {node.name for node in traced.graph.nodes if _is_concat(node)}
    return {n: g for n, g in compilation.node_grids.items() if n not in unrounded}


def compile_module(
    source: Source,
    traced: fx.GraphModule,
    ranges: Mapping[str, tuple[float, float]],
    widths: Callable[[str], int],
    activation_bits: int,
    tables: Mapping[type[nn.Module], Callable[[nn.Module, np.ndarray], np.ndarray]],
) -> Compiled:
    """Compile one traced module.

    ranges           least and largest value of every node, from :class:`RangeRecorder`
    widths           bits of a weight (2-8, or 16) by "program.layer" name
    activation_bits  bits of every grid the caller does not fix (8-16)
    tables           the scalar modules and their functions, evaluated here once in float64

    Raises ValueError where the module holds something that has no rule.
    """
    return _Compilation(source, traced, ranges, widths, activation_bits, tables).compile()
