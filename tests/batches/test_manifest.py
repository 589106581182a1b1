"""The manifest's lines, and what is left of them after accidents."""

from __future__ import annotations

import errno
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from licodec.batches.content import Content, Stamp
from licodec.batches.manifest import NAME, Entry, History, Manifest, Output, Status
from licodec.errors import BadInputError, LicodecError

CONTENT = Content(Stamp(3, 1, 2, 3), "ab" * 32)
DONE = Output("/root", "a.png", "a.lic", {"d": 64}, "0123", made_from=CONTENT, made=CONTENT)
WRITING = replace(DONE, status=Status.WRITING)
FAILED = Entry("/root", "a.png", "a.lic", {"d": 64}, message="why")


def lines(folder: Path) -> list[bytes]:
    return (folder / NAME).read_bytes().splitlines()


def of(output: str, entry: Entry = DONE) -> Entry:
    return replace(entry, output=output)


def test_a_line_has_what_a_program_needs(tmp_path: Path) -> None:
    Manifest(tmp_path).append(DONE)
    (line,) = lines(tmp_path)
    data = json.loads(line)
    assert data.pop("licodec")
    file = {"size": 3, "mtime_ns": 1, "ctime_ns": 2, "inode": 3, "sha256": "ab" * 32}
    assert data == {
        "batch": 1,
        "status": "done",
        "root": "/root",
        "source": {"path": "a.png", **file},
        "output": {"path": "a.lic", **file},
        "settings": {"d": 64},
        "weights_id": "0123",
        "message": "",
    }


NAMES = st.text(min_size=1, max_size=20) | st.binary(min_size=1, max_size=9).map(os.fsdecode)


@given(st.lists(st.tuples(NAMES, st.sampled_from([DONE, WRITING, FAILED])), max_size=12))
def test_what_was_appended_is_read_and_compacting_changes_nothing(
    tmp_path_factory: pytest.TempPathFactory, appended: list[tuple[str, Entry]]
) -> None:
    folder = tmp_path_factory.mktemp("manifest")
    manifest = Manifest(folder)
    for name, entry in appended:
        manifest.append(of(name, entry))
    assert Manifest(folder).histories == manifest.histories
    manifest.compact()
    again = Manifest(folder)
    assert again.histories == manifest.histories
    if appended:
        kept = sum(len(history.entries) for history in again.histories.values())
        assert len(lines(folder)) == kept


def test_the_order_of_the_work(tmp_path: Path) -> None:
    manifest = Manifest(tmp_path)
    assert manifest.history("a.lic") == History()
    for entry, history in (
        (FAILED, History(failed=FAILED)),
        (WRITING, History(writing=WRITING)),
        (DONE, History(done=DONE)),
        (WRITING, History(done=DONE, writing=WRITING)),
        (FAILED, History(done=DONE, writing=WRITING, failed=FAILED)),
        (DONE, History(done=DONE)),
    ):
        manifest.append(entry)
        assert manifest.history("a.lic") == history
        assert Manifest(tmp_path).history("a.lic") == history


def test_cut_off_anywhere_it_loses_the_last_line_alone(tmp_path: Path) -> None:
    manifest = Manifest(tmp_path)
    manifest.append(of("a"))
    first = (tmp_path / NAME).read_bytes()
    manifest.append(of("b"))
    whole = (tmp_path / NAME).read_bytes()
    for size in range(len(first), len(whole)):
        (tmp_path / NAME).write_bytes(whole[:size])
        manifest = Manifest(tmp_path)
        # Without its end alone, the line says all.
        assert [*manifest.histories] == (["a", "b"] if size == len(whole) - 1 else ["a"])
        assert not manifest.is_damaged
        manifest.append(of("c"))
        assert [*Manifest(tmp_path).histories][-1] == "c"
        assert "a" in Manifest(tmp_path).histories
        assert os.listdir(tmp_path) == [NAME]


