"""The programs that an adapter set has in the place of the anchor's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from torch import nn

from licodec.compiler.forms import Calibrated, Grid, Output, Source, Value
from licodec.compiler.graphs import output_nodes
from licodec.compiler.ranges import RANGE_MARGIN
from licodec.networks.adapter_sets import modes_of, plain_path
from licodec.packing.exact_form import Values
from licodec.packing.programs import Packing

BRANCH_BITS = 8  # of a branch's weights, unless those of its layer have more
Range = tuple[float, float]


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

    def add(self, name: str, inputs: Values, outputs: Mapping[str, Output]) -> Values:
        """Compile the stand-in of one part, if it needs one; what is made in the part's place."""
        part, anchor = self.calibrated[name], self.packing.calibrated[name]
        read, made = self.packing.added[name]
        numbers = modes_of(part.traced)
        ranges = settled(part, anchor)
        same = all(value.equals(read[port]) for port, value in inputs.items())
        if not numbers and same and ranges == anchor.ranges:
            return made
        own = self.programs[name] = f"{self.objective}.{name}"
        for (port, output), node in zip(outputs.items(), output_nodes(part.traced), strict=True):
            kept = made[port]
            if output == Output() and _uniform(kept) and _holds(kept.grid, part.ranges[node.name]):
                outputs = {**outputs, port: Output(kept.grid)}
        found = self.packing.compile(
            Source(own, inputs, outputs, numbers),
            Calibrated(part.traced, ranges),
            lambda layer: self._width(name, layer),
        )
        self.packing.share(own, name)
        return found.outputs

    def _width(self, name: str, layer: str) -> int:
        """Bits of a weight of a stand-in, by its own "program.layer" name: those of the trunk's."""
        path, in_branch = plain_path(
            self.modules[name], layer.removeprefix(f"{self.objective}.{name}.")
        )
        width = self.packing.widths(f"{name}.{path}")
        return max(width, BRANCH_BITS) if in_branch else width


def settled(part: Calibrated, anchor: Calibrated) -> dict[str, Range]:
    """The ranges to compile a part with adapters for: the anchor's where they do for what was
    seen, so that grids stay what they are, and else both together."""
    known = {
        (node.op, node.target): anchor.ranges[node.name]
        for node in anchor.traced.graph.nodes
        if node.name in anchor.ranges and node.op in ("placeholder", "call_module")
    }
    if not modes_of(part.traced):  # then both have the same nodes
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
