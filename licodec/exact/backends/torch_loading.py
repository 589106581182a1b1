"""Torch, imported where its libraries would otherwise end the process."""

from __future__ import annotations

import contextlib
import importlib
import os
from collections.abc import Iterator
from types import ModuleType

MOST_THREADS = 1024
"""That may be asked for. Beyond some thousands OpenMP ends the process."""


def import_torch() -> ModuleType:
    """Raises ImportError and OSError as an import does."""
    with _in_some_directory():
        return importlib.import_module("torch")


@contextlib.contextmanager
def _in_some_directory() -> Iterator[None]:
    """Be elsewhere for a while where the working directory is gone, which MKL does not survive."""
    try:
        os.getcwd()
    except OSError:
        gone = os.open(os.curdir, os.O_RDONLY)
        try:
            os.chdir(os.sep)
            yield
        finally:
            os.fchdir(gone)  # paths still begin there
            os.close(gone)
    else:
        yield
