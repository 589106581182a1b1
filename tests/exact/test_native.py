"""Loading the native code: what is there, and why something is not."""

from __future__ import annotations

import importlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from licodec.exact import native
from licodec.exact.native.fingerprint import fingerprint


@pytest.fixture
def built() -> Path:
    """The library of this installation."""
    library = native.library()
    if library is None:
        pytest.skip(f"no native code: {native.reason()}")
    return Path(library._name)


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """An empty folder where the library is looked for."""
    monkeypatch.setattr(native, "FOLDER", tmp_path)
    native._load.cache_clear()
    yield tmp_path
    native._load.cache_clear()


def test_it_is_there_or_there_is_a_reason() -> None:
    assert (native.library() is None) == (native.reason() is not None)


def test_it_is_no_module_for_import(built: Path) -> None:
    with pytest.raises(ImportError):
        importlib.import_module("licodec.exact.native._native")


def test_nothing_was_built(folder: Path) -> None:
    assert native.library() is None and "no C compiler" in str(native.reason())


def test_another_file_of_its_name(folder: Path) -> None:
    (folder / "_native.so").write_bytes(b"\x7fELF and no more")
    assert native.library() is None and "cannot be loaded" in str(native.reason())


def test_without_sources_a_library_is_loaded(built: Path, folder: Path) -> None:
    shutil.copy(built, folder)
    assert native.library() is not None and native.reason() is None


def test_a_library_of_older_sources_is_not_used(built: Path, folder: Path) -> None:
    shutil.copy(built, folder)
    (folder / "newer.c").write_text("int newer;\n")
    assert native.library() is None and "older than its sources" in str(native.reason())


def test_fingerprints_tell_sources_apart(tmp_path: Path) -> None:
    assert fingerprint(tmp_path) is None
    (tmp_path / "a.c").write_text("int a;\n")
    first = fingerprint(tmp_path)
    (tmp_path / "b.h").write_text("")
    second = fingerprint(tmp_path)
    (tmp_path / "b.h").rename(tmp_path / "c.h")
    assert len({None, first, second, fingerprint(tmp_path)}) == 4
