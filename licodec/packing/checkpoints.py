"""Float networks out of checkpoints: state dicts, training states, and packs that keep theirs.

Every key and every shape is checked before any weight is used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from licodec.errors import BadInputError, UsageError
from licodec.files import display_name
from licodec.networks.adapter_sets import AdapterSet, attach, attach_to_layer, gains
from licodec.networks.network import Network
from licodec.packing.adapted_states import (
    Parts,
    arranged,
    listed,
    sets_of,
    taken_apart,
    with_adapters,
)
from licodec.packing.checkpoint_files import read_checkpoint
from licodec.packing.layouts import normalized
from licodec.packing.read_back import read_back
from licodec.packing.registry import (
    BACKBONES,
    OTHER_NAMES,
    SizeError,
    recognise,
    same_network,
)
from licodec.packs import is_pack, read_pack

Source = str | Path | Mapping[str, object]
"""A file, or a dict as torch.load gives it: a state dict, or one that holds it as "state_dict"."""


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint holds, whose name is for messages.

    parts     its weights by licodec's names
    stated    hyper-parameters that it names
    adapters  the sets that it describes, in the order of their attachment
    """

    name: str
    parts: Parts
    stated: Mapping[str, object]
    adapters: tuple[AdapterSet, ...]

    @classmethod
    def of(cls, name: str, loaded: object) -> Checkpoint:
        """From what torch.load gave. Raises BadInputError."""
        further = loaded if isinstance(loaded, Mapping) else {}
        stated, described = further.get("config"), further.get("adapters", ())
        state = state_dict_of(name, loaded)
        if not isinstance(described, (list, tuple)):
            described = ()  # a module of that name
        try:
            adapters = tuple(AdapterSet.from_data(data) for data in described)
            parts = taken_apart(normalized(state))
        except BadInputError as error:
            raise BadInputError(f"{name}: {error}") from None
        return cls(name, parts, stated if isinstance(stated, Mapping) else {}, adapters)

    @classmethod
    def read(cls, source: Source, unnamed: str = "checkpoint") -> Checkpoint:
        """From a file or, `unnamed`, from what one holds. Raises BadInputError."""
        if isinstance(source, Mapping):
            return cls.of(unnamed, source)
        return cls.of(display_name(Path(source).name), read_checkpoint(Path(source)))


def load_network(
    source: Source,
    backbone: str | None = None,
    adapters: Sequence[Source] = (),
    known: Sequence[str] = tuple(BACKBONES),
) -> Network:
    """The float network of a checkpoint or of a pack that keeps its own, in evaluation mode, at
    its anchor, with the adapters that the checkpoint holds.

    `backbone`, one of those `known`, is read off the keys where it is not given. `adapters` are
    in checkpoints of their own, those for alpha before those for beta.

    Raises UsageError for an unknown backbone and for adapters beside one of our own,
    BadInputError for a file that is no checkpoint and a state dict that is not one of the
    backbone's, or has no adapters for it, and CorruptFileError for a damaged pack.
    """
    if backbone is not None:
        backbone = OTHER_NAMES.get(backbone, backbone)
        if backbone not in known:
            raise UsageError(f"backbone {backbone!r} is not known: give one of {', '.join(known)}")
    keep = any(BACKBONES[name].ours for name in known)
    if keep and not isinstance(source, Mapping) and is_pack(Path(source)):
        if adapters:
            raise takes_no_adapters(display_name(source))
        return _read_back(Path(source), backbone)
    checkpoint = Checkpoint.read(source)
    found = BACKBONES.get(backbone or recognise(checkpoint.parts.shapes) or "")
    if adapters and found is not None and found.ours:
        raise takes_no_adapters(checkpoint.name)
    network = _network(checkpoint, backbone, known)
    if not adapters:
        return network
    files: dict[str, Parts] = {}
    for i, file in enumerate(adapters):
        own = Checkpoint.read(file, f"adapters {i + 1}")
        files[own.name if own.name not in files else f"{own.name} ({i + 1})"] = own.parts
    whole = with_adapters(checkpoint.parts, files, network.backbone)
    name = f"{checkpoint.name} with {', '.join(files)}"
    return _network(Checkpoint(name, whole, {}, ()), network.backbone, known)


def takes_no_adapters(name: str) -> UsageError:
    """What to raise where adapters are named beside one of our own networks."""
    return UsageError(
        f"{name}: of no published backbone; packs of our own get adapters by "
        "scripts/make.py: leave --adapters and --objective out"
    )


def load_anchor(path: Path) -> Network:
    """The same of a checkpoint without adapters. Raises BadInputError for one that has some."""
    network = load_network(path)
    require_anchor(display_name(path), network)
    return network


