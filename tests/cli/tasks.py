"""What the worker processes of test_workers are given to do."""

from __future__ import annotations

import atexit
import os
import signal
import time
from collections.abc import Callable

from licodec.errors import WeightsMissingError


def open_tools() -> Callable[[str], str]:
    opened = f"opened by {os.getpid()}"

    def handle(task: str) -> str:
        match task:
            case "exit":
                os._exit(7)
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            case "sleep":
                time.sleep(600)
            case "threads":
                return os.environ["OMP_NUM_THREADS"]
        return opened

    return handle


def refuse_to_open() -> Callable[[str], str]:
    atexit.register(time.sleep, 1)  # libraries have things to do on the way out
    raise WeightsMissingError("no such pack")


def die_opening() -> Callable[[str], str]:
    os._exit(9)
