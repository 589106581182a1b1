"""Weights packs: find, read, write.

A pack is one safetensors file: programs, coding schedule and card as JSON in its
metadata, integer tensors beside them, each in the narrowest form that holds it.
Normative counterpart: format/SPEC.md, "Weights packs".
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from licodec.entropy.adaptive import SHARE_ONE, share_between
from licodec.entropy.tables import EntropyTables, tables_from_tensors
from licodec.errors import CorruptFileError, LicodecError, UsageError, WeightsMissingError
from licodec.exact.bounds import ValueInfo, analyse
from licodec.exact.gains import BETA, GAIN_ONE, MODES
from licodec.exact.program import (
    WEIGHTED_KINDS,
    Program,
    is_name,
    program_from_json,
    program_to_json,
)
from licodec.exact.schedule import (
    NEIGHBOURS,
    PREVIOUS,
    Schedule,
    SliceStep,
    WavefrontStep,
    schedule_from_json,
    schedule_to_json,
)
from licodec.files import is_missing, save_atomically
from licodec.rate import AdapterRates, modes_of

SUFFIX = ".safetensors"
METADATA_KEY = "licodec"
FORMAT = 1
PROFILE = "int-1"
LARGEST_PACK = 2**31  # bytes
# Keys of an adapter set that it may lack, in the order of beta: 0 and 1.
STEP_SHARES = ("step_shares", "beta_step_shares")
LARGEST_DISTORTION_WEIGHT = 2**24  # keeps the encoder's sums within 64 bits
ANALYSIS, HYPER_ANALYSIS = ENCODER_PROGRAMS = "analysis", "hyper_analysis"
COLORS = 3
PIXEL_RANGE = (-255, 255)  # of 2 * pixel - 255, what an analysis takes
LATENT_RANGE = (-(2**15), 2**15 - 1)
SEARCH_VARIABLE = "LICODEC_WEIGHTS"
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


@dataclass(frozen=True)
class PackAdapters:
    """An adapter set of a pack: the programs that run where alpha or beta is not 0.

    objective  what it was trained for, by which an encoder chooses it
    programs   by the name of the program that each stands in for. They have its ports and behind
               them none, one or both of "alpha" and "beta", numbers from 0 to GAIN_ONE
    d          that goes with alpha = 1, in units of 2^-g, for encoders; the neutral one where
               alpha leaves it alone
    step_shares  how much of d - 1 the step of each slice takes, at every position alike, each
               from 0 to SHARE_ONE; without any, steps are AQVR's
    beta_step_shares  the same at beta = 1, where they are others than at beta = 0
    """

    objective: str
    programs: Mapping[str, str]
    d: int
    step_shares: tuple[int, ...] = ()
    beta_step_shares: tuple[int, ...] = ()

    @property
    def stated_steps(self) -> dict[str, list[int]]:
        """The shares as a pack states them: nothing where there are none."""
        return {key: list(shares) for key in STEP_SHARES if (shares := getattr(self, key))}

    def step_shares_at(self, beta: int) -> tuple[int, ...]:
        """What is in force at `beta`, 0 to GAIN_ONE."""
        if not self.beta_step_shares:
            return self.step_shares
        pairs = zip(self.step_shares, self.beta_step_shares, strict=True)
        return tuple(share_between(*pair, beta) for pair in pairs)


@dataclass(frozen=True)
class Pack:
    """Everything an encoder and a decoder need of one backbone at one precision.

    programs  by name: the decoder's (named by the schedule), then "analysis" and
              "hyper_analysis", which only the encoder runs
    tensors   by name, unpacked: weights int8/int16, multipliers float32, the rest int32
    widths    bits of each weight tensor, by tensor name
    distortion_weight  how the encoder chooses symbols, see licodec.entropy.quantization;
              None: the nearest
    """

    backbone: str
    plan_name: str
    schedule: Schedule
    programs: Mapping[str, Program]
    tensors: Mapping[str, np.ndarray]
    widths: Mapping[str, int]
    card: Mapping[str, Any] = field(default_factory=dict)
    distortion_weight: int | None = None
    adapters: tuple[PackAdapters, ...] = ()

    @property
    def title(self) -> str:
        return f"{self.backbone} ({self.plan_name})"

    def gain_modes(self, adapters: PackAdapters) -> tuple[str, ...]:
        """What an adapter set scales by, in a decoder's programs: "alpha", "beta" or both."""
        decoders = set(self.schedule.program_order)
        found = {
            port.name
            for plain, name in adapters.programs.items()
            if plain in decoders
            for port in self.programs[name].inputs
            if port.channels is None
        }
        return tuple(mode for mode in MODES if mode in found)

    def require_encoder(self) -> None:
        """Raise UsageError for a pack that decodes alone, and CorruptFileError where its programs
        of encoders do not fit."""
        if ANALYSIS not in self.programs:
            raise UsageError(
                f"the pack {self.title} is for decoding alone; 'licodec models' lists the others"
            )
        sets = [(own.programs, self.gain_modes(own)) for own in self.adapters]
        for stand_ins, modes in ({}, ()), *sets:
            try:
                _check_encoder(self, stand_ins, modes)
            except CorruptFileError as error:
                raise CorruptFileError(f"the pack {self.title}: {error}") from None

    @property
    def rate_modes(self) -> tuple[str, ...]:
        """The modes that the pack has, of "d", "alpha" and "beta"."""
        return modes_of(self.schedule, self.adapter_rates)

    def adapters_with_id(self, adapter_id: bytes) -> PackAdapters | None:
        """The adapter set that files call by this id."""
        found = (o for o in self.adapters if self.adapter_ids[o.objective] == adapter_id)
        return next(found, None)

    @cached_property
    def adapter_rates(self) -> tuple[AdapterRates, ...]:
        """The adapter sets as the rate mode sees them."""
        return tuple(AdapterRates(o.objective, self.gain_modes(o), o.d) for o in self.adapters)

    def adapters_named(self, objective: str) -> PackAdapters:
        """The adapter set for an objective that it has."""
        return next(own for own in self.adapters if own.objective == objective)

    @cached_property
    def analysed(self) -> Mapping[str, Mapping[str, ValueInfo]]:
        """What is known of every value, by program. Raises CorruptFileError where one is not
        proved."""
        return {name: analyse(program, self.tensors) for name, program in self.programs.items()}

    @cached_property
    def tables(self) -> EntropyTables:
        return tables_from_tensors(self.tensors)

    @cached_property
    def plan(self) -> tuple[int, ...]:
        """Widths of the decoder's weighted operations, in program order."""
        return tuple(width for _, width in self.plan_by_layer)

    @cached_property
    def plan_by_layer(self) -> tuple[tuple[str, int], ...]:
        names = dict.fromkeys(self.schedule.program_order)
        rows = (row for name in names for row in self._widths_of(name))
        return tuple((tensor.removesuffix(".weight"), width) for tensor, width in rows)

    def _widths_of(self, name: str) -> Iterator[tuple[str, int]]:
        """Weight tensors of one program and their widths, in its order."""
        for operation in self.programs[name].operations:
            if operation.kind in WEIGHTED_KINDS:
                tensor = operation.tensors["weight"]
                yield tensor, self.widths[tensor]

    @cached_property
    def weights_id(self) -> bytes:
        """Eight bytes of SHA-256 over what decoding without adapters uses."""
        names = set(self.schedule.program_order)
        programs = {n: program_to_json(p) for n, p in self.programs.items() if n in names}
        used = {tensor for name in names for tensor in self._tensors_of(name)}
        used |= {name for name in self.tensors if name.startswith("tables.")}
        head = {
            "backbone": self.backbone,
            "profile": PROFILE,
            "programs": programs,
            "schedule": schedule_to_json(self.schedule),
            "plan": list(self.plan),
        }
        return self._digest(head, used)

    @cached_property
    def adapter_ids(self) -> Mapping[str, bytes]:
        """The ids of the adapter sets, by objective."""
        return {adapters.objective: self._adapter_id(adapters) for adapters in self.adapters}

    def _adapter_id(self, adapters: PackAdapters) -> bytes:
        """Eight bytes of SHA-256 over the weights id and what decoding with an adapter set uses
        instead of the schedule's programs."""
        order = dict.fromkeys(self.schedule.program_order)
        own = {plain: adapters.programs[plain] for plain in order if plain in adapters.programs}
        head = {
            "plan": [width for name in own.values() for _, width in self._widths_of(name)],
            "programs": {p: program_to_json(self.programs[name]) for p, name in own.items()},
            "weights_id": self.weights_id.hex(),
            **adapters.stated_steps,
        }
        return self._digest(head, {t for name in own.values() for t in self._tensors_of(name)})

    def _tensors_of(self, name: str) -> set[str]:
        return {t for o in self.programs[name].operations for t in o.tensors.values()}

    def _digest(self, head: Mapping[str, Any], tensors: Iterable[str]) -> bytes:
        digest = hashlib.sha256(_canonical(head))
        for name in sorted(tensors):
            tensor = self.tensors[name]
            shape = ",".join(str(n) for n in tensor.shape)
            digest.update(f"\n{name} {tensor.dtype.name} {shape}\n".encode())
            digest.update(np.ascontiguousarray(tensor).astype(tensor.dtype.newbyteorder("<")).data)
        return digest.digest()[:8]


