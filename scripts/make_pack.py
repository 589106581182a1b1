#!/usr/bin/env python3
"""Make a weights pack of `lite` from a training state at the hand-made plan.

scripts/make_pack.py run.pt --calibrate PICTURES --plan precise -o lite-precise.safetensors

All weights take 8 bits and the linear path 16; `licodec quantize` searches plans. The card says
what that changes of the loss on a few crops.

scripts/add_adapters.py puts adapter sets into it.

--widths-of PACK takes the plan that `licodec quantize` searched and left in that pack, for a
network that was finished in it. Its card's loss is measured anew, against
the float network that the plan was searched for:

    scripts/make_pack.py finished.pt --widths-of searched.safetensors --searched-for run.pt \\
        --calibrate PICTURES --plan small -o weights/lite-small.safetensors
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from licodec.errors import LicodecError, UsageError
from licodec.fmpq.allocation import float_bits, plan_bits
from licodec.fmpq.search import widths_of
from licodec.fmpq.sensitivity import Trials, finished_zeta
from licodec.networks.adapter_sets import anchor_of
from licodec.networks.lite import DISTORTION_WEIGHT, LiteNetwork
from licodec.packing.calibration import read_pictures, trial_crops
from licodec.packing.lite import SearchableLite
from licodec.packing.lite_exact import standard_widths
from licodec.packing.packs import PackForm, make_pack
from licodec.packing.searchables import load_adapted_lite, load_lite
from licodec.packs import Pack, write_pack
from licodec.packs.plans import CARD_KEY, search_figures

TRIAL_CROPS, TRIAL_SIDE, TRIAL_SEED = 8, 256, 1  # the defaults of `licodec quantize`


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "state",
        type=Path,
        help="training state of lite, or state file of scripts/train_adapters.py,\n"
        "of which the pack then gets the network without adapters",
    )
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--calibrate", type=Path, required=True, help="folder of pictures")
    parser.add_argument("--pictures", type=int, default=24, help="how many of them to use")
    parser.add_argument("--crop", type=int, default=512, help="largest side of the centre crop")
    parser.add_argument("--activation-bits", type=int, default=12, help="bits of activations, 8-16")
    parser.add_argument(
        "--distortion-weight",
        type=float,
        default=DISTORTION_WEIGHT,
        help="bits that an error of one quantization step is worth to the encoder (%(default)s)",
    )
    parser.add_argument("--plan", default="standard", help="name of the precision plan")
    parser.add_argument(
        "--widths-of", type=Path, metavar="PACK", help="pack of `licodec quantize` with the plan"
    )
    parser.add_argument(
        "--searched-for", type=Path, metavar="STATE", help="the float network of that search"
    )
    parser.add_argument("--card", type=Path, help="JSON to carry: description, data, licences")
    return parser.parse_args(argv)


def hand_made_figures(network: LiteNetwork, pictures: Sequence[np.ndarray]) -> dict[str, Any]:
    """What the card says of the hand-made plan, whose loss is measured as `licodec quantize`
    measures."""
    side = min(TRIAL_SIDE, max(min(pixels.shape[:2]) for pixels in pictures))
    form = {"crops": [TRIAL_CROPS, side], "seed": TRIAL_SEED}
    crops = trial_crops(pictures, TRIAL_CROPS, side, TRIAL_SEED)
    searched = SearchableLite(network)
    trials = Trials(searched, crops, replace(searched.settings, correct_bias=False))
    plan = {layer.name: standard_widths(layer.name) for layer in trials.layers}
    bits = plan_bits(trials.layers, plan)
    return {
        "rule": "hand-made",
        "weights_bytes": bits // 8,
        "share_of_float32": round(bits / float_bits(trials.layers), 5),
        "measured_loss": round(trials.zeta(plan), 6),
        "plan": plan,
        **form,
    }


def form_of(arguments: argparse.Namespace, widths: Callable[[str], int]) -> PackForm:
    """What the options say of a pack with these bits by layer."""
    return PackForm(arguments.plan, widths, arguments.activation_bits, arguments.distortion_weight)


def make(arguments: argparse.Namespace) -> Pack:
    """The pack that the options ask for. Raises LicodecError."""
    if (arguments.widths_of is None) != (arguments.searched_for is None):
        raise UsageError("--widths-of and --searched-for go together")
    network = anchor_of(load_adapted_lite(arguments.state))
    pictures = read_pictures(arguments.calibrate, arguments.pictures, arguments.crop)
    card = json.loads(arguments.card.read_text()) if arguments.card else {}
    if arguments.searched_for is None:
        form = form_of(arguments, standard_widths)
        card[CARD_KEY] = hand_made_figures(network, pictures)
    else:
        figures = search_figures(arguments.widths_of)
        form = form_of(arguments, widths_of(figures["plan"]))
        crops = trial_crops(pictures, *figures["crops"], figures["seed"])
        before = SearchableLite(load_lite(arguments.searched_for))
        after = SearchableLite(network)
        loss = finished_zeta(after, figures["plan"], before, crops, before.settings)
        card[CARD_KEY] = {**figures, "measured_loss": round(loss, 6), "finished": True}
    return make_pack(network, pictures, form, card)


def main(argv: list[str] | None = None) -> None:
    arguments = parse_arguments(argv)
    try:
        pack = make(arguments)
        write_pack(pack, arguments.output)
    except LicodecError as error:
        sys.exit(f"error: {error}")
    size = arguments.output.stat().st_size
    print(f"{arguments.output}: id {pack.weights_id.hex()}, {size:,} bytes")


if __name__ == "__main__":
    main()
