"""The command line: `licodec encode`, `decode`, `batch`, `info`, `verify`, `compare`, `quantize`,
`models`.

What is typed is declared in `commands` and `options`, which import nothing heavy, so that
`--help`, completion and usage errors answer at once; the work is in a module per command.
"""

from __future__ import annotations

import gc
import sys
from typing import NoReturn

from licodec.cli.process import INTERRUPTED, end_on_request, silence_libraries

# A command makes about as many objects before its first picture is done, nearly all of them to
# stay: looking for garbage among them takes a twentieth of the time of a short command.
START_UP_OBJECTS = 100_000


def main() -> NoReturn:
    """The program `licodec`: runs `sys.argv` and exits with the documented code."""
    gc.set_threshold(START_UP_OBJECTS)
    try:
        end_on_request()
        silence_libraries()
        from licodec.cli import streams

        streams.prepare()
        from licodec.cli.app import app

        app(prog_name="licodec")
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    sys.exit(0)
