"""The native coder under sanitizers."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"
CASES = 1500


@pytest.fixture
def fuzz(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    return importlib.import_module("fuzzing.native")


@pytest.fixture
def driver(fuzz: ModuleType, tmp_path: Path) -> Path:
    try:
        return fuzz.build(tmp_path)
    except RuntimeError as error:
        pytest.skip(f"no C compiler with sanitizers: {error}")


def test_damaged_streams_tables_and_integers(fuzz: ModuleType, driver: Path) -> None:
    assert list(fuzz.do_cases(driver, 0, CASES, seed=1)) == []


def test_a_read_beside_a_stream_is_seen(
    fuzz: ModuleType, driver: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    main, coder = fuzz.SOURCES
    source, careless = coder.read_text(), tmp_path / "careless.c"
    check = "reader->words_size - position < WORD"
    assert source.count(check) == 1
    careless.write_text(source.replace(check, "0"))
    monkeypatch.setattr(fuzz, "SOURCES", (main, careless))
    faults = list(fuzz.do_cases(fuzz.build(tmp_path), 0, 200, seed=1))
    assert faults and "heap-buffer-overflow" in faults[0][1]
