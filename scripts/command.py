"""What every command of this folder does: it parses options, and says its errors on one line."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from functools import wraps

from licodec.errors import LicodecError


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
