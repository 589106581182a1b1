#!/usr/bin/env python3
"""Make a weights pack of `lite` from a training state at the hand-made plan.

scripts/make_pack.py run.pt --calibrate PICTURES --plan precise -o lite-precise.safetensors

All weights take 8 bits and the linear path 16; `licodec quantize` searches plans. The card says
what that changes of the loss on a few crops.

With --adapters the pack gets adapter sets, each with an id of its own; the anchor and its id are
those without. NAME is the objective by which encoders choose the set: `mse`, `ms-ssim`,
`perceptual`. The states are those of scripts/train_adapters.py and scripts/train_perception.py,
trained on the network of `state`.

    scripts/make_pack.py run.pt --calibrate PICTURES -o lite.safetensors \\
        --adapters mse=alpha.pt ms-ssim=alpha-msssim.pt perceptual=beta.pt

--onto PACK adds the sets to a pack of that state that exists, whatever machine made it: files that
were encoded with it stay good. It takes the same calibration pictures and options as the pack did.
A pack of `licodec quantize` whose corrected biases moved its ranges is refused. Several packs go
into a folder, under the names they have:

    scripts/make_pack.py run.pt --calibrate PICTURES --onto a.safetensors b.safetensors \\
        --adapters mse=alpha.pt -o adapted/

--widths-of PACK takes the plan that `licodec quantize` searched and left in that pack, for a
network that scripts/train.py --widths-of finished in it. Its card's loss is measured anew, against
the float network that the plan was searched for:

    scripts/make_pack.py finished.pt --widths-of searched.safetensors --searched-for run.pt \\
        --calibrate PICTURES --plan small -o weights/lite-small.safetensors
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from licodec.adapters.sets import anchor_of
from licodec.backbones.lite import DISTORTION_WEIGHT, LiteNetwork
from licodec.backbones.lite_exact import AdaptedLite, standard_widths
from licodec.errors import LicodecError, UsageError
from licodec.fmpq.allocation import float_bits, plan_bits
from licodec.fmpq.calibration import read_pictures, trial_crops
from licodec.fmpq.checkpoints import load_adapted_lite, load_lite
from licodec.fmpq.lite import SearchableLite
from licodec.fmpq.packing import PackForm, add_adapters, make_pack
from licodec.fmpq.plans import CARD_KEY, search_figures
from licodec.fmpq.search import widths_of
from licodec.fmpq.sensitivity import Trials, finished_zeta
from licodec.packs import Pack, is_objective, read_pack, write_pack

TRIAL_CROPS, TRIAL_SIDE, TRIAL_SEED = 8, 256, 1  # the defaults of `licodec quantize`


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "state",
        type=Path,
        help="state file of scripts/train.py, or of scripts/train_adapters.py,\n"
        "of which the pack then gets the network without adapters",
    )
    parser.add_argument(
        "-o", "--output", type=Path, required=True, help="file, or folder for several packs"
    )
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
    parser.add_argument(
        "--adapters", nargs="+", default=[], metavar="NAME=FILE", help="adapter sets by objective"
    )
    parser.add_argument(
        "--onto", type=Path, nargs="+", metavar="PACK", help="the packs to add them to"
    )
    return parser.parse_args(argv)


def adapter_states(entries: list[str]) -> dict[str, Path]:
    """State files by objective. Raises UsageError."""
    found: dict[str, Path] = {}
    for entry in entries:
        name, sign, file = entry.partition("=")
        if not sign or not file or not is_objective(name) or name in found:
            raise UsageError(
                f"--adapters {entry}: give NAME=FILE, each NAME once, of lower-case letters, "
                "digits and hyphens"
            )
        found[name] = Path(file)
    return found


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


def form_of(arguments: argparse.Namespace, plan_name: str, figures: Mapping[str, Any]) -> PackForm:
    """What the options say of a pack, whose card has the `figures` of its plan or none."""
    widths = widths_of(figures["plan"]) if "plan" in figures else standard_widths
    return PackForm(plan_name, widths, arguments.activation_bits, arguments.distortion_weight)


def make(arguments: argparse.Namespace) -> Iterator[tuple[Path, Pack]]:
    """Every pack that the options ask for, and where to write it. Raises LicodecError."""
    states = adapter_states(arguments.adapters)
    if (arguments.widths_of is None) != (arguments.searched_for is None):
        raise UsageError("--widths-of and --searched-for go together")
    network = anchor_of(load_adapted_lite(arguments.state))
    adapted = [AdaptedLite(name, load_adapted_lite(file)) for name, file in states.items()]
    pictures = read_pictures(arguments.calibrate, arguments.pictures, arguments.crop)
    if arguments.onto:
        yield from add_to_existing(arguments, network, pictures, adapted)
        return
    card = json.loads(arguments.card.read_text()) if arguments.card else {}
    if arguments.searched_for is None:
        form = form_of(arguments, arguments.plan, {})
        card[CARD_KEY] = hand_made_figures(network, pictures)
    else:
        figures = search_figures(arguments.widths_of)
        form = form_of(arguments, arguments.plan, figures)
        crops = trial_crops(pictures, *figures["crops"], figures["seed"])
        before = SearchableLite(load_lite(arguments.searched_for))
        after = SearchableLite(network)
        loss = finished_zeta(after, figures["plan"], before, crops, before.settings)
        card[CARD_KEY] = {**figures, "measured_loss": round(loss, 6), "finished": True}
    yield arguments.output, make_pack(network, pictures, form, card, adapted)


def add_to_existing(
    arguments: argparse.Namespace,
    network: LiteNetwork,
    pictures: Sequence[np.ndarray],
    adapted: Sequence[AdaptedLite],
) -> Iterator[tuple[Path, Pack]]:
    """The packs of --onto with the sets, in the file or folder of -o. Raises LicodecError."""
    packs = [read_pack(path) for path in arguments.onto]
    forms = [form_of(arguments, pack.plan_name, pack.card.get(CARD_KEY, {})) for pack in packs]
    places = [arguments.output]
    if len(packs) > 1 or arguments.output.is_dir():
        if len({path.name for path in arguments.onto}) < len(packs):
            raise UsageError("--onto: two of the packs have the same name; give them one by one")
        arguments.output.mkdir(parents=True, exist_ok=True)
        places = [arguments.output / path.name for path in arguments.onto]
    made = add_adapters(list(zip(packs, forms, strict=True)), network, pictures, adapted)
    yield from zip(places, made, strict=True)


def main(argv: list[str] | None = None) -> None:
    arguments = parse_arguments(argv)
    try:
        for path, pack in make(arguments):
            write_pack(pack, path)
            print(f"{path}: id {pack.weights_id.hex()}, {path.stat().st_size:,} bytes")
            for objective, identifier in pack.adapter_ids.items():
                print(f"{path}: adapters for {objective}, id {identifier.hex()}")
    except LicodecError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
