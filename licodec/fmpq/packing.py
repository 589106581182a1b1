"""A float network and a precision plan made into a weights pack."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from licodec.backbones.lite import DISTORTION_WEIGHT, LiteNetwork
from licodec.backbones.lite_exact import (
    AdaptedLite,
    CalibratedLite,
    calibrate_lite,
    compile_lite,
    standard_widths,
)
from licodec.codec import ANALYSIS, HYPER_ANALYSIS, Codec
from licodec.entropy.fitting import fitted_tables
from licodec.entropy.quantization import COST_UNIT
from licodec.entropy.tables import tables_to_tensors
from licodec.errors import UsageError
from licodec.exact.program import Program
from licodec.fmpq.allocation import plan_bits, widest
from licodec.fmpq.calibration import as_picture, as_tensor
from licodec.fmpq.curves import Layer
from licodec.fmpq.searchable import Searchable
from licodec.packs import Pack, write_pack
from licodec.rate import d_to_units

FITTING_DS = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
CLOSENESS = 1e-3  # of tensors that differ in the last bits of the ranges they were made of
TABLE = "table"  # an operation's kind and the role of its tensor
RANGE_ENDS = ("low", "high")
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
    calibrated = calibrate_lite(network, [as_tensor(pixels) for pixels in pictures], adapted)
    return with_fitted_tables(_compiled(calibrated, form, card), pictures)


def add_adapters(
    packs: Sequence[tuple[Pack, PackForm]],
    network: LiteNetwork,
    pictures: Sequence[np.ndarray],
    adapted: Sequence[AdaptedLite],
) -> Iterator[Pack]:
    """Each of `packs`, which were made of `network`, `pictures` and their forms, with the adapter
    sets `adapted`.

    Raises BadInputError as :func:`make_pack` does and UsageError as :func:`with_adapters_of`.
    """
    calibrated = calibrate_lite(network, [as_tensor(pixels) for pixels in pictures], adapted)
    for pack, form in packs:
        yield with_adapters_of(pack, _compiled(calibrated, form, pack.card))


def _compiled(calibrated: CalibratedLite, form: PackForm, card: Mapping[str, object]) -> Pack:
    """All of the pack but tables that are fitted to pictures."""
    pack = compile_lite(
        calibrated,
        plan_name=form.plan_name,
        card=card,
        widths=form.widths,
        activation_bits=form.activation_bits,
    )
    return replace(pack, distortion_weight=round(form.distortion_weight * COST_UNIT))


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
    if not same or any(
        _form(pack.programs[name]) != _form(made.programs[name]) for name in decoders
    ):
        raise UsageError(f"the pack {pack.title} is of another network or plan than the adapters'")
    old = _stand_ins(pack)
    anchor = {name: program for name, program in pack.programs.items() if name not in old}
    made = _with_own_tables(made, pack.tensors, _table_lows(anchor.values()))
    added = {name: made.programs[name] for name in _stand_ins(made)}
    kept = {tensor for program in anchor.values() for _, tensor in _roles(program)}
    kept |= {name for name in pack.tensors if name.startswith("tables.")}
    tensors = {name: pack.tensors[name] for name in kept}
    for role, tensor in (pair for program in added.values() for pair in _roles(program)):
        values = made.tensors[tensor]
        if not _close(tensors.setdefault(tensor, values), values) and role != "bias":
            raise UsageError(
                f"the pack {pack.title} has another {tensor} than the adapters' network: "
                "give the state and the calibration that it was made of"
            )
    stated = {name: (pack if name in kept else made).widths.get(name) for name in tensors}
    widths = {name: width for name, width in stated.items() if width is not None}
    return replace(
        pack, programs=anchor | added, tensors=tensors, widths=widths, adapters=made.adapters
    )


def _stand_ins(pack: Pack) -> set[str]:
    """The programs of the adapter sets."""
    return {name for own in pack.adapters for name in own.programs.values()}


def _roles(program: Program) -> Iterator[tuple[str, str]]:
    """Every tensor that `program` names, and what for."""
    for operation in program.operations:
        yield from operation.tensors.items()


def _with_own_tables(made: Pack, given: Mapping[str, np.ndarray], lows: Mapping[str, int]) -> Pack:
    """`made`, where stand-ins use tables of their own instead of those in `given` that begin or
    end elsewhere, as the last bits of a range may decide. `lows` are those of the tables given."""
    programs, tensors = dict(made.programs), dict(made.tensors)
    for name in _stand_ins(made):
        operations = []
        for operation in programs[name].operations:
            table = operation.tensors.get(TABLE)
            if operation.kind == TABLE and table in lows:
                fits = lows[table] == operation.attributes["low"]
                if not (fits and given[table].shape == tensors[table].shape):
                    own = f"{name}.{table}"
                    tensors[own] = tensors[table]
                    operation = replace(operation, tensors={TABLE: own})
            operations.append(operation)
        programs[name] = replace(programs[name], operations=tuple(operations))
    return replace(made, programs=programs, tensors=tensors)


def _form(program: Program) -> Program:
    """`program` but for the ends of its ranges."""
    return replace(
        program,
        operations=tuple(
            replace(
                operation,
                attributes={k: v for k, v in operation.attributes.items() if k not in RANGE_ENDS},
            )
            for operation in program.operations
        ),
    )


def _table_lows(programs: Iterable[Program]) -> dict[str, int]:
    """Which operand the first entry of each stored table is for."""
    return {
        operation.tensors[TABLE]: operation.attributes["low"]
        for program in programs
        for operation in program.operations
        if operation.kind == TABLE
    }


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
