"""Formats that need more packages than licodec does."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from licodec.errors import BadInputError


def extra_module(name: str, extra: str, kind: str) -> ModuleType:
    """A package that reads files of a kind ("a HEIC"). Raises BadInputError where it is missing."""
    try:
        return import_module(name)
    except ImportError as error:
        raise BadInputError(
            f"{kind} file, which needs one package more: pip install 'licodec[{extra}]'"
        ) from error
