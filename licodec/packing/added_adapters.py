"""Adapter sets put into packs of `lite` that exist.

A pack keeps the network that it decodes with (``licodec.packing.read_back``), so nothing
else of it is needed: the sets' stand-ins are compiled beside its own programs, on its grids, and
use its integers wherever they can. Its anchor stays as it is, bit by bit, and so do its files.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from licodec.errors import BadInputError
from licodec.networks.adapter_sets import anchor_of, gains, on_trunk
from licodec.networks.lite import LiteNetwork
from licodec.networks.network import Network
from licodec.packing.calibration import as_tensor
from licodec.packing.compiled import (
    CalibratedNetwork,
    calibrate_adapted,
    compile_network,
    prepared,
)
from licodec.packing.kept import KEPT
from licodec.packing.read_back import read_back
from licodec.packs import Pack, PackAdapters

# How far a network may be from a pack's that takes its adapters, in the norm of its weights: two
# bits a weight are nearly as far as this.
LARGEST_DISTANCE = 0.5


def add_adapters(
    pack: Pack, adapted: Mapping[str, Network], pictures: Sequence[np.ndarray]
) -> Pack:
    """`pack` with the adapters of networks, by objective, in the place of those that it has for the
    same objectives.

    Ranges are measured on `pictures`, (H, W, 3) uint8 with sides that are multiples of 64. Raises
    BadInputError for a pack that is not of `lite`, for a network without adapters, and for sets
    that were trained on another network than the pack's, or than one another; another precision
    is no other network.
    """
    first, network = next(iter(adapted.items()))
    trunk = anchor_of(network)
    if not isinstance(trunk, LiteNetwork):
        raise BadInputError(f"the adapters are for {trunk.backbone}, and packs of lite take others")
    for objective, network in adapted.items():
        if not any(gains(network)):
            raise BadInputError(f"the network for {objective} has no adapters")
        if distance(anchor_of(network), trunk) > 0:
            raise BadInputError(
                f"the adapters for {objective} and for {first} were trained on different networks; "
                "add them to packs one by one"
            )
    if pack.backbone != trunk.backbone:
        raise BadInputError(f"the pack {pack.title} is not of {trunk.backbone}")
    found = read_back(pack)
    if distance(found.network, trunk) > LARGEST_DISTANCE:
        raise BadInputError(
            f"the adapters were trained on another network than that of the pack {pack.title}"
        )
    own = {name: on_trunk(network, found.network) for name, network in adapted.items()}
    adapters = calibrate_adapted(own, [as_tensor(pixels) for pixels in pictures])
    calibrated = CalibratedNetwork(prepared(found.network), found.parts, adapters)
    widths = found.widths.__getitem__
    made = compile_network(calibrated, plan_name=pack.plan_name, card={}, widths=widths)
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

    `made` is what `pack` was read back as and compiled again: the same programs, and the same
    tensors but for rounding. Where its stand-ins use those of its anchor, they get what `pack` has
    in that place. Raises BadInputError where the programs are others.
    """
    new = {own.objective for own in made.adapters}
    kept = [own for own in pack.adapters if own.objective not in new]
    replaced = _stand_ins(pack.adapters) - _stand_ins(kept)
    programs = {name: own for name, own in pack.programs.items() if name not in replaced}
    if any(own != programs.get(name, own) for name, own in made.programs.items()):
        raise BadInputError(f"the pack {pack.title} is of another form than its network's")
    used = {tensor for own in programs.values() for tensor in own.tensors}
    added = {name: made.programs[name] for name in sorted(_stand_ins(made.adapters))}
    own = {
        name: values
        for name, values in pack.tensors.items()
        if name in used or name.startswith(("tables.", KEPT))
    }
    tensors = {name: made.tensors[name] for program in added.values() for name in program.tensors}
    tensors |= own
    widths = {**pack.widths, **made.widths}
    return replace(
        pack,
        programs={**programs, **added},
        tensors=tensors,
        widths={name: widths[name] for name in tensors if name in widths},
        adapters=(*kept, *made.adapters),
    )


def _stand_ins(adapters: Iterable[PackAdapters]) -> set[str]:
    """The programs of adapter sets."""
    return {name for own in adapters for name in own.programs.values()}
