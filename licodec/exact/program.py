"""Programs: the exact form of a network, as data (format/SPEC.md, "Programs").

A program is a short list of operations in static single assignment form. All values
are integer planes of shape (channels, rows, columns); the tensors the operations name
live beside the programs in the pack.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np

from licodec.errors import CorruptFileError

Tensors = Mapping[str, np.ndarray]
"""The stored tensors of a pack by name: weights int8 or int16, biases int32, multipliers and
gains float32, tables int32."""


@dataclass(frozen=True)
class OperationKind:
    """What the format says of one kind of operation: its operands, tensors and attributes.

    `inputs` is the number of operands, None for one or more. `attributes` maps each
    integer attribute to its default; None means that it must be written.
    """

    inputs: int | None
    tensors: tuple[str, ...] = ()
    optional_tensors: tuple[str, ...] = ()
    attributes: Mapping[str, int | None] = field(default_factory=dict)


KINDS: Mapping[str, OperationKind] = MappingProxyType(
    {
        "conv2d": OperationKind(
            1, ("weight", "bias"), attributes={"stride": 1, "padding": 0, "groups": 1}
        ),
        "requantize": OperationKind(
            1, ("multiplier",), ("negative_multiplier",), {"low": None, "high": None}
        ),
        "add": OperationKind(2, attributes={"low": None, "high": None}),
        "mul": OperationKind(2),
        "scale": OperationKind(2),
        "clamp": OperationKind(1, attributes={"low": None, "high": None}),
        "table": OperationKind(1, ("table",), attributes={"low": None}),
        "igdn": OperationKind(1, ("weight", "bias"), attributes={"bias_bits": 0, "root_bits": 0}),
        "gdn": OperationKind(
            1,
            ("weight", "bias"),
            attributes={
                "bias_bits": 0,
                "root_bits": 0,
                "fraction_bits": 0,
                "low": None,
                "high": None,
            },
        ),
        "layernorm": OperationKind(
            1,
            ("gain", "bias"),
            attributes={
                "epsilon": 0,
                "root_bits": 0,
                "fraction_bits": 0,
                "low": None,
                "high": None,
            },
        ),
        "window_attention": OperationKind(
            1,
            ("multiplier", "bias", "table"),
            attributes={"heads": None, "window": None, "shift": 0},
        ),
        "concat": OperationKind(None),
        "split": OperationKind(1, attributes={"start": None, "stop": None}),
        "pixel_shuffle": OperationKind(1, attributes={"factor": None}),
        "pixel_unshuffle": OperationKind(1, attributes={"factor": None}),
        "phase": OperationKind(1, attributes={"factor": None, "row": 0, "column": 0}),
    }
)
WEIGHTED_KINDS = frozenset({"conv2d", "gdn", "igdn"})


@dataclass(frozen=True)
class Port:
    """A named input of a program: planes of integers in [low, high].

    One without channels (None) is a number: a single integer for all positions.
    """

    name: str
    channels: int | None
    low: int
    high: int


@dataclass(frozen=True)
class Operation:
    """One operation; `tensors` maps a role ("weight") to the name of a stored tensor."""

    kind: str
    inputs: tuple[str, ...]
    output: str
    tensors: Mapping[str, str] = field(default_factory=dict)
    attributes: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Program:
    """Inputs, operations in order of execution, and the names of the values given out."""

    name: str
    inputs: tuple[Port, ...]
    operations: tuple[Operation, ...]
    outputs: tuple[str, ...]


def program_to_json(program: Program) -> dict[str, Any]:
    """The JSON form that packs store; attributes at their default are left out."""
    operations = []
    for operation in program.operations:
        defaults = KINDS[operation.kind].attributes
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