def _canonical(data: Any) -> bytes:
    return json.dumps(data, sort_keys=True, separators=(",", ":")).encode("ascii")


# Sub-byte weights ------------------------------------------------------------------------


def pack_bits(values: np.ndarray, width: int) -> np.ndarray:
    """Signed integers of `width` bits, any shape, as a big-endian bit string in uint8."""
    unsigned = (values.astype(np.int16).ravel() + (1 << (width - 1))).astype(np.uint8)
    bits = np.unpackbits(unsigned[:, None], axis=1)[:, 8 - width :]
    return np.packbits(bits)


def unpack_bits(data: np.ndarray, width: int, shape: tuple[int, ...]) -> np.ndarray:
    """The inverse of :func:`pack_bits`, int8. Raises CorruptFileError on a wrong length."""
    count = int(np.prod(shape))
    if data.dtype != np.uint8 or data.shape != ((count * width + 7) // 8,):
        raise CorruptFileError("packed weights have the wrong length")
    groups = -(-count // 8)  # eight integers are `width` whole bytes
    padded = np.zeros((groups, width), np.uint8)
    padded.ravel()[: len(data)] = data
    words = np.zeros(groups, np.uint64)
    for column in padded.T:
        words = words << np.uint64(8) | column
    places = np.arange(7 * width, -1, -width).astype(np.uint64)
    unsigned = words[:, None] >> places & np.uint64((1 << width) - 1)
    signed = unsigned.astype(np.int16) - (1 << (width - 1))
    return signed.astype(np.int8).ravel()[:count].reshape(shape)


# Reading and writing -----------------------------------------------------------------------


def write_pack(pack: Pack, path: Path) -> None:
    """Check `pack` as a reader would and write it, replacing what is there.

    Raises CorruptFileError, and LicodecError where the file cannot be written.
    """
    _check(pack)
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
            }
            for own in pack.adapters
        ]
    text = json.dumps(metadata, sort_keys=True)
    data = safetensors.numpy.save(stored, metadata={METADATA_KEY: text})
    save_atomically(path, data, overwrite=True)


