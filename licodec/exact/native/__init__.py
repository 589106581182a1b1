"""The native code: C functions in a library that is there wherever a compiler was.

Whoever uses it has a form in Python that does the same. A function takes pointers and sizes,
has no state, and ctypes releases the interpreter's lock while it runs.
"""

from __future__ import annotations

import ctypes
import os
from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import Any

from licodec.exact.native.fingerprint import fingerprint

FOLDER = Path(__file__).parent
LEVEL_VARIABLE = "LICODEC_NATIVE_LEVEL"  # names the level to use, or NONE: for tests
NONE = "none"  # then nothing native is used


def library() -> ctypes.CDLL | None:
    """The loaded library, or None: then :func:`reason` says why."""
    return None if os.environ.get(LEVEL_VARIABLE) == NONE else _load()[0]


def reason() -> str | None:
    """Why there is no native code; None where there is."""
    put_aside = os.environ.get(LEVEL_VARIABLE) == NONE
    return f"{LEVEL_VARIABLE} is {NONE}" if put_aside else _load()[1]


@cache
def function(name: str, result: Any, *arguments: Any) -> Any:
    """The function `name` of the library, which must be there, with ctypes' types for what it
    takes and gives."""
    native = library()
    assert native is not None, reason()
    found = native[name]  # an object of its own, unlike an attribute
    found.restype, found.argtypes = result, arguments
    return found


@cache
def _load() -> tuple[ctypes.CDLL | None, str | None]:
    paths = [FOLDER / f"_native{suffix}" for suffix in EXTENSION_SUFFIXES]
    path = next((path for path in paths if path.is_file()), None)
    if path is None:
        return None, "no C compiler worked when licodec was installed"
    try:
        native = ctypes.CDLL(str(path))
        built_from = native.licodec_fingerprint
    except (OSError, AttributeError) as error:
        return None, f"{path} cannot be loaded: {error}"
    built_from.restype = ctypes.c_uint32
    sources = fingerprint(FOLDER)  # installed packages have none
    if sources is not None and built_from() != sources:
        return None, f"{path} is older than its sources: install licodec again"
    return native, None
