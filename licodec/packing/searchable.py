"""What a search must know of a network: the one seam between FMPQ and the backbones."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from licodec.compiler.forms import Calibrated
from licodec.files import display_name
from licodec.networks.adapter_sets import anchor_of, plain_submodule
from licodec.networks.network import Network
from licodec.packing.checkpoints import load_network, require_anchor, takes_no_adapters
from licodec.packing.exact_form import ExactForm, calibrate
from licodec.packing.packs import PackSettings, no_exact_form
from licodec.packing.registry import BACKBONES, PUBLISHED, form_of
from licodec.packs.plans import Plan

# What to add to the biases of layers, (channels,) by the layer's path, by program.
Shifts = Mapping[str, Mapping[str, Tensor]]


@dataclass(frozen=True)
class TrialSettings:
    """How trials are run.

    lagrangian    lambda of the loss lambda * 255^2 * MSE + bpp, at d = 1
    ds            AQVR's d; each is tried on its share of the crops
    correct_bias  give a quantized layer's channels the means that they had in float
    """

    lagrangian: float = 0.0483
    ds: tuple[float, ...] = (1.0,)
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
        return TrialSettings(own.lagrangian, own.trial_ds)

    def calibrate(self, pixels: Tensor) -> Mapping[str, Calibrated]:
        """The parts that are compiled, in coding order, traced, with their ranges on `pixels`
        (N, 3, H, W) in [0, 1]. Raises BadInputError where there will be no pack of it."""
        try:
            form_of(self.whole).check()  # now, and not when the search is done
            return calibrate(self.form, [pixels])
        except ValueError as error:
            raise no_exact_form(self.name, error) from None

    def corrected(self, shifts: Shifts) -> Searchable:
        """A copy with biases moved by `shifts`, those that several parts share by their mean."""
        whole = copy.deepcopy(self.whole)
        parts = form_of(whole).parts()
        found: dict[Tensor, list[Tensor]] = {}
        for program, shift in shifts.items():
            for path, by in shift.items():
                layer = plain_submodule(parts[program], path)
                found.setdefault(layer.get_parameter("bias"), []).append(by)
        for bias, shared in found.items():
            bias.data.add_(torch.stack(shared).mean(0))
        return replace(self, whole=whole)

    def pack_settings(self, plan_name: str, plan: Plan, card: Mapping[str, object]) -> PackSettings:
        """Of its pack at a plan, with `card` beside its own."""
        return PackSettings(
            plan_name,
            {**self.card, **card},
            lambda layer: plan[self.form.same_weights.get(layer, layer)],
            objective=self.objective,
            name=self.name,
        )


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
    if objective is not None:
        raise takes_no_adapters(name)
    require_anchor(name, network)
    return Searchable(network, name)


def card_of(name: str, network: Network, adapters: Sequence[Path] = ()) -> dict[str, object]:
    """What a pack's card says of the published checkpoint `name` and its adapters' files."""
    card: dict[str, object] = {
        "checkpoint": name,
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "activation_bits": form_of(network).ACTIVATION_BITS,
    }
    return card | ({"adapters": [path.name for path in adapters]} if adapters else {})
