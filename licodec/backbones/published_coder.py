"""CompressAI's entropy coder, whose streams the published networks' are."""

from __future__ import annotations

import importlib.machinery
import importlib.util
from functools import cache
from pathlib import Path
from types import ModuleType

from licodec.errors import LicodecError


@cache
def coder() -> ModuleType:
    """CompressAI's extension ``ans`` by itself: ``import compressai`` takes seconds and needs a
    working torchvision."""
    package = importlib.util.find_spec("compressai")
    for folder in package.submodule_search_locations or () if package else ():
        for suffix in importlib.machinery.EXTENSION_SUFFIXES:
            path = Path(folder) / f"ans{suffix}"
            if path.exists():
                spec = importlib.util.spec_from_file_location("ans", path)
                module = importlib.util.module_from_spec(spec)
                spec.loader.exec_module(module)
                return module
    raise LicodecError(
        "the entropy coder of the package compressai is not installed: run 'pip install compressai'"
    )
