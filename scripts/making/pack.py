"""A weights pack of `lite` or `base` from a training state at the hand-made plan.

    scripts/make.py pack run.pt --calibrate PICTURES --plan precise -o lite-precise.safetensors

All weights take 8 bits and the linear path 16; `licodec quantize` searches plans. The card says
what that changes of the loss on a few crops. A pack of `base` keeps what its float network is read
back with, and how far that was trained: `scripts/train.py base --from` goes on from it.

--widths-of PACK takes the plan that `licodec quantize` searched and left in that pack, for a
network that was finished in it. Its card's loss is measured anew, against
the float network that the plan was searched for:

    scripts/make.py pack finished.pt --widths-of searched.safetensors --searched-for run.pt \\
        --calibrate PICTURES --plan small -o weights/lite-small.safetensors
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from licodec.errors import UsageError
from licodec.fmpq.packing import finished_figures, hand_made_figures
from licodec.networks.adapter_sets import anchor_of
from licodec.packing.calibration import trial_crops
from licodec.packing.checkpoints import load_anchor, load_network
from licodec.packing.packs import make_pack
from licodec.packing.searchable import Searchable
from licodec.packing.training_states import training_of
from licodec.packs import write_pack
from licodec.packs.plans import CARD_KEY, search_figures
from making import calibration

TRIAL_CROPS, TRIAL_SIDE, TRIAL_SEED = 8, 256, 1  # the defaults of `licodec quantize`


def add_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("state", type=Path, help="a training state; of one of adapters, the network without them")
    add("-o", "--output", type=Path, required=True)
    calibration.add_options(parser)
    add("--plan", default="standard", help="name of the precision plan (%(default)s)")
    add("--widths-of", type=Path, metavar="PACK", help="pack of `licodec quantize` with the plan")
    add("--searched-for", type=Path, metavar="STATE", help="the float network of that search")
    add("--card", type=Path, help="JSON to carry: description, data, licences")


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


def run(arguments: argparse.Namespace) -> None:
    """Make and write the pack that the options ask for. Raises LicodecError."""
    if (arguments.widths_of is None) != (arguments.searched_for is None):
        raise UsageError("--widths-of and --searched-for go together")
    network = anchor_of(load_network(arguments.state))
    pictures = calibration.pictures_of(arguments)
    searched = Searchable(network, arguments.state.name)
    figures = figures_of(arguments, searched, pictures)
    card = json.loads(arguments.card.read_text()) if arguments.card else {}
    card = {**card, **training_of(arguments.state), CARD_KEY: figures}
    settings = searched.pack_settings(arguments.plan, figures["plan"], card)
    pack = make_pack(network, pictures, settings)
    write_pack(pack, arguments.output)
    size = arguments.output.stat().st_size
    print(f"{arguments.output}: id {pack.weights_id.hex()}, {size:,} bytes")
