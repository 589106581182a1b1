"""What the worker processes of test_workers are given to do."""

from __future__ import annotations

import atexit
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from licodec.batches.workers import Ask
from licodec.errors import WeightsMissingError


def three_threads() -> None:
    os.environ["OMP_NUM_THREADS"] = "3"


def open_tools() -> Callable[[str, Ask], Any]:
    opened = f"opened by {os.getpid()}"

    def handle(task: str, ask: Ask) -> Any:
        match task:
            case "exit":
                os._exit(7)
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            case "sleep":
                time.sleep(600)
            case "threads":
                return os.environ["OMP_NUM_THREADS"]
            case "hang up":
                os.kill(os.getpid(), signal.SIGHUP)
            case "ask":
                return [ask(f"what is {number}?") for number in range(3)]
            case "ask and die":
                os._exit(ask("how?"))
            case _ if task.startswith("end twice "):
                mark = Path(task.removeprefix("end twice "))
                mark.touch()
                try:
                    os.kill(os.getpid(), signal.SIGTERM)
                    time.sleep(600)
                finally:
                    os.kill(os.getpid(), signal.SIGTERM)
                    time.sleep(0)  # where a signal would be taken in
                    mark.unlink()
        return opened

    return handle


def refuse_to_open() -> Callable[[str, Ask], Any]:
    atexit.register(time.sleep, 1)  # libraries have things to do on the way out
    raise WeightsMissingError("no such pack")


def die_opening() -> Callable[[str, Ask], Any]:
    os._exit(9)
