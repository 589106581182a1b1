"""One batch at a time in a folder."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from pathlib import Path

import filelock
import pytest

from licodec.batches.lock import NAME, locked
from licodec.errors import LicodecError


def test_a_second_one_says_so_and_waits(tmp_path: Path) -> None:
    events: list[str] = []
    waiting = threading.Event()

    def second() -> None:
        def say(line: str) -> None:
            events.append(line)
            waiting.set()

        with locked(tmp_path, say):
            events.append("second")

    thread = threading.Thread(target=second)
    with locked(tmp_path, events.append):
        thread.start()
        assert waiting.wait(60)
        events.append("first")
    thread.join(60)
    assert events == [f"{tmp_path}: waiting for another batch that writes here", "first", "second"]


def test_another_folder_is_free(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    said: list[str] = []
    with locked(tmp_path, said.append), locked(tmp_path / "sub", said.append):
        pass
    assert said == []


@pytest.mark.parametrize(("code", "goes_on"), [(errno.ENOLCK, True), (errno.EACCES, False)])
def test_file_systems_without_locks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, goes_on: bool
) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(filelock.FileLock, "acquire", fail)
    said: list[str] = []
    if goes_on:
        with locked(tmp_path, said.append):
            assert "let no other batch write here meanwhile" in said[0]
    else:
        with (
            pytest.raises(LicodecError, match="cannot be written to: Permission denied"),
            locked(tmp_path, said.append),
        ):
            pass


def put_folder(path: Path) -> None:
    path.mkdir()


def put_link(path: Path) -> None:
    path.symlink_to("elsewhere/nothing")


@pytest.mark.parametrize(("put", "what"), [(put_folder, "a folder"), (put_link, "a link")])
def test_something_else_in_its_place(
    tmp_path: Path, put: Callable[[Path], None], what: str
) -> None:
    put(tmp_path / NAME)
    with pytest.raises(LicodecError) as caught, locked(tmp_path, pytest.fail):
        pass
    message = str(caught.value)
    assert message.startswith(f"{tmp_path / NAME}: {what}, and a batch keeps its lock there; ")
    assert "move it away" in message
    assert os.path.lexists(tmp_path / NAME)


@pytest.mark.parametrize(
    ("code", "exists", "part"),
    [
        (errno.EACCES, True, f"{NAME}: cannot be opened (Permission denied), and a batch"),
        (errno.EACCES, False, ": cannot be written to: Permission denied; name another folder"),
        (errno.EROFS, True, ": cannot be written to: Read-only file system; name another folder"),
    ],
)
def test_a_lock_that_cannot_be_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, exists: bool, part: str
) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise OSError(code, os.strerror(code))

    if exists:
        (tmp_path / NAME).touch()
    monkeypatch.setattr(filelock.FileLock, "acquire", fail)
    with pytest.raises(LicodecError) as caught, locked(tmp_path, pytest.fail):
        pass
    assert part in str(caught.value)
