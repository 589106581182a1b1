"""Checkpoints of the published backbones: files and state dicts to float networks.

Files are those of torch.save, loaded with ``weights_only=True`` alone, or safetensors; which one
says their content, not their name. Every key and every shape is checked before any weight is used.
"""

from __future__ import annotations

import pickle
import re
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor

from licodec.errors import BadInputError, UsageError
from licodec.files import open_input
from licodec.networks.adapter_sets import attach_to_layer
from licodec.networks.published import PublishedNetwork
from licodec.packing.layouts import adapters_in, normalized
from licodec.packing.registry import (
    BACKBONES,
    OTHER_NAMES,
    SizeError,
    recognise,
    same_network,
)
from licodec.packing.separate_adapters import with_adapters
from licodec.packs import is_pack

NAMED = 3  # keys that a message names before it counts the rest
ZIP_START = b"PK\x03\x04"
PICKLE_START = b"\x80"
SAFETENSORS_START = re.compile(rb"[\s\S]{5}\0{3}\{")  # the length of a JSON object, and the object
DAMAGED = "truncated or damaged: download or copy the checkpoint again"


Source = str | Path | Mapping[str, object]
"""A file, or a dict as torch.load gives it: a state dict, or one that holds it as "state_dict"."""


def load_network(
    source: Source, backbone: str | None = None, adapters: Sequence[Source] = ()
) -> PublishedNetwork:
    """The float network of a checkpoint, in evaluation mode, at its anchor.

    `backbone` ("stf", "tcm", "icm", "cheng-attn") is read off the keys where it is not given.
    `adapters` are in checkpoints of their own, those for alpha before those for beta.

    Raises UsageError for an unknown backbone, and BadInputError for a file that is no
    checkpoint and a state dict that is not one of the backbone's, or has no adapters for it.
    """
    return network_of(*_read(source, "checkpoint"), backbone, adapters)


def network_of(
    name: str,
    loaded: object,
    backbone: str | None = None,
    adapters: Sequence[Source] = (),
) -> PublishedNetwork:
    """The same of what torch.load gave of a file that messages call `name`."""
    backbone = OTHER_NAMES.get(backbone, backbone)
    if backbone is not None and backbone not in BACKBONES:
        raise UsageError(f"backbone {backbone!r} is not known: give one of {', '.join(BACKBONES)}")
    state = _state(name, loaded)
    network = _network(name, state, backbone)
    if not adapters:
        return network
    files: dict[str, Mapping[str, Tensor]] = {}
    for i, file in enumerate(adapters):
        own, read = _read(file, f"adapters {i + 1}")
        files[own if own not in files else f"{own} ({i + 1})"] = _state(own, read)
    whole = with_adapters(state, files, network.backbone)
    return _network(f"{name} with {', '.join(files)}", whole, network.backbone)


def backbone_of(name: str, loaded: object) -> str | None:
    """The published backbone whose checkpoint torch.load gave, None where it is of another.

    Raises BadInputError where it is no checkpoint.
    """
    return recognise(_shapes(_state(name, loaded)))


def _read(source: Source, unnamed: str) -> tuple[str, object]:
    """What messages call a checkpoint, and what it holds."""
    if isinstance(source, Mapping):
        return unnamed, source
    path = Path(source)
    return path.name, read_checkpoint(path)


def _state(name: str, loaded: object) -> dict[str, Tensor]:
    """The state dict of a checkpoint with licodec's names."""
    state = state_dict_of(name, loaded)
    try:
        return normalized(state)
    except BadInputError as error:
        raise BadInputError(f"{name}: {error}") from None


