"""Every command says how it is used."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.scripts.conftest import ROOT


@pytest.mark.parametrize(
    "command",
    [
        *("benchmark", "benchmark bare", "benchmark batches", "benchmark codecs"),
        *("benchmark commands", "benchmark decoders", "benchmark lossless", "benchmark published"),
        *("evaluate", "exactness", "exactness arithmetic", "exactness files"),
        *("fuzz", "fuzz files", "fuzz native", "fuzz pictures", "fuzz properties"),
        "fuzz sanitized",
        *("make", "make adapters", "make golden", "make pack", "make python", "make reference"),
        *("make wheels", "peer_suite", "train", "train adapters", "train base", "train prepare"),
    ],
)
def test_help(command: str) -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    name, *kind = command.split()
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / f"{name}.py"), *kind, "--help"],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"usage: {name}.py {' '.join(kind)}".rstrip())
