"""What cases are made of: programs, and what a program makes of its inputs."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from oracle.arrays import Array, Json, arrays_to_json
from oracle.operations import run


def port(name: str, channels: int, low: int, high: int) -> Json:
    return {"name": name, "channels": channels, "low": low, "high": high}


def number(name: str, low: int, high: int) -> Json:
    """An input that is one integer, given as an array of no dimensions."""
    return {"name": name, "low": low, "high": high}


def operation(kind: str, inputs: str, output: str, **fields: int | str) -> Json:
    """`inputs` are separated by spaces."""
    return {"kind": kind, "inputs": inputs.split(), "output": output, **fields}


def program(ports: list[Json], operations: list[Json], *outputs: str) -> Json:
    return {"inputs": ports, "operations": operations, "outputs": list(outputs)}


def case(
    name: str, shows: str, code: Json, tensors: dict[str, Array], inputs: dict[str, Array]
) -> Json:
    """One program with its inputs and what it makes of them."""
    for stated in code["inputs"]:
        x = inputs[stated["name"]]
        assert x.shape[0] == stated["channels"] if "channels" in stated else x.shape == ()
        assert min(x.values) >= stated["low"] and max(x.values) <= stated["high"]
    return {
        "name": name,
        "shows": shows,
        "program": code,
        "tensors": arrays_to_json(tensors, stored=True),
        "inputs": arrays_to_json(inputs, stored=False),
        "outputs": arrays_to_json(run(code, tensors, inputs), stored=False),
    }


def by_knot(*rows: Sequence[int]) -> Array:
    """Conditions: a row for each knot."""
    return Array((len(rows), len(rows[0])), tuple(itertools.chain(*rows)))
