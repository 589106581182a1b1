"""Time and peak memory of tasks, each in a process of its own."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

Job = Mapping[str, Any]
UNIT = 1 if sys.platform == "darwin" else 1024  # bytes, of what the system says of memory
Result = Mapping[str, Any]


@dataclass(frozen=True)
class Peak:
    """bytes at the highest point, seconds, and what the task gave."""

    peak: int
    seconds: float
    result: Result


def peak_bytes() -> int:
    """The largest resident size so far of this process.

    On Linux from /proc: getrusage's figure is handed on by the process that started this one,
    and so can be the starter's.
    """
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * UNIT


def own_process() -> ProcessPoolExecutor:
    """A new process that shares nothing with this one."""
    return ProcessPoolExecutor(1, get_context("spawn"))


def measured(task: Callable[[Job], Result], job: Job) -> Peak:
    """Of a task in a new process."""
    with own_process() as process:
        return process.submit(_measured, task, job).result()


def _measured(task: Callable[[Job], Result], job: Job) -> Peak:
    started = time.perf_counter()
    result = task(job)
    return Peak(peak_bytes(), time.perf_counter() - started, result)