def is_pack(path: Path) -> bool:
    """Whether the content of a file is that of a weights pack, as far as its metadata goes."""
    try:
        with safetensors.safe_open(path, "np") as file:
            return METADATA_KEY in (file.metadata() or {})
    except (OSError, safetensors.SafetensorError):
        return False


def _narrowed(tensor: np.ndarray) -> np.ndarray:
    """In int16 where that holds all of an int32 tensor: tables of activations are large."""
    span = np.iinfo(np.int16)
    fits = tensor.dtype == np.int32 and span.min <= tensor.min(initial=0)
    return tensor.astype(np.int16) if fits and tensor.max(initial=0) <= span.max else tensor


def _read_metadata(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > LARGEST_PACK:
            raise CorruptFileError(f"{path}: larger than any weights pack")
        with safetensors.safe_open(path, "np") as file:
            text = (file.metadata() or {}).get(METADATA_KEY)
    except OSError as error:
        reason = error.strerror or error
        raise CorruptFileError(f"{path}: cannot be read: {reason}") from None
    except safetensors.SafetensorError as error:
        raise CorruptFileError(f"{path}: not a readable weights pack ({error})") from None
    if text is None:
        raise ForeignFileError(f"{path}: a safetensors file, but not a licodec weights pack")
    try:
        metadata = json.loads(text)
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
        set(value) - set(STEP_SHARES) == {"id", "objective", "programs", "d"}
        and len(bytes.fromhex(value["id"])) == 8
        and is_objective(value["objective"])
        and type(value["d"]) is int
        and all(_are_step_shares(value[key]) for key in STEP_SHARES if key in value)
        and isinstance(value["programs"], dict)
        and all(map(is_name, (*value["programs"], *value["programs"].values())))
    )


