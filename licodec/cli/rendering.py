"""What the program says: result lines, warnings, errors, tables.

Results go to the standard output, all else to the standard error; where a picture or a file takes
one of them, to the other. Everything but a table is one line each.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

import typer

from licodec.cli.streams import Channel, is_narrow, say
from licodec.errors import LicodecError

if TYPE_CHECKING:
    from rich.console import Console

_NO_WIDTH = 10_000


class Verbosity(Enum):
    """How much is said: errors alone, results and warnings, or details too."""

    QUIET = 0
    NORMAL = 1
    VERBOSE = 2


@dataclass(frozen=True)
class Notice:
    """What goes for many results and is said once: a detail and warnings."""

    detail: str
    warnings: tuple[str, ...] = ()


class Reporter:
    """Says what a command has to say, as far as it was asked for.

    data       the streams that carry pictures or files; nothing but errors is said there
    exit_code  the highest of the failures'
    """

    def __init__(self, verbosity: Verbosity, data: frozenset[Channel] = frozenset()) -> None:
        self._verbosity = verbosity
        self._data = data
        self._noticed: set[Notice] = set()
        self.exit_code = 0

    def result(self, line: str) -> None:
        if self._verbosity is not Verbosity.QUIET:
            self._say("", line, Channel.OUTPUT, Channel.ERROR)

    def show(self, text: str) -> None:
        """Say what a command is for, on as many lines as it takes."""
        self._write(text, Channel.OUTPUT)

    def warnings(self, lines: Sequence[str]) -> None:
        if self._verbosity is not Verbosity.QUIET:
            for line in lines:
                self._say("warning", line, Channel.ERROR, Channel.OUTPUT)

    def notice(self, notice: Notice) -> None:
        if notice in self._noticed:
            return
        self._noticed.add(notice)
        if self._verbosity is Verbosity.VERBOSE:
            self._say("", notice.detail, Channel.ERROR, Channel.OUTPUT)
        self.warnings(notice.warnings)

    def error(self, message: str) -> None:
        print_error(message)

    def failure(self, error: LicodecError) -> None:
        """Say what went wrong with one of several things, which gives its exit code."""
        print_error(str(error))
        self.exit_code = max(self.exit_code, error.exit_code)

    def _say(self, label: str, text: str, *channels: Channel) -> None:
        """On the first of the channels that carries no data."""
        free = next((channel for channel in channels if channel not in self._data), None)
        if free is not None:
            self._write(_labelled(label, text, free), free)

    def _write(self, text: str, channel: Channel) -> None:
        try:
            say(text, channel)
        except LicodecError as error:
            self.failure(error)


def print_error(message: str) -> None:
    say(_labelled("error", message, Channel.ERROR), Channel.ERROR)


_LABEL_COLOURS = {"error": "red", "warning": "yellow"}


def _labelled(label: str, text: str, channel: Channel) -> str:
    if not label:
        return one_line(text)
    label += ":"
    if channel.is_coloured:
        label = typer.style(label, fg=_LABEL_COLOURS[label[:-1]], bold=True)
    return f"{label} {one_line(text)}"


def one_line(text: str) -> str:
    """The text on one line and without control characters, whatever a file put into it."""
    text = " ".join(text.splitlines())
    return text if text.isprintable() else ascii(text)[1:-1]


@contextlib.contextmanager
def about(name: str) -> Iterator[None]:
    """Begin the message of any LicodecError with the name of the file that it is about."""
    try:
        yield
    except LicodecError as error:
        raise type(error)(f"{name}: {error}") from error


# Numbers -----------------------------------------------------------------------------------


def counted(count: int, noun: str) -> str:
    """The count and its noun: 1 file, 2 files."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


# Tables and progress, by rich, which is loaded where it is needed ------------------------------


def print_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table on the standard output; on a narrow terminal each cell with its heading."""
    if Channel.OUTPUT.is_terminal and is_narrow():
        for row in rows:
            say()
            for heading, cell in zip(headings, row, strict=True):
                say(f"{heading} {one_line(cell)}".strip())
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*(Text(one_line(cell)) for cell in row))
    # A file or a pipe has no width; there each row is one line.
    width = None if Channel.OUTPUT.is_terminal else _NO_WIDTH
    console = Console(
        highlight=False,
        width=width,
        color_system="auto" if Channel.OUTPUT.is_coloured else None,
    )
    with console.capture() as captured:
        console.print(table)
    say(captured.get().rstrip("\n"))


@contextlib.contextmanager
def progress(total: int, verbosity: Verbosity) -> Iterator[Callable[[], None]]:
    """A progress bar on the standard error where that is a terminal; yields its advance by one."""
    if verbosity is Verbosity.QUIET or not Channel.ERROR.is_live or is_narrow():
        yield lambda: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    bar = Progress(
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=progress_console(),
        transient=True,
        # Lines printed meanwhile appear above the bar; those bound for a file stay there.
        redirect_stdout=Channel.OUTPUT.is_terminal,
    )
    with bar:
        task = bar.add_task("", total=total)
        yield lambda: bar.advance(task)


def progress_console() -> Console:
    """The standard error, in colour where that is wanted."""
    from rich.console import Console

    return Console(stderr=True, color_system="auto" if Channel.ERROR.is_coloured else None)
