"""The rate modes of a float network: AQVR's d, and alpha and beta where it has adapters."""

from __future__ import annotations

import math
from typing import ClassVar

from licodec.errors import UsageError
from licodec.networks.adapter_sets import gains, modes_of
from licodec.networks.network import Network
from licodec.rate.gains import ALPHA, BETA


def shares_between(
    shares: tuple[float, ...], at_one: tuple[float, ...], beta: float
) -> tuple[float, ...]:
    """Step shares at `beta`, from `shares` at 0 to `at_one`, where those are others."""
    if not at_one:
        return shares
    return tuple(s + (t - s) * beta for s, t in zip(shares, at_one, strict=True))


class RateModes(Network):
    """A network whose rate is set by :meth:`set_rate`; `d` and `step_shares` are in force.

    Without step shares, which only adapters bring, steps are AQVR's.
    """

    TAKES_D: ClassVar[bool]

    def __init__(self, backbone: str) -> None:
        super().__init__()
        self.backbone = backbone
        self.d = 1.0
        self.step_shares: tuple[float, ...] = ()

    @property
    def rate_modes(self) -> tuple[str, ...]:
        """The modes :meth:`set_rate` takes."""
        return (*(("d",) if self.TAKES_D else ()), *modes_of(self))

    def set_rate(
        self, *, d: float | None = None, alpha: float | None = None, beta: float | None = None
    ) -> None:
        """Set the rate mode; what is not given becomes neutral (alpha 0, beta 0, and d what
        the adapters were trained with at that alpha and beta, which is 1 without any).

        d > 0 is AQVR's, larger is smaller files; alpha in [0, 1] is the rate, 0 the anchor's,
        1 the lowest; beta in [0, 1] trades fidelity for realism. Raises UsageError for a value
        out of range or a mode this network lacks.
        """
        if d is not None and not 0 < d < math.inf:
            raise UsageError(f"d = {d:g} is out of range: give a number above 0")
        for mode, value in ((ALPHA, alpha), (BETA, beta)):
            if value is not None and not 0 <= value <= 1:
                raise UsageError(f"{mode} = {value:g} is out of range: give 0 to 1")
        for mode, value, neutral in (("d", d, 1), (ALPHA, alpha, 0), (BETA, beta, 0)):
            if value is not None and value != neutral and mode not in self.rate_modes:
                has = ", ".join(self.rate_modes) or "no rate mode"
                raise UsageError(f"this {self.backbone} network has no {mode}: it has {has}")
        values = {ALPHA: alpha or 0.0, BETA: beta or 0.0}
        steps, shares = {}, {}  # the adapters of one mode have these in common
        for gain in gains(self):
            gain.value = float(values[gain.mode])
            steps[gain.mode] = gain.step
            shares[gain.mode] = gain.step_shares
        ends = (shares.get(ALPHA, ()), shares.get(BETA, ()))
        self.step_shares = shares_between(*ends, values[BETA]) if any(values.values()) else ()
        self.d = math.prod(steps.values()) if d is None else float(d)
