"""A command line to call in this process, and a few small files."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

import licodec.cli.encode
import licodec.codec
import licodec.library
from licodec import packs
from licodec.cli import threads
from licodec.cli.app import app
from licodec.images import Picture

Run = Callable[..., Result]

# It needs no torch, and pictures of up to 64x64 pixels take it a tenth of a second.
ON_REFERENCE = ("--backend", "reference")


@pytest.fixture(autouse=True)
def the_only_pack(pack_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One known pack, found first, and read once for all tests."""
    monkeypatch.setenv(packs.SEARCH_VARIABLE, str(pack_path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data-home"))
    for module in (licodec.library, licodec.cli.encode):
        monkeypatch.setattr(module, "open_pack", open_pack_once)


open_pack_once = lru_cache(packs.open_pack)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Call `licodec` with arguments, in a folder of the test's own."""
    monkeypatch.chdir(tmp_path)
    for variable in threads.VARIABLES:  # which --threads sets, for the process
        monkeypatch.setenv(variable, os.environ.get(variable, "1"))

    def call(*arguments: str, input: bytes | None = None) -> Result:
        return CliRunner().invoke(app, arguments, input=input, prog_name="licodec")

    return call


def pixels(height: int = 33, width: int = 17) -> np.ndarray:
    """(height, width, 3) uint8: a gradient with texture, larger without loss than by a network."""
    y, x = np.mgrid[:height, :width]
    smooth = np.stack([x * 5 + y, 3 * y, 255 - 2 * x - y + (x * y) % 9], 2)
    noise = np.random.default_rng(1).integers(0, 24, smooth.shape)
    return np.clip(smooth + noise, 0, 255).astype(np.uint8)


def png(array: np.ndarray | None = None, **options: object) -> bytes:
    """A PNG file of an array, of `pixels()` by default."""
    stream = io.BytesIO()
    Image.fromarray(pixels() if array is None else array).save(stream, "PNG", **options)
    return stream.getvalue()


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """photo.png in the test's folder."""
    path = tmp_path / "photo.png"
    path.write_bytes(png())
    return path


@pytest.fixture(scope="session")
def encoded(pack_path: Path) -> bytes:
    """`pixels()` with an ICC profile, encoded at d = 1."""
    codec = licodec.codec.Codec(open_pack_once(pack_path), licodec.codec.REFERENCE)
    profile = bytes(16) + b"RGB XYZ " + bytes(12) + b"acsp" + bytes(88)
    return codec.neutral.encode(Picture(pixels(), icc=profile)).data


@pytest.fixture
def lic(tmp_path: Path, encoded: bytes) -> Path:
    """photo.lic in the test's folder."""
    path = tmp_path / "photo.lic"
    path.write_bytes(encoded)
    return path


def one_error(result: Result) -> str:
    """The only line on the standard error, which is an error's."""
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: ")
    return line