def _are_step_shares(value: Any) -> bool:
    is_list = isinstance(value, list) and len(value) > 0
    return is_list and all(type(share) is int and 0 <= share <= SHARE_ONE for share in value)


def is_objective(value: Any) -> bool:
    """A short name of lower-case letters, digits and hyphens."""
    return isinstance(value, str) and _OBJECTIVE.fullmatch(value) is not None


def read_name(path: Path) -> PackName:
    """The head of a pack; its content is not checked. Raises CorruptFileError."""
    metadata = _read_metadata(path)
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
    found: set[str] = set()
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
    """Read a pack and check all of it: form, bounds, tables and its id.

    Raises CorruptFileError.
    """
    metadata = _read_metadata(path)
    try:
        stored = safetensors.numpy.load_file(path)
        programs = {n: program_from_json(n, p) for n, p in metadata["programs"].items()}
        schedule = schedule_from_json(metadata["schedule"])
        tensors, widths = _as_used(stored, metadata["weights"])
    except (OSError, safetensors.SafetensorError, KeyError, TypeError, AttributeError) as error:
        raise CorruptFileError(f"{path}: the weights pack is damaged ({error})") from None
    adapters = metadata.get("adapters", [])
    pack = Pack(
        metadata["backbone"],
        metadata["plan"],
        schedule,
        programs,
        tensors,
        widths,
        metadata["card"],
        metadata.get("distortion_weight"),
        tuple(map(_adapters_from_json, adapters)),
    )
    try:
        _check(pack)
    except CorruptFileError as error:
        raise CorruptFileError(f"{path}: {error}") from None
    if pack.weights_id.hex() != metadata["weights_id"]:
        raise CorruptFileError(f"{path}: the weights pack's content does not match its id")
    if [own.hex() for own in pack.adapter_ids.values()] != [own["id"] for own in adapters]:
        raise CorruptFileError(f"{path}: an adapter set of the weights pack does not match its id")
    return pack


def _adapters_from_json(data: Mapping[str, Any]) -> PackAdapters:
    shares = (tuple(data.get(key, ())) for key in STEP_SHARES)
    return PackAdapters(data["objective"], data["programs"], data["d"], *shares)


def _as_used(
    stored: Mapping[str, np.ndarray], packed: Mapping[str, Any]
) -> tuple[dict[str, np.ndarray], dict[str, int]]:
    """The tensors as operations take them, and the widths of weights."""
    widths = {}
    tensors = {
        name: tensor.astype(np.int32) if name not in packed and tensor.dtype == np.int16 else tensor
        for name, tensor in stored.items()
    }
    for name, form in packed.items():
        width, shape = form["width"], tuple(form["shape"])
        if width not in (2, 3, 4, 5, 6, 7, 8, 16):
            raise CorruptFileError(f"tensor {name}: a weight of {width} bits")
        if width < 8:
            tensors[name] = unpack_bits(stored[name], width, shape)
        legal = tensors[name].dtype == (np.int16 if width == 16 else np.int8)
        if not legal or tensors[name].shape != shape:
            raise CorruptFileError(f"tensor {name}: not a weight of {width} bits")
        widths[name] = width
    return tensors, widths


def _check(pack: Pack) -> None:
    """Raise CorruptFileError unless every program is proved and fits the schedule."""
    further = (name for own in pack.adapters for name in own.programs.values())
    for name in (*pack.schedule.program_order, *further):
        if name not in pack.programs:
            raise CorruptFileError(f"program {name} is missing")
    _ = pack.analysed  # every program is proved
    for program in pack.programs.values():
        for operation in program.operations:
            if operation.kind in WEIGHTED_KINDS and operation.tensors["weight"] not in pack.widths:
                raise CorruptFileError(f"program {program.name}: a weight has no stated width")
    _check_interfaces(pack, {})
    for adapters in pack.adapters:
        _check_adapters(pack, adapters)
    tables_from_tensors(pack.tensors)


