"""Where time goes inside licodec, operation by operation and function by function."""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import licodec

PACKAGE = Path(licodec.__file__).parent
BACKENDS = "exact/backends/"
RUN = "run"  # the function of a backend that calls one kernel for each operation
LOOPS = {"convolution", "kernel"}  # kernels that work block by block: what they call is named


@dataclass(frozen=True)
class Entry:
    """A function of licodec, as called for one purpose in one stage.

    stage     the function that the outermost one called: "synthesise"
    purpose   inside a backend's run the kernel, which is named after its operation, or what it
              calls for every block ("convolve"; "finish", which requantizes sums); elsewhere the
              function's module
    function  "module: name"
    seconds   its own time and that of the libraries it calls, without what other functions of
              licodec take
    """

    stage: str
    purpose: str
    function: str
    seconds: float


def profile(run: Callable[[], Any], repeats: int) -> list[Entry]:
    """Entries of `run()`, averaged over `repeats` calls.

    One thread is watched; the time it waits for the threads of a library counts as the
    library's.
    """
    clock = _Clock()
    for _ in range(repeats):
        clock.watch(run)
    return [
        Entry(stage, purpose or _module(code), f"{_module(code)}: {_name(code)}", t / repeats)
        for (stage, purpose, code), t in clock.seconds.items()
    ]


def summed(
    entries: Iterable[Entry], key: Callable[[Entry], str]
) -> list[tuple[str, dict[str, float]]]:
    """Seconds by stage for every value of `key`, the largest total first."""
    table: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for entry in entries:
        table[key(entry)][entry.stage] += entry.seconds
    return sorted(
        ((name, dict(seconds)) for name, seconds in table.items()),
        key=lambda row: -sum(row[1].values()),
    )


def with_rest(
    rows: Iterable[tuple[str, Mapping[str, float]]], least: float
) -> list[tuple[str, dict[str, float]]]:
    """The rows whose sum is at least `least` seconds, and one for all others."""
    shown: list[tuple[str, dict[str, float]]] = []
    rest: dict[str, float] = defaultdict(float)
    for name, seconds in rows:
        if sum(seconds.values()) >= least:
            shown.append((name, dict(seconds)))
            continue
        for stage, value in seconds.items():
            rest[stage] += value
    return [*shown, ("all others", dict(rest))] if rest else shown


class _Clock:
    """Charges the time between any two calls and returns to the innermost licodec function."""

    def __init__(self) -> None:
        self.seconds: dict[tuple[str, str | None, CodeType], float] = defaultdict(float)
        self._stack: list[tuple[CodeType, str | None]] = []  # functions and purposes
        self._last = 0.0

    def watch(self, run: Callable[[], Any]) -> None:
        self._stack.clear()
        sys.setprofile(self._event)
        try:
            run()
        finally:
            sys.setprofile(None)

    def _event(self, frame: FrameType, event: str, argument: Any) -> None:
        code = frame.f_code
        # Comprehensions count as the function that they stand in.
        if event not in ("call", "return") or code.co_name.startswith("<"):
            return
        if not code.co_filename.startswith(str(PACKAGE)):
            return
        now = time.perf_counter()
        stack = self._stack
        if stack:
            stage = stack[1][0].co_name if len(stack) > 1 else stack[0][0].co_name
            innermost, purpose = stack[-1]
            self.seconds[stage, purpose, innermost] += now - self._last
        if event == "call":
            stack.append((code, self._purpose(code)))
        elif stack:
            stack.pop()
        self._last = time.perf_counter()

    def _purpose(self, code: CodeType) -> str | None:
        if not self._stack:
            return None
        caller, purpose = self._stack[-1]
        in_run = caller.co_name == RUN and _module(caller).startswith(BACKENDS)
        if purpose in LOOPS or (purpose is None and in_run):
            return _name(code)
        return purpose


def _module(code: CodeType) -> str:
    return Path(code.co_filename).relative_to(PACKAGE).with_suffix("").as_posix()


def _name(code: CodeType) -> str:
    """The function's name, with that of its class but not of the function around it."""
    return code.co_qualname.rpartition("<locals>.")[2]