def _shapes(state: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {key: tuple(value.shape) for key, value in state.items()}


def _network(name: str, state: Mapping[str, Tensor], backbone: str | None) -> PublishedNetwork:
    shapes = _shapes(state)
    known = ", ".join(BACKBONES)
    found = recognise(shapes)
    if found is None and backbone is None:
        raise BadInputError(
            f"{name}: its keys ({listed(list(shapes))}) are those of no backbone that licodec "
            f"imports: {known}"
        )
    if found and backbone and not same_network(found, backbone):
        raise BadInputError(f"{name}: this is a checkpoint of {found}, not of {backbone}")
    chosen = BACKBONES[backbone or found]
    try:
        with torch.device("meta"):  # the weights that follow replace every parameter
            network = chosen.build(chosen.name, shapes)
            for adapter in adapters_in(shapes, chosen.largest):
                attach_to_layer(network, adapter)
    except SizeError as error:
        raise BadInputError(f"{name}: not a checkpoint of {chosen.name}: {error}") from None
    _require_match(name, network, shapes)
    weights = {key: _weights(name, key, value) for key, value in state.items()}
    network.load_state_dict(weights, assign=True)
    return network.eval()


def _require_match(
    name: str, network: PublishedNetwork, shapes: Mapping[str, tuple[int, ...]]
) -> None:
    """Raise BadInputError unless `shapes` has just the parameters of `network`."""
    expected = _shapes(network.state_dict())
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


def listed(keys: Sequence[str]) -> str:
    """Some keys as a message names them: the first few, and how many more."""
    rest = f" and {len(keys) - NAMED} more" if len(keys) > NAMED else ""
    return ", ".join(keys[:NAMED]) + rest


def _weights(name: str, key: str, value: Tensor) -> Tensor:
    """A float32 copy of one parameter. Raises BadInputError unless it holds finite numbers."""
    if not value.is_floating_point() or value.layout != torch.strided or value.is_meta:
        raise BadInputError(f"{name}: {key} holds no floating-point numbers")
    weights = value.detach().to(torch.float32, copy=True).contiguous()
    if not bool(torch.isfinite(weights).all()):
        raise BadInputError(f"{name}: {key} holds values that are not finite")
    return weights


def state_dict_of(name: str, loaded: object) -> dict[str, Tensor]:
    """The state dict in what torch.load gave. Raises BadInputError."""
    if isinstance(loaded, Mapping) and isinstance(loaded.get("state_dict"), Mapping):
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


def read_checkpoint(path: Path) -> object:
    """What a file that torch.save wrote holds: tensors and plain values; or one of safetensors.

    Raises BadInputError, which says what the file is instead, or what is wrong with it.
    """
    with open_input(path) as file:
        start = file.read(512)
    if SAFETENSORS_START.match(start):
        return _read_safetensors(path)
    _require_checkpoint(path.name, path, start)
    return _read_saved(path)


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file by name. Raises BadInputError."""
    if is_pack(path):
        raise BadInputError(
            f"{path.name}: a weights pack, which is imported already: put it in place with "
            "'licodec models install'"
        )
    try:
        return safetensors.torch.load_file(path)
    except (OSError, safetensors.SafetensorError):
        raise BadInputError(f"{path.name}: {DAMAGED}") from None


def _read_saved(path: Path) -> object:
    """What torch.save wrote. Raises BadInputError."""
    try:
        with open_input(path) as file:  # by its name torch.load would judge what it is
            return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise BadInputError(f"{path.name}: {_refusal(str(error))}") from None
    except MemoryError:
        raise BadInputError(f"{path.name}: asks for more memory than there is") from None
    except (
        RuntimeError,
        EOFError,
        ValueError,
        TypeError,
        KeyError,
        IndexError,
        AttributeError,
        AssertionError,
        OSError,
        UnicodeDecodeError,
        zipfile.BadZipFile,
    ):
        # What the reader raises depends on where the file stops making sense.
        raise BadInputError(f"{path.name}: {DAMAGED}") from None


def _require_checkpoint(name: str, path: Path, start: bytes) -> None:
    """Raise BadInputError where the first bytes are those of something else."""
    if not start:
        raise BadInputError(f"{name}: the file is empty")
    if start.startswith(ZIP_START):
        if not zipfile.is_zipfile(path):
            raise BadInputError(
                f"{name}: truncated: the archive has no end; download or copy it again"
            )
        try:
            with zipfile.ZipFile(path) as archive:
                members = archive.namelist()
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
            raise BadInputError(f"{name}: the archive is damaged; download it again") from None
        if not any(re.fullmatch(r"[^/]+/data\.pkl", member) for member in members):
            raise BadInputError(
                f"{name}: a zip archive without tensors, not a checkpoint that torch.save wrote"
            )
        return
    if start.startswith(PICKLE_START):
        return
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if text.startswith((b"<!doctype", b"<html", b"<?xml", b"<head", b"<!--")):
        raise BadInputError(
            f"{name}: a web page, not a checkpoint: open the link in a browser and download "
            "the file itself"
        )
    if text.startswith(b"version https://git-lfs"):
        raise BadInputError(
            f"{name}: a Git LFS pointer, not the checkpoint itself: run 'git lfs pull'"
        )
    if all(byte in b"\t\n\r\f" or byte >= 0x20 for byte in start):
        raise BadInputError(f"{name}: a text file, not a checkpoint")
    raise BadInputError(f"{name}: not a checkpoint: no file that torch.save writes starts so")


def _refusal(message: str) -> str:
    """What to say of a pickle that weights_only does not load."""
    match = re.search(r"GLOBAL ([\w.]+)", message)
    if match:
        return (
            f"refused: it names {match[1]}, which could run code; licodec loads tensors only "
            "(save a plain state dict from a source that you trust)"
        )
    if re.search(r"Unsupported|not allowed|Trying to|[Cc]an only|disallowed", message):
        return "refused: it holds more than tensors and could run code; save a plain state dict"
    return DAMAGED
