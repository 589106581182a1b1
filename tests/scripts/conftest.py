"""What tests of the scripts share."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from licodec.images import Picture, encode_picture
from licodec.packs import write_pack
from tests import tiny

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="package", autouse=True)
def scripts_folder() -> Iterator[None]:
    """The scripts' folder on the path, as when one of them runs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "scripts"))
        yield


def script(name: str) -> ModuleType:
    """A module of that folder."""
    return importlib.import_module(name)


def textured(height: int, width: int, channels: int = 3) -> np.ndarray:
    random = np.random.default_rng((height, width))
    waves = 120 + 70 * np.sin(np.arange(height)[:, None, None] / 5 + np.arange(width)[:, None] / 9)
    noisy = waves + random.normal(0, 6, (height, width, channels))
    return np.clip(noisy, 0, 255).astype(np.uint8)


@pytest.fixture
def tiny_pack(tmp_path: Path) -> Path:
    path = tmp_path / "lite-tiny.safetensors"
    write_pack(tiny.pack(), path)
    return path


@pytest.fixture
def picture_file(tmp_path: Path) -> Path:
    path = tmp_path / "pictures" / "waves.png"
    path.parent.mkdir()
    path.write_bytes(encode_picture(Picture(textured(40, 56)), "PNG"))
    return path
