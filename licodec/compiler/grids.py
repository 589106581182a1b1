"""The grid of every value of a module: which values share one, and which of the grids are free.

Values that are added share one grid, and values that are concatenated keep their own, which the
weights behind them absorb. Grids that the coding schedule fixes (latents, means, scales, pixels)
are stated by the caller, the others come from the calibrated ranges.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

from torch import fx, nn

from licodec.compiler.forms import Calibrated, Grid, Source
from licodec.compiler.graphs import is_concat, is_item, is_sum, output_nodes
from licodec.compiler.leaves import CONTEXT_BITS, WIDEST
from licodec.compiler.ranges import RANGE_MARGIN
from licodec.compiler.rules import ACTIVATIONS, CONDITIONS, RULES, TABLES, Rule
from licodec.networks.compiled_leaves import ChannelGain, Narrowed

M = TypeVar("M", bound=nn.Module)

LEAST_REACH = 1e-4  # of a grid: what is always 0 needs one, too


class GridAssignment:
    """A traced module, and the grid that each of its nodes is on; arguments are those of
    ``compilation.compile_module``."""

    def __init__(self, source: Source, calibrated: Calibrated, activation_bits: int) -> None:
        self.source, self.activation_bits = source, activation_bits
        self.traced, self.ranges = calibrated.traced, calibrated.ranges
        self.modules = dict(self.traced.named_modules())
        self.node_grids: dict[str, Grid] = {}
        arguments = [n.name for n in self.traced.graph.nodes if n.op == "placeholder"]
        self.ports = dict(zip(arguments, source.inputs, strict=True))

    # Nodes ---------------------------------------------------------------------------

    def module_of(self, node: fx.Node, kind: type[M] | tuple[type[M], ...]) -> M | None:
        module = self.modules.get(str(node.target)) if node.op == "call_module" else None
        return module if isinstance(module, kind) else None

    def rule_of(self, node: fx.Node) -> Rule | None:
        """That of its module's class, or of the nearest one that it derives from, or that of its
        function."""
        module = self.module_of(node, nn.Module)
        kinds = (node.target,) if module is None else type(module).__mro__
        return next((RULES[kind] for kind in kinds if kind in RULES), None)

    def is_folded(self, node: fx.Node) -> bool:
        """A ReLU or LeakyReLU straight behind a convolution, or its condition, that nothing else
        reads."""
        if self.module_of(node, ACTIVATIONS) is None:
            return False
        (operand,) = node.all_input_nodes
        behind = self.module_of(operand, (nn.Conv2d, *CONDITIONS))
        return behind is not None and len(operand.users) == 1

    def is_conditioned(self, node: fx.Node) -> bool:
        """A convolution that the condition behind it emits."""
        users = list(node.users)
        return len(users) == 1 and self.module_of(users[0], CONDITIONS) is not None

    def is_brought_to_sum(self, operand: fx.Node, node: fx.Node) -> bool:
        """An input whose grid, made for other ends, the sum `node` does not share."""
        return is_sum(node) and operand.op == "placeholder"

    def is_made_narrow(self, node: fx.Node) -> bool:
        """A Narrowed that alone reads what a layer makes, which is then made on its grid.

        Sums are not: what they share a grid with may need more bits.
        """
        if self.module_of(node, Narrowed) is None:
            return False
        (operand,) = node.all_input_nodes
        return self.module_of(operand, nn.Module) is not None and len(operand.users) == 1

    def outputs(self) -> dict[str, fx.Node]:
        return dict(zip(self.source.outputs, output_nodes(self.traced), strict=True))

    # Grids ---------------------------------------------------------------------------

    def assign_grids(self) -> None:
        """Group the nodes that must share a grid and choose one for each group."""
        nodes = {node.name: node for node in self.traced.graph.nodes}
        fixed = {argument: self.source.inputs[port].grid for argument, port in self.ports.items()}
        fixed |= self.stated_grids()
        for members in self.groups(list(nodes.values())):
            stated = {fixed[name]: name for name in members if name in fixed}
            if len(stated) > 1:
                raise ValueError(f"{self.source.name}: two grids meet at {max(stated.values())}")
            brought = {
                operand.name
                for name in members
                for operand in nodes[name].all_input_nodes
                if self.is_brought_to_sum(operand, nodes[name])
            }
            bits = self.bits_of([nodes[name] for name in members])
            grid = next(iter(stated), None) or self.choose_grid(members | brought, bits)
            self.node_grids |= dict.fromkeys(members, grid)

    def groups(self, nodes: Sequence[fx.Node]) -> list[set[str]]:
        """The names of the nodes that share a grid, group by group."""
        parent = {node.name: node.name for node in nodes}

        def find(name: str) -> str:
            while parent[name] != name:
                name = parent[name]
            return name

        for node in nodes:
            rule = self.rule_of(node)
            keeps_grid = is_item(node) or (rule is not None and rule.keeps_grid)
            if is_sum(node) or keeps_grid or self.is_made_narrow(node):
                for operand in node.all_input_nodes:
                    if not self.is_brought_to_sum(operand, node):
                        parent[find(operand.name)] = find(node.name)
            elif self.is_folded(node):
                parent[find(node.all_input_nodes[0].name)] = find(node.name)
        found: dict[str, set[str]] = {}
        for node in nodes:
            found.setdefault(find(node.name), set()).add(node.name)
        return list(found.values())

    def stated_grids(self) -> dict[str, Grid]:
        """The grids that the caller fixes of outputs, by node; of a concatenation, of its parts."""
        stated: dict[str, Grid] = {}
        for name, node in self.outputs().items():
            grid = self.source.outputs[name].grid
            parts = node.all_input_nodes if is_concat(node) else [node]
            if grid is not None:
                stated |= {part.name: grid for part in parts}
        return stated

    def bits_of(self, members: Sequence[fx.Node]) -> int:
        """Of the grid that `members` share."""
        bits = self.activation_bits
        if any(self.module_of(node, ChannelGain) for node in members):
            bits += CONTEXT_BITS
        users = (user for node in members for user in node.users)
        if not any(self.module_of(user, TABLES) for user in users):  # long tables
            rules = map(self.rule_of, members)
            bits += max((rule.further_bits for rule in rules if rule), default=0)
        limits = [module.bits for node in members if (module := self.module_of(node, Narrowed))]
        return min(bits, *limits, WIDEST)

    def choose_grid(self, members: Iterable[str], bits: int) -> Grid:
        """The grid of `bits` bits for what calibration saw of these nodes."""
        # A Narrowed is what is read, and its range may leave rare extremes out.
        narrowed = {n.name for n in self.traced.graph.nodes if self.module_of(n, Narrowed)}
        members = narrowed.intersection(members) or members
        seen = [self.ranges[m] for m in members if m in self.ranges]
        # What a ReLU cuts off before requantization does not need to be representable.
        folded = {n.all_input_nodes[0].name for n in self.traced.graph.nodes if self.is_folded(n)}
        kept = [self.ranges[m] for m in members if m in self.ranges and m not in folded] or seen
        low = min((r[0] for r in kept), default=0.0)
        high = max((r[1] for r in kept), default=1.0)
        # Without a sign the widest would not fit in one convolution with signed channels.
        unsigned = low >= 0 and bits < WIDEST
        integers = (0, 2**bits - 1) if unsigned else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
        reach = max(-low, high, LEAST_REACH) * RANGE_MARGIN
        return Grid(reach / integers[1], *integers)
