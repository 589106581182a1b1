"""What a search must know of a network: the one seam between FMPQ and the backbones."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
from torch import Tensor, nn

from licodec.networks.adapter_sets import plain_submodule
from licodec.packing.parts import Calibrated, Programs
from licodec.packs import Pack

# What to add to the biases of layers, (channels,) by the layer's path, by program.
Shifts = Mapping[str, Mapping[str, Tensor]]


@dataclass(frozen=True)
class TrialSettings:
    """How trials are run.

    lagrangian       lambda of the loss lambda * 255^2 * MSE + bpp, at d = 1
    ds               AQVR's d; each is tried on its share of the crops
    activation_bits  of the grids that weights are quantized over, as the compiler does
    correct_bias     give a quantized layer's channels the means that they had in float
    """

    lagrangian: float = 0.0483
    ds: tuple[float, ...] = (1.0,)
    activation_bits: int = 12
    correct_bias: bool = True

    def lagrangian_at(self, d: float) -> float:
        """The lambda that d is right for: from 0.0483 to 0.0018 where d goes from 1 to 20."""
        return self.lagrangian * d**-1.1


class Searchable(Protocol):
    """A float network that a plan can be searched for.

    network    its weights, by which a search is told from others
    settings   of its trials
    alignment  sides of the pictures that it takes are multiples of it
    card       what a pack's card says of where the network is from
    """

    @property
    def network(self) -> nn.Module: ...
    @property
    def settings(self) -> TrialSettings: ...
    @property
    def alignment(self) -> int: ...
    @property
    def card(self) -> Mapping[str, object]: ...

    def standard_width(self, layer: str) -> int:
        """Bits that the hand-made plan gives the layer of that "program.layer" name."""

    def calibrate(self, pixels: Tensor) -> Mapping[str, Calibrated]:
        """The parts that are compiled, in coding order, traced, with their ranges on `pixels`
        (N, 3, H, W) in [0, 1]. Raises BadInputError where there will be no pack of it."""

    def operand_steps(
        self, calibrated: Mapping[str, Calibrated], activation_bits: int
    ) -> Mapping[str, np.ndarray]:
        """What the operand of every convolution counts in, (channels,) by "program.layer" name."""

    def coded(self, programs: Programs, pixels: Tensor, d: float) -> Mapping:
        """{"x_hat" (N, 3, H, W), "likelihoods": {"y", "z"}} of `pixels` at one of the settings' d,
        with every part run by `programs`."""

    def corrected(self, shifts: Shifts) -> Self:
        """A copy with biases moved by `shifts`."""

    def compiled(
        self,
        pictures: Sequence[np.ndarray],
        plan_name: str,
        widths: Callable[[str], int],
        card: Mapping[str, object],
    ) -> Pack:
        """Calibrated on `pictures`, (H, W, 3) uint8 with sides that are multiples of 64, and
        compiled. `widths` gives bits by "program.layer". Raises BadInputError."""

    def pack(
        self,
        pictures: Sequence[np.ndarray],
        plan_name: str,
        widths: Callable[[str], int],
        card: Mapping[str, object],
    ) -> Pack:
        """The same with all else that is fitted to pictures: a pack to be written."""


def shift_biases(parts: Mapping[str, nn.Module], shifts: Shifts) -> None:
    """Add `shifts` in place to the biases of the networks that `parts` are of, which may have
    adapters."""
    for name, shift in shifts.items():
        for path, by in shift.items():
            plain_submodule(parts[name], path).bias.data.add_(by)