def _check_adapters(pack: Pack, adapters: PackAdapters) -> None:
    """Stand-ins fit where the programs stood, and alpha or beta scales one of a decoder."""
    modes = pack.gain_modes(adapters)
    if not modes:
        raise CorruptFileError(f"the adapter set {adapters.objective} has neither alpha nor beta")
    if not pack.schedule.d_low <= adapters.d <= pack.schedule.d_high:
        raise CorruptFileError(f"the adapter set {adapters.objective} has a d out of range")
    sliced = sum(isinstance(step, SliceStep) for step in pack.schedule.steps)
    if any(len(shares) != sliced for shares in adapters.stated_steps.values()):
        raise CorruptFileError(f"the step shares of {adapters.objective} do not fit the slices")
    if adapters.beta_step_shares and (not adapters.step_shares or BETA not in modes):
        raise CorruptFileError(f"the step shares of {adapters.objective} are for a beta it lacks")
    _check_interfaces(pack, adapters.programs)
    decoders = set(pack.schedule.program_order)
    for plain, name in adapters.programs.items():
        if plain in decoders:
            continue
        if plain not in pack.programs:
            raise CorruptFileError(f"program {plain} is missing")
        ports = [port.name for port in pack.programs[plain].inputs]
        own = [port.name for port in pack.programs[name].inputs if port.channels is not None]
        numbers = {port.name for port in pack.programs[name].inputs if port.channels is None}
        if own != ports or not numbers <= set(modes):
            raise CorruptFileError(f"program {name} does not fit the coding schedule")


def _check_encoder(pack: Pack, stand_ins: Mapping[str, str], modes: tuple[str, ...]) -> None:
    """Raise CorruptFileError unless the programs of encoders take pixels and give what is coded.

    `stand_ins` and `modes` are of an adapter set, as in :func:`_check_interfaces`. Reading a pack
    does not check this: decoders have nothing to do with it.
    """
    schedule = pack.schedule
    finer = schedule.hyper_stride // schedule.latent_stride
    pixels = ValueInfo(COLORS, *PIXEL_RANGE, Fraction(1))
    latents = ValueInfo(schedule.latent_channels, *LATENT_RANGE, Fraction(1))
    hyper_latents = len(pack.tables.medians)
    alignment, coarse_alignment = schedule.alignment, schedule.alignment // schedule.latent_stride
    for place, port, value, rows, channels, stride in (
        (ANALYSIS, "pixels", pixels, alignment, latents.channels, schedule.latent_stride),
        (HYPER_ANALYSIS, "latents", latents, coarse_alignment, hyper_latents, finer),
    ):
        if place not in pack.programs:
            raise CorruptFileError(f"program {place} is missing")
        name = stand_ins.get(place, place)
        program, values = pack.programs[name], pack.analysed[name]
        planes = [p.name for p in program.inputs if p.channels is not None]
        numbers = [p.name for p in program.inputs if p.channels is None]
        outputs = [values[output] for output in program.outputs]
        fits = (
            planes == [port]
            and _reads(values[port], value)
            and set(numbers) <= set(modes)
            and all(_is_gain(values[number]) for number in numbers)
            and [(o.channels, o.rate) for o in outputs] == [(channels, Fraction(1, stride))]
            and _fits_latent(outputs[0])
            and all(rows % info.rate.denominator == 0 for info in values.values())
        )
        if not fits:
            raise CorruptFileError(f"program {name} does not take and give what encoding does")


