"""Files decode to the same pixels under other settings; scripts/exactness.py has all of them."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from licodec.images import Picture, encode_picture

SCRIPT = Path(__file__).parents[1] / "scripts" / "exactness.py"
NO_VNNI = "ONEDNN_MAX_CPU_ISA=AVX2"
SETTINGS = (
    "threads 1",
    "threads 2",
    "ATEN_CPU_CAPABILITY=default",
    NO_VNNI,
    "ONEDNN_DEFAULT_FPMATH_MODE=BF16",
    "backend reference",
)
ENCODING = ("threads 1", NO_VNNI, "backend reference")
SIZES = ((17, 33), (70, 130))  # height, width
DS = "0.5,8"
FILES = 4


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory, pack_path: Path) -> dict[str, dict[str, Any]]:
    """What the script says of each setting."""
    folder = tmp_path_factory.mktemp("exactness")
    random = np.random.default_rng(5)
    pictures = []
    for height, width in SIZES:
        smooth = np.add.outer(np.arange(height), np.arange(width))[:, :, None] + [0, 40, 80]
        noisy = (smooth + random.integers(0, 60, (height, width, 3))) % 256
        path = folder / f"{width}x{height}.png"
        path.write_bytes(encode_picture(Picture(noisy.astype(np.uint8)), "PNG"))
        pictures.append(str(path))
    report = folder / "rows.json"
    only = f"^({'|'.join(map(re.escape, SETTINGS))})$"
    command = [sys.executable, str(SCRIPT), *pictures, "--ds", DS, "--model", str(pack_path)]
    done = subprocess.run(
        [*command, "--only", only, "--json", str(report)],
        capture_output=True,
        text=True,
        check=False,
        env=_environment(),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return {row["setting"]: row for row in json.loads(report.read_text())}


def _environment() -> dict[str, str]:
    root = str(SCRIPT.parents[1])
    return os.environ | {"PYTHONPATH": os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])}


@pytest.mark.parametrize("setting", SETTINGS)
def test_gives_the_promised_pixels(rows: dict[str, dict[str, Any]], setting: str) -> None:
    row = rows[setting]
    assert row["problems"] == []
    assert row["decoded"] == row["files"] == FILES


@pytest.mark.parametrize("setting", ENCODING)
def test_gives_the_same_files(rows: dict[str, dict[str, Any]], setting: str) -> None:
    assert rows[setting]["encoded"] == FILES


def test_there_is_one_digest(rows: dict[str, dict[str, Any]]) -> None:
    assert len({row["digest"] for row in rows.values()}) == 1


@pytest.mark.skipif(
    platform.machine() not in ("x86_64", "AMD64"), reason="the setting is of x86 processors"
)
def test_a_backend_that_saturates_is_refused(rows: dict[str, dict[str, Any]]) -> None:
    row = rows[NO_VNNI]
    assert not row["backend"].startswith("int8")
    assert "int8" in row["refused"]
