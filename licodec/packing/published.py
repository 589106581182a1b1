"""The published networks as a search sees them, and what `licodec models import` shares with it:
their packs and those packs' cards."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from torch import Tensor

from licodec.errors import BadInputError
from licodec.fmpq.allocation import LARGEST_WIDTH
from licodec.networks.adapter_sets import anchor_of
from licodec.networks.published import PublishedNetwork
from licodec.packing.calibration import as_tensor
from licodec.packing.parts import Calibrated, Programs
from licodec.packing.published_exact import (
    ACTIVATION_BITS,
    calibrate,
    check_adapters,
    coded,
    compile_published,
    operand_steps,
    parts,
)
from licodec.packing.registry import BACKBONES
from licodec.packing.searchable import Shifts, TrialSettings, shift_biases
from licodec.packs import Pack


def no_exact_form(name: str, error: ValueError) -> BadInputError:
    """What to raise for the checkpoint `name`, of which the compiler raised `error`."""
    return BadInputError(f"{name}: has no exact form: {error}")


def published_pack(
    name: str,
    network: PublishedNetwork,
    pictures: Sequence[np.ndarray],
    *,
    plan_name: str,
    card: Mapping[str, object],
    widths: Callable[[str], int],
    objective: str | None,
) -> Pack:
    """The pack of the checkpoint `name`, with the adapter set that it has; see compile_published.

    `pictures` are (H, W, 3) uint8. Raises BadInputError where it has no exact form.
    """
    try:
        return compile_published(
            network,
            [network.padded(as_tensor(pixels)) for pixels in pictures],
            plan_name=plan_name,
            card=card,
            widths=widths,
            objective=objective,
        )
    except ValueError as error:
        raise no_exact_form(name, error) from None


def card_of(
    name: str, network: PublishedNetwork, adapters: Sequence[Path] = ()
) -> dict[str, object]:
    """What a pack's card says of the checkpoint `name` and the files of its adapters."""
    card: dict[str, object] = {
        "checkpoint": name,
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "activation_bits": ACTIVATION_BITS,
    }
    return card | ({"adapters": [path.name for path in adapters]} if adapters else {})


@dataclass(frozen=True)
class SearchablePublished:
    """A published network (``licodec.packing.searchable.Searchable``).

    Trials run on its anchor. Its pack has the adapter set as well, whose stand-ins follow the
    anchor's plan.

    name       of its checkpoint, for messages
    whole      the network, with adapters where it has any
    objective  what the adapters were trained for; None: see compile_published
    """

    name: str
    whole: PublishedNetwork
    objective: str | None = None
    card: Mapping[str, object] = field(default_factory=dict)

    @cached_property
    def network(self) -> PublishedNetwork:
        return anchor_of(self.whole)

    @property
    def settings(self) -> TrialSettings:
        lagrangian = BACKBONES[self.whole.backbone].lagrangian
        return TrialSettings(lagrangian, activation_bits=ACTIVATION_BITS)

    @property
    def alignment(self) -> int:
        return self.whole.ALIGNMENT

    def standard_width(self, layer: str) -> int:
        return LARGEST_WIDTH

    def calibrate(self, pixels: Tensor) -> Mapping[str, Calibrated]:
        try:
            check_adapters(self.whole)  # now, and not when the search is done
            return calibrate(self.network, [pixels])
        except ValueError as error:
            raise no_exact_form(self.name, error) from None

    def operand_steps(
        self, calibrated: Mapping[str, Calibrated], activation_bits: int
    ) -> Mapping[str, np.ndarray]:
        return operand_steps(self.network, calibrated, activation_bits)

    def coded(self, programs: Programs, pixels: Tensor, d: float) -> Mapping:
        return coded(self.network, programs, pixels, d)

    def corrected(self, shifts: Shifts) -> SearchablePublished:
        whole = copy.deepcopy(self.whole)
        shift_biases(parts(whole), shifts)
        return replace(self, whole=whole)

    def compiled(
        self,
        pictures: Sequence[np.ndarray],
        plan_name: str,
        widths: Callable[[str], int],
        card: Mapping[str, object],
    ) -> Pack:
        return published_pack(
            self.name,
            self.whole,
            pictures,
            plan_name=plan_name,
            card=card,
            widths=widths,
            objective=self.objective,
        )

    pack = compiled  # the tables are the prior's and Gaussian: nothing else is fitted
