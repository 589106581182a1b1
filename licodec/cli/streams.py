"""The standard streams as the program finds them, and lines of text on them.

They may be closed, full, without a reader or of a narrow encoding, and one of them may carry a
picture. None of that stops the work: what cannot be said is left unsaid, and an error where it
was the standard output that failed.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import shutil
import stat
import sys
from collections.abc import Iterable
from enum import Enum
from typing import TextIO

import typer

from licodec.descriptors import STANDARD_ERROR, STANDARD_INPUT, STANDARD_OUTPUT, output_descriptor
from licodec.errors import LicodecError

LEAST_WIDTH = 64  # columns that the help and tables need: in fewer, rich cuts words and cells

_PLAIN_TERMINALS = ("dumb", "unknown")  # values of TERM


class Channel(Enum):
    """A stream for text, by its descriptor."""

    OUTPUT = STANDARD_OUTPUT
    ERROR = STANDARD_ERROR

    @property
    def stream(self) -> TextIO | None:
        """What Python writes to, None where the program was started without it."""
        return sys.stdout if self is Channel.OUTPUT else sys.stderr

    def descriptor(self) -> int:
        """Raises ValueError, of which OSError may be one, where there is none."""
        if self.stream is None:
            raise ValueError("no stream")
        return self.stream.fileno()

    @property
    def is_terminal(self) -> bool:
        return self.stream is not None and self.stream.isatty()

    @property
    def is_live(self) -> bool:
        """Whether it is a terminal whose cursor can be moved."""
        return self.is_terminal and os.environ.get("TERM") not in _PLAIN_TERMINALS

    @property
    def is_coloured(self) -> bool:
        """Whether styles are wanted: NO_COLOR and FORCE_COLOR say so before the terminal does."""
        wanted = self.is_live or os.environ.get("FORCE_COLOR")
        return bool(wanted) and not os.environ.get("NO_COLOR")


def prepare() -> None:
    """Make the streams fit for what may come: once, before anything else is opened.

    A descriptor that is closed would be given to the next file that is opened, and what libraries
    have to say would end in that; so it is opened on nothing. Characters that a stream's encoding
    lacks are escaped.
    """
    for descriptor in (STANDARD_INPUT, STANDARD_OUTPUT, STANDARD_ERROR):
        try:
            os.fstat(descriptor)
        except OSError:  # the lowest free number is this one
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    for channel in Channel:
        if isinstance(channel.stream, io.TextIOWrapper):
            channel.stream.reconfigure(errors="backslashreplace")
    _prepare_help()


def _prepare_help() -> None:
    """Tell Typer, which reads them when it lays out a help, what rich alone would not do."""
    if os.environ.get("NO_COLOR"):  # bold and dim are no colours to rich
        os.environ["_TYPER_FORCE_DISABLE_TERMINAL"] = "1"
    stated = os.environ.pop("TERMINAL_WIDTH", "")
    width = int(stated) if stated.isascii() and stated.isdecimal() else None
    if is_narrow() or os.environ.get("COLUMNS") == "0":
        width = shutil.get_terminal_size().columns
    if width is not None:
        os.environ["TERMINAL_WIDTH"] = str(max(width, LEAST_WIDTH))


def is_narrow() -> bool:
    """Whether the terminal, or what COLUMNS says of it, has too few columns for a table."""
    return shutil.get_terminal_size().columns < LEAST_WIDTH


def say(line: str = "", channel: Channel = Channel.OUTPUT) -> None:
    """Write a line, if the stream is open.

    A reader that has gone is no error. Raises LicodecError where the standard output takes it not.
    """
    stream = channel.stream
    if stream is None:
        return
    try:
        typer.echo(line, file=stream, color=channel.is_coloured)
    except OSError as error:
        abandon(channel)
        if channel is Channel.OUTPUT and error.errno != errno.EPIPE:
            raise output_failed(error) from error


def output_failed(error: OSError) -> LicodecError:
    """What to say of an error of the standard output."""
    return LicodecError(f"standard output: cannot be written: {error.strerror or error}")


def abandon(channel: Channel) -> None:
    """Point a stream at nothing.

    What could not be written stays in its buffer, and would be tried again, with a complaint of
    the interpreter's, at every line and on the way out.
    """
    with contextlib.suppress(OSError, ValueError):
        descriptor = channel.descriptor()
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, descriptor)
        finally:
            os.close(nowhere)


def require_output() -> None:
    """Raise LicodecError where the standard output, which is all a command is for, is closed."""
    if sys.stdout is None:
        raise LicodecError("standard output is closed; redirect it to a file")


def carrying_data(targets: Iterable[str]) -> frozenset[Channel]:
    """The streams that one of these outputs goes to, by whatever name."""
    names = list(targets)
    return frozenset(c for c in Channel if any(_carries(c, target) for target in names))


def _carries(channel: Channel, target: str) -> bool:
    descriptor = output_descriptor(target)
    if descriptor == channel.value:
        return True
    try:
        own = os.fstat(channel.descriptor())
        other = os.stat(target) if descriptor is None else os.fstat(descriptor)
    except (OSError, ValueError):  # no such file, or no such stream
        return False
    # A device such as /dev/null does not mix what it is given.
    return os.path.samestat(own, other) and not stat.S_ISCHR(own.st_mode)
