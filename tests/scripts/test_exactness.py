"""`scripts/exactness.py files`: files decode to the same pixels under some of its settings."""

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
from licodec.packs import write_pack
from tests import tiny
from tests.scripts.conftest import ROOT

SCRIPT = ROOT / "scripts" / "exactness.py"
NO_VNNI = "ONEDNN_MAX_CPU_ISA=AVX2"
SETTINGS = (
    "threads 1",
    "threads 2",
    "ATEN_CPU_CAPABILITY=default",
    NO_VNNI,
    "ONEDNN_DEFAULT_FPMATH_MODE=BF16",
    "backend reference",
)
ADAPTED_SETTINGS = ("threads 1", "threads 2", "ATEN_CPU_CAPABILITY=default", NO_VNNI)
SECOND_DECODER = "format/reference_decoder.py"
ENCODING = ("threads 1", NO_VNNI, "backend reference")
SIZES = ((17, 33), (70, 130))  # height, width
DS = "0.5,8"
FILES = 4
ADAPTED_FILES = 2 * 4  # at one alpha, each set, and that for beta at two of beta


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory, pack_path: Path) -> dict[str, dict[str, Any]]:
    """What the script says of each setting."""
    folder = tmp_path_factory.mktemp("exactness")
    return run_script(folder, ["--ds", DS, "--model", str(pack_path)], SETTINGS)


@pytest.fixture(scope="module")
def adapted_rows(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """The same for the adapter sets of a tiny pack."""
    folder = tmp_path_factory.mktemp("adapted")
    write_pack(tiny.adapted_pack(), folder / "lite-tiny.safetensors")
    rates = ["--ds", "", "--alphas", "0.7", "--betas", "0,1"]
    model = ["--model", str(folder / "lite-tiny.safetensors")]
    return run_script(folder, [*rates, *model], (*ADAPTED_SETTINGS, SECOND_DECODER))


def run_script(
    folder: Path, options: list[str], settings: tuple[str, ...]
) -> dict[str, dict[str, Any]]:
    random = np.random.default_rng(5)
    pictures = []
    for height, width in SIZES:
        smooth = np.add.outer(np.arange(height), np.arange(width))[:, :, None] + [0, 40, 80]
        noisy = (smooth + random.integers(0, 60, (height, width, 3))) % 256
        path = folder / f"{width}x{height}.png"
        path.write_bytes(encode_picture(Picture(noisy.astype(np.uint8)), "PNG"))
        pictures.append(str(path))
    report = folder / "rows.json"
    only = f"^({'|'.join(map(re.escape, settings))})$"
    command = [sys.executable, str(SCRIPT), "files", *pictures, *options]
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
    root = str(ROOT)
    return os.environ | {"PYTHONPATH": os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])}


@pytest.mark.parametrize("setting", SETTINGS)
def test_gives_the_promised_pixels(rows: dict[str, dict[str, Any]], setting: str) -> None:
    row = rows[setting]
    assert row["problems"] == []
    assert row["decoded"] == row["files"] == FILES


@pytest.mark.parametrize("setting", (*ADAPTED_SETTINGS, SECOND_DECODER))
def test_adapter_sets_give_the_promised_pixels(
    adapted_rows: dict[str, dict[str, Any]], setting: str
) -> None:
    row = adapted_rows[setting]
    assert row["problems"] == []
    assert row["decoded"] == row["files"] == ADAPTED_FILES
    assert row["encoded"] in (None, ADAPTED_FILES)
    assert len({other["digest"] for other in adapted_rows.values()}) == 1


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
