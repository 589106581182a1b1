"""`lite` as a search sees it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from licodec.networks.lite import LiteNetwork
from licodec.packing.calibration import as_tensor
from licodec.packing.lite_exact import (
    calibrate,
    calibrate_lite,
    compile_lite,
    operand_steps,
    parts,
    standard_widths,
)
from licodec.packing.packs import PackForm, make_pack
from licodec.packing.parts import Calibrated, Programs
from licodec.packing.programs import run_by
from licodec.packing.searchable import Shifts, TrialSettings, shift_biases
from licodec.packs import Pack

# The coarsest slices and the hyper-latents are felt at a low rate, the finest at a high one.
SETTINGS = TrialSettings(ds=(1.0, 6.0))


@dataclass(frozen=True)
class SearchableLite:
    """`lite` without adapters (``licodec.packing.searchable.Searchable``)."""

    network: LiteNetwork
    settings: TrialSettings = SETTINGS
    card: Mapping[str, object] = field(default_factory=dict)

    @property
    def alignment(self) -> int:
        return self.network.ALIGNMENT

    def standard_width(self, layer: str) -> int:
        return standard_widths(layer)

    def calibrate(self, pixels: Tensor) -> Mapping[str, Calibrated]:
        return calibrate(self.network, [pixels])

    def operand_steps(
        self, calibrated: Mapping[str, Calibrated], activation_bits: int
    ) -> Mapping[str, np.ndarray]:
        return operand_steps(self.network, calibrated, activation_bits)

    def coded(self, programs: Programs, pixels: Tensor, d: float) -> Mapping:
        with run_by(parts(self.network), programs):
            return self.network(pixels, d)

    def corrected(self, shifts: Shifts) -> SearchableLite:
        network = copy.deepcopy(self.network)
        shift_biases({part.name: part.module for part in parts(network)}, shifts)
        return SearchableLite(network, self.settings, self.card)

    def compiled(
        self,
        pictures: Sequence[np.ndarray],
        plan_name: str,
        widths: Callable[[str], int],
        card: Mapping[str, object],
    ) -> Pack:
        calibrated = calibrate_lite(self.network, [as_tensor(pixels) for pixels in pictures])
        return compile_lite(calibrated, plan_name=plan_name, card=card, widths=widths)

    def pack(
        self,
        pictures: Sequence[np.ndarray],
        plan_name: str,
        widths: Callable[[str], int],
        card: Mapping[str, object],
    ) -> Pack:
        return make_pack(self.network, pictures, PackForm(plan_name, widths), card)