@pytest.mark.parametrize(
    "damage",
    [
        b"not JSON",
        b"\x00" * 512,
        b"\xff\xfe",
        b"[]",
        b"null",
        b'{"batch": 1}',
        b'{"batch": "1", "status": "done"}',
        b"[" * 100_000,
        b"9" * 10_000,
        json.dumps({"batch": 1, "status": "done", "root": "/", "source": {"path": "a"}}).encode(),
    ],
    ids=lambda damage: repr(damage[:9]),
)
def test_damaged_lines_are_kept_aside_and_the_others_used(tmp_path: Path, damage: bytes) -> None:
    manifest = Manifest(tmp_path)
    manifest.append(of("a"))
    path = tmp_path / NAME
    path.write_bytes(path.read_bytes() + damage + b"\n")
    Manifest(tmp_path).append(of("b"))
    damaged = path.read_bytes()
    manifest = Manifest(tmp_path)
    assert [*manifest.histories] == ["a", "b"]
    assert manifest.is_damaged
    aside = manifest.set_aside()
    assert aside.read_bytes() == damaged
    assert [*Manifest(tmp_path).histories] == ["a", "b"]
    assert not (manifest.is_damaged or Manifest(tmp_path).is_damaged)
    # A second time it takes another name.
    path.write_bytes(damage + b"\n")
    again = Manifest(tmp_path).set_aside()
    assert again != aside and aside.read_bytes() == damaged


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("status", "finished"),
        ("settings", []),
        ("root", None),
        ("weights_id", 5),
        ("source", "a.png"),
        ("source", {"path": 5}),
        ("source", {"path": "a.png"}),
        ("output", {"path": "a.lic", "sha256": "00"}),
        ("output", {"path": "a", "sha256": "", "size": 1.5, "mtime_ns": 1, "ctime_ns": 1,
                    "inode": 1}),
    ],
)  # fmt: skip
def test_fields_that_cannot_be_make_a_damaged_line(
    tmp_path: Path, field: str, value: object
) -> None:
    Manifest(tmp_path).append(DONE)
    data = json.loads((tmp_path / NAME).read_bytes()) | {field: value}
    (tmp_path / NAME).write_text(json.dumps(data) + "\n")
    manifest = Manifest(tmp_path)
    assert manifest.histories == {} and manifest.is_damaged


def test_a_later_version_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / NAME).write_text('{"batch": 2, "new": "fields"}\n')
    with pytest.raises(BadInputError, match="written by a later licodec; use that one, or move"):
        Manifest(tmp_path)
    assert (tmp_path / NAME).read_text() == '{"batch": 2, "new": "fields"}\n'


def test_what_is_no_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / NAME).mkdir()
    with pytest.raises(BadInputError, match="not a file, and a batch keeps its manifest there"):
        Manifest(tmp_path)


def test_a_line_that_did_not_fit_does_not_spoil_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full:
        """A file on a disk that takes 20 more bytes."""

        def __init__(self, path: Path, mode: str, buffering: int) -> None:
            self.stream = os.open(path, os.O_APPEND | os.O_WRONLY | os.O_CREAT)

        def __enter__(self) -> Full:
            return self

        def __exit__(self, *error: object) -> None:
            os.close(self.stream)

        def write(self, data: bytes) -> int:
            return os.write(self.stream, data[:20])

    manifest = Manifest(tmp_path)
    manifest.append(of("a"))
    with monkeypatch.context() as patched:
        patched.setattr("builtins.open", Full)
        with pytest.raises(LicodecError, match=f"{NAME}: cannot be written: no space left"):
            manifest.append(of("b"))
    manifest.append(of("c"))
    assert [*manifest.histories] == [*Manifest(tmp_path).histories] == ["a", "c"]


def test_a_disk_that_is_full_leaves_the_manifest_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = Manifest(tmp_path)
    for _ in range(3):
        manifest.append(DONE)
    before = (tmp_path / NAME).read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(LicodecError, match="no space left"):
        manifest.compact()
    assert (tmp_path / NAME).read_bytes() == before
    assert os.listdir(tmp_path) == [NAME]
