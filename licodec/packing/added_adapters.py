"""Adapter sets put into packs of `lite` that exist.

A pack holds the network that it decodes with (``licodec.packing.lite_recovery``), so nothing
else of it is needed: the sets' stand-ins are compiled beside its own programs, on its grids, and
use its integers wherever they can. Its anchor stays as it is, bit by bit, and so do its files.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from licodec.errors import BadInputError
from licodec.exact.program import Operation
from licodec.networks.adapter_sets import anchor_of, gains, on_trunk
from licodec.networks.lite import LiteNetwork
from licodec.packing.calibration import as_tensor
from licodec.packing.compiled import (
    AdaptedNetwork,
    CalibratedNetwork,
    calibrate_adapted,
    compile_network,
    prepared,
)
from licodec.packing.exact_form import with_ranges
from licodec.packing.lite_recovery import recover_lite
from licodec.packs import Pack, PackAdapters

CLOSENESS = 1e-3  # of tensors that differ in the last bits of the steps they were made of
# How far a network may be from a pack's that takes its adapters, in the norm of its weights: two
# bits a weight are nearly as far as this.
LARGEST_DISTANCE = 0.5


def add_adapters(
    pack: Pack, adapted: Sequence[AdaptedNetwork], pictures: Sequence[np.ndarray]
) -> Pack:
    """`pack` with the adapter sets `adapted`, in the place of those that it has for the same
    objectives.

    Ranges are measured on `pictures`, (H, W, 3) uint8 with sides that are multiples of 64. Raises
    BadInputError for a pack that is not of `lite`, for a network without adapters, and for sets
    that were trained on another network than the pack's, or than one another; another precision
    is no other network.
    """
    trunk = anchor_of(adapted[0].network)
    if not isinstance(trunk, LiteNetwork):
        raise BadInputError(f"the adapters are for {trunk.backbone}, and packs of lite take others")
    for one in adapted:
        if not any(gains(one.network)):
            raise BadInputError(f"the network for {one.objective} has no adapters")
        if distance(anchor_of(one.network), trunk) > 0:
            raise BadInputError(
                f"the adapters for {one.objective} and for {adapted[0].objective} were trained on "
                "different networks; add them to packs one by one"
            )
    found = recover_lite(pack, trunk)
    if distance(found.network, trunk) > LARGEST_DISTANCE:
        raise BadInputError(
            f"the adapters were trained on another network than that of the pack {pack.title}"
        )
    own = [replace(one, network=on_trunk(one.network, found.network)) for one in adapted]
    form = prepared(found.network)
    calibrated = CalibratedNetwork(
        form,
        with_ranges(form, found.ranges),
        calibrate_adapted(own, [as_tensor(pixels) for pixels in pictures]),
    )
    made = compile_network(
        calibrated, plan_name=pack.plan_name, card={}, widths=found.widths.__getitem__
    )
    return with_adapters_of(pack, made)


@torch.no_grad()
def distance(network: nn.Module, other: nn.Module) -> float:
    """The norm of the difference of all kernels, in that of `other`'s."""
    kernels = dict(other.named_parameters())
    pairs = [(p, kernels[name]) for name, p in network.named_parameters() if p.ndim == 4]
    difference = sum(float((a - b).square().sum()) for a, b in pairs)
    return (difference / sum(float(b.square().sum()) for _, b in pairs)) ** 0.5


def with_adapters_of(pack: Pack, made: Pack) -> Pack:
    """`pack`, bit by bit, with the adapter sets of `made`, in the place of its own for the same
    objectives.

    `made` is what `pack` was recovered as and compiled again. Where its stand-ins use what its
    anchor has, they get what `pack` has in that place, and copies of their own where that is
    something else: a table that begins at another entry, say.
    """
    new = {own.objective for own in made.adapters}
    kept = [own for own in pack.adapters if own.objective not in new]
    replaced = _stand_ins(pack.adapters) - _stand_ins(kept)
    programs = {name: own for name, own in pack.programs.items() if name not in replaced}
    anchor = {name: own for name, own in programs.items() if name not in _stand_ins(kept)}
    stored = {
        tensor: (operation, role)
        for program in anchor.values()
        for operation in program.operations
        for role, tensor in operation.tensors.items()
    }
    used = {t for own in programs.values() for o in own.operations for t in o.tensors.values()}
    tensors = {
        name: values
        for name, values in pack.tensors.items()
        if name in used or name.startswith("tables.")
    }
    widths = {name: width for name, width in pack.widths.items() if name in tensors}
    added = {}
    for name in sorted(_stand_ins(made.adapters)):
        operations = []
        for operation in made.programs[name].operations:
            names = {}
            for role, tensor in operation.tensors.items():
                values, known = made.tensors[tensor], tensors.get(tensor)
                fits = (
                    known is not None
                    and tensor in stored
                    and _is_stored(operation, values, *stored[tensor], known)
                )
                names[role] = own = tensor if fits or tensor not in stored else f"{name}.{tensor}"
                if not fits:
                    tensors[own] = values
                    if tensor in made.widths:
                        widths[own] = made.widths[tensor]
            operations.append(replace(operation, tensors=names))
        added[name] = replace(made.programs[name], operations=tuple(operations))
    adapters = (*kept, *made.adapters)
    programs |= added
    return replace(pack, programs=programs, tensors=tensors, widths=widths, adapters=adapters)


def _is_stored(
    operation: Operation, values: np.ndarray, other: Operation, role: str, stored: np.ndarray
) -> bool:
    """Whether `operation`, whose tensor for `role` holds `values`, can use that of `other`."""
    if role == "table" and operation.attributes["low"] != other.attributes["low"]:
        return False
    if values.shape != stored.shape or values.dtype != stored.dtype:
        return False
    if role == "weight":  # one step elsewhere, and an integer may be another
        return np.array_equal(values, stored)
    difference = np.linalg.norm(values.astype(np.float64) - stored.astype(np.float64))
    return bool(difference <= CLOSENESS * np.linalg.norm(stored.astype(np.float64)))


def _stand_ins(adapters: Iterable[PackAdapters]) -> set[str]:
    """The programs of adapter sets."""
    return {name for own in adapters for name in own.programs.values()}
