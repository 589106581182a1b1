"""How far a network of `base` was trained: from its training state to the card of its pack, and
back to what another run goes on from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch

from licodec.errors import BadInputError
from licodec.packing.checkpoint_files import read_checkpoint
from licodec.packing.kept import CONFIG_KEY
from licodec.packing.read_back import read_back
from licodec.packs import read_pack

TRAINING_KEY = "training"  # of the card
# Of a training state: numbers, and running means that another run goes on with.
NUMBERS, MEANS = ("step", "pixels", "core_seconds"), ("bands", "scales")


def training_of(path: Path) -> Mapping[str, object]:
    """What a pack's card says of the training of a state file; nothing where it does not tell."""
    state = read_checkpoint(path)
    if not isinstance(state, Mapping) or not {*NUMBERS, *MEANS} <= state.keys():
        return {}
    means = {name: state[name].tolist() for name in MEANS}
    return {TRAINING_KEY: {**{name: state[name] for name in NUMBERS}, **means}}


def state_of_pack(path: Path) -> dict[str, object]:
    """What `scripts/train.py base` goes on from, of the network that a pack holds.

    Raises BadInputError for a pack that does not keep it and CorruptFileError.
    """
    pack = read_pack(path)
    weights, training = read_back(pack).network.state_dict(), pack.card.get(TRAINING_KEY, {})
    try:
        return {
            "config": pack.card[CONFIG_KEY],
            "network": weights,
            "average": weights,
            **{name: training[name] for name in NUMBERS},
            **{name: torch.tensor(training[name]) for name in MEANS},
        }
    except KeyError as error:
        missing = f"{path}: the pack does not say how far it was trained ({error})"
        raise BadInputError(missing) from None
