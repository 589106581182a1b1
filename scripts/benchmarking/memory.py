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

import numpy as np

Job = Mapping[str, Any]
Result = Mapping[str, Any]


@dataclass(frozen=True)
class Peak:
    """bytes at the highest point, of them those in use before the task began, and seconds."""

    peak: int
    before: int
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
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def own_process(**settings: Any) -> ProcessPoolExecutor:
    """A new process that shares nothing with this one."""
    return ProcessPoolExecutor(1, get_context("spawn"), **settings)


def measured(prepare: Callable[[Job], Callable[[], Result]], job: Job) -> Peak:
    """Of what `prepare` gives for a job; both in a new process."""
    with own_process() as process:
        return process.submit(_measured, prepare, job).result()


def _measured(prepare: Callable[[Job], Callable[[], Result]], job: Job) -> Peak:
    task = prepare(job)
    before, started = peak_bytes(), time.perf_counter()
    result = task()
    return Peak(peak_bytes(), before, time.perf_counter() - started, result)


def write_large_picture(path: Path, side: int) -> None:
    """A synthetic picture of side x side as PPM, row by row: gradients, waves, edges, noise."""
    random = np.random.default_rng(0)
    columns = np.arange(side)
    with path.open("wb") as file:
        file.write(b"P6 %d %d 255\n" % (side, side))
        for row in range(side):
            block = (row // 97 + columns // 131) % 7
            wave = 60 * np.sin(columns * (0.002 + row / side / 9)) + 40 * np.sin(row / 11)
            grey = 110 + wave + 8 * block
            planes = grey[:, None] + np.array([12, 0, -15]) * np.cos(row / 300)
            noisy = planes + random.integers(-3, 4, (side, 1))
            file.write(np.clip(noisy, 0, 255).astype(np.uint8).tobytes())
