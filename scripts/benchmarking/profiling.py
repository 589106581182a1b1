"""Where time goes inside licodec, function by function."""

from __future__ import annotations

import cProfile
import pstats
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import licodec

PACKAGE = Path(licodec.__file__).parent


def profile(run: Callable[[], Any], repeats: int) -> Counter[str]:
    """Seconds of `run()` by function of licodec ("entropy/rans: decode"), averaged over `repeats`
    calls: the function's own and those of the libraries that it calls.

    One thread is watched; the time it waits for the threads of a library counts as the
    library's.
    """
    clock = cProfile.Profile()
    for _ in range(repeats):
        clock.runcall(run)
    seconds: Counter[str] = Counter()
    for function, (_, _, own, _, callers) in pstats.Stats(clock).stats.items():
        if name := _name(function):
            seconds[name] += own / repeats
        else:
            for caller, (_, _, _, whole) in callers.items():
                if name := _name(caller):
                    seconds[name] += whole / repeats
    return seconds


def _name(function: tuple[str, int, str]) -> str:
    """That of a function of licodec, with its module; empty for those of libraries."""
    path = Path(function[0])
    if PACKAGE not in path.parents:
        return ""
    return f"{path.relative_to(PACKAGE).with_suffix('').as_posix()}: {function[2]}"
