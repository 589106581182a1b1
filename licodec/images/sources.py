"""Where pictures come from: paths, bytes and binary streams, all as one seekable stream."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from licodec.errors import BadInputError
from licodec.files import open_input, read_at_most

# The largest picture, of four 16-bit samples a pixel, as a file without compression.
MAX_PICTURE_FILE_BYTES = 2**31


@contextlib.contextmanager
def seekable(source: Path | bytes | BinaryIO, name: str) -> Iterator[BinaryIO]:
    """The whole of a file, of its bytes or of what is left of a stream, from the start.

    Raises BadInputError where it cannot be read, LimitError where a pipe or stream is larger
    than MAX_PICTURE_FILE_BYTES.
    """
    if isinstance(source, bytes):
        yield io.BytesIO(source)
    elif isinstance(source, Path):
        with open_input(source) as stream:
            if stream.seekable():
                yield stream
            else:  # a named pipe, as the shell's <(...) gives
                yield io.BytesIO(read_at_most(stream, MAX_PICTURE_FILE_BYTES, name))
    else:
        yield io.BytesIO(stream_bytes(source, MAX_PICTURE_FILE_BYTES, name))


def stream_bytes(stream: BinaryIO, limit: int, name: str) -> bytes:
    """What is left of a caller's stream.

    Raises BadInputError where it is none of bytes, is closed or cannot be read, LimitError
    beyond `limit` bytes.
    """
    try:
        return read_at_most(stream, limit, name)
    except (TypeError, ValueError, AttributeError) as error:  # text, closed, not for reading
        raise BadInputError(
            f"{name}: not an open stream of bytes ({error}); open it with mode 'rb'"
        ) from error


@contextlib.contextmanager
def from_start(stream: BinaryIO) -> Iterator[BinaryIO]:
    """The stream at its start, and afterwards again where it was: Pillow reads on from there."""
    position = stream.tell()
    stream.seek(0)
    try:
        yield stream
    finally:
        stream.seek(position)


def contents(stream: BinaryIO) -> bytes:
    """All of the stream's bytes; leaves it where it was."""
    with from_start(stream):
        return stream.read()
