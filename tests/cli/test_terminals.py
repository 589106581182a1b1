"""Terminals: colours where they are wanted, and what is narrow or cannot be moved about on."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest

import licodec
from licodec.cli.streams import Channel
from licodec.packs import read_name
from tests.cli.conftest import png

if os.name != "posix":
    pytest.skip("terminals of a Unix", allow_module_level=True)

STYLE = re.compile(r"\x1b\[[0-9;]*m")
CONTROL = "\x1b"


def on_terminal(*arguments: str, folder: Path, columns: int = 80, **variables: str) -> str:
    """What appears on a terminal of so many columns."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in SETTINGS}
    environment |= {"TERM": "xterm", "PYTHONPATH": str(Path(licodec.__file__).parent.parent)}
    process = subprocess.Popen(
        [sys.executable, "-m", "licodec", *arguments],
        cwd=folder,
        env=environment | variables,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    shown = b""
    with open(ours, "rb", buffering=0) as terminal:
        try:
            while block := terminal.read(2**16):
                shown += block
        except OSError:  # what Linux answers when the other end is closed
            pass
    process.wait(timeout=300)
    return shown.decode().replace("\r\n", "\n")


SETTINGS = ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "TERMINAL_WIDTH", "GITHUB_ACTIONS", "PY_COLORS")


@pytest.mark.parametrize("arguments", [("--help",), ("models",), ("info", "none.lic")])
def test_styles_are_for_those_who_want_them(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    styled = on_terminal(*arguments, folder=tmp_path)
    assert STYLE.search(styled)
    for refusal in ({"TERM": "dumb"}, {"NO_COLOR": "1", "FORCE_COLOR": "1"}):
        assert on_terminal(*arguments, folder=tmp_path, **refusal) == STYLE.sub("", styled)
    assert STYLE.search(on_terminal(*arguments, folder=tmp_path, NO_COLOR=""))  # as if not set


def test_a_bar_has_no_colours_or_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").write_bytes(png())
    command = ("batch", "in", "--force", "--jobs", "1", "--backend", "reference")
    plain = on_terminal(*command, folder=tmp_path, NO_COLOR="1")
    assert CONTROL in plain and not STYLE.search(plain)
    for columns, variables in ((80, {"TERM": "dumb"}), (20, {"NO_COLOR": "1"})):
        shown = on_terminal(*command, folder=tmp_path, columns=columns, **variables)
        assert CONTROL not in shown and "in/a.png -> in-lic/a.lic: " in shown


@pytest.mark.parametrize("columns", [0, 1, 20])
def test_narrow_terminals_lose_nothing(tmp_path: Path, columns: int, pack_path: Path) -> None:
    helped = on_terminal("encode", "--help", folder=tmp_path, columns=columns, NO_COLOR="1")
    assert "--target-bpp" in helped and "--metadata" in helped and "…" not in helped
    if columns:
        shown = on_terminal("models", folder=tmp_path, columns=columns, NO_COLOR="1")
        name = read_name(pack_path)
        expected = {f"model {name.backbone}", f"weights id {name.weights_id.hex()}"}
        assert expected <= set(shown.splitlines())


@pytest.mark.parametrize(
    "variables",
    [
        {"COLUMNS": "0"},
        {"COLUMNS": "1"},
        {"COLUMNS": "-3"},
        {"TERMINAL_WIDTH": "junk"},
        {"TERMINAL_WIDTH": "1"},
    ],
)
def test_widths_that_make_no_sense(tmp_path: Path, variables: dict[str, str]) -> None:
    shown = on_terminal("--help", folder=tmp_path, NO_COLOR="1", **variables)
    assert "Usage: licodec" in shown and "quantize" in shown and "Exit codes: 0 done" in shown


def test_colours_are_forced_into_a_pipe(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)
    assert not Channel.ERROR.is_coloured
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert Channel.ERROR.is_coloured and not Channel.ERROR.is_live
    monkeypatch.setenv("NO_COLOR", "1")
    assert not Channel.ERROR.is_coloured
