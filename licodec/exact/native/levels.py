"""The library's functions and the levels of instructions that it has kernels for."""

from __future__ import annotations

import ctypes
import os
from dataclasses import dataclass
from functools import cache

from licodec.errors import UsageError
from licodec.exact.native import library
from licodec.exact.native.tables import STAGE_SIZE, TASK_SIZE

LEVEL_VARIABLE = "LICODEC_NATIVE_LEVEL"  # names the level to use, for tests

PLAIN = "c"  # the level without vectors, which takes seconds


@dataclass(frozen=True)
class Level:
    """number     the library's
    lanes      outputs of a vector
    step_u8    inputs of a product of operands of bytes; 0: there is no kernel for them
    step_s16   inputs of a product of operands of 16 bits
    """

    number: int
    name: str
    lanes: int
    step_u8: int
    step_s16: int


@cache
def functions() -> ctypes.CDLL:
    """The library, its functions' types declared. Only where there is one."""
    native = library()
    assert native is not None
    whole, pointer = ctypes.c_int64, ctypes.c_void_p
    native.licodec_level.argtypes = [whole, pointer, pointer]
    native.licodec_level.restype = whole
    native.licodec_pack.argtypes = [pointer, whole, pointer, whole, pointer, pointer]
    native.licodec_pack.restype = None
    native.licodec_run.argtypes = [whole, pointer, whole, pointer, pointer, pointer, pointer]
    native.licodec_run.restype = whole
    return native


@cache
def levels() -> tuple[Level, ...]:
    """Those that this processor has, the best last."""
    found = []
    name, layout = ctypes.create_string_buffer(17), (ctypes.c_int64 * 5)()
    number = 0
    while (there := functions().licodec_level(number, name, layout)) >= 0:
        assert list(layout[3:]) == [8 * TASK_SIZE, 8 * STAGE_SIZE]
        if there:
            found.append(Level(number, name.value.decode(), *layout[:3]))
        number += 1
    return tuple(found)


def level_is_forced() -> bool:
    return bool(os.environ.get(LEVEL_VARIABLE))


def best_level() -> Level:
    """The one that the environment names, or the fastest. Raises UsageError for another name."""
    wanted = os.environ.get(LEVEL_VARIABLE)
    if not wanted:
        return levels()[-1]
    for level in levels():
        if level.name == wanted:
            return level
    known = ", ".join(level.name for level in levels())
    raise UsageError(f"{LEVEL_VARIABLE}: no level {wanted!r} here; there are {known}")
