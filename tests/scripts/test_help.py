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
        *("arithmetic", "bare_system", "build_wheels"),
        *("benchmark", "benchmark batches", "benchmark codecs", "benchmark commands"),
        *("benchmark decoders", "benchmark lossless", "benchmark published"),
        *("evaluate", "exactness"),
        *(
            "fuzz",
            "fuzz files",
            "fuzz pictures",
            "fuzz native",
            "fuzz properties",
            "fuzz sanitized",
        ),
        *("make", "make adapters", "make golden", "make pack", "make reference"),
        *("other_processor", "peer_suite", "prepare_data"),
        *("train", "train_adapters"),
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
