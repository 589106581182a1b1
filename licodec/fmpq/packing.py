"""A float network and a precision plan made into a weights pack."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from licodec.backbones.lite import DISTORTION_WEIGHT, LiteNetwork
from licodec.backbones.lite_exact import AdaptedLite, compile_lite, standard_widths
from licodec.codec import ANALYSIS, HYPER_ANALYSIS, Codec
from licodec.entropy.fitting import fitted_tables
from licodec.entropy.quantization import COST_UNIT
from licodec.entropy.tables import tables_to_tensors
from licodec.errors import UsageError
from licodec.fmpq.allocation import plan_bits, widest
from licodec.fmpq.calibration import as_picture, as_tensor
from licodec.fmpq.curves import Layer
from licodec.fmpq.searchable import Searchable
from licodec.packs import Pack, write_pack
from licodec.rate import d_to_units

FITTING_DS = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
CLOSENESS = 1e-3  # of tensors that differ in the last bits of the ranges they were made of
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
    adapted: Sequence[AdaptedLite] = (),
) -> Pack:
    """Calibrate and compile `network`, with the adapter sets `adapted`, and fit the latents'
    tables, which the sets have no part in.

    `pictures` are (H, W, 3) uint8 with sides that are multiples of 64. Raises BadInputError for
    adapters that were trained on another network.
    """
    pack = compile_lite(
        network,
        [as_tensor(pixels) for pixels in pictures],
        plan_name=form.plan_name,
        card=card,
        widths=form.widths,
        activation_bits=form.activation_bits,
        adapted=adapted,
    )
    weight = round(form.distortion_weight * COST_UNIT)
    return with_fitted_tables(replace(pack, distortion_weight=weight), pictures)


def with_fitted_tables(pack: Pack, pictures: Sequence[np.ndarray]) -> Pack:
    """`pack` with the latents' tables fitted to the symbols that its encoder chooses."""
    codec = Codec(pack)
    model = codec.entropy_model
    analysed = [
        (found.latents, found.hyper_latents)
        for found in map(codec.analyse, map(as_picture, pictures))
    ]
    ds = [d_to_units(d, pack.schedule) for d in FITTING_DS]
    for _ in range(FITTING_ROUNDS):
        model = replace(model, tables=fitted_tables(model, analysed, ds))
    return replace(pack, tensors={**pack.tensors, **tables_to_tensors(model.tables)})


def with_adapters_of(pack: Pack, made: Pack) -> Pack:
    """`pack`, bit by bit, with the adapter sets of `made` in the place of its own.

    Both are of the same network, calibration and plan, but `made` perhaps by another machine,
    whose float arithmetic gives other last bits of ranges: an anchor that is there already
    keeps its id, and stand-ins use its tensors where they used those of their own, with biases
    that a search has corrected. Raises UsageError where the anchors differ in more than that.
    """
    decoders = (*pack.schedule.program_order, ANALYSIS, HYPER_ANALYSIS)
    same = pack.schedule == made.schedule and pack.plan == made.plan
    if not same or any(pack.programs[name] != made.programs[name] for name in decoders):
        raise UsageError(f"the pack {pack.title} is of another network or plan than the adapters'")
    sets = {name for own in made.adapters for name in own.programs.values()}
    old = {name for own in pack.adapters for name in own.programs.values()}
    kept = {
        tensor
        for name, program in pack.programs.items()
        if name not in old
        for operation in program.operations
        for tensor in operation.tensors.values()
    } | {name for name in pack.tensors if name.startswith("tables.")}
    tensors = {name: pack.tensors[name] for name in kept}
    for name in sets:
        for operation in made.programs[name].operations:
            for role, tensor in operation.tensors.items():
                values = made.tensors[tensor]
                own = tensors.setdefault(tensor, values)
                if role != "bias" and not _close(own, values):
                    raise UsageError(
                        f"the pack {pack.title} has another {tensor} than the adapters' network: "
                        "give the state and the calibration that it was made of"
                    )
    programs = {name: program for name, program in pack.programs.items() if name not in old}
    stated = {name: (pack if name in kept else made).widths.get(name) for name in tensors}
    widths = {name: width for name, width in stated.items() if width is not None}
    return replace(
        pack,
        programs=programs | {name: made.programs[name] for name in sets},
        tensors=tensors,
        widths=widths,
        adapters=made.adapters,
    )


def _close(a: np.ndarray, b: np.ndarray) -> bool:
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    difference = np.linalg.norm(a.astype(np.float64) - b.astype(np.float64))
    return bool(difference <= CLOSENESS * np.linalg.norm(b.astype(np.float64)))


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
