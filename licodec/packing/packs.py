"""A float network and a precision plan made into a weights pack."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from licodec.codec import Codec, SharedAnalysis
from licodec.entropy.quantization import COST_UNIT
from licodec.entropy.tables import tables_to_tensors
from licodec.fmpq.allocation import plan_bits, widest
from licodec.fmpq.curves import Layer
from licodec.images import Picture
from licodec.networks.lite import DISTORTION_WEIGHT, LiteNetwork
from licodec.packing.calibration import as_picture, as_tensor
from licodec.packing.fitting import Observed, fitted_tables
from licodec.packing.lite_exact import calibrate_lite, compile_lite, standard_widths
from licodec.packing.searchable import Searchable
from licodec.packs import Pack, write_pack
from licodec.rate.setting import Setting

FITTING_DS = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
FITTING_ROUNDS = 2  # tables decide which symbols are cheap, and those decide the tables


@dataclass(frozen=True)
class PackForm:
    """What a pack is apart from the network and its calibration.

    plan_name          name of the precision plan
    widths             bits of a weight by "program.layer"
    activation_bits    of every grid that the coding schedule does not fix, 8 to 16
    distortion_weight  bits that an error of one quantization step is worth to the encoder
    """

    plan_name: str
    widths: Callable[[str], int] = standard_widths
    activation_bits: int = 12
    distortion_weight: float = DISTORTION_WEIGHT


def make_pack(
    network: LiteNetwork,
    pictures: Sequence[np.ndarray],
    form: PackForm,
    card: Mapping[str, object],
) -> Pack:
    """Calibrate and compile `network` and fit the latents' tables.

    `pictures` are (H, W, 3) uint8 with sides that are multiples of 64.
    """
    pack = compile_lite(
        calibrate_lite(network, [as_tensor(pixels) for pixels in pictures]),
        plan_name=form.plan_name,
        card=card,
        widths=form.widths,
        activation_bits=form.activation_bits,
    )
    pack = replace(pack, distortion_weight=round(form.distortion_weight * COST_UNIT))
    return with_fitted_tables(pack, pictures)


def with_fitted_tables(pack: Pack, pictures: Sequence[np.ndarray]) -> Pack:
    """`pack` with the latents' tables fitted to the symbols that its encoder chooses."""
    tables = pack.tables
    observed = list(_observed(Codec(pack), [as_picture(pixels) for pixels in pictures]))
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


def bytes_beside_weights(
    searched: Searchable, layers: Sequence[Layer], pictures: Sequence[np.ndarray]
) -> int:
    """How large a pack of a network is less the weights of `layers`, which are those that its
    plan names, whatever their widths."""
    plan = dict(widest(layers))
    card = {**searched.card, "plan": plan}
    pack = searched.compiled(pictures, "", plan.__getitem__, card)
    return packed_size(pack) - plan_bits(layers, plan) // 8


def packed_size(pack: Pack) -> int:
    """Bytes of the file that `pack` makes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pack"
        write_pack(pack, path)
        return path.stat().st_size
