"""Weights packs that say anything anywhere: read as the pack that they were, or refused.

Who makes a pack can make its id, too; so what is changed is refused for what it says, or for an
id that was not made again.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors
import safetensors.numpy

from licodec.errors import CorruptFileError
from licodec.packs import read_name, read_pack, write_pack
from licodec.packs.storage import METADATA_KEY
from tests.conformance import adverse

Json = Any
Place = tuple[str | int, ...]

LEFT_OUT = object()
ODD_VALUES = (
    *(LEFT_OUT, None, True, -1, 0, 1, 2.0, 2.5, float("nan"), float("inf")),
    *(2**31, 2**63, 2**64, 10**400, "", "x", "\x1b[2J\n", "\ud800"),
    *([], [1], [[1]], [-1], [2.0], [float("nan")], [2**62, 4], [2**64, 0], {}, {"a": 1}),
)
ODD_TENSORS = (
    *(np.zeros(0, kind) for kind in ("i1", "i2", "i4", "f4", "u1")),
    *(np.ones((), kind) for kind in ("i1", "i4", "f4")),
    *(np.ones((3, 3), kind) for kind in ("i8", "u4", "f2", "f8", "?")),
    np.full(5, np.nan, np.float32),
    np.full(5, -(2**31), np.int32),
    np.full(5, 2**31 - 1, np.int32),
    np.ones((1, 1, 1, 1, 1), np.int8),
    np.ones((2**14, 2**5), np.int8),
)


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("packs") / "honest.safetensors"
    write_pack(adverse.pack(), path)
    return path


def parts(path: Path) -> tuple[Json, dict[str, np.ndarray]]:
    """The description of a pack and its stored tensors."""
    with safetensors.safe_open(path, "np") as file:
        description = json.loads(file.metadata()[METADATA_KEY])
    return description, safetensors.numpy.load_file(path)


def places(data: Json, above: Place = ()) -> Iterator[Place]:
    """Every place in JSON that has a value."""
    inside = data.items() if isinstance(data, dict) else enumerate(data)
    for key, value in inside:
        yield (*above, key)
        if isinstance(value, dict | list):
            yield from places(value, (*above, key))


def changed(data: Json, place: Place, value: object) -> Json:
    """The JSON with another value at a place, or without it."""
    whole = copy.deepcopy(data)
    around = whole
    for key in place[:-1]:
        around = around[key]
    if value is LEFT_OUT:
        del around[place[-1]]
    else:
        around[place[-1]] = value
    return whole


def assert_refused_or_the_same(path: Path, text: str, tensors: dict[str, np.ndarray]) -> None:
    safetensors.numpy.save_file(tensors, path, {METADATA_KEY: text})
    for read in (read_name, read_pack):
        try:
            pack = read(path)
        except CorruptFileError as error:
            assert str(path) in str(error)
        else:
            # What does not show in the id: the card, the names, what only encoders take.
            assert read is read_name or pack.weights_id == adverse.pack().weights_id


def test_odd_values_in_the_description(honest: Path, tmp_path: Path) -> None:
    description, tensors = parts(honest)
    own = tmp_path / "odd.safetensors"
    everywhere = list(places(description))
    packed = next(name for name, form in description["weights"].items() if form["width"] < 8)
    for index, place in enumerate(everywhere):
        # Another one at each place; all of them where packed weights say their form.
        whole = place[:2] == ("weights", packed)
        for value in ODD_VALUES if whole else [ODD_VALUES[index % len(ODD_VALUES)]]:
            text = json.dumps(changed(description, place, value))
            assert_refused_or_the_same(own, text, tensors)
    assert len(everywhere) > 500


def test_odd_tensors(honest: Path, tmp_path: Path) -> None:
    description, tensors = parts(honest)
    text, own = json.dumps(description), tmp_path / "odd.safetensors"
    for index, name in enumerate(tensors):
        for odd in ODD_TENSORS[index % 3 :: 3]:
            assert_refused_or_the_same(own, text, {**tensors, name: odd})
        others = {key: tensor for key, tensor in tensors.items() if key != name}
        assert_refused_or_the_same(own, text, others)


@pytest.mark.parametrize(
    "text", ["", "null", "[]", "{}", "[" * 100_000, '{"format": 1' * 10_000, "{", "\ufeff{}", "NaN"]
)
def test_descriptions_that_are_none(honest: Path, tmp_path: Path, text: str) -> None:
    _, tensors = parts(honest)
    assert_refused_or_the_same(tmp_path / "none.safetensors", text, tensors)


def test_a_deep_card(honest: Path, tmp_path: Path) -> None:
    description, tensors = parts(honest)
    text = json.dumps(description | {"card": {"deep": 0}})
    deep = text.replace('"deep": 0', f'"deep": {"[" * 50_000}{"]" * 50_000}')
    assert_refused_or_the_same(tmp_path / "deep.safetensors", deep, tensors)


def test_programs_that_ask_for_any_memory(honest: Path, tmp_path: Path) -> None:
    """Nothing of this needs weights: a few lines ask for 4^12 times the latents."""
    description, tensors = parts(honest)
    synthesis = description["programs"][description["schedule"]["synthesis"]]
    for count, legal in ((2, True), (12, False)):
        bomb, x = [], synthesis["inputs"][0]["name"]
        for i in range(count):
            bomb += [
                {"kind": "concat", "inputs": [x] * 4, "output": f"more {i}"},
                {
                    "kind": "pixel_shuffle",
                    "inputs": [f"more {i}"],
                    "output": f"wide {i}",
                    "factor": 2,
                },
            ]
            x = f"wide {i}"
        text = json.dumps(
            changed(
                description,
                ("programs", description["schedule"]["synthesis"], "operations"),
                [*bomb, *synthesis["operations"]],
            )
        )
        own = tmp_path / "bomb.safetensors"
        safetensors.numpy.save_file(tensors, own, {METADATA_KEY: text})
        # What is legal in itself is another pack's, as the id tells.
        with pytest.raises(CorruptFileError, match="id" if legal else "numbers a position"):
            read_pack(own)
