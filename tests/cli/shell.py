"""The program as a shell starts it, for what a call in this process cannot show."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

import licodec

BASH = shutil.which("bash")
ON_REFERENCE = "--backend reference --threads 1"

_PRELUDE = 'licodec() { "$PYTHON" -m licodec "$@"; }\n'


@dataclass(frozen=True)
class Outcome:
    """What became of a script."""

    code: int
    output: bytes
    errors: str

    @property
    def error(self) -> str:
        """The only line on the standard error."""
        (line,) = self.errors.splitlines()
        return line


def sh(script: str, folder: Path, **variables: str | None) -> Outcome:
    """Run a script for bash in a folder; None takes a variable out of its environment."""
    if BASH is None:
        pytest.skip("no bash")
    root = str(Path(licodec.__file__).parent.parent)
    environment = os.environ | {"PYTHON": sys.executable, "PYTHONPATH": root, **variables}
    done = subprocess.run(
        [BASH, "-c", _PRELUDE + script],
        cwd=folder,
        env={name: value for name, value in environment.items() if value is not None},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=300,
    )
    return Outcome(done.returncode, done.stdout, done.stderr.decode("utf-8", "surrogateescape"))
