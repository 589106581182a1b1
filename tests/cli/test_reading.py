"""Inputs of the command line: the libraries beneath say nothing of their own."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from licodec.cli.reading import read_source
from licodec.errors import BadInputError


def test_libtiff_is_silent(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.tif"
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path, compression="tiff_lzw")
    data = bytearray(path.read_bytes())
    data[4000:4040] = bytes(range(40))
    path.write_bytes(data)
    with pytest.raises(BadInputError, match="damaged"):
        read_source(str(path))
    os.write(2, b"heard again")
    assert capfd.readouterr().err == "heard again"
