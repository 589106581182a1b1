"""The levels of instructions that the library has kernels for."""

from __future__ import annotations

import ctypes
import os
from ctypes import c_int64, c_void_p
from functools import cache
from typing import NamedTuple

from licodec.errors import UsageError
from licodec.exact.native import LEVEL_VARIABLE, NONE, function
from licodec.exact.native.tables import STAGE_SIZE, TASK_SIZE

PLAIN = "c"  # the level without vectors, which takes seconds


class Level(NamedTuple):
    """number     the library's
    lanes      outputs of a vector
    step_u8    inputs of a product of operands of bytes; 0: there is no kernel for them
    step_s16   inputs of a product of operands of 16 bits
    offset_u8  what the kernel for bytes takes off each of them
    """

    number: int
    name: str
    lanes: int
    step_u8: int
    step_s16: int
    offset_u8: int


@cache
def levels() -> tuple[Level, ...]:
    """Those that this processor has, the best last."""
    found = []
    describe = function("licodec_level", c_int64, c_int64, c_void_p, c_void_p)
    name, layout = ctypes.create_string_buffer(17), (c_int64 * 6)()
    number = 0
    while (there := describe(number, name, layout)) >= 0:
        assert list(layout[4:]) == [8 * TASK_SIZE, 8 * STAGE_SIZE]
        if there:
            found.append(Level(number, name.value.decode(), *layout[:4]))
        number += 1
    return tuple(found)


def wanted_level() -> str | None:
    """What the environment names."""
    return os.environ.get(LEVEL_VARIABLE) or None


def best_level() -> Level:
    """The one that the environment names, or the fastest. Raises UsageError for another name."""
    wanted = wanted_level()
    if wanted is None:
        return levels()[-1]
    for level in levels():
        if level.name == wanted:
            return level
    known = ", ".join(level.name for level in levels())
    raise UsageError(f"{LEVEL_VARIABLE}: no level {wanted!r} here; there are {NONE}, {known}")
