"""Networks with adapters, out of checkpoints and ready to train."""

from __future__ import annotations

from pathlib import Path

from licodec.errors import UsageError
from licodec.networks.adapter_sets import PRESETS, AdapterSet, adapted_layers, gains
from licodec.networks.rate_modes import RateModes
from licodec.packing.checkpoints import adapter_sets, load_network
from training.defaults import BACKBONES


def load_backbone(path: Path, backbone: str | None) -> RateModes:
    """The float network in a state file or a pack of `lite` or in a published checkpoint, with
    the adapters that it holds; those of a pack are left out.

    `backbone` is read off the keys where it is None. Raises UsageError and BadInputError.
    """
    return load_network(path, backbone, known=tuple(BACKBONES))


def modes(network: RateModes) -> set[str]:
    """The modes of the adapters that `network` has."""
    return {gain.mode for gain in gains(network)}


def take_adapters(network: RateModes, path: Path) -> None:
    """Give the adapters of `network` the values of those in the state at `path`, whose network
    may have other weights. Raises UsageError where its adapters are of another form."""
    own = dict(adapted_layers(network))
    given = dict(adapted_layers(load_backbone(path, network.backbone)))
    try:
        if own.keys() != given.keys():
            raise RuntimeError
        for name, layer in own.items():
            layer.branch.load_state_dict(given[name].branch.state_dict())
    except RuntimeError:
        raise UsageError(f"{path.name}: its adapters are not of the set to be trained") from None


def sets_of(network: RateModes, path: Path) -> tuple[AdapterSet, ...]:
    """The adapter sets of a network that :func:`load_backbone` read from `path`.

    Those of `lite` are described in the file; a published checkpoint has its backbone's preset.
    """
    if network.backbone == "lite":
        return adapter_sets(path)
    return (PRESETS[BACKBONES[network.backbone].alpha],) if modes(network) else ()
