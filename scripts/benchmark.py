#!/usr/bin/env python3
"""What licodec costs: time, memory and, of the published networks, what exactness takes.

    scripts/benchmark.py codecs PICTURE --rounds 7 --large    beside CompressAI's networks
    scripts/benchmark.py commands PICTURE                     of whole commands
    scripts/benchmark.py published                            of the published networks

Each has a --help of its own.
"""

from __future__ import annotations

import argparse
import sys
from concurrent.futures.process import BrokenProcessPool
from importlib import import_module

from command import command, parser

KINDS = ("codecs", "commands", "published")


@command
def main(argv: list[str] | None = None) -> None:
    options = parser(__doc__)
    options.add_argument("kind", choices=KINDS)
    options.add_argument("options", nargs=argparse.REMAINDER)
    chosen = options.parse_args(argv)
    # Nothing of the others is loaded: memory that this process takes shows in those it starts.
    module = import_module(f"benchmarking.{chosen.kind}")
    own = parser(module.__doc__)
    own.prog = f"{options.prog} {chosen.kind}"
    module.add_options(own)
    try:
        module.run(own.parse_args(chosen.options))
    except BrokenProcessPool:  # its process has said why
        sys.exit("error: a codec could not be set up")


if __name__ == "__main__":
    main()
