"""One output: what it is made of, what it replaces, and what stops it."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from licodec.batches.content import Stamp, content_of, stamp_of
from licodec.batches.converter import Likeness, Look
from licodec.batches.manifest import Entry, Status
from licodec.batches.work import (
    Converted,
    Failed,
    Kept,
    Outcome,
    Task,
    perform,
)
from licodec.errors import LicodecError
from tests.batches.fakes import UNKNOWN, FakeConverter, converted

SETTINGS = {"d": 64}


def making(meanwhile: Callable[[], object] = lambda: None, look: Look = UNKNOWN) -> FakeConverter:
    return FakeConverter(SETTINGS, look, meanwhile=meanwhile)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "a.png"
    path.write_bytes(b"picture")
    return path


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "out" / "a.lic"


def attempt(
    source: Path,
    target: Path,
    converter: FakeConverter,
    *,
    replaces: Stamp | None = None,
    force: bool = False,
    check: bool = False,
    preserve: bool = False,
    refusal: LicodecError | None = None,
) -> tuple[Outcome, list[Entry]]:
    entry = Entry("/root", "a.png", "a.lic", SETTINGS)
    task = Task(str(source), str(target), entry, replaces, force, check, preserve)
    recorded: list[Entry] = []

    def record(entry: Entry) -> LicodecError | None:
        recorded.append(entry)
        return refusal

    return perform(converter, task, record), recorded


def test_what_is_made_is_known_before_it_is_there(source: Path, target: Path) -> None:
    seen: list[bool] = []
    outcome, recorded = attempt(source, target, making(lambda: seen.append(target.exists())))
    assert isinstance(outcome, Converted) and outcome.report == "report"
    assert target.read_bytes() == converted(b"picture", SETTINGS)
    (before,) = recorded
    assert (before.status, outcome.entry.status) == (Status.WRITING, Status.DONE)
    assert before.made.sha256 == outcome.entry.made.sha256 == content_of(target).sha256
    assert before.made_from.sha256 == content_of(source).sha256
    assert outcome.entry.weights_id == "0123"
    assert seen == [False]


def test_without_the_line_there_is_no_output(source: Path, target: Path) -> None:
    outcome, _ = attempt(source, target, making(), refusal=LicodecError("no space left"))
    assert outcome == Failed("no space left")
    assert os.listdir(target.parent) == []


def test_a_source_that_changes_meanwhile(source: Path, target: Path) -> None:
    outcome, recorded = attempt(source, target, making(lambda: source.write_bytes(b"new one")))
    assert outcome == Failed(f"{source}: changed while it was read; give the command again")
    assert recorded == [] and not target.exists()


def test_a_source_that_vanishes(source: Path, target: Path) -> None:
    outcome, _ = attempt(source, target, making(source.unlink))
    assert outcome == Failed(f"{source}: No such file or directory")
    outcome, _ = attempt(source, target, making())
    assert outcome == Failed(f"{source}: no such file; check the name")


def test_a_file_that_appears_meanwhile_is_left_alone(source: Path, target: Path) -> None:
    outcome, _ = attempt(source, target, making(lambda: target.write_bytes(b"mine")))
    assert isinstance(outcome, Failed) and "exists already" in outcome.message
    assert target.read_bytes() == b"mine"


def test_what_is_replaced_is_what_was_found(source: Path, target: Path) -> None:
    target.parent.mkdir()
    target.write_bytes(b"old")
    found = stamp_of(target)
    outcome, _ = attempt(
        source, target, making(lambda: target.write_bytes(b"mine")), replaces=found
    )
    assert outcome == Failed(f"{target}: changed since this batch began; see --force")
    assert target.read_bytes() == b"mine"
    outcome, _ = attempt(source, target, making(), replaces=stamp_of(target))
    assert isinstance(outcome, Converted)
    found = stamp_of(target)
    outcome, _ = attempt(source, target, making(target.unlink), replaces=found)
    assert isinstance(outcome, Converted)
    target.write_bytes(b"mine")
    outcome, _ = attempt(source, target, making(), force=True)
    assert isinstance(outcome, Converted)


@pytest.mark.parametrize(
    ("look", "content", "kept", "made"),
    [
        (Look(Likeness.SAME), b"who knows", True, False),
        (Look(Likeness.OTHER, "is another"), b"who knows", False, False),
        (Look(Likeness.UNKNOWN), b"who knows", False, True),
        (Look(Likeness.UNKNOWN), converted(b"picture", SETTINGS), True, True),
    ],
)
def test_a_file_that_is_checked_stays(
    source: Path, target: Path, look: Look, content: bytes, kept: bool, made: bool
) -> None:
    target.parent.mkdir()
    target.write_bytes(content)
    converter = making(look=look)
    outcome, recorded = attempt(source, target, converter, check=True, replaces=stamp_of(target))
    assert isinstance(outcome, Kept if kept else Failed)
    assert (target.read_bytes(), bool(converter.made), recorded) == (content, made, [])
    if kept:
        assert outcome.entry.made.sha256 == content_of(target).sha256
    else:
        assert "see --force" in outcome.message


def test_one_that_is_older_than_its_source_is_compared(source: Path, target: Path) -> None:
    target.parent.mkdir()
    target.write_bytes(b"of an older picture")
    os.utime(target, (1e9, 1e9))
    converter = making(look=Look(Likeness.SAME))
    outcome, _ = attempt(source, target, converter, check=True)
    assert converter.made and isinstance(outcome, Failed)
    assert "exists, and is not what is made of" in outcome.message


def test_times_are_kept_on_request(source: Path, target: Path) -> None:
    os.utime(source, ns=(10**18, 10**18 + 123_456_789))
    attempt(source, target, making())
    assert target.stat().st_mtime_ns > 10**18 + 10**9
    target.unlink()
    outcome, _ = attempt(source, target, making(), preserve=True)
    assert target.stat().st_mtime_ns == source.stat().st_mtime_ns
    assert outcome.entry.made.stamp.mtime_ns == source.stat().st_mtime_ns


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(errno.EIO, "Input/output error", "x.png"), "x.png: Input/output error"),
        (OSError(errno.EIO, "Input/output error"), "a.png: Input/output error"),
        (RuntimeError("a bug"), "a.png: failed unexpectedly (RuntimeError: a bug)"),
        (RecursionError(), "a.png: failed unexpectedly (RecursionError: )"),
    ],
)
def test_whatever_goes_wrong_is_this_files_failure(
    source: Path, target: Path, error: Exception, message: str
) -> None:
    def fail() -> None:
        raise error

    outcome, _ = attempt(source, target, making(fail))
    assert isinstance(outcome, Failed) and outcome.message.endswith(message)


def test_a_name_that_is_too_long(source: Path, target: Path) -> None:
    converter = making()
    outcome, _ = attempt(source, target.with_name("x" * 252 + ".lic"), converter)
    assert isinstance(outcome, Failed)
    assert "File name too long; name a shorter one with -o" in outcome.message
    assert converter.made == []
    outcome, _ = attempt(source, target.with_name("x" * 251 + ".lic"), converter)
    assert isinstance(outcome, Converted)


def test_a_full_disk(source: Path, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    target.parent.mkdir()
    target.write_bytes(b"old")
    outcome, _ = attempt(source, target, making(), replaces=stamp_of(target))
    assert isinstance(outcome, Failed) and "no space left" in outcome.message
    assert target.read_bytes() == b"old"
    assert os.listdir(target.parent) == ["a.lic"]
