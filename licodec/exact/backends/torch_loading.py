"""Torch, imported where its libraries would otherwise end the process."""

from __future__ import annotations

import contextlib
import importlib
import os
from collections.abc import Iterator
from types import ModuleType

from licodec.errors import LicodecError

INSTALL = 'pip install "torch>=2.13"'
"""What installs it: the extra `torch` of pyproject.toml."""


def import_torch() -> ModuleType:
    """Raises ImportError and OSError as an import does."""
    with _in_some_directory():
        return importlib.import_module("torch")


def require_torch(what: str) -> None:
    """Import it for what does not go without. Raises LicodecError, which says how to install it."""
    try:
        import_torch()
    except (ImportError, OSError) as error:
        raise LicodecError(f"{what} needs torch, and {torch_problem(error)}") from None


def torch_problem(error: ImportError | OSError) -> str:
    """Why torch cannot be had, in words; OSError: a shared library of it is missing."""
    if isinstance(error, ModuleNotFoundError) and error.name == "torch":
        return f"it is not installed: {INSTALL}"
    return f"it cannot be imported ({error})"


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
