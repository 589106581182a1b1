"""Any network calibrated, and compiled into a pack."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import numpy as np
from torch import Tensor

from licodec.compiler.forms import Calibrated, Grid
from licodec.entropy.adaptive import SHARE_ONE
from licodec.entropy.tables import tables_to_tensors
from licodec.errors import BadInputError
from licodec.networks.adapter_sets import anchor_of, gains
from licodec.networks.network import Network
from licodec.packing.exact_form import ExactForm, calibrate
from licodec.packing.programs import Packing
from licodec.packing.registry import form_of
from licodec.packing.stand_ins import StandIns
from licodec.packs import Pack, PackAdapters
from licodec.rate.gains import ALPHA, BETA, MODES


@dataclass(frozen=True)
class CalibratedNetwork:
    """A network and those with adapters for it, ready to be compiled at any plan.

    form     of the network
    parts    its own, with their ranges
    adapted  the same of the networks with adapters, by what the adapters were trained for
    """

    form: ExactForm
    parts: Mapping[str, Calibrated]
    adapted: Mapping[str, CalibratedNetwork] = field(default_factory=dict)


def prepared(network: Network) -> ExactForm:
    """The form of a network, which is changed to what is compiled."""
    form = form_of(network.float().eval())
    form.check()
    form.prepare()
    return form


def calibrate_network(
    network: Network,
    pictures: Sequence[Tensor],
    adapted: Mapping[str, Network] = MappingProxyType({}),
) -> CalibratedNetwork:
    """Calibrate `network` without its adapters, and those of `adapted` with theirs, by what they
    were trained for; see :func:`calibrate`."""
    return replace(
        _calibrated(anchor_of(network), pictures), adapted=calibrate_adapted(adapted, pictures)
    )


def calibrate_adapted(
    adapted: Mapping[str, Network], pictures: Sequence[Tensor]
) -> dict[str, CalibratedNetwork]:
    """The second half of it."""
    return {n: _calibrated(copy.deepcopy(own).cpu(), pictures) for n, own in adapted.items()}


def _calibrated(network: Network, pictures: Sequence[Tensor]) -> CalibratedNetwork:
    form = prepared(network)
    return CalibratedNetwork(form, calibrate(form, pictures))


def operand_steps(form: ExactForm, calibrated: Mapping[str, Calibrated]) -> dict[str, np.ndarray]:
    """What the operand of every convolution counts in, (channels,) by "program.layer" name.

    The steps become part of the weights that read it, so whoever rounds weights as the compiler
    does must know them.
    """
    packing = Packing(form, calibrated, form.standard_width)
    form.connect(packing, form.hyper_grid(calibrated))
    return {layer: steps.operand for layer, steps in packing.layers.items()}


def compile_network(
    calibrated: CalibratedNetwork,
    *,
    plan_name: str,
    card: Mapping[str, object],
    widths: Callable[[str], int] | None = None,
) -> Pack:
    """Compile a network into a pack.

    `widths` gives the bits of a weight by "program.layer" name, by default those of the hand-made
    plan. Each network with adapters becomes an adapter set; they change nothing of the rest.
    Raises ValueError where something fits no legal operation, and BadInputError for adapters that
    a pack cannot describe.
    """
    form = calibrated.form
    packing = Packing(form, calibrated.parts, widths or form.standard_width)
    hyper = form.hyper_grid(calibrated.parts)
    schedule = form.schedule(form.connect(packing, hyper))
    for name, other in form.SHARED.items():
        packing.share(name, other)
    adapters = tuple(
        _adapter_set(packing, objective, own, hyper, schedule.d_unit)
        for objective, own in calibrated.adapted.items()
    )
    pack = Pack(
        form.network.backbone,
        plan_name,
        schedule,
        packing.programs,
        {**packing.tensors, **tables_to_tensors(form.tables(hyper))},
        packing.stored_widths,
        dict(card),
        adapters=adapters,
    )
    return form.completed(pack, packing)


def _adapter_set(
    packing: Packing, objective: str, calibrated: CalibratedNetwork, hyper: Grid, unit: int
) -> PackAdapters:
    """Compile the stand-ins of one set beside the anchor's programs."""
    form = calibrated.form
    stand_ins = StandIns(packing, objective, form.parts(), calibrated.parts)
    form.connect(stand_ins, hyper)
    found = {gain.mode: gain for gain in gains(form.network)}
    if BETA in found and found[BETA].d != 1:
        raise BadInputError("a d goes with its beta; in packs d goes with alpha alone")
    d = round((found[ALPHA].d if ALPHA in found else 1.0) * unit)
    # What of d - 1 the steps of each slice take with the adapters for alpha, and at beta = 1;
    # none where steps are AQVR's, or alpha's.
    shares = [found[mode].step_shares if mode in found else () for mode in MODES]
    whole, at_beta = (tuple(round(share * SHARE_ONE) for share in own) for own in shares)
    return PackAdapters(objective, stand_ins.programs, d, whole, at_beta)
