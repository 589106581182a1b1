"""Inputs: files or the standard input, and what messages call them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from licodec.container import MAGIC, MAX_LIC_FILE_BYTES
from licodec.descriptors import is_standard_input, is_standard_output
from licodec.files import display_name, open_input, read_at_most, read_bytes
from licodec.remote import is_url

if TYPE_CHECKING:
    from licodec.images import Picture

_HEAD_BYTES = 64  # of a file that is no .lic file: enough to say what it is


def source_name(source: str) -> str:
    return "standard input" if is_standard_input(source) else display_name(source)


def target_name(target: str) -> str:
    return "standard output" if is_standard_output(target) else display_name(target)


def read_source(source: str) -> Picture:
    """The picture in a file, at a URL or on the standard input.

    Raises BadInputError, LimitError.
    """
    from licodec.images import MAX_PICTURE_FILE_BYTES, read_picture

    if is_standard_input(source) or is_url(source):
        data = read_bytes(source, MAX_PICTURE_FILE_BYTES)
        with _silent_libraries():
            return read_picture(data, source_name(source))
    with _silent_libraries():
        return read_picture(Path(source), display_name(source))


@contextlib.contextmanager
def _silent_libraries() -> Iterator[None]:
    """Keep what libtiff writes to the standard error by itself from standing beside our errors."""
    try:
        error = os.dup(2)
    except OSError:  # closed
        yield
        return
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(error, 2)
        os.close(error)


def read_lic(source: str) -> bytes:
    """The bytes of a .lic file; of a file that is none its first ones, which tell why.

    Raises BadInputError, LimitError.
    """
    if is_standard_input(source):
        return read_bytes(source, MAX_LIC_FILE_BYTES)
    name = display_name(source)
    with open_input(source) as stream:
        head = stream.read(_HEAD_BYTES)
        if not head.startswith(MAGIC):
            return head
        return head + read_at_most(stream, MAX_LIC_FILE_BYTES, name)