def require_anchor(name: str, network: Network) -> None:
    """Raise BadInputError where a network has adapters."""
    if any(gains(network)):
        raise BadInputError(f"{name}: holds adapters; give the anchor that they were trained on")


def adapter_sets(path: Path) -> tuple[AdapterSet, ...]:
    """The adapter sets that a checkpoint describes; none of a pack. Raises BadInputError."""
    return () if is_pack(path) else Checkpoint.read(path).adapters


def _read_back(path: Path, backbone: str | None) -> Network:
    pack = read_pack(path)
    ours = [name for name in BACKBONES if BACKBONES[name].ours]
    if pack.backbone not in ours or backbone not in (None, pack.backbone):
        raise BadInputError(
            f"{display_name(path)}: a pack of {pack.backbone}; packs are read back of "
            f"{' and '.join(ours)}, as what they are: give a checkpoint"
        )
    return read_back(pack).network


def _network(checkpoint: Checkpoint, backbone: str | None, known: Sequence[str]) -> Network:
    name, parts, shapes = checkpoint.name, checkpoint.parts, checkpoint.parts.shapes
    found = recognise(shapes)
    wanted = backbone or found
    if wanted is None or wanted not in known:
        raise BadInputError(
            f"{name}: its keys ({listed(list(shapes))}) are those of none of the backbones that "
            f"are read here: {', '.join(known)}"
        )
    if found and backbone and not same_network(found, backbone):
        raise BadInputError(f"{name}: this is a checkpoint of {found}, not of {backbone}")
    chosen = BACKBONES[wanted]
    try:
        with torch.device("meta"):  # the weights that follow replace every parameter
            network = chosen.build(chosen.name, shapes, checkpoint.stated)
            if chosen.largest is None:  # one of ours
                for described in checkpoint.adapters:
                    attach(network, described)
            else:  # whatever a training state says: the keys tell
                for adapter in sets_of(parts, chosen.largest):
                    (layer,) = adapter.layers
                    attach_to_layer(network, layer, adapter)
    except SizeError as error:
        raise BadInputError(f"{name}: not a checkpoint of {chosen.name}: {error}") from None
    state = arranged(parts, network)
    _require_match(name, network, {key: tuple(value.shape) for key, value in state.items()})
    weights = {key: _weights(name, key, value) for key, value in state.items()}
    network.load_state_dict(weights, assign=True)
    return network.eval()


def _require_match(name: str, network: Network, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Raise BadInputError unless `shapes` has just the parameters of `network`."""
    expected = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    missing = [key for key in expected if key not in shapes]
    unknown = [key for key in shapes if key not in expected]
    wrong = [
        f"{key} {shapes[key]} instead of {shape}"
        for key, shape in expected.items()
        if key in shapes and shapes[key] != shape
    ]
    problems = [
        f"{len(keys)} {label} ({listed(keys)})"
        for keys, label in (
            (missing, "missing"),
            (unknown, "unknown"),
            (wrong, "of the wrong shape"),
        )
        if keys
    ]
    if problems:
        raise BadInputError(
            f"{name}: not a checkpoint of {network.backbone}: of its keys, {'; '.join(problems)}"
        )


def _weights(name: str, key: str, value: Tensor) -> Tensor:
    """A float32 copy of one parameter. Raises BadInputError unless it holds finite numbers."""
    if not value.is_floating_point() or value.layout != torch.strided or value.is_meta:
        raise BadInputError(f"{name}: {key} holds no floating-point numbers")
    weights = value.detach().to(torch.float32, copy=True).contiguous()
    if not bool(torch.isfinite(weights).all()):
        raise BadInputError(f"{name}: {key} holds values that are not finite")
    return weights


def state_dict_of(name: str, loaded: object) -> dict[str, Tensor]:
    """The state dict in what torch.load gave, of a training state the averaged one. Raises
    BadInputError."""
    if isinstance(loaded, Mapping) and isinstance(loaded.get("average"), Mapping):
        average = loaded["average"]
        loaded = {key: value for key, value in average.items() if str(key).startswith("module.")}
        loaded = loaded or average
    elif isinstance(loaded, Mapping) and isinstance(loaded.get("state_dict"), Mapping):
        loaded = loaded["state_dict"]
    if not isinstance(loaded, Mapping) or not loaded:
        raise BadInputError(
            f"{name}: holds no state dict; save one with torch.save(network.state_dict(), FILE)"
        )
    for key, value in loaded.items():
        if not isinstance(key, str) or not isinstance(value, Tensor):
            raise BadInputError(
                f"{name}: {key!r} is no tensor; save a state dict with "
                "torch.save(network.state_dict(), FILE)"
            )
    return dict(loaded)
