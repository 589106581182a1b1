"""Inputs: files or the standard input, and what messages call them."""

from __future__ import annotations

from pathlib import Path

from licodec.container import MAGIC
from licodec.descriptors import is_standard_input, is_standard_output
from licodec.files import display_name, open_input, read_at_most, read_bytes
from licodec.images import MAX_PICTURE_FILE_BYTES, Picture, read_picture

# The largest payload, alpha plane and metadata that the format allows come to 3.8 GB.
MAX_LIC_FILE_BYTES = 2**32
_HEAD_BYTES = 64  # of a file that is no .lic file: enough to say what it is


def source_name(source: str) -> str:
    return "standard input" if is_standard_input(source) else display_name(source)


def target_name(target: str) -> str:
    return "standard output" if is_standard_output(target) else display_name(target)


def read_source(source: str) -> Picture:
    """The picture in a file or on the standard input. Raises BadInputError, LimitError."""
    if is_standard_input(source):
        data = read_bytes(source, MAX_PICTURE_FILE_BYTES)
        return read_picture(data, source_name(source))
    return read_picture(Path(source), display_name(source))


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
