"""The exact form of `lite`."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from licodec.compiler.forms import Grid, Output
from licodec.exact.schedule import Step
from licodec.networks.lite import LiteNetwork
from licodec.packing.exact_form import (
    CALIBRATION_DS,
    Coded,
    Programs,
    Rate,
    Target,
    Values,
    calibration_gains,
    connect_slices,
    run_by,
)
from licodec.packing.kept import KeptForm
from licodec.packing.tables import SCALE_FRACTION_BITS

SCALES = Grid(2.0**-SCALE_FRACTION_BITS, 0, 2**17)
# The two paths of the hyper-analysis are summed on a finer grid than they are given out on.
HYPER_SUM = Grid(2.0**-7, -(2**15), 2**15 - 1)


class LiteForm(KeptForm):
    """Slices in turn, each with residual prediction."""

    HYPER_LATENTS = Grid(1.0, -(2**7), 2**7 - 1)
    network: LiteNetwork

    @property
    def prior(self) -> nn.Module:
        return self.network.entropy_bottleneck

    def entropy_parts(self) -> dict[str, nn.Module]:
        network = self.network
        found: dict[str, nn.Module] = {}
        pairs = zip(network.slice_parameters, network.residual_predictions, strict=True)
        for i, (parameters, residual) in enumerate(pairs):
            found |= {f"parameters.{i}": parameters, f"residual.{i}": residual}
        return found

    def rates(self) -> Sequence[Rate]:
        return [*({"d": d} for d in CALIBRATION_DS), *calibration_gains(self.network)]

    def run(self, programs: Programs, pixels: Tensor, rates: Sequence[Rate]) -> None:
        with run_by(self.parts(), programs):
            for rate in rates:
                self.network.set_rate(**rate)
                self.network(pixels)
        self.network.set_rate()

    def coded(self, programs: Programs, pixels: Tensor, d: float) -> Coded:
        with run_by(self.parts(), programs):
            return Coded.of(self.network(pixels, d))

    def hyper_analysed(self, hyper: Grid) -> Output:
        return Output(HYPER_SUM, hyper)

    def connect_entropy(self, target: Target, features: Values) -> tuple[Step, ...]:
        later = {"features": features["features"]}
        return connect_slices(target, self.network.config.slices, features, later, SCALES)
