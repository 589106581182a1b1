"""A network and its plan made into a weights pack, whose card says how the plan came about."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from torch import Tensor

from licodec.fmpq.allocation import Report, float_bits, plan_bits, widest
from licodec.fmpq.curves import Layer
from licodec.fmpq.search import Found, PlanSearch
from licodec.fmpq.sensitivity import Trials, finished_zeta
from licodec.packing.packs import compile_pack, make_pack, packed_size
from licodec.packing.searchable import Searchable
from licodec.packs import Pack
from licodec.packs.plans import CARD_KEY

BITS = 8  # in a byte
CARD_BYTES = 1024  # for the figures of a search, which a pack's card gets at its end


@dataclass(frozen=True)
class PlanRequest:
    """What a search is asked for.

    plan_name    name of the precision plan
    rule         name in `licodec.fmpq.allocation.RULES`
    share, size  of the weights, of float32, or bytes of the whole pack: one of the two
    seed, crops  of its trials: how many crops, and their side in pixels
    """

    plan_name: str
    rule: str
    share: float | None
    size: int | None
    seed: int
    crops: tuple[int, int]


def searched_pack(
    search: PlanSearch, pictures: Sequence[np.ndarray], request: PlanRequest, report: Report
) -> tuple[Found, Pack]:
    """The plan that is asked for and its pack, made on `pictures`, (H, W, 3) uint8.

    Tables are as large as the ranges that they serve, which follow the plan: so a pack's size is
    certain only when it is there, and a pack that is too large is made again with fewer bits.
    Raises UsageError where no plan fits, and BadInputError.
    """
    if request.share is not None:
        budget = search.budget(request.share)
    elif request.size is None:
        raise ValueError("neither a share nor a size")
    else:
        rest = bytes_beside_weights(search.searched, search.layers, pictures)
        budget = BITS * (request.size - rest - CARD_BYTES)
    while True:
        found = search.find(budget, request.rule, report)
        final = search.corrected(found.plan)
        card = {CARD_KEY: search_figures(found, search.layers, request)}
        settings = final.pack_settings(request.plan_name, found.plan, card)
        pack = make_pack(final.whole, pictures, settings)
        if request.size is None or (size := packed_size(pack)) <= request.size:
            return found, pack
        budget = found.allocation.bits - BITS * (size - request.size)


def bytes_beside_weights(
    searched: Searchable, layers: Sequence[Layer], pictures: Sequence[np.ndarray]
) -> int:
    """How large a pack of a network is less the weights of `layers`, which are those that its
    plan names, whatever their widths."""
    plan = dict(widest(layers))
    settings = searched.pack_settings("", plan, {"plan": plan})
    pack = compile_pack(searched.whole, pictures, settings)
    return packed_size(pack) - plan_bits(layers, plan) // BITS


def search_figures(
    found: Found, layers: Sequence[Layer], request: PlanRequest
) -> dict[str, object]:
    """What the card says of a search."""
    tolerance = found.allocation.tolerance
    stated = tolerance is not None and math.isfinite(tolerance)
    return {
        "rule": request.rule,
        "tolerance": tolerance if stated else None,
        **_sizes(found.allocation.bits, layers),
        "predicted_loss": round(found.allocation.zeta, 6),
        "measured_loss": round(found.measured_zeta, 6),
        "evaluations": found.evaluations,
        "naive_evaluations": found.naive_evaluations,
        "seed": request.seed,
        "crops": list(request.crops),
        "plan": dict(found.plan),
    }


def hand_made_figures(searched: Searchable, crops: Tensor, seed: int) -> dict[str, object]:
    """What the card says of the hand-made plan, whose loss is measured on `crops`
    (N, 3, side, side), drawn with `seed`, as a search measures."""
    trials = Trials(searched, crops, replace(searched.settings, correct_bias=False))
    plan = {layer.name: searched.form.standard_width(layer.name) for layer in trials.layers}
    return {
        "rule": "hand-made",
        **_sizes(plan_bits(trials.layers, plan), trials.layers),
        "measured_loss": round(trials.zeta(plan), 6),
        "plan": plan,
        "crops": [len(crops), crops.shape[-1]],
        "seed": seed,
    }


def finished_figures(
    finished: Searchable, searched: Searchable, crops: Tensor, figures: Mapping[str, Any]
) -> dict[str, object]:
    """The `figures` of a search for `searched` with the loss of `finished`, the network after
    training in the plan."""
    loss = finished_zeta(finished, figures["plan"], searched, crops, searched.settings)
    return {**figures, "measured_loss": round(loss, 6), "finished": True}


def _sizes(bits: int, layers: Sequence[Layer]) -> dict[str, object]:
    share = round(bits / float_bits(layers), 5)
    return {"weights_bytes": bits // BITS, "share_of_float32": share}
