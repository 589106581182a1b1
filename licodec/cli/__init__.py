"""The command line: `licodec encode`, `decode`, `batch`, `info`, `verify`, `quantize`, `models`.

What is typed is declared in `commands` and `options`, which import nothing heavy, so that
`--help`, completion and usage errors answer at once; the work is in a module per command.
"""

from __future__ import annotations

import signal
import sys
import warnings
from typing import NoReturn

# The second one is of a terminal that is closed; not every system has it.
_REQUESTS_TO_END = [
    getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)
]
INTERRUPTED = 128 + signal.SIGINT


def main() -> NoReturn:
    """The program `licodec`: runs `sys.argv` and exits with the documented code."""
    try:
        # A request to end clears up as Ctrl-C does: no temporary file, no process left.
        for number in _REQUESTS_TO_END:
            if signal.getsignal(number) is signal.SIG_DFL:  # nohup ignores that terminals close
                signal.signal(number, _end)
        silence_libraries()
        from licodec.cli import streams

        streams.prepare()
        from licodec.cli.app import app

        app(prog_name="licodec")
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    sys.exit(0)


def silence_libraries() -> None:
    """Keep the Python warnings of libraries, which are for programmers, off the screen."""
    if not sys.warnoptions:
        warnings.simplefilter("ignore")


def _end(signal_number: int, frame: object) -> NoReturn:
    for number in _REQUESTS_TO_END:  # another one is not to disturb the clearing up
        signal.signal(number, signal.SIG_IGN)
    sys.exit(128 + signal_number)
