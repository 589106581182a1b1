"""A weights pack's canonical JSON and its ids."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from oracle.arrays import Array, Json, array_from_json, arrays_to_json


def canonical_json(data: Any) -> str:
    if isinstance(data, dict):
        return "{" + ",".join(f'"{k}":{canonical_json(data[k])}' for k in sorted(data)) + "}"
    if isinstance(data, list):
        return "[" + ",".join(canonical_json(entry) for entry in data) + "]"
    if isinstance(data, str):
        return '"' + data.replace("\\", "\\\\").replace('"', '\\"') + '"'
    assert type(data) is int
    return str(data)


def stored_bytes(x: Array) -> bytes:
    if x.type == "float32":
        bits = (float(v).hex() for v in x.values)
        return b"".join(binary32_bits(float.fromhex(b)).to_bytes(4, "little") for b in bits)
    size = {"int8": 1, "int16": 2, "int32": 4}[x.type]
    return b"".join(int(v).to_bytes(size, "little", signed=True) for v in x.values)


def binary32_bits(value: float) -> int:
    """The 32 bits of a positive normal binary32 number."""
    mantissa, exponent = math.frexp(value)  # mantissa in [1/2, 1)
    assert 0.5 <= mantissa < 1 and -125 <= exponent <= 128
    return ((exponent + 126) << 23) + int(mantissa * 2**24) - 2**23


def identifier(text: str, names: Iterable[str], tensors: dict[str, Array]) -> str:
    """The first bytes of the SHA-256 over canonical JSON and tensors."""
    data = text.encode("ascii")
    for name in sorted(names):
        x = tensors[name]
        shape = ",".join(str(size) for size in x.shape)
        data += f"\n{name} {x.type} {shape}\n".encode() + stored_bytes(x)
    return hashlib.sha256(data).digest()[:8].hex()


DEFAULTS = {
    "stride": 1, "padding": 0, "groups": 1, "shift": 0, "epsilon": 0, "bias_bits": 0,
    "root_bits": 0, "fraction_bits": 0, "row": 0, "column": 0,
}  # fmt: skip


@dataclass(frozen=True)
class SmallPack:
    """A pack as its description and its tensors say; adapter sets have no ids yet."""

    schedule: Json
    programs: dict[str, Json]
    widths: dict[str, int]
    tensors: dict[str, Array]
    adapters: list[Json]
    backbone: str = "tiny"

    @classmethod
    def from_json(cls, data: Json) -> SmallPack:
        tensors = {name: array_from_json(x) for name, x in data["tensors"].items()}
        sets = [{k: v for k, v in own.items() if k != "id"} for own in data["adapters"]]
        return cls(data["schedule"], data["programs"], data["widths"], tensors, sets,
                   data["backbone"])  # fmt: skip

    @property
    def places(self) -> list[str]:
        """The decoder's programs in the order in which they first run."""
        parts = [*self.schedule["steps"], self.schedule]
        middle = [part[key] for part in parts for key in ("parameters", "residual") if key in part]
        names = [self.schedule["hyper_synthesis"], *middle, self.schedule["synthesis"]]
        return list(dict.fromkeys(names))

    def named(self, names: Iterable[str]) -> list[str]:
        """The tensors that operations of programs name."""
        operations = (one for name in names for one in self.programs[name]["operations"])
        return [
            value
            for one in operations
            for key, value in one.items()
            if isinstance(value, str) and key not in ("kind", "output")
        ]

    def plan(self, names: Iterable[str]) -> list[int]:
        weights = (
            one["weight"] for name in names for one in self.programs[name]["operations"]
            if "weight" in one
        )  # fmt: skip
        return [self.widths[weight] for weight in weights]

    def stored(self, names: Iterable[str]) -> set[str]:
        """These tensors, where the pack holds them, and their conditions."""
        own = set(names)
        return (own | {f"conditions.{name}" for name in own}) & set(self.tensors)

    def head(self) -> str:
        schedule = dict(self.schedule)
        default = {"features": ["features"], "hyper_bands": [],
                   "d_fraction_bits": schedule["latent_fraction_bits"]}  # fmt: skip
        return canonical_json(
            {
                "backbone": self.backbone,
                "plan": self.plan(self.places),
                "profile": "int-1",
                "programs": {name: bare(self.programs[name]) for name in self.places},
                "schedule": {k: v for k, v in schedule.items() if default.get(k) != v},
            }
        )

    @cached_property
    def weights_id(self) -> str:
        names = self.stored(self.named(self.places))
        names |= {"conditions.steps", "conditions.hyper_steps"} & set(self.tensors)
        names |= {name for name in self.tensors if name.startswith("tables.")}
        return identifier(self.head(), names, self.tensors)

    def stand_ins(self, own: Json) -> dict[str, str]:
        return {place: own["programs"][place] for place in self.places if place in own["programs"]}

    def set_conditions(self, own: Json) -> dict[str, str]:
        """Those of an adapter set that decoders use."""
        running = [own["programs"].get(place, place) for place in self.places]
        used = {*self.named(running), "steps", "hyper_steps"}
        return {n: other for n, other in own.get("conditions", {}).items() if n in used}

    def set_head(self, own: Json) -> str:
        stand_ins = self.stand_ins(own)
        fields = {
            "plan": self.plan(stand_ins.values()),
            "programs": {place: bare(self.programs[n]) for place, n in stand_ins.items()},
            "weights_id": self.weights_id,
        }
        fields |= {k: own[k] for k in ("step_shares", "beta_step_shares") if k in own}
        if "conditions" in own:
            fields["conditions"] = self.set_conditions(own)
        return canonical_json(fields)

    def set_id(self, own: Json) -> str:
        names = self.stored(self.named(self.stand_ins(own).values()))
        names |= {n for n in self.set_conditions(own).values() if n in self.tensors}
        return identifier(self.set_head(own), names, self.tensors)

    def to_json(self) -> Json:
        return {
            "backbone": self.backbone,
            "schedule": self.schedule,
            "programs": self.programs,
            "widths": self.widths,
            "tensors": arrays_to_json(self.tensors, stored=True),
            "adapters": self.adapters,
        }


def bare(code: Json) -> Json:
    """A program without the attributes that have their defaults."""
    operations = [
        {k: v for k, v in one.items() if k not in DEFAULTS or v != DEFAULTS[k]}
        for one in code["operations"]
    ]
    return code | {"operations": operations}