def _check_interfaces(pack: Pack, stand_ins: Mapping[str, str]) -> None:
    """The programs' inputs and outputs are those that the schedule connects.

    `stand_ins` are of an adapter set, by the names of the programs whose places they take.
    """
    schedule = pack.schedule
    programs = {name: pack.programs[stand_ins.get(name, name)] for name in schedule.program_order}

    def require(condition: bool, name: str) -> None:
        if not condition:
            stands_in = stand_ins.get(name, name)
            raise CorruptFileError(f"program {stands_in} does not fit the coding schedule")

    def described(name: str) -> tuple[dict[str, Any], list[Any]]:
        values = pack.analysed[stand_ins.get(name, name)]
        # Planes come in multiples of so many rows, and every value must have whole rows.
        hyper = name == schedule.hyper_synthesis
        stride = schedule.hyper_stride if hyper else schedule.latent_stride
        rows = schedule.alignment // stride
        require(all(rows % info.rate.denominator == 0 for info in values.values()), name)
        inputs = programs[name].inputs
        numbers = [port.name for port in inputs if port.channels is None]
        # Behind the planes, in the order of MODES, and none but in stand-ins.
        require(name in stand_ins or not numbers, name)
        require(numbers == [mode for mode in MODES if mode in numbers], name)
        require([port.name for port in inputs[len(inputs) - len(numbers) :]] == numbers, name)
        require(all(_is_gain(values[number]) for number in numbers), name)
        ports = {port.name: values[port.name] for port in inputs if port.channels is not None}
        return ports, [values[output] for output in programs[name].outputs]

    latent_rate = schedule.hyper_stride // schedule.latent_stride
    ports, outputs = described(schedule.hyper_synthesis)
    shaped = list(ports) == ["hyper_latents"] and len(outputs) == len(schedule.features)
    require(shaped, schedule.hyper_synthesis)
    require(all(output.rate == latent_rate for output in outputs), schedule.hyper_synthesis)
    hyper_latents = ports["hyper_latents"]
    require(hyper_latents.channels == len(pack.tables.medians), schedule.hyper_synthesis)
    require(_fits_latent(hyper_latents), schedule.hyper_synthesis)
    features = dict(zip(schedule.features, outputs, strict=True))

    if isinstance(schedule.steps[0], WavefrontStep):
        (step,) = schedule.steps
        ports, outputs = described(step.parameters)
        read = [name for name in ports if name in features]
        named = list(ports) == [*read, NEIGHBOURS] and len(outputs) == 2
        require(named and len(read) > 0, step.parameters)
        require(all(_reads(ports[name], features[name]) for name in read), step.parameters)
        require(_is_latent(ports[NEIGHBOURS], step.neighbours * step.stop), step.parameters)
        require(_is_pointwise(programs[step.parameters], pack.tensors), step.parameters)
        mean, scale = outputs
        require(mean.channels == scale.channels == step.stop, step.parameters)
        require(_fits_latent(mean), step.parameters)
    slices = [step for step in schedule.steps if isinstance(step, SliceStep)]
    for index, step in enumerate(slices):
        ports, outputs = described(step.parameters)
        read = [name for name in ports if name in features]
        expected = [*read, PREVIOUS] if index else read
        require(read and list(ports) == expected and len(outputs) == 3, step.parameters)
        require(all(_reads(ports[name], features[name]) for name in read), step.parameters)
        if index:
            require(_is_latent(ports[PREVIOUS], step.start), step.parameters)
        mean, scale, context = outputs
        count = step.stop - step.start
        shaped = mean.channels == scale.channels == count and mean.rate == scale.rate == 1
        require(shaped and context.rate == 1, step.parameters)
        require(_fits_latent(mean), step.parameters)
        ports, outputs = described(step.residual)
        require(list(ports) == ["context", "decoded"] and len(outputs) == 1, step.residual)
        require(_reads(ports["context"], context), step.residual)
        require(_is_latent(ports["decoded"], count), step.residual)
        require(outputs[0].channels == count and outputs[0].rate == 1, step.residual)

    ports, outputs = described(schedule.synthesis)
    require(list(ports) == ["latents"] and len(outputs) == 1, schedule.synthesis)
    require(_is_latent(ports["latents"], schedule.latent_channels), schedule.synthesis)
    pixels = outputs[0]
    shaped = pixels.channels == 3 and pixels.rate == schedule.latent_stride
    require(shaped and pixels.low >= 0 and pixels.high <= 255, schedule.synthesis)


def _reads(port: ValueInfo, value: ValueInfo) -> bool:
    return port.channels == value.channels and port.low <= value.low and value.high <= port.high


def _is_gain(port: Any) -> bool:
    return port.number and port.low == 0 and port.high == GAIN_ONE


def _is_pointwise(program: Program, tensors: Mapping[str, np.ndarray]) -> bool:
    """Whether what a program gives for a position depends on that position of its inputs alone."""
    return all(info.rate == 1 for info in analyse(program, tensors).values()) and not any(
        operation.kind == "window_attention"
        or (operation.kind == "conv2d" and tensors[operation.tensors["weight"]].shape[2] > 1)
        for operation in program.operations
    )


def _is_latent(port: Any, channels: int) -> bool:
    return port.channels == channels and (port.low, port.high) == LATENT_RANGE


def _fits_latent(value: Any) -> bool:
    return value.low >= LATENT_RANGE[0] and value.high <= LATENT_RANGE[1]


# Finding -----------------------------------------------------------------------------------


