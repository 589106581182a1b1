"""Golden files decode to the pixels they were made with, on every backend, for ever."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from licodec.container import read_file
from licodec.library import Library
from licodec.packs import embedded_folder, find_pack, installed_packs

ROOT = Path(__file__).resolve().parent.parent
GOLDEN = ROOT / "tests" / "golden"
HASHES: dict[str, str] = {  # by "weights id/file"
    f"{listing.parent.name}/{file}": digest
    for listing in sorted(GOLDEN.glob("*/pixels.json"))
    for file, digest in json.loads(listing.read_text()).items()
}


@cache
def library(backend: str) -> Library:
    return Library(backend)


@pytest.mark.parametrize("backend", ["reference", "float32"])
@pytest.mark.parametrize("name", HASHES)
def test_pixels(name: str, backend: str) -> None:
    picture = library(backend).decode((GOLDEN / name).read_bytes())
    digest = hashlib.sha256(np.ascontiguousarray(picture.pixels).data)
    if picture.alpha is not None:
        digest.update(np.ascontiguousarray(picture.alpha).data)
    assert digest.hexdigest() == HASHES[name]


def test_every_golden_file_has_a_hash() -> None:
    files = {path.relative_to(GOLDEN).as_posix() for path in GOLDEN.rglob("*.lic")}
    assert files == set(HASHES)


def test_every_embedded_pack_has_golden_files() -> None:
    embedded = [pack for pack in installed_packs() if pack.path.parent == embedded_folder()]
    assert {pack.weights_id.hex() for pack in embedded} <= {path.name for path in GOLDEN.iterdir()}


@pytest.mark.parametrize("name", [name for name in HASHES if name.startswith("lossless/")])
def test_the_second_decoder_agrees_on_lossless_files(name: str) -> None:
    decoder = ROOT / "format" / "reference_decoder.py"
    command = [sys.executable, "-I", str(decoder), str(GOLDEN / name)]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert HASHES[name] in result.stdout


@pytest.mark.parametrize("name", [name for name in HASHES if name.endswith("/alpha-d3.lic")])
def test_the_second_decoder_agrees(name: str) -> None:
    header = read_file((GOLDEN / name).read_bytes()).header
    pack = find_pack(header.weights_id, header.backbone).path
    assert pack.parent == embedded_folder()
    decoder = ROOT / "format" / "reference_decoder.py"
    command = [sys.executable, str(decoder), str(GOLDEN / name), "--weights", str(pack)]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert HASHES[name] in result.stdout
