#!/usr/bin/env python3
"""Make a weights pack of `lite` or `base` from a training state at the hand-made plan.

    scripts/make_pack.py run.pt --calibrate PICTURES --plan precise -o lite-precise.safetensors

All weights take 8 bits and the linear path 16; `licodec quantize` searches plans. The card says
what that changes of the loss on a few crops. A pack of `base` keeps what its float network is read
back with, and how far that was trained: scripts/train.py --from goes on from it.

scripts/add_adapters.py puts adapter sets into packs of `lite`.

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
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from licodec.errors import LicodecError, UsageError
from licodec.fmpq.packing import finished_figures, hand_made_figures
from licodec.networks.adapter_sets import anchor_of
from licodec.packing.calibration import read_pictures, trial_crops
from licodec.packing.checkpoints import load_anchor, load_network
from licodec.packing.packs import make_pack
from licodec.packing.searchable import Searchable
from licodec.packing.training_states import training_of
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
        help="training state, or state file of scripts/train_adapters.py,\n"
        "of which the pack then gets the network without adapters",
    )
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--calibrate", type=Path, required=True, help="folder of pictures")
    parser.add_argument("--pictures", type=int, default=24, help="how many of them to use")
    parser.add_argument("--crop", type=int, default=512, help="largest side of the centre crop")
    parser.add_argument("--plan", default="standard", help="name of the precision plan")
    parser.add_argument(
        "--widths-of", type=Path, metavar="PACK", help="pack of `licodec quantize` with the plan"
    )
    parser.add_argument(
        "--searched-for", type=Path, metavar="STATE", help="the float network of that search"
    )
    parser.add_argument("--card", type=Path, help="JSON to carry: description, data, licences")
    return parser.parse_args(argv)


def figures_of(
    arguments: argparse.Namespace, network: Searchable, pictures: Sequence[np.ndarray]
) -> Mapping[str, object]:
    """What the card says of the plan, which is among it."""
    if arguments.searched_for is None:
        side = min(TRIAL_SIDE, max(min(pixels.shape[:2]) for pixels in pictures))
        crops = trial_crops(pictures, TRIAL_CROPS, side, TRIAL_SEED)
        return hand_made_figures(network, crops, TRIAL_SEED)
    figures = search_figures(arguments.widths_of)
    crops = trial_crops(pictures, *figures["crops"], figures["seed"])
    before = Searchable(load_anchor(arguments.searched_for))
    return finished_figures(network, before, crops, figures)


def make(arguments: argparse.Namespace) -> Pack:
    """The pack that the options ask for. Raises LicodecError."""
    if (arguments.widths_of is None) != (arguments.searched_for is None):
        raise UsageError("--widths-of and --searched-for go together")
    network = anchor_of(load_network(arguments.state))
    pictures = read_pictures(arguments.calibrate, arguments.pictures, arguments.crop)
    card = json.loads(arguments.card.read_text()) if arguments.card else {}
    searched = Searchable(network, arguments.state.name)
    figures = figures_of(arguments, searched, pictures)
    card = {**card, **training_of(arguments.state), CARD_KEY: figures}
    settings = searched.pack_settings(arguments.plan, figures["plan"], card)
    return make_pack(network, pictures, settings)


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