def search_folders() -> tuple[Path, ...]:
    """Where packs are looked for, in order: LICODEC_WEIGHTS, the user's, the embedded ones."""
    named = os.environ.get(SEARCH_VARIABLE, "")
    folders = [Path(part) for part in named.split(os.pathsep) if part]
    with contextlib.suppress(LicodecError):  # a user without a home has no packs there
        folders.append(user_folder())
    return (*folders, embedded_folder())


def user_folder() -> Path:
    """Where `licodec models install` puts packs. Raises LicodecError for a user without a home."""
    base = os.environ.get("XDG_DATA_HOME")
    try:
        folder = Path(base) if base else Path.home() / ".local" / "share"
    except RuntimeError:
        raise LicodecError(
            "this user has no home folder; name one for weights packs in XDG_DATA_HOME"
        ) from None
    return folder / "licodec" / "weights"


def embedded_folder() -> Path:
    """The packs that ship with licodec: installed beside the package, or in its checkout."""
    package = Path(str(resources.files("licodec")))
    installed = package / "weights"
    return installed if installed.is_dir() else package.parent / "weights"


def found_packs() -> Iterator[PackName | CorruptFileError]:
    """Every pack in search order, or what is wrong with one that cannot be read.

    Folders that cannot be looked into are passed over, and files that are no packs.
    """
    for path in _pack_files():
        try:
            yield read_name(path)
        except ForeignFileError:
            continue
        except CorruptFileError as error:
            yield error


def _pack_files() -> Iterator[Path]:
    for folder in search_folders():
        if folder.suffix == SUFFIX:
            paths = [folder]
        else:
            names = _listed(folder)
            paths = [folder / name for name in sorted(names) if name.endswith(SUFFIX)]
        yield from filter(os.path.isfile, paths)


def _listed(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def installed_packs() -> Iterator[PackName]:
    """Every readable pack, in search order."""
    return (found for found in found_packs() if isinstance(found, PackName))


def _passed_over() -> str:
    """What an error for a pack that was not found adds: which ones could not be read."""
    problems = [str(found) for found in found_packs() if not isinstance(found, PackName)]
    for folder in search_folders():
        try:
            os.stat(folder) if folder.suffix == SUFFIX else os.listdir(folder)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            problems.append(f"{folder}: cannot be looked into: {error.strerror}")
    return "".join(f"; {problem}" for problem in problems)


def find_pack(weights_id: bytes, backbone: str, adapter_id: bytes | None = None) -> PackName:
    """The pack with this id, and with this adapter set where one is named.

    Raises WeightsMissingError naming what to install, and the backbone's other packs.
    """
    others, sets = [], []
    for name in installed_packs():
        if name.weights_id == weights_id:
            if name.has_adapters(adapter_id):
                return name
            sets += [own.adapter_id.hex() for own in name.adapters] or ["none"]
        elif name.backbone == backbone:
            others.append(f"{name.plan_name} ({name.weights_id.hex()})")
    if sets:
        raise WeightsMissingError(
            f"the file needs the adapter set {adapter_id.hex()}, which no installed "
            f"{backbone} pack {weights_id.hex()} has (adapter sets there: "
            f"{', '.join(dict.fromkeys(sets))}): install the pack that it was encoded with"
            f"{_passed_over()}"
        )
    installed = f", only {', '.join(dict.fromkeys(others))}" if others else ""
    raise WeightsMissingError(
        f"no installed weights pack has the id {weights_id.hex()} (backbone {backbone})"
        f"{installed}: run 'licodec models install PACK' on the pack's file, or name its folder in "
        f"{SEARCH_VARIABLE}; 'licodec models' lists what is installed{_passed_over()}"
    )


def choose_pack(model: str, plan: str) -> PackName:
    """The pack to encode with: `model` is a backbone's name or a pack's path.

    Raises UsageError where there is none.
    """
    if model.endswith(SUFFIX):
        if is_missing(model):
            raise UsageError(f"{model}: no such weights pack")
        return read_name(Path(model))
    packs = list(installed_packs())
    for name in packs:
        if name.backbone == model and name.plan_name == plan:
            return name
    known = sorted({f"{p.backbone} ({p.plan_name})" for p in packs})
    raise UsageError(
        f"no weights pack for model {model!r} with plan {plan!r}; "
        f"installed: {', '.join(known) or 'none'}{_passed_over()}"
    )
