"""format/reference_decoder.py as a module, and as the command that it is."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np

from licodec.images import read_picture

FORMAT = Path(__file__).parents[2] / "format"
PATH = FORMAT / "reference_decoder.py"


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("reference_decoder", PATH)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


decoder = load()


def decode_to_pixels(data: bytes, pack: Path, folder: Path) -> np.ndarray:
    """What the command makes of a file's bytes with `pack`, by way of files in `folder`."""
    file, picture = folder / "second.lic", folder / "second.pnm"
    file.write_bytes(data)
    done = run(file, "--weights", pack, "-o", picture)
    assert done.returncode == 0, done.stderr
    return read_picture(picture, picture.name).pixels


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own; isolated, so that it cannot import licodec."""
    command = [sys.executable, "-I", str(PATH), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
