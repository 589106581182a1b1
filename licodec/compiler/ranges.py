"""What values a module's nodes take on calibration pictures, and what its grids should hold."""

from __future__ import annotations

import torch
from torch import Tensor, fx

from licodec.networks.compiled_leaves import Narrowed

RANGE_MARGIN = 1.25  # a grid reaches this much beyond its range


class Magnitudes:
    """How often magnitudes occur among values, counted in sixteenths of an octave."""

    PER_OCTAVE = 16
    OCTAVES = 32  # from 2^-16 to 2^16; the ends hold what lies beyond

    def __init__(self) -> None:
        bins = self.PER_OCTAVE * self.OCTAVES
        self.counts = torch.zeros(bins, dtype=torch.int64)
        places = torch.arange(bins, dtype=torch.float64) - bins / 2
        self.centres = torch.exp2((places + 0.5) / self.PER_OCTAVE)
        self.ends = torch.exp2((places + 1) / self.PER_OCTAVE)

    def add(self, x: Tensor) -> None:
        """Count `x`, of any shape; zeros, which every grid holds exactly, are left out."""
        bins = len(self.counts)
        x = x.detach().flatten()
        places = torch.log2(x[x != 0].abs()).mul_(self.PER_OCTAVE).floor_().add_(bins // 2)
        self.counts += torch.bincount(places.clamp_(0, bins - 1).long(), minlength=bins).cpu()

    def best_reach(self, integers: int) -> float:
        """Where a grid of `integers` steps on either side had best end: where rounding within
        and clipping beyond make the least squared error.

        At least half of the largest magnitude: other pictures may go further than these.
        """
        seen = self.counts.nonzero()
        if not len(seen):
            return 0.0
        last = int(seen[-1])
        ends = self.ends[max(0, last - self.PER_OCTAVE) : last + 1, None]
        beyond = (self.centres - ends).clamp_min(0) ** 2  # (candidates, bins)
        rounded = (ends / integers) ** 2 / 12
        errors = (torch.where(beyond > 0, beyond, rounded) * self.counts).sum(1)
        return float(ends[errors.argmin()])


class RangeRecorder(fx.Interpreter):
    """Runs a traced module and keeps the range of every node that its grid should hold.

    That is the least and the largest value; of a Narrowed, whose few bits would be wasted on
    rare extremes, the one whose grid makes the least squared error.
    """

    def __init__(self, traced: fx.GraphModule) -> None:
        super().__init__(traced)
        self._extremes: dict[str, tuple[float, float]] = {}
        self._narrowed: dict[str, tuple[Magnitudes, int]] = {}  # and how many bits hold them

    def run_node(self, node: fx.Node) -> object:
        result = super().run_node(node)
        if isinstance(result, Tensor):
            low, high = map(float, result.detach().aminmax())
            before = self._extremes.get(node.name, (low, high))
            self._extremes[node.name] = (min(low, before[0]), max(high, before[1]))
        module = self.fetch_attr(str(node.target)) if node.op == "call_module" else None
        if isinstance(module, Narrowed):
            magnitudes, _ = self._narrowed.setdefault(node.name, (Magnitudes(), module.bits))
            magnitudes.add(result)
        return result

    @property
    def ranges(self) -> dict[str, tuple[float, float]]:
        """Low and high of every node, by its name, over all runs so far."""
        found = dict(self._extremes)
        for name, (magnitudes, bits) in self._narrowed.items():
            low, high = self._extremes[name]
            integers = 2 ** (bits if low >= 0 else bits - 1) - 1
            reach = magnitudes.best_reach(integers) / RANGE_MARGIN
            found[name] = (max(low, -reach), min(high, reach))
        return found
