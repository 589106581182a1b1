"""Where time goes inside licodec, function by function."""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import licodec

PACKAGE = str(Path(licodec.__file__).parent)


@dataclass(frozen=True)
class Entry:
    """A function of licodec.

    module   its file below the package, "exact/backends/int8"
    name     its name; those of a backend's kernels are the operations'
    seconds  by stage: its own time and that of the libraries it calls, without what other
             functions of licodec take
    calls    how often it was entered
    """

    module: str
    name: str
    seconds: Mapping[str, float]
    calls: int

    @property
    def total(self) -> float:
        return sum(self.seconds.values())


def profile(run: Callable[[], Any], repeats: int) -> list[Entry]:
    """Entries of `run()`, slowest first, averaged over `repeats` calls.

    A stage is a function that the first function of licodec inside `run` calls, so the time
    of a decode falls into stages by what its top level does. One thread is watched; the time
    it waits for the threads of a library counts as the library's.
    """
    clock = _Clock()
    for _ in range(repeats):
        clock.watch(run)
    functions: dict[CodeType, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for (stage, code), seconds in clock.seconds.items():
        functions[code][stage] += seconds / repeats
    merged: dict[tuple[str, str], Entry] = {}
    for code, seconds in functions.items():
        key = (_module(code), code.co_name)
        calls = clock.calls[code] // repeats
        if key in merged:
            other = merged[key]
            both = {s: seconds.get(s, 0) + other.seconds.get(s, 0)
                    for s in {*seconds, *other.seconds}}  # fmt: skip
            merged[key] = Entry(*key, both, calls + other.calls)
        else:
            merged[key] = Entry(*key, dict(seconds), calls)
    return sorted(merged.values(), key=lambda entry: -entry.total)


class _Clock:
    """Charges the time between any two calls and returns to the innermost licodec function."""

    def __init__(self) -> None:
        self.seconds: dict[tuple[str, CodeType], float] = defaultdict(float)
        self.calls: dict[CodeType, int] = defaultdict(int)
        self._stack: list[CodeType] = []
        self._last = 0.0

    def watch(self, run: Callable[[], Any]) -> None:
        self._stack.clear()
        sys.setprofile(self._event)
        try:
            run()
        finally:
            sys.setprofile(None)

    def _event(self, frame: FrameType, event: str, argument: Any) -> None:
        if event not in ("call", "return") or not frame.f_code.co_filename.startswith(PACKAGE):
            return
        now = time.perf_counter()
        stack = self._stack
        if stack:
            stage = stack[1].co_name if len(stack) > 1 else "other"
            self.seconds[stage, stack[-1]] += now - self._last
        if event == "call":
            stack.append(frame.f_code)
            self.calls[frame.f_code] += 1
        elif stack:
            stack.pop()
        self._last = time.perf_counter()


def _module(code: CodeType) -> str:
    return str(Path(code.co_filename).relative_to(PACKAGE).with_suffix(""))
