"""Programs as data: the JSON form and what it refuses."""

from __future__ import annotations

import copy
import inspect
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from licodec.errors import CorruptFileError
from licodec.exact.operations import KINDS
from licodec.exact.program import program_from_json, program_to_json
from tests.exact.programs import RandomBuilder, synthesis


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_round_trip(seed):
    program, _ = RandomBuilder(seed).random_program()
    data = json.loads(json.dumps(program_to_json(program)))
    assert program_from_json("random", data) == program


def test_defaults_are_left_out():
    program, _ = synthesis(8, (8, 8, 8), (1, 1, 1))
    convolutions = [op for op in program_to_json(program)["operations"] if op["kind"] == "conv2d"]
    assert all({"stride", "groups"}.isdisjoint(op) for op in convolutions)
    assert any(op.get("padding") == 1 for op in convolutions)


MALFORMED = {
    "no operations": lambda d: d.pop("operations"),
    "no outputs": lambda d: d.pop("outputs"),
    "operations that are no list": lambda d: d.update(operations=3),
    "an operation that is no object": lambda d: d["operations"].append("conv2d"),
    "an unknown field of the program": lambda d: d.update(comment="x"),
    "an unknown field of an input": lambda d: d["inputs"][0].update(step=1),
    "an unknown kind": lambda d: d["operations"][0].update(kind="attention"),
    "an unknown field": lambda d: d["operations"][0].update(dilation=2),
    "no kind": lambda d: d["operations"][0].pop("kind"),
    "a missing tensor": lambda d: d["operations"][0].pop("weight"),
    "a tensor that is no name": lambda d: d["operations"][0].update(weight=[1, 2]),
    "an empty name": lambda d: d["operations"][0].update(output=""),
    "no operands": lambda d: d["operations"][0].update(inputs=[]),
    "too many operands": lambda d: d["operations"][0].update(inputs=["latents", "latents"]),
    "a missing attribute": lambda d: d["operations"][1].pop("low"),
    "an attribute that is no integer": lambda d: d["operations"][1].update(low=0.5),
    "a truth value for an integer": lambda d: d["operations"][0].update(stride=True),
    "a text for an integer": lambda d: d["inputs"][0].update(channels="8"),
    "an output that is no name": lambda d: d.update(outputs=[1]),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed(name):
    program, _ = synthesis(8, (8, 8, 8), (1, 1, 1))
    data = copy.deepcopy(program_to_json(program))
    MALFORMED[name](data)
    with pytest.raises(CorruptFileError, match="program synthesis: malformed"):
        program_from_json("synthesis", data)


def test_what_is_not_an_object_is_refused():
    for data in (None, [], "program", 3):
        with pytest.raises(CorruptFileError, match="malformed"):
            program_from_json("p", data)


def test_attributes_and_tensors_have_different_names():
    """They share one JSON object."""
    for kind in KINDS.values():
        names = [*kind.tensors, *kind.optional_tensors, *kind.attributes]
        assert len(set(names)) == len(names)
        assert {"kind", "inputs", "output"}.isdisjoint(names)


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.name)
def test_the_functions_of_a_kind_take_what_its_form_names(kind):
    operands = ["x"] * (kind.inputs or 3)
    required = dict.fromkeys((*kind.tensors, *kind.attributes))
    for constants in (required, required | dict.fromkeys(kind.optional_tensors)):
        for function in (kind.infer, kind.kernel):
            inspect.signature(function).bind(*operands, **constants)
        inspect.signature(kind.trial.facts).bind("limits", *operands, **constants)
    inspect.signature(kind.reach).bind(1, **dict.fromkeys(kind.attributes))
    assert {kind.cell, kind.trial.multiple_of} <= {None, *kind.attributes}
