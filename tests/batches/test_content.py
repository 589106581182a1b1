"""Contents, and when a file need not be read again."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from pathlib import Path

import pytest

from licodec.batches import content
from licodec.batches.content import content_of, same_content, stamp_of
from licodec.errors import BadInputError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "a"
    path.write_bytes(b"content")
    return path


def test_content_is_that_of_the_bytes(file: Path) -> None:
    read = content_of(file)
    assert read.sha256 == hashlib.sha256(b"content").hexdigest()
    assert read.stamp == stamp_of(file)
    assert (read.stamp.size, read.stamp.mtime_ns) == (7, file.stat().st_mtime_ns)


def test_what_looks_the_same_is_not_read_again(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = content_of(file)
    monkeypatch.setattr(content, "content_of", None)
    assert same_content(known, file) == (True, known)


@pytest.mark.skipif(os.name != "posix", reason="the time of the last change of any kind")
def test_a_time_that_was_set_back_hides_nothing(file: Path) -> None:
    known = content_of(file)
    file.write_bytes(b"another")
    os.utime(file, ns=(known.stamp.mtime_ns, known.stamp.mtime_ns))
    same, now = same_content(replace(known, stamp=replace(known.stamp, ctime_ns=1)), file)
    assert (same, now.stamp.mtime_ns) == (False, known.stamp.mtime_ns)


def test_a_copy_is_the_same(file: Path, tmp_path: Path) -> None:
    copy = tmp_path / "b"
    copy.write_bytes(b"content")
    same, now = same_content(content_of(file), copy)
    assert same and now.stamp == stamp_of(copy)


def test_a_young_file_is_read_again(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may change within a tick of the file system's clock, and then looks the same."""
    known = content_of(file)
    assert known.settled.stamp == replace(known.stamp, ctime_ns=0)
    assert same_content(known.settled, file) == (True, known)
    later = max(known.stamp.mtime_ns, known.stamp.ctime_ns) + 3 * 10**9
    monkeypatch.setattr("time.time_ns", lambda: later)
    assert known.settled == known
    assert known.settled.settled == known


def test_what_cannot_be_read(tmp_path: Path) -> None:
    for name, message in (("gone", "no such file"), (".", "a directory")):
        with pytest.raises(BadInputError, match=message):
            content_of(tmp_path / name)


@pytest.mark.skipif(not os.path.exists("/proc/self/mem"), reason="stands for a failing disk")
def test_a_disk_that_fails() -> None:
    with pytest.raises(BadInputError, match="/proc/self/mem: cannot be read: Input/output error"):
        content_of("/proc/self/mem")
