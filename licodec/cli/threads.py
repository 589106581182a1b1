"""The number of threads, said before the libraries that start them are loaded."""

from __future__ import annotations

import os

# Read by the libraries of NumPy and torch when they are loaded.
VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def limit_threads(count: int | None) -> int | None:
    """Let libraries that are loaded from now on start `count` threads, as many as they like where
    it is None; gives it back, as the callback of an option does."""
    if count is not None:
        os.environ.update(dict.fromkeys(VARIABLES, str(count)))
    return count
