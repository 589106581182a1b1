"""One network's search: what it needs measured, kept in a state file, and what it finds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from licodec.fmpq.allocation import (
    RULES,
    Allocation,
    Report,
    float_bits,
    naive_evaluations,
)
from licodec.fmpq.curves import Curves, Layer
from licodec.fmpq.sensitivity import Trials, fingerprint
from licodec.fmpq.state import Sensitivities, resumed, write_state
from licodec.packing.searchable import Searchable, TrialSettings
from licodec.packs.plans import Plan


@dataclass(frozen=True)
class Found:
    """A plan that a search ended with.

    measured_zeta  the change of loss with the whole plan quantized; the allocation's zeta is
                   the sum of the layers', which predicts it
    evaluations    of the RD-loss, the float one and those of the state file included
    """

    allocation: Allocation
    measured_zeta: float
    evaluations: int
    naive_evaluations: int

    @property
    def plan(self) -> Plan:
        return self.allocation.plan


class PlanSearch:
    """Searches for plans of one network on one batch of crops; measurements are shared.

    After every measurement the file at `state` is up to date; one of the same search is taken
    up where it ended. Raises BadInputError, UsageError for a file that does not belong here.
    """

    def __init__(
        self, searched: Searchable, pixels: Tensor, settings: TrialSettings, state: Path
    ) -> None:
        self.searched, self._state = searched, state
        self._fingerprint = fingerprint(searched.network, pixels, settings)
        self._values = dict(resumed(state, self._fingerprint))
        self._trials = Trials(searched, pixels, settings)
        self.curves = Curves(self._trials.layers, self._measure)

    @property
    def layers(self) -> tuple[Layer, ...]:
        return self.curves.layers

    def budget(self, share: float) -> int:
        """Bits that are `share` of the float32 size of all weights."""
        return int(share * float_bits(self.layers))

    def _measure(self, name: str, width: int) -> float:
        if (name, width) in self._values:
            return self._values[name, width]
        value = self._trials.zeta({name: width})
        self._values[name, width] = value
        loss = self._trials.float_loss
        write_state(Sensitivities(self._fingerprint, loss, self.layers, self._values), self._state)
        return value

    def find(self, budget: int, rule: str, report: Report) -> Found:
        """The plan of at most `budget` bits by the rule of that name (`RULES`).

        Raises UsageError where no plan fits.
        """
        allocation = RULES[rule](self.curves, budget, report)
        return Found(
            allocation,
            self._trials.zeta(allocation.plan),
            self.curves.evaluations + 1,
            naive_evaluations(self.layers),
        )

    def corrected(self, plan: Plan) -> Searchable:
        """The network with the biases that go with `plan`."""
        return self._trials.corrected(plan)
