#!/usr/bin/env python3
"""What licodec costs: time, memory, bytes without loss and, of the published networks, what
exactness takes.

    scripts/benchmark.py codecs PICTURE --rounds 7    beside CompressAI's networks
    scripts/benchmark.py commands PICTURE             of whole commands
    scripts/benchmark.py lossless PICTURE...          beside PNG, WebP and JPEG XL
    scripts/benchmark.py decoders PICTURE             beside djxl, avifdec and dwebp
    scripts/benchmark.py batches FOLDER               of many pictures
    scripts/benchmark.py bare FOLDER PICTURE          on a Debian without a C compiler
    scripts/benchmark.py published                    of the published networks

Each has a --help of its own.
"""

from __future__ import annotations

import sys
from concurrent.futures.process import BrokenProcessPool

from command import command, dispatch

KINDS = ("codecs", "commands", "lossless", "decoders", "batches", "bare", "published")


@command
def main(argv: list[str] | None = None) -> None:
    try:
        # Of nothing else is there memory that would show in the processes that commands start.
        dispatch(__doc__, "benchmarking", KINDS, argv)
    except BrokenProcessPool:  # its process has said why
        sys.exit("error: a codec could not be set up")


if __name__ == "__main__":
    main()
