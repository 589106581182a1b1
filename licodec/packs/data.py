"""What a weights pack is: programs, coding schedule, tensors, adapter sets, and the ids they give.

Normative counterpart: format/SPEC.md, "Weights packs".
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from licodec.entropy.adaptive import share_between
from licodec.entropy.tables import EntropyTables, tables_from_tensors
from licodec.exact.bounds import CheckedProgram, check
from licodec.exact.program import Program, program_to_json
from licodec.exact.schedule import Schedule, schedule_to_json
from licodec.lazily import Lazily
from licodec.rate.conditions import HYPER_STEPS, PREFIX, STEPS, Place, extreme, place_at, resolved
from licodec.rate.gains import BETA, MODES, Gains
from licodec.rate.scale import AdapterRates, RateScale

PROFILE = "int-1"
# Keys of an adapter set that it may lack, in the order of beta: 0 and 1.
STEP_SHARES = ("step_shares", "beta_step_shares")
ANALYSIS, HYPER_ANALYSIS = ENCODER_PROGRAMS = "analysis", "hyper_analysis"


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
    conditions  tensors towards which beta leads the pack's conditions, by the conditions' names
    stated_id   that a pack's file states; None where the set comes from no file
    """

    objective: str
    programs: Mapping[str, str]
    d: int
    step_shares: tuple[int, ...] = ()
    beta_step_shares: tuple[int, ...] = ()
    conditions: Mapping[str, str] = field(default_factory=dict)
    stated_id: bytes | None = field(default=None, compare=False)

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

    Mappings may read what they hold when it is first asked for, see `storage.open_pack`.

    programs  by name: the decoder's (named by the schedule), then "analysis" and
              "hyper_analysis", which only the encoder runs
    tensors   by name, unpacked: weights int8/int16, multipliers float32, the rest int32
    widths    bits of each weight tensor, by tensor name
    distortion_weight  how the encoder chooses symbols, see licodec.entropy.quantization;
              None: the nearest
    require_whole  raises CorruptFileError where the pack's file is not as it was written: no id
              covers what only encoders run
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
    require_whole: Callable[[], None] = field(default=lambda: None, compare=False, repr=False)

    @property
    def title(self) -> str:
        return f"{self.backbone} ({self.plan_name})"

    def gain_modes(self, adapters: PackAdapters) -> tuple[str, ...]:
        """What an adapter set scales by, in a decoder's programs, "alpha", "beta" or both; beta
        where it has conditions, too."""
        decoders = set(self.schedule.program_order)
        found = {
            port.name
            for plain, name in adapters.programs.items()
            if plain in decoders
            for port in self.programs[name].inputs
            if port.channels is None
        } | ({BETA} if adapters.conditions else set())
        return tuple(mode for mode in MODES if mode in found)

    @property
    def rate_scale(self) -> RateScale:
        """What its rate can be."""
        objective = self.card.get("objective")
        return RateScale(self.title, self.schedule, self.adapter_rates, objective)

    @property
    def rate_modes(self) -> tuple[str, ...]:
        """The modes that the pack has, of "d", "alpha" and "beta"."""
        return self.rate_scale.modes

    def adapters_with_id(self, adapter_id: bytes) -> PackAdapters | None:
        """The adapter set that files call by this id."""
        named = (own for own in self.adapters if own.stated_id in (None, adapter_id))
        return next((o for o in named if self.adapter_ids[o.objective] == adapter_id), None)

    @cached_property
    def adapter_rates(self) -> tuple[AdapterRates, ...]:
        """The adapter sets as the rate mode sees them."""
        return tuple(AdapterRates(o.objective, self.gain_modes(o), o.d) for o in self.adapters)

    def adapters_named(self, objective: str) -> PackAdapters:
        """The adapter set for an objective that it has."""
        return next(own for own in self.adapters if own.objective == objective)

    @cached_property
    def checked(self) -> Mapping[str, CheckedProgram]:
        """The programs, each condition at its largest: what is proved of them holds always. Each is
        proved when it is first asked for. Raises CorruptFileError where one is not proved."""
        others: dict[str, tuple[str, ...]] = {}
        for adapters in self.adapters:
            for name, other in adapters.conditions.items():
                others[name] = (*others.get(name, ()), other)

        def checked(name: str) -> CheckedProgram:
            program = self.programs[name]
            return check(program, extreme(program, self.tensors, others))

        return Lazily(self.programs, checked)

    def programs_at(
        self, names: Iterable[str], place: Place | None
    ) -> Mapping[str, CheckedProgram]:
        """Programs to run, with the conditions at `place`, which is None where there are none."""
        checked = {name: self.checked[name] for name in names}
        if place is None:
            return checked
        tensors = resolved({name: self.programs[name] for name in checked}, self.tensors, place)
        return {name: program.with_tensors(tensors) for name, program in checked.items()}

    def place(self, d: int, gains: Gains, adapters: PackAdapters | None) -> Place | None:
        """Where conditions are taken at `d`, None where the pack has none."""
        if not self.schedule.knots:
            return None
        conditions = {} if adapters is None else adapters.conditions
        return place_at(self.schedule.knots, d, gains.beta, conditions)

    @cached_property
    def tables(self) -> EntropyTables:
        return tables_from_tensors(self.tensors, 1 + len(self.schedule.hyper_bands))

    @cached_property
    def plan(self) -> tuple[int, ...]:
        """Widths of the decoder's weighted operations, in program order."""
        return tuple(width for _, width in self.plan_by_layer)

    @cached_property
    def plan_by_layer(self) -> tuple[tuple[str, int], ...]:
        names = dict.fromkeys(self.schedule.program_order)
        rows = (row for name in names for row in self.widths_of(name))
        return tuple((tensor.removesuffix(".weight"), width) for tensor, width in rows)

    def widths_of(self, name: str) -> Iterator[tuple[str, int]]:
        """Weight tensors of one program and their widths, in its order."""
        for operation in self.programs[name].operations:
            if operation.weight is not None:
                yield operation.weight, self.widths[operation.weight]

    @cached_property
    def weights_id(self) -> bytes:
        """Eight bytes of SHA-256 over what decoding without adapters uses."""
        names = set(self.schedule.program_order)
        programs = {n: program_to_json(self.programs[n]) for n in names if n in self.programs}
        used = {tensor for name in names for tensor in self._tensors_of(name)}
        used |= {name for name in self.tensors if name.startswith("tables.")}
        used |= {PREFIX + name for name in (STEPS, HYPER_STEPS) if PREFIX + name in self.tensors}
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
        sets = {adapters.objective: adapters for adapters in self.adapters}
        return Lazily(sets, lambda objective: self._adapter_id(sets[objective]))

    def _adapter_id(self, adapters: PackAdapters) -> bytes:
        """Eight bytes of SHA-256 over the weights id and what decoding with an adapter set uses
        instead of the schedule's programs."""
        order = dict.fromkeys(self.schedule.program_order)
        own = {plain: adapters.programs[plain] for plain in order if plain in adapters.programs}
        head = {
            "plan": [width for name in own.values() for _, width in self.widths_of(name)],
            "programs": {p: program_to_json(self.programs[name]) for p, name in own.items()},
            "weights_id": self.weights_id.hex(),
            **adapters.stated_steps,
        }
        tensors = {t for name in own.values() for t in self._tensors_of(name)}
        if adapters.conditions:
            decoding = (adapters.programs.get(plain, plain) for plain in order)
            counted = {STEPS, HYPER_STEPS, *(t for n in decoding for t in self.programs[n].tensors)}
            stated = {n: t for n, t in adapters.conditions.items() if n in counted}
            head["conditions"] = stated
            tensors |= set(stated.values())
        return self._digest(head, tensors)

    def _tensors_of(self, name: str) -> set[str]:
        """The tensors that a program's operations name, as far as the pack holds them, and their
        conditions."""
        named = self.programs[name].tensors
        return self.tensors.keys() & {*named, *(PREFIX + tensor for tensor in named)}

    def _digest(self, head: Mapping[str, Any], tensors: Iterable[str]) -> bytes:
        canonical = json.dumps(head, sort_keys=True, separators=(",", ":"))
        digest = hashlib.sha256(canonical.encode("ascii"))
        for name in sorted(tensors):
            tensor = self.tensors[name]
            shape = ",".join(str(n) for n in tensor.shape)
            digest.update(f"\n{name} {tensor.dtype.name} {shape}\n".encode())
            stored = np.ascontiguousarray(tensor, tensor.dtype.newbyteorder("<"))
            digest.update(stored.data)
        return digest.digest()[:8]
