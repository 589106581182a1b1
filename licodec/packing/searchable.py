"""What a search must know of a network: the one seam between FMPQ and the backbones."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from torch import Tensor

from licodec.errors import UsageError
from licodec.files import display_name
from licodec.networks.adapter_sets import anchor_of, plain_submodule
from licodec.networks.network import Network
from licodec.packing.checkpoints import load_anchor, load_network
from licodec.packing.compiled import operand_steps
from licodec.packing.exact_form import Calibrated, Coded, ExactForm, Programs, calibrate
from licodec.packing.packs import PackSettings, compile_pack, make_pack, no_exact_form
from licodec.packing.registry import BACKBONES, PUBLISHED, form_of
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


@dataclass(frozen=True)
class Searchable:
    """A float network that a plan can be searched for.

    Trials run on its anchor. Its pack has the adapter set as well, whose stand-ins follow the
    anchor's plan.

    whole      the network, with adapters where it has any
    name       of its checkpoint, for messages
    objective  what the adapters were trained for; None: see ``packs.PackSettings``
    card       what a pack's card says of where the network is from
    """

    whole: Network
    name: str = ""
    objective: str | None = None
    card: Mapping[str, object] = field(default_factory=dict)

    @cached_property
    def network(self) -> Network:
        """The anchor, by whose weights a search is told from others."""
        return anchor_of(self.whole)

    @cached_property
    def form(self) -> ExactForm:
        return form_of(self.network)

    @property
    def settings(self) -> TrialSettings:
        own = BACKBONES[self.whole.backbone]
        return TrialSettings(own.lagrangian, own.trial_ds, self.form.ACTIVATION_BITS)

    @property
    def alignment(self) -> int:
        """Sides of the pictures that it takes are multiples of it."""
        return self.whole.ALIGNMENT

    def standard_width(self, layer: str) -> int:
        return self.form.standard_width(layer)

    def calibrate(self, pixels: Tensor) -> Mapping[str, Calibrated]:
        """The parts that are compiled, in coding order, traced, with their ranges on `pixels`
        (N, 3, H, W) in [0, 1]. Raises BadInputError where there will be no pack of it."""
        try:
            form_of(self.whole).check()  # now, and not when the search is done
            return calibrate(self.form, [pixels])
        except ValueError as error:
            raise no_exact_form(self.name, error) from None

    def operand_steps(
        self, calibrated: Mapping[str, Calibrated], activation_bits: int
    ) -> Mapping[str, np.ndarray]:
        """What the operand of every convolution counts in, (channels,) by "program.layer" name."""
        return operand_steps(self.form, calibrated, activation_bits)

    def coded(self, programs: Programs, pixels: Tensor, d: float) -> Coded:
        """What becomes of `pixels` at one of the settings' d, every part run by `programs`."""
        return self.form.coded(programs, pixels, d)

    def corrected(self, shifts: Shifts) -> Searchable:
        """A copy with biases moved by `shifts`."""
        whole = copy.deepcopy(self.whole)
        parts = form_of(whole).parts()
        for program, shift in shifts.items():
            for path, by in shift.items():
                plain_submodule(parts[program], path).get_parameter("bias").data.add_(by)
        return replace(self, whole=whole)

    def compiled(
        self,
        pictures: Sequence[np.ndarray],
        plan_name: str,
        widths: Callable[[str], int],
        card: Mapping[str, object],
    ) -> Pack:
        """Calibrated on `pictures`, (H, W, 3) uint8, and compiled. `widths` gives bits by
        "program.layer". Raises BadInputError."""
        return compile_pack(self.whole, pictures, self._pack(plan_name, widths, card))

    def pack(
        self,
        pictures: Sequence[np.ndarray],
        plan_name: str,
        widths: Callable[[str], int],
        card: Mapping[str, object],
    ) -> Pack:
        """The same with all else that is fitted to pictures: a pack to be written."""
        return make_pack(self.whole, pictures, self._pack(plan_name, widths, card))

    def _pack(
        self, plan_name: str, widths: Callable[[str], int], card: Mapping[str, object]
    ) -> PackSettings:
        return PackSettings(plan_name, card, widths, objective=self.objective, name=self.name)


def load_searchable(
    path: Path,
    backbone: str | None = None,
    adapters: Sequence[Path] = (),
    objective: str | None = None,
) -> Searchable:
    """What a search takes, of a checkpoint or of a pack that keeps its network.

    `backbone` and `adapters` are those of ``checkpoints.load_network``, `objective` that of
    ``packs.PackSettings``; of our own backbones there is only the anchor. Raises UsageError, and
    BadInputError where the file is no checkpoint or one of no known backbone.
    """
    name = display_name(path)
    network = load_network(path, backbone, adapters)
    if network.backbone in PUBLISHED:
        return Searchable(network, name, objective, card_of(path.name, network, adapters))
    if adapters or objective is not None:
        raise UsageError(
            f"{name}: of {network.backbone}, whose packs get adapters by scripts/add_adapters.py; "
            "leave --adapters and --objective out"
        )
    return Searchable(load_anchor(path), name)


def card_of(name: str, network: Network, adapters: Sequence[Path] = ()) -> dict[str, object]:
    """What a pack's card says of the published checkpoint `name` and its adapters' files."""
    card: dict[str, object] = {
        "checkpoint": name,
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "activation_bits": form_of(network).ACTIVATION_BITS,
    }
    return card | ({"adapters": [path.name for path in adapters]} if adapters else {})
