"""How many threads programs run on where nobody asks for a number."""

from __future__ import annotations

import os
from functools import cache

MOST_THREADS = 1024
"""That may be asked for. Beyond some thousands OpenMP ends the process."""


@cache
def default_threads() -> int:
    """One for each processor, or what the user of other libraries has said in the environment."""
    said = os.environ.get("OMP_NUM_THREADS", "")
    if said.isdecimal() and 0 < int(said) <= MOST_THREADS:
        return int(said)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
