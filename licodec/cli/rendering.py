"""What the program says: result lines, warnings, errors, tables.

Results go to the standard output, or to the standard error where a picture takes the standard
output; all else goes to the standard error. Everything but a table is one line each.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

import typer

from licodec.errors import LicodecError

_NO_WIDTH = 10_000


class Verbosity(Enum):
    """How much is said: errors alone, results and warnings, or details too."""

    QUIET = 0
    NORMAL = 1
    VERBOSE = 2


class ResultStream(Enum):
    """Where result lines go."""

    OUTPUT = "standard output"
    ERROR = "standard error"


@dataclass(frozen=True)
class Notice:
    """What goes for many results and is said once: a detail and warnings."""

    detail: str
    warnings: tuple[str, ...] = ()


class Reporter:
    """Says what a command has to say, as far as it was asked for."""

    def __init__(self, verbosity: Verbosity, results: ResultStream = ResultStream.OUTPUT) -> None:
        self._verbosity = verbosity
        self._results = results
        self._noticed: set[Notice] = set()

    def result(self, line: str) -> None:
        if self._verbosity is not Verbosity.QUIET:
            typer.echo(one_line(line), err=self._results is ResultStream.ERROR)

    def warnings(self, lines: Sequence[str]) -> None:
        if self._verbosity is not Verbosity.QUIET:
            for line in lines:
                label = typer.style("warning:", fg="yellow", bold=True)
                typer.echo(f"{label} {one_line(line)}", err=True)

    def notice(self, notice: Notice) -> None:
        if notice in self._noticed:
            return
        self._noticed.add(notice)
        if self._verbosity is Verbosity.VERBOSE:
            typer.echo(one_line(notice.detail), err=True)
        self.warnings(notice.warnings)

    def error(self, message: str) -> None:
        print_error(message)


def print_error(message: str) -> None:
    label = typer.style("error:", fg="red", bold=True)
    typer.echo(f"{label} {one_line(message)}", err=True)


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


def bits_per_pixel(size: int, pixels: int) -> str:
    return f"{8 * size / pixels:.3f} bpp"


def decibels(psnr: float) -> str:
    """PSNR as a person reads it; equal pictures have no number."""
    return "lossless" if psnr == float("inf") else f"{psnr:.2f} dB"


def counted(count: int, noun: str) -> str:
    """The count and its noun: 1 file, 2 files."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


# Tables and progress, by rich, which is loaded where it is needed ------------------------------


def print_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table on the standard output; the first column is text, the others too."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*(Text(one_line(cell)) for cell in row))
    # A file or a pipe has no width; there each row is one line.
    width = None if sys.stdout.isatty() else _NO_WIDTH
    Console(highlight=False, width=width).print(table)


@contextlib.contextmanager
def progress(total: int, verbosity: Verbosity) -> Iterator[Callable[[], None]]:
    """A progress bar on the standard error where that is a terminal; yields its advance by one."""
    if verbosity is Verbosity.QUIET or not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    bar = Progress(
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
        # Lines printed meanwhile appear above the bar; those bound for a file stay there.
        redirect_stdout=sys.stdout.isatty(),
    )
    with bar:
        task = bar.add_task("", total=total)
        yield lambda: bar.advance(task)
