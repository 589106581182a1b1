"""The interpreter of a pack's programs: the fastest backend that proves itself exact here."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from types import ModuleType

from licodec.errors import LicodecError, UsageError
from licodec.exact.backends import native, reference
from licodec.exact.backends.torch_loading import import_torch, torch_problem
from licodec.exact.bounds import CheckedProgram
from licodec.exact.threads import MOST_THREADS
from licodec.exact.values import Run
from licodec.forks import limit_torch

BACKENDS = ("native", "cuda", "int8", "float32", "reference")
"""Fastest first, start included. The last needs no test: the others are held to it."""

Programs = Mapping[str, CheckedProgram]
_threads: int | None = None


class Interpreter:
    """Runs programs on one backend.

    backend   its name
    rejected  why each faster one that was tried is not used, by name
    """

    def __init__(self, module: ModuleType, programs: Programs, rejected: Mapping[str, str]) -> None:
        self.backend: str = module.NAME
        self.rejected = dict(rejected)
        self._module = module
        self._programs = programs
        self._prepared: dict[str, Run] = {}

    def prepare(self, name: str) -> Run:
        """What runs the program of a name; made once, whatever the number of calls."""
        if name not in self._prepared:
            limit_torch()
            self._prepared[name] = self._module.prepare(self._programs[name])
        return self._prepared[name]


def choose(requested: str | None, programs: Programs) -> Interpreter:
    """An interpreter of `programs` on the backend `requested`, or on the fastest exact one.

    Raises UsageError for a name that is not in BACKENDS and LicodecError for a requested
    backend that cannot run here or that fails its self-test.
    """
    if requested is not None and requested not in BACKENDS:
        raise UsageError(f"no backend {requested!r}; there are {', '.join(BACKENDS)}")
    rejected: dict[str, str] = {}
    for name in BACKENDS if requested is None else (requested,):
        if name == reference.NAME:
            break
        module, problem = _load(name)
        if module is not None:
            wrong = _failures(module, programs)
            if not wrong:
                return Interpreter(module, programs, rejected)
            problem = f"not exact on this machine: {wrong[0]}"
        rejected[name] = problem
    if requested in rejected:
        raise LicodecError(
            f"backend {requested}: {rejected[requested]}; leave it out to use another one, "
            "which gives the same pixels"
        )
    return Interpreter(reference, programs, rejected)


def set_threads(count: int) -> None:
    """Let backends use `count` threads, now and when torch is first imported."""
    global _threads
    if not 1 <= count <= MOST_THREADS:
        raise UsageError(f"{count} threads; give at least 1 and at most {MOST_THREADS}")
    _threads = count
    native.set_threads(count)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(count)


def _failures(module: ModuleType, programs: Programs) -> list[str]:
    """What a backend gets wrong. Ours has proved itself before, once for all programs."""
    if module is native:
        return []
    from licodec.exact.selftest import failures

    return failures(module, programs.values())


def _load(name: str) -> tuple[ModuleType | None, str]:
    """The module of a backend, or None and what stands in its way."""
    if name == native.NAME:
        problem = native.obstacle()
        return (native, "") if problem is None else (None, problem)
    try:
        import_torch()
        module = importlib.import_module(f"licodec.exact.backends.{name}")
    except (ImportError, OSError) as error:
        return None, f"it needs torch, and {torch_problem(error)}"
    if (obstacle := module.obstacle()) is not None:
        return None, obstacle
    if _threads is not None:
        sys.modules["torch"].set_num_threads(_threads)
    limit_torch()
    return module, ""
