"""scripts/fuzz.py files: what it does to files, and that it sees what is wrong."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from random import Random
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from licodec.codec import REFERENCE
from licodec.container.chunks import read_chunks
from licodec.errors import CorruptFileError, LicodecError, UsageError
from licodec.images import Picture
from licodec.images.views import WHOLE
from licodec.library import Library
from licodec.packs import read_name
from tests.scripts.conftest import script


@pytest.fixture(scope="module")
def fuzz() -> ModuleType:
    return script("fuzzing.files")


@pytest.fixture(scope="module")
def library(pack_path: Path) -> Library:
    library = Library(REFERENCE)
    library.open(read_name(pack_path))
    return library


@pytest.fixture(scope="module")
def honest(fuzz: ModuleType, library: Library, pack_path: Path) -> list[Any]:
    return fuzz.subjects(library.open(read_name(pack_path)).fastest)


def test_honest_files_are_right(fuzz: ModuleType, library: Library, honest: list[Any]) -> None:
    assert {"RGB", "grey", "alpha plane", "metadata", "several streams"} <= {s.name for s in honest}
    for subject in honest:
        unchanged = script("fuzzing.changes").Change("none", subject.data)
        assert fuzz.try_change(subject, unchanged, library).name == "right pixels", subject.name


def test_every_second_change_has_right_checksums(fuzz: ModuleType, honest: list[Any]) -> None:
    kinds, whole = Counter(), {True: 0, False: 0}
    for index in range(40 * len(honest)):
        _, repaired, change = fuzz.change_number(index, 1, honest)
        assert change == fuzz.change_number(index, 1, honest)[2]
        kinds.update(part.split()[0] for part in change.kind.split(", "))
        whole[repaired] += all_intact(change.data)
    assert {"flip_bit", "set_byte", "insert", "delete", "cut", "repeat", "number"} <= kinds.keys()
    assert {"double_chunk", "swap_chunks", "other_length", "other"} <= kinds.keys()
    assert whole[True] > 10 * len(honest) > 2 * whole[False]


def all_intact(data: bytes) -> bool:
    try:
        return all(chunk.intact for chunk in read_chunks(data))
    except LicodecError:
        return False


def test_an_interrupted_run_goes_on(
    fuzz: ModuleType, library: Library, honest: list[Any], tmp_path: Path
) -> None:
    whole = fuzz.State("digest", 3)
    assert not list(fuzz.try_changes(whole, honest, library, 60))
    path = tmp_path / "state.json"
    for end in (25, 60):
        state = fuzz.State.begin(path, "digest", 3)
        assert not list(fuzz.try_changes(state, honest, library, end))
        state.save(path)
    assert vars(state) == vars(whole)
    assert sum(sum(counts.values()) for counts in state.outcomes.values()) == 60
    with pytest.raises(SystemExit, match="another seed"):
        fuzz.State.begin(path, "digest", 4)


class Faulty:
    """A library that does anything but decode."""

    def __init__(self, decode: Any) -> None:
        self.decode = decode


def raising(error: Exception) -> Any:
    def decode(data: bytes) -> Picture:
        raise error

    return decode


def endless(data: bytes) -> Picture:
    while True:
        pass


@pytest.mark.parametrize(
    ("decode", "name"),
    [
        (raising(KeyError("x")), "KeyError"),
        (raising(MemoryError()), "MemoryError"),
        (raising(UsageError("an option")), "UsageError"),
        (raising(CorruptFileError("two\nlines")), "CorruptFileError"),
        (raising(CorruptFileError("long " * 100)), "CorruptFileError"),
        (endless, "too slow"),
        (lambda data: Picture(np.zeros((64, 64, 3), np.uint8)), "wrong pixels"),
    ],
)
def test_faults_are_seen(fuzz: ModuleType, honest: list[Any], decode: Any, name: str) -> None:
    outcomes = script("fuzzing.outcomes")
    subject = honest[0]
    found = outcomes.outcome_of(subject.data, subject.picture, Faulty(decode), 2**18, 0.2, WHOLE)
    assert found.name == name
    assert found.fault is not None


def test_right_checksums_of_a_png(fuzz: ModuleType, honest: list[Any]) -> None:
    changes = script("fuzzing.changes")
    (png,) = (
        chunk.data for subject in honest if subject.name == "alpha plane"
        for chunk in read_chunks(subject.data) if chunk.name == "ALPH"
    )  # fmt: skip
    assert changes.repair_png(png) == png
    broken = png[:-1] + bytes([png[-1] ^ 1])
    assert changes.repair_png(broken) == png
    random = Random(0)
    for _ in range(200):
        assert isinstance(changes.repair_png(changes.edited(png, random).data), bytes)
