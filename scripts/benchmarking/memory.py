"""Peak memory of one task, each measured in a process of its own."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Peak:
    """bytes at the highest point, of them those in use before the task began, and seconds."""

    peak: int
    before: int
    seconds: float
    result: Mapping[str, Any]


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


def measured(script: Path, job: Mapping[str, Any]) -> Peak:
    """Run `script --task` on a job in a new process. Raises RuntimeError with its last line."""
    done = subprocess.run(
        [sys.executable, str(script), "--task"],
        input=json.dumps(job),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError((done.stderr.strip().splitlines() or ["no message"])[-1])
    return Peak(**json.loads(done.stdout))


def report(prepare: Callable[[], Callable[[], Mapping[str, Any]]]) -> str:
    """In the new process: prepare, run what that gives, and say how it went as JSON."""
    task = prepare()
    before = peak_bytes()
    started = time.perf_counter()
    result = task()
    seconds = time.perf_counter() - started
    return json.dumps(
        {"peak": peak_bytes(), "before": before, "seconds": seconds, "result": result}
    )


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
