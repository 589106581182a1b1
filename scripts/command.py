"""What every command of this folder does: it parses options, and says its errors on one line."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from functools import wraps
from importlib import import_module

from licodec.errors import LicodecError, UsageError


def parser(about: str | None) -> argparse.ArgumentParser:
    """One whose help is the command's docstring as it stands."""
    return argparse.ArgumentParser(
        description=about, formatter_class=argparse.RawDescriptionHelpFormatter
    )


def numbers(text: str) -> tuple[float, ...]:
    """An option's numbers, separated by commas; none of an empty text."""
    try:
        return tuple(float(part) for part in text.split(",") if part)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}: give numbers separated by commas") from None


def require_positive(arguments: argparse.Namespace, *names: str) -> None:
    """Raise UsageError for one of these options that is given and less than 1."""
    for name in names:
        value = getattr(arguments, name)
        if value is not None and value < 1:
            raise UsageError(f"--{name.replace('_', '-')}: give 1 or more")


def command(main: Callable[..., int | None]) -> Callable[..., int | None]:
    """`main`, which ends the process with a message where it raises LicodecError."""

    @wraps(main)
    def run(argv: list[str] | None = None) -> int | None:
        try:
            return main(argv)
        except LicodecError as error:
            sys.exit(f"error: {error}")
        except KeyboardInterrupt:
            sys.exit(130)

    return run


def dispatch(about: str | None, package: str, kinds: Sequence[str], argv: list[str] | None) -> None:
    """Run the kind of command that is asked for: a module of `package` with `add_options` and
    `run`. Nothing of the others is loaded."""
    options = parser(about)
    options.add_argument("kind", choices=kinds)
    options.add_argument("options", nargs=argparse.REMAINDER)
    chosen = options.parse_args(argv)
    module = import_module(f"{package}.{chosen.kind}")
    own = parser(module.__doc__)
    own.prog = f"{options.prog} {chosen.kind}"
    module.add_options(own)
    module.run(own.parse_args(chosen.options))
