"""Packs of `base` from its training states."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from licodec.errors import BadInputError
from licodec.networks.base import BaseNetwork
from licodec.networks.base_transforms import BaseConfig
from licodec.packing.base_exact import (
    CONFIG_KEY,
    as_levels,
    calibrate_base,
    compile_base,
    standard_widths,
)
from licodec.packing.base_recovery import recovered
from licodec.packing.packs import with_fitted_tables
from licodec.packs import Pack, read_pack

TRAINING_KEY = "training"  # of the card: how far the network was trained
# Of a training state: numbers, and running means that another run goes on with.
NUMBERS, MEANS = ("step", "pixels", "core_seconds"), ("bands", "scales")


def load_base(path: Path) -> tuple[BaseNetwork, dict[str, object]]:
    """The averaged network of a state file of scripts/train.py, and what its pack's card says of
    its training. Raises BadInputError."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        stored = {k: tuple(v) if isinstance(v, list) else v for k, v in state["config"].items()}
        network = BaseNetwork(BaseConfig(**stored))
        network.load_state_dict({k: v.float() for k, v in state["average"].items()})
        training = {name: state[name] for name in NUMBERS}
        training |= {name: state[name].tolist() for name in MEANS}
    except (OSError, RuntimeError, KeyError, TypeError, ValueError) as error:
        raise BadInputError(f"{path}: no training state of base ({error})") from None
    return network.eval(), training


def state_of_pack(path: Path) -> dict[str, object]:
    """What scripts/train.py goes on from, of the network that a pack holds.

    Raises BadInputError for a pack that does not keep it and CorruptFileError.
    """
    pack = read_pack(path)
    weights, training = recovered(pack).state_dict(), pack.card.get(TRAINING_KEY, {})
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


def make_base_pack(
    network: BaseNetwork,
    pictures: Sequence[np.ndarray],
    plan_name: str,
    card: Mapping[str, object],
    widths: Callable[[str], int] = standard_widths,
    activation_bits: int = 12,
) -> Pack:
    """Calibrate and compile `network` on `pictures`, (H, W, 3) uint8 with sides that are multiples
    of 64, and fit the latents' tables to them."""
    calibrated = calibrate_base(network, as_levels(pictures))
    pack = compile_base(
        calibrated,
        plan_name=plan_name,
        card=card,
        widths=widths,
        activation_bits=activation_bits,
    )
    return with_fitted_tables(pack, pictures)
