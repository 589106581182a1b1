"""Programs: the exact form of a network, as data (format/SPEC.md, "Programs").

A program is a short list of operations in static single assignment form. All values
are integer planes of shape (channels, rows, columns); the tensors the operations name
live beside the programs in the pack.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np

from licodec.errors import CorruptFileError
from licodec.exact.operations import KINDS
from licodec.exact.operations.kind import OperationKind
from licodec.exact.values import ValueInfo

Tensors = Mapping[str, np.ndarray]
"""The stored tensors of a pack by name: weights int8 or int16, biases int32, multipliers and
gains float32, tables int32."""


@dataclass(frozen=True)
class Port:
    """A named input of a program: planes of integers in [low, high].

    One without channels (None) is a number: a single integer for all positions.
    """

    name: str
    channels: int | None
    low: int
    high: int

    @property
    def info(self) -> ValueInfo:
        """What is known of its value."""
        number = self.channels is None
        channels = 1 if self.channels is None else self.channels
        return ValueInfo(channels, self.low, self.high, Fraction(1), number=number)


@dataclass(frozen=True)
class Operation:
    """One operation; `tensors` maps a role ("weight") to the name of a stored tensor."""

    kind: str
    inputs: tuple[str, ...]
    output: str
    tensors: Mapping[str, str] = field(default_factory=dict)
    attributes: Mapping[str, int] = field(default_factory=dict)

    @property
    def form(self) -> OperationKind:
        """What the format says of its kind."""
        return KINDS[self.kind]

    @property
    def weight(self) -> str | None:
        """The name of its weights, whose width a precision plan states, if it has any."""
        return self.tensors.get("weight")

    def roles(self, tensors: Tensors) -> dict[str, np.ndarray]:
        """Its tensors among those of a pack, by role."""
        return {role: tensors[name] for role, name in self.tensors.items()}


@dataclass(frozen=True)
class Program:
    """Inputs, operations in order of execution, and the names of the values given out."""

    name: str
    inputs: tuple[Port, ...]
    operations: tuple[Operation, ...]
    outputs: tuple[str, ...]

    @property
    def tensors(self) -> Mapping[str, None]:
        """The names of the tensors that its operations take, once each, in their order."""
        return {t: None for operation in self.operations for t in operation.tensors.values()}


def program_to_json(program: Program) -> dict[str, Any]:
    """The JSON form that packs store; attributes at their default are left out."""
    operations = []
    for operation in program.operations:
        defaults = operation.form.attributes
        entry: dict[str, Any] = {
            "kind": operation.kind,
            "inputs": list(operation.inputs),
            "output": operation.output,
            **operation.tensors,
        }
        entry |= {k: v for k, v in operation.attributes.items() if v != defaults[k]}
        operations.append(entry)
    return {
        "inputs": [_port_to_json(port) for port in program.inputs],
        "operations": operations,
        "outputs": list(program.outputs),
    }


def program_from_json(name: str, data: Any) -> Program:
    """Parse and check the form of one program (names, kinds, attribute types).

    Raises CorruptFileError. What the numbers mean is checked by ``bounds.analyse``.
    """
    try:
        _require_known(data, {"inputs", "operations", "outputs"}, "program")
        ports = tuple(_port_from_json(entry) for entry in data["inputs"])
        operations = tuple(_operation_from_json(entry) for entry in data["operations"])
        outputs = tuple(_text(output) for output in data["outputs"])
    except (KeyError, TypeError, ValueError) as error:
        raise CorruptFileError(f"program {name}: malformed ({error})") from None
    return Program(name, ports, operations, outputs)


def _port_to_json(port: Port) -> dict[str, Any]:
    channels = {} if port.channels is None else {"channels": port.channels}
    return {"name": port.name, **channels, "low": port.low, "high": port.high}


def _port_from_json(entry: Any) -> Port:
    _require_known(entry, {"name", "channels", "low", "high"}, "input")
    channels = _integer(entry["channels"]) if "channels" in entry else None
    return Port(_text(entry["name"]), channels, _integer(entry["low"]), _integer(entry["high"]))


def _operation_from_json(entry: Any) -> Operation:
    kind = _text(entry["kind"])
    if kind not in KINDS:
        raise ValueError(f"unknown operation {kind!r}; a newer licodec may know it")
    form = KINDS[kind]
    known = {"kind", "inputs", "output", *form.tensors, *form.optional_tensors, *form.attributes}
    _require_known(entry, known, kind)
    inputs = tuple(_text(i) for i in entry["inputs"])
    if not inputs or (form.inputs is not None and len(inputs) != form.inputs):
        raise ValueError(f"{kind}: {len(inputs)} operands")
    tensors = {role: _text(entry[role]) for role in form.tensors}
    tensors |= {role: _text(entry[role]) for role in form.optional_tensors if role in entry}
    attributes = {
        key: _integer(entry[key] if default is None else entry.get(key, default))
        for key, default in form.attributes.items()
    }
    return Operation(kind, inputs, _text(entry["output"]), tensors, attributes)


def _require_known(entry: Any, known: set[str], what: str) -> None:
    """A field of a later version may change what the others mean, so it is not passed over."""
    if unknown := sorted(set(entry) - known):
        raise ValueError(f"{what}: unknown field {unknown[0]!r}; a newer licodec may know it")


def is_name(value: Any) -> bool:
    """Names are printable ASCII, so that their canonical JSON has one form."""
    return isinstance(value, str) and value != "" and value.isascii() and value.isprintable()


def _text(value: Any) -> str:
    if not is_name(value):
        raise ValueError(f"expected a name, found {value!r}")
    return value


def _integer(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"expected an integer, found {value!r}")
    return value
