"""What a process of the program does first, before libraries are loaded, and how it is ended."""

from __future__ import annotations

import signal
import sys
import warnings
from typing import NoReturn

INTERRUPTED = 128 + signal.SIGINT  # the exit code

# The second one is of a terminal that is closed; not every system has it.
_REQUESTS_TO_END = [
    getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)
]


def end_on_request() -> None:
    """Clear up at a request to end as Ctrl-C does: no temporary file, no process left."""
    for number in _REQUESTS_TO_END:
        if signal.getsignal(number) is signal.SIG_DFL:  # nohup ignores that terminals close
            signal.signal(number, _end)


def silence_libraries() -> None:
    """Keep the Python warnings of libraries, which are for programmers, off the screen."""
    if not sys.warnoptions:
        warnings.simplefilter("ignore")


def _end(signal_number: int, frame: object) -> NoReturn:
    for number in _REQUESTS_TO_END:  # another one is not to disturb the clearing up
        signal.signal(number, signal.SIG_IGN)
    sys.exit(128 + signal_number)
