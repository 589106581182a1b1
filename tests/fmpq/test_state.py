"""The state file."""

from __future__ import annotations

from pathlib import Path

import pytest

from licodec.errors import BadInputError, UsageError
from licodec.fmpq.curves import Layer
from licodec.fmpq.state import Sensitivities, read_state, resumed, write_state

STATE = Sensitivities(
    "0f" * 16, 2.5, (Layer("a.b", 9, (2, 3, 16)), Layer("c", 4, (2, 3))), {("a.b", 16): -1e-5}
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_state(STATE, tmp_path / "state.json")
    return tmp_path / "state.json"


def test_what_was_written_is_read(path: Path) -> None:
    assert read_state(path) == STATE
    assert resumed(path, STATE.fingerprint) == STATE.values


def test_no_file_yet(tmp_path: Path) -> None:
    assert resumed(tmp_path / "none", "x") == {}


def test_another_search(path: Path) -> None:
    with pytest.raises(UsageError, match="another checkpoint"):
        resumed(path, "other")


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"\xff", b'{"kind": 1, "format": 2}'])
def test_not_a_state(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(BadInputError, match=r"state"):
        read_state(path)


def test_a_value_that_no_search_measures(path: Path) -> None:
    path.write_text(path.read_text().replace("-1e-05", "NaN"))
    with pytest.raises(BadInputError, match="damaged"):
        read_state(path)
