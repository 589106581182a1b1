"""Paths that stand for open descriptors: "-", /dev/stdout, /dev/fd/3, and links to them.

What such a path names may be a pipe, a socket, or a file in the middle of which others write: it
is read and written as it is, never replaced, and it has no name of its own.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path

STANDARD_STREAM = "-"
STANDARD_INPUT, STANDARD_OUTPUT, STANDARD_ERROR = range(3)

_MOST_LINKS = 40  # as Linux has it
_MOST_DIGITS = 9  # of a descriptor's number


def input_descriptor(source: str | Path) -> int | None:
    """The descriptor that an input stands for, 0 for "-"; None for a file."""
    return STANDARD_INPUT if str(source) == STANDARD_STREAM else _descriptor_of(source)


def output_descriptor(target: str | Path) -> int | None:
    """The descriptor that an output stands for, 1 for "-"; None for a file."""
    return STANDARD_OUTPUT if str(target) == STANDARD_STREAM else _descriptor_of(target)


def is_standard_input(source: str | Path) -> bool:
    """Whether `source` is "-" or another name of the standard input."""
    return input_descriptor(source) == STANDARD_INPUT


def is_standard_output(target: str | Path) -> bool:
    """Whether `target` is "-" or another name of the standard output."""
    return output_descriptor(target) == STANDARD_OUTPUT


def _descriptor_of(path: str | Path) -> int | None:
    """3 for /dev/fd/3, /proc/self/fd/3 and symbolic links to them; None for other paths."""
    text = os.fspath(path)
    process, thread = os.getpid(), threading.get_native_id()
    folders = ("/dev/fd", f"/proc/{process}/fd", f"/proc/{process}/task/{thread}/fd")
    for _ in range(_MOST_LINKS):
        folder, name = os.path.split(text)
        number = name.isascii() and name.isdecimal() and len(name) <= _MOST_DIGITS
        if number and folder and os.path.realpath(folder) in folders:
            return int(name)
        try:
            text = os.path.join(folder, os.readlink(text))
        except (OSError, ValueError):  # no link; ValueError: a NUL character
            return None
    return None
