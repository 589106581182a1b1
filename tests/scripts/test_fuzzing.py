"""scripts/fuzz.py files: what it does to files, and that it sees what is wrong."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path
from random import Random
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from licodec.codec import REFERENCE
from licodec.container.chunks import read_chunks
from licodec.errors import BadInputError, CorruptFileError, LicodecError, UsageError
from licodec.images import INPUT_FORMATS, Picture
from licodec.images.views import WHOLE, Crop, View
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
    assert {"RGB", "grey", "alpha plane", "metadata", "several streams", "tiles"} <= {
        s.name for s in honest
    }
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
    running = script("fuzzing.running")
    try_number = partial(fuzz.try_number, honest, library, 3)
    whole = running.State("digest", 3)
    assert not list(running.try_changes(whole, try_number, 60))
    path = tmp_path / "state.json"
    for end in (25, 60):
        state = running.State.begin(path, "digest", 3)
        assert not list(running.try_changes(state, try_number, end))
        state.save(path)
    assert vars(state) == vars(whole)
    assert sum(sum(counts.values()) for counts in state.outcomes.values()) == 60
    with pytest.raises(SystemExit, match="another seed"):
        running.State.begin(path, "digest", 4)


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


def wrong_crop(data: bytes, view: View, library: Library) -> Picture:
    """What decoding gives, but that a crop is one column to the right."""
    if view.crop is None:
        return library.decode(data, view)
    return library.decode(data, View(replace(view.crop, left=view.crop.left + 1), view.scale))


@pytest.mark.parametrize("name", ["RGB", "tiles", "lossless, pieces"])
def test_wrong_views_are_seen(library: Library, honest: list[Any], name: str) -> None:
    outcomes = script("fuzzing.outcomes")
    (subject,) = (one for one in honest if one.name == name)
    view = View(Crop(5, 6, 2, 3), 2)

    class OneToTheRight:
        codec_for, decode = library.codec_for, library.decode

        def decode_with(self, codec: Any, lic: Any, view: View) -> Picture:
            return wrong_crop(subject.data, view, library)

    given = subject.data, subject.picture
    assert outcomes.outcome_of(*given, library, 2**18, 9, view).name == "right pixels"
    found = outcomes.outcome_of(*given, OneToTheRight(), 2**18, 9, view)
    assert found.name == "wrong view"


def test_pictures_of_every_format() -> None:
    pictures = script("fuzzing.pictures")
    honest = pictures.honest_files()
    assert {name.split(",")[0] for name in honest} == {*INPUT_FORMATS} - {"MPO"}
    for name, data in honest.items():
        assert pictures.outcome_of(data).name == "a picture", name
    for index in range(4 * len(honest)):
        tried = pictures.try_number(honest, None, 1, index)
        assert tried.outcome.fault is None, tried.report
        assert tried == pictures.try_number(honest, None, 1, index)


@pytest.mark.parametrize(
    "error", [KeyError("x"), MemoryError(), UsageError("an option"), BadInputError("two\nlines")]
)
def test_faults_of_readers_are_seen(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    pictures = script("fuzzing.pictures")
    monkeypatch.setattr(pictures, "read_picture", lambda *_: raising(error)(b""))
    found = pictures.outcome_of(b"")
    assert found.name == type(error).__name__
    assert found.fault is not None
