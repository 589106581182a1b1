"""Finding sources, and what is no source."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from licodec.batches.selection import Selection
from licodec.batches.sources import Found, check_folders, find
from licodec.errors import BadInputError, LicodecError, UsageError

SUFFIXES = frozenset({".png"})


def put(path: Path, content: bytes = b"x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def search(root: Path, output: str = "elsewhere", **patterns: tuple[str, ...]) -> Found:
    return find(root, root / output, SUFFIXES, Selection(**patterns))


def test_a_tree_in_order_and_what_is_of_other_kinds(tmp_path: Path) -> None:
    for name in ("b.png", "a/2.PNG", "a/1.png", "a/x.heic", "README", ".hidden.png", ".h/a.png"):
        put(tmp_path / name)
    found = search(tmp_path)
    assert found.sources == ("b.png", "a/1.png", "a/2.PNG")
    assert found.others == ("README", "a/x.heic")
    assert (found.errors, found.warnings) == ({}, ())
    assert search(tmp_path, exclude=("a",)).others == ("README",)
    assert search(tmp_path, include=("a/*",), exclude=("*.heic",)) == Found(
        ("a/1.png", "a/2.PNG"), ("b.png",), (), {}, ()
    )


def test_the_folder_of_outputs_is_not_searched_but_may_be_the_same(tmp_path: Path) -> None:
    for name in ("a.png", "out/b.png", "x/out/c.png"):
        put(tmp_path / name)
    assert search(tmp_path, "out").sources == ("a.png", "x/out/c.png")
    (tmp_path / "link").symlink_to("out")
    assert search(tmp_path, "link").sources == ("a.png", "x/out/c.png")
    assert search(tmp_path, ".").sources == ("a.png", "out/b.png", "x/out/c.png")


@pytest.fixture
def short_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The name of a socket has at most 107 bytes."""
    monkeypatch.chdir(tmp_path)
    yield


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_what_is_no_file_is_passed_over_and_named(tmp_path: Path, short_path: None) -> None:
    put(tmp_path / "a.png")
    os.mkfifo(tmp_path / "pipe.png")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "null.png").symlink_to(os.devnull)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket.png")
        found = search(tmp_path)
    assert found.sources == ("a.png",)
    assert [line.removeprefix(f"{tmp_path}/") for line in found.warnings] == [
        "null.png: a device, passed over",
        "pipe.png: a named pipe, passed over",
        "socket.png: a socket, passed over",
    ]
    assert found.errors == {}


def test_links(tmp_path: Path) -> None:
    put(tmp_path / "real" / "a.png")
    (tmp_path / "real" / "round").symlink_to("..")
    (tmp_path / "to-file.png").symlink_to("real/a.png")
    (tmp_path / "loop.png").symlink_to("loop.png")
    (tmp_path / "nothing.png").symlink_to("gone")
    found = search(tmp_path)
    assert found.sources == ("to-file.png", "real/a.png")
    assert found.warnings == (f"{tmp_path}/real/round: a link to a folder, not followed",)
    assert found.errors == {
        f"{tmp_path}/{name}": f"{tmp_path}/{name}: cannot be read: {os.strerror(code)}"
        for name, code in (("loop.png", errno.ELOOP), ("nothing.png", errno.ENOENT))
    }


def test_a_folder_that_cannot_be_read_does_not_hide_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.png", "bad/b.png", "c/d.png"):
        put(tmp_path / name)
    scandir = os.scandir

    def failing(path: str) -> Iterator[os.DirEntry[str]]:
        if os.path.basename(path) == "bad":
            raise OSError(errno.EIO, os.strerror(errno.EIO), path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", failing)
    found = search(tmp_path)
    assert found.sources == ("a.png", "c/d.png")
    bad = str(tmp_path / "bad")
    assert found.errors == {bad: f"{bad}: cannot be read: {os.strerror(errno.EIO)}"}


def test_folders_that_are_none(tmp_path: Path) -> None:
    file = str(put(tmp_path / "a.png"))
    folder = str(tmp_path)
    check_folders(folder, None)
    check_folders(folder, str(tmp_path / "new" / "deep"))
    for root, output, error, message in (
        ("", None, UsageError, "name of a folder is empty"),
        (folder, "", UsageError, "name of a folder is empty"),
        (str(tmp_path / "no"), None, BadInputError, "no such folder"),
        (file, None, BadInputError, "a file, not a folder; `licodec encode`"),
        (folder, file, LicodecError, "a file, not a folder; choose one"),
        (folder, f"{file}/out", LicodecError, "cannot be opened: Not a directory"),
        ("a\0b", None, BadInputError, "cannot be opened"),
    ):
        with pytest.raises(error, match=message):
            check_folders(root, output)
