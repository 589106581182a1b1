"""Packs of float networks, ready to be written."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from licodec.codec import Codec, SharedAnalysis
from licodec.entropy.quantization import COST_UNIT
from licodec.entropy.tables import tables_to_tensors
from licodec.errors import BadInputError
from licodec.images import Picture
from licodec.networks.adapter_sets import modes_of
from licodec.networks.network import Network
from licodec.networks.published import padded
from licodec.packing.calibration import as_tensor
from licodec.packing.compiled import calibrate_network, compile_network
from licodec.packing.fitting import Observed, fitted_tables
from licodec.packing.registry import BACKBONES
from licodec.packs import Pack, write_pack
from licodec.rate.gains import BETA
from licodec.rate.scale import DEFAULT_OBJECTIVE
from licodec.rate.setting import Setting

PERCEPTUAL = "perceptual"  # the objective that a checkpoint with adapters of beta is taken for
FITTING_DS = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
FITTING_ROUNDS = 2  # tables decide which symbols are cheap, and those decide the tables


@dataclass(frozen=True)
class PackSettings:
    """What a pack is apart from the network and its calibration.

    plan_name          name of the precision plan
    card               what it says of itself
    widths             bits of a weight by "program.layer"; None: the hand-made plan's
    objective          what the network's adapters were trained for; None: PERCEPTUAL where they
                       have beta, else DEFAULT_OBJECTIVE
    name               of the network's checkpoint, for messages
    """

    plan_name: str
    card: Mapping[str, object]
    widths: Callable[[str], int] | None = None
    objective: str | None = None
    name: str = ""


def compile_pack(network: Network, pictures: Sequence[np.ndarray], settings: PackSettings) -> Pack:
    """Calibrate `network` on `pictures`, (H, W, 3) uint8, and compile it, with its adapters where
    it has any. Raises BadInputError where it has no exact form."""
    modes = modes_of(network)
    objective = settings.objective or (PERCEPTUAL if BETA in modes else DEFAULT_OBJECTIVE)
    adapted = {objective: network} if modes else {}
    pixels = [padded(as_tensor(picture), network.ALIGNMENT) for picture in pictures]
    try:
        pack = compile_network(
            calibrate_network(network, pixels, adapted),
            plan_name=settings.plan_name,
            card=settings.card,
            widths=settings.widths,
        )
    except ValueError as error:
        raise no_exact_form(settings.name, error) from None
    weight = BACKBONES[pack.backbone].distortion_weight
    return pack if weight is None else replace(pack, distortion_weight=round(weight * COST_UNIT))


def no_exact_form(name: str, error: ValueError) -> BadInputError:
    """What to raise for the checkpoint `name`, of which the compiler raised `error`."""
    return BadInputError(f"{name}: has no exact form: {error}")


def make_pack(network: Network, pictures: Sequence[np.ndarray], settings: PackSettings) -> Pack:
    """The same, with the latents' tables fitted to `pictures` where the backbone's are."""
    pack = compile_pack(network, pictures, settings)
    return pack if pack.distortion_weight is None else with_fitted_tables(pack, pictures)


def with_fitted_tables(pack: Pack, pictures: Sequence[np.ndarray]) -> Pack:
    """`pack` with the latents' tables fitted to the symbols that its encoder chooses."""
    tables = pack.tables
    observed = list(_observed(Codec(pack), list(map(Picture, pictures))))
    for _ in range(FITTING_ROUNDS):
        tables = fitted_tables(tables, observed)
    return replace(pack, tensors={**pack.tensors, **tables_to_tensors(tables)})


def _observed(codec: Codec, pictures: Sequence[Picture]) -> Iterator[Observed]:
    """Every picture at every d that tables are fitted at and that the pack has."""
    schedule = codec.pack.schedule
    ds = [round(d * schedule.d_unit) for d in FITTING_DS]
    ds = [d for d in ds if schedule.d_low <= d <= schedule.d_high]
    shared = [SharedAnalysis(picture) for picture in pictures]
    for d in ds:
        session = codec.at(Setting(d))
        for picture in shared:
            found = picture.at(session)
            yield Observed(session.entropy_model, found.latents, found.hyper_latents)


def packed_size(pack: Pack) -> int:
    """Bytes of the file that `pack` makes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pack"
        write_pack(pack, path)
        return path.stat().st_size
