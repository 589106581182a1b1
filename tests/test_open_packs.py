"""Packs that are read as far as they are needed, and checked as far as they are read."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors
import safetensors.numpy

from licodec.errors import CorruptFileError
from licodec.lazily import Lazily
from licodec.packs import open_pack, read_pack, require_adapters, require_encoder, write_pack
from licodec.packs.storage import METADATA_KEY
from tests import tiny

Change = Callable[[dict[str, Any], dict[str, np.ndarray]], None]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_pack(tiny.adapted_pack(), tmp_path / "tiny.safetensors")
    return tmp_path / "tiny.safetensors"


def changed(path: Path, change: Change) -> None:
    """Change the description and the tensors of a pack, and leave its checksum as it was."""
    with safetensors.safe_open(path, "np") as file:
        texts = file.metadata()
    described, stored = json.loads(texts[METADATA_KEY]), safetensors.numpy.load_file(path)
    change(described, stored)
    texts[METADATA_KEY] = json.dumps(described)
    safetensors.numpy.save_file(stored, path, metadata=texts)


def test_a_value_is_made_once_and_when_it_is_asked_for() -> None:
    made: list[str] = []

    def make(name: str) -> str:
        made.append(name)
        return name.upper()

    lazy = Lazily(("a", "b"), make)
    assert ("a" in lazy, "c" in lazy, list(lazy), len(lazy)) == (True, False, ["a", "b"], 2)
    assert made == []
    assert [lazy["b"], lazy["b"], lazy.get("c")] == ["B", "B", None]
    assert made == ["b"]


def test_it_is_the_pack_that_is_read_whole(path: Path) -> None:
    opened, read = open_pack(path), read_pack(path)
    assert {**opened.programs} == {**read.programs}
    assert (opened.schedule, opened.widths) == (read.schedule, read.widths)
    assert opened.adapters == read.adapters
    assert opened.weights_id == read.weights_id
    assert {**opened.adapter_ids} == {**read.adapter_ids}
    for name, tensor in read.tensors.items():
        assert np.array_equal(opened.tensors[name], tensor), name
        assert opened.tensors[name].dtype == tensor.dtype, name


def _stand_in(described: dict[str, Any]) -> str:
    return described["adapters"][0]["programs"]["synthesis"]


def flip_decoder(described: dict[str, Any], stored: dict[str, np.ndarray]) -> None:
    name = described["programs"]["synthesis"]["operations"][0]["bias"]
    stored[name] = stored[name] ^ 1


def lose_program(described: dict[str, Any], stored: dict[str, np.ndarray]) -> None:
    del described["programs"]["synthesis"]


def lose_tensor(described: dict[str, Any], stored: dict[str, np.ndarray]) -> None:
    del stored[described["programs"]["synthesis"]["operations"][0]["bias"]]


def flip_adapter(described: dict[str, Any], stored: dict[str, np.ndarray]) -> None:
    operations = described["programs"][_stand_in(described)]["operations"]
    shared = {o.get("bias") for o in described["programs"]["synthesis"]["operations"]}
    name = next(o["bias"] for o in operations if "bias" in o and o["bias"] not in shared)
    stored[name] = stored[name] ^ 1


def break_adapter(described: dict[str, Any], stored: dict[str, np.ndarray]) -> None:
    described["programs"][_stand_in(described)]["operations"][0]["inputs"] = ["nothing"]


def flip_encoder(described: dict[str, Any], stored: dict[str, np.ndarray]) -> None:
    operations = described["programs"]["analysis"]["operations"]
    name = next(o["bias"] for o in operations if "bias" in o)
    stored[name] = stored[name] ^ 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (flip_decoder, "does not match its id"),
        (lose_program, "program synthesis is missing"),
        (lose_tensor, "is missing"),
    ],
)
def test_damage_in_what_decodes_is_found_at_once(path: Path, change: Change, message: str) -> None:
    changed(path, change)
    with pytest.raises(CorruptFileError, match=f"tiny.safetensors: .*{message}"):
        open_pack(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [(flip_adapter, "does not match its id"), (break_adapter, "read before it is computed")],
)
def test_damage_in_adapters_is_found_where_they_are_asked_for(
    path: Path, change: Change, message: str
) -> None:
    changed(path, change)
    pack = open_pack(path)
    with pytest.raises(CorruptFileError, match=rf"the pack lite \(standard\): .*{message}"):
        require_adapters(pack, pack.adapters[0])
    with pytest.raises(CorruptFileError, match=message):
        read_pack(path)


def test_damage_in_an_encoder_is_found_where_it_is_asked_for(path: Path) -> None:
    changed(path, flip_encoder)
    with pytest.raises(CorruptFileError, match="does not match its checksum"):
        require_encoder(open_pack(path))
