"""The example that the help of each command ends in can be typed."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
import typer

from licodec.cli.app import COMMANDS, MODELS_COMMANDS, app
from tests.cli.conftest import Run

EXAMPLES = [entry.example for entry in (*COMMANDS.values(), *MODELS_COMMANDS.values())]
# They take minutes, and a checkpoint: their options are read, and nothing is done.
LONG = ("quantize", "import")


@pytest.mark.parametrize("example", [e for e in EXAMPLES if not set(LONG) & set(e.split())])
def test_they_run(
    example: str, run: Run, tmp_path: Path, photo: Path, lic: Path, pack_path: Path
) -> None:
    inputs = {"photographs/photo.png": photo, "archive/photo.lic": lic}
    inputs |= {"photo.png": photo, "photo.lic": lic, "quarter.safetensors": pack_path}
    contents = {name: path.read_bytes() for name, path in inputs.items()}
    photo.unlink()
    lic.unlink()
    words = example.replace("*.lic", "photo.lic").split()[1:]
    output = words[words.index("-o") + 1] if "-o" in words else "none"
    for name, content in contents.items():
        if not name.startswith(output):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_bytes(content)
    done = run(*words)
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize("example", [e for e in EXAMPLES if set(LONG) & set(e.split())])
def test_they_can_be_read(example: str) -> None:
    command, words = typer.main.get_command(app), shlex.split(example)[1:]
    while hasattr(command, "commands"):
        command = command.commands[words.pop(0)]
    assert command.make_context("licodec", words).params["output"]
