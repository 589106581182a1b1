"""Packs as files: one safetensors file, programs, coding schedule and card as JSON in its metadata,
integer tensors beside them, each in the narrowest form that holds it.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from licodec.entropy.adaptive import SHARE_ONE
from licodec.errors import CorruptFileError
from licodec.exact.program import (
    is_name,
    program_from_json,
    program_to_json,
)
from licodec.exact.schedule import (
    schedule_from_json,
    schedule_to_json,
)
from licodec.files import save_atomically
from licodec.lazily import Lazily
from licodec.packs.bits import pack_bits, unpack_bits
from licodec.packs.checks import check, check_adapter_id, check_decoder
from licodec.packs.data import PROFILE, STEP_SHARES, Pack, PackAdapters
from licodec.rate.gains import BETA, MODES

SUFFIX = ".safetensors"
METADATA_KEY = "licodec"
CHECKSUM_KEY = "licodec_crc32"
FORMAT = 1
LARGEST_PACK = 2**31  # bytes
LARGEST_DISTORTION_WEIGHT = 2**24  # keeps the encoder's sums within 64 bits
_OBJECTIVE = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")


class ForeignFileError(CorruptFileError):
    """A safetensors file that is no weights pack."""


@dataclass(frozen=True)
class PackName:
    """What a pack's metadata says of it, readable without its tensors.

    adapters  its adapter sets
    """

    path: Path
    backbone: str
    plan_name: str
    weights_id: bytes
    size: int
    card: Mapping[str, Any]
    adapters: tuple[AdaptersName, ...] = ()

    def has_adapters(self, adapter_id: bytes | None) -> bool:
        """Whether an adapter set has this id; None needs none."""
        return adapter_id is None or any(adapter_id == own.adapter_id for own in self.adapters)


@dataclass(frozen=True)
class AdaptersName:
    """What a pack's metadata says of an adapter set.

    modes  what it scales by: "alpha", "beta" or both
    """

    objective: str
    adapter_id: bytes
    modes: tuple[str, ...]


def write_pack(pack: Pack, path: Path) -> None:
    """Check `pack` as a reader would and write it, replacing what is there.

    Raises CorruptFileError, and LicodecError where the file cannot be written.
    """
    check(pack)
    stored, packed = {}, {}
    for name, tensor in pack.tensors.items():
        width = pack.widths.get(name)
        if width is None:
            stored[name] = np.ascontiguousarray(_narrowed(tensor))
            continue
        packed[name] = {"shape": list(tensor.shape), "width": width}
        stored[name] = pack_bits(tensor, width) if width < 8 else np.ascontiguousarray(tensor)
    metadata = {
        "format": FORMAT,
        "backbone": pack.backbone,
        "plan": pack.plan_name,
        "profile": PROFILE,
        "weights_id": pack.weights_id.hex(),
        "schedule": schedule_to_json(pack.schedule),
        "programs": {name: program_to_json(p) for name, p in pack.programs.items()},
        "weights": packed,
        "card": dict(pack.card),
    }
    if pack.distortion_weight is not None:
        metadata["distortion_weight"] = pack.distortion_weight
    if pack.adapters:
        metadata["adapters"] = [
            {
                "id": pack.adapter_ids[own.objective].hex(),
                "objective": own.objective,
                "programs": own.programs,
                "d": own.d,
                **own.stated_steps,
                **({"conditions": own.conditions} if own.conditions else {}),
            }
            for own in pack.adapters
        ]
    text = json.dumps(metadata, sort_keys=True)
    texts = {METADATA_KEY: text, CHECKSUM_KEY: _checksum(text, stored)}
    # Forms, too, are checked as a reader does.
    _ = dict(_as_described(stored, _described(path, texts)).programs)
    data = _with_sorted_head(safetensors.numpy.save(stored, metadata=texts))
    save_atomically(path, data, overwrite=True)


def _with_sorted_head(data: bytes) -> bytes:
    """A safetensors file with its strings in order: the library has them in a new one each time."""
    end = 8 + int.from_bytes(data[:8], "little")
    head = json.loads(data[8:end])
    head["__metadata__"] = dict(sorted(head["__metadata__"].items()))
    text = json.dumps(head, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # tensors are aligned
    return len(text).to_bytes(8, "little") + text + data[end:]


def _checksum(text: str, stored: Mapping[str, np.ndarray]) -> str:
    """CRC-32 of the description and of every tensor as it is stored: ids leave encoders out."""
    crc = zlib.crc32(text.encode())
    for name in sorted(stored):
        tensor = stored[name]
        shape = ",".join(map(str, tensor.shape))
        crc = zlib.crc32(f"\n{name} {tensor.dtype.name} {shape}\n".encode(), crc)
        crc = zlib.crc32(np.ascontiguousarray(tensor).data, crc)
    return f"{crc:08x}"


def is_pack(path: Path) -> bool:
    """Whether the content of a file is that of a weights pack, as far as its metadata goes."""
    try:
        _Opened(path)
    except CorruptFileError:
        return False
    return True


def _narrowed(tensor: np.ndarray) -> np.ndarray:
    """In int16 where that holds all of an int32 tensor: tables of activations are large."""
    span = np.iinfo(np.int16)
    fits = tensor.dtype == np.int32 and span.min <= tensor.min(initial=0)
    return tensor.astype(np.int16) if fits and tensor.max(initial=0) <= span.max else tensor


def _described(path: Path, texts: Mapping[str, str]) -> dict[str, Any]:
    """The description as JSON gives it, its head checked."""
    try:
        metadata = json.loads(texts[METADATA_KEY])
        known = metadata["format"] == FORMAT and metadata["profile"] == PROFILE
        complete = (
            isinstance(metadata["backbone"], str)
            and isinstance(metadata["plan"], str)
            and len(bytes.fromhex(metadata["weights_id"])) == 8
            and isinstance(metadata["card"], dict)
            and _is_weight(metadata.get("distortion_weight"))
            and _are_adapter_sets(metadata.get("adapters", []))
        )
    except (ValueError, KeyError, TypeError, RecursionError):
        known, complete = True, False
    if not known:
        raise CorruptFileError(f"{path}: a weights pack of another format; update licodec")
    if not complete:
        raise CorruptFileError(f"{path}: the weights pack's description is damaged")
    return metadata


def _is_weight(value: Any) -> bool:
    return value is None or (type(value) is int and 0 < value < LARGEST_DISTORTION_WEIGHT)


def _are_adapter_sets(value: Any) -> bool:
    """Whether each is well formed, and no two have an id or an objective in common."""
    return (
        isinstance(value, list)
        and all(map(_is_adapter_set, value))
        and all(len({one[key] for one in value}) == len(value) for key in ("id", "objective"))
    )


def _is_adapter_set(value: Any) -> bool:
    return (
        set(value) - {*STEP_SHARES, "conditions"} == {"id", "objective", "programs", "d"}
        and len(bytes.fromhex(value["id"])) == 8
        and is_objective(value["objective"])
        and type(value["d"]) is int
        and all(_are_step_shares(value[key]) for key in STEP_SHARES if key in value)
        and isinstance(value["programs"], dict)
        and all(map(is_name, (*value["programs"], *value["programs"].values())))
        and _are_conditions(value.get("conditions"))
    )


def _are_step_shares(value: Any) -> bool:
    is_list = isinstance(value, list) and len(value) > 0
    return is_list and all(type(share) is int and 0 <= share <= SHARE_ONE for share in value)


def _are_conditions(value: Any) -> bool:
    if not isinstance(value, dict):
        return value is None
    return len(value) > 0 and all(map(is_name, (*value, *value.values())))


def is_objective(value: Any) -> bool:
    """A short name of lower-case letters, digits and hyphens."""
    return isinstance(value, str) and _OBJECTIVE.fullmatch(value) is not None


def read_name_of(path: Path, weights_id: bytes) -> PackName | None:
    """The head of a pack, None where it is not of this id: then its description, which is long, is
    not parsed. Raises CorruptFileError."""
    texts = _Opened(path).texts
    name = _name(path, texts) if weights_id.hex() in texts[METADATA_KEY] else None
    return name if name is not None and name.weights_id == weights_id else None


def read_name(path: Path) -> PackName:
    """The head of a pack; its content is not checked. Raises CorruptFileError."""
    return _name(path, _Opened(path).texts)


def _name(path: Path, texts: Mapping[str, str]) -> PackName:
    metadata = _described(path, texts)
    return PackName(
        path,
        metadata["backbone"],
        metadata["plan"],
        bytes.fromhex(metadata["weights_id"]),
        path.stat().st_size,
        metadata["card"],
        tuple(_adapters_name(metadata, own) for own in metadata.get("adapters", [])),
    )


def _adapters_name(metadata: Mapping[str, Any], adapters: Mapping[str, Any]) -> AdaptersName:
    """What is said of one adapter set; modes are read off its programs, and none where those
    are damaged."""
    found = {BETA} if "conditions" in adapters else set()
    try:
        decoders = set(schedule_from_json(metadata["schedule"]).program_order)
        for plain, name in adapters["programs"].items():
            if plain in decoders:
                found |= {port["name"] for port in metadata["programs"][name]["inputs"]}
    except (KeyError, TypeError, AttributeError, CorruptFileError):
        found = set()
    modes = tuple(mode for mode in MODES if mode in found)
    return AdaptersName(adapters["objective"], bytes.fromhex(adapters["id"]), modes)


def read_pack(path: Path) -> Pack:
    """Read a pack and check all of it: form, bounds, tables, its ids, and its checksum if it has
    one.

    Raises CorruptFileError.
    """
    opened = _Opened(path)
    metadata = _described(path, opened.texts)
    with _faults_of(path):
        stored = dict(opened)
        pack = _as_described(stored, metadata)
        # All of it is read, and what it was read from is let go.
        pack = replace(pack, programs=dict(pack.programs), tensors=dict(pack.tensors))
        check(pack)
        _check_id(pack, metadata)
        for adapters in pack.adapters:
            check_adapter_id(pack, adapters)
        _check_whole(opened.texts, stored)
    return pack


def open_pack(path: Path) -> Pack:
    """A pack to run, of which no more is read than is asked for.

    What decodes without adapters is read and checked at once: form, bounds, tables, and the id.
    The rest is checked by ``require_adapters`` and ``require_encoder``. Raises CorruptFileError.
    """
    opened = _Opened(path)
    metadata = _described(path, opened.texts)

    @cache
    def require_whole() -> None:
        _check_whole(opened.texts, dict(opened))

    with _faults_of(path):
        pack = _as_described(opened, metadata)
        pack = replace(pack, require_whole=require_whole)
        check_decoder(pack)
        _check_id(pack, metadata)
    opened.close()
    return pack


@contextmanager
def _damage() -> Iterator[None]:
    """Raises CorruptFileError for what libraries raise of a damaged file."""
    try:
        yield
    except (OSError, safetensors.SafetensorError, KeyError, TypeError, AttributeError) as error:
        raise CorruptFileError(f"the weights pack is damaged ({error})") from None


@contextmanager
def _faults_of(path: Path) -> Iterator[None]:
    try:
        yield
    except CorruptFileError as error:
        raise CorruptFileError(f"{path}: {error}") from None


class _Opened(Mapping[str, np.ndarray]):
    """The tensors of a pack's file, each read when it is asked for.

    texts  the strings in its head: the description and perhaps a checksum

    Raises CorruptFileError, as ForeignFileError for what is no pack.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            if path.is_dir():
                raise CorruptFileError(f"{path}: a directory, not a weights pack")
            if path.stat().st_size > LARGEST_PACK:
                raise CorruptFileError(f"{path}: larger than any weights pack")
            self.texts = dict[str, str](self._file.metadata() or {})
        except OSError as error:
            reason = error.strerror or error
            raise CorruptFileError(f"{path}: cannot be read: {reason}") from None
        except safetensors.SafetensorError as error:
            raise CorruptFileError(f"{path}: not a readable weights pack ({error})") from None
        if METADATA_KEY not in self.texts:
            raise ForeignFileError(f"{path}: a safetensors file, but not a licodec weights pack")

    @cached_property
    def _file(self) -> Any:  # safetensors has no types
        return safetensors.safe_open(self._path, "np")

    @cached_property
    def _names(self) -> list[str]:
        with _damage():
            return list(self._file.keys())

    def close(self) -> None:
        """Close the file until the next tensor is read. It is mapped: what was read of it counts as
        memory of the process."""
        del self._file

    def __getitem__(self, name: str) -> np.ndarray:
        with _damage():
            return self._file.get_tensor(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def _as_described(stored: Mapping[str, np.ndarray], metadata: Mapping[str, Any]) -> Pack:
    """The pack of these tensors with this description. Raises CorruptFileError where a part is
    malformed."""
    with _damage():
        described, schedule = metadata["programs"], schedule_from_json(metadata["schedule"])
        programs = Lazily(described.keys(), lambda n: program_from_json(n, described[n]))
        weights = {name: _checked_form(name, form) for name, form in metadata["weights"].items()}
    return Pack(
        metadata["backbone"],
        metadata["plan"],
        schedule,
        programs,
        Lazily(stored, lambda name: _as_used(name, stored[name], weights.get(name))),
        {name: width for name, (width, _) in weights.items()},
        metadata["card"],
        metadata.get("distortion_weight"),
        tuple(map(_adapters_from_json, metadata.get("adapters", []))),
    )


def _check_id(pack: Pack, metadata: Mapping[str, Any]) -> None:
    """Raise CorruptFileError unless the id that a pack's description states is its own."""
    if pack.weights_id.hex() != metadata["weights_id"]:
        raise CorruptFileError("the weights pack's content does not match its id")


def _check_whole(texts: Mapping[str, str], stored: Mapping[str, np.ndarray]) -> None:
    """Raise CorruptFileError unless the checksum, if there is one, is that of the content."""
    stated = texts.get(CHECKSUM_KEY)
    if stated is not None and stated != _checksum(texts[METADATA_KEY], stored):
        raise CorruptFileError("the weights pack's content does not match its checksum")


def _adapters_from_json(data: Mapping[str, Any]) -> PackAdapters:
    shares, beta_shares = (tuple(data.get(key, ())) for key in STEP_SHARES)
    named = data["objective"], data["programs"], data["d"]
    stated_id = bytes.fromhex(data["id"])
    return PackAdapters(*named, shares, beta_shares, data.get("conditions", {}), stated_id)


def _checked_form(name: str, form: Mapping[str, Any]) -> tuple[int, tuple[int, ...]]:
    """The width and the shape that are stated of a weight."""
    width, shape = form["width"], tuple(form["shape"])
    if not all(type(n) is int and n >= 0 for n in (width, *shape)):
        raise CorruptFileError(f"tensor {name}: a width or a shape that is no number")
    if width not in (2, 3, 4, 5, 6, 7, 8, 16):
        raise CorruptFileError(f"tensor {name}: a weight of {width} bits")
    return width, shape


def _as_used(name: str, stored: np.ndarray, form: tuple[int, tuple[int, ...]] | None) -> np.ndarray:
    """A tensor as operations take it; `form` is a weight's."""
    if form is None:
        return stored.astype(np.int32) if stored.dtype == np.int16 else stored
    width, shape = form
    tensor = unpack_bits(stored, width, shape) if width < 8 else stored
    if tensor.dtype != (np.int16 if width == 16 else np.int8) or tensor.shape != shape:
        raise CorruptFileError(f"tensor {name}: not a weight of {width} bits")
    return tensor
