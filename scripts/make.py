#!/usr/bin/env python3
"""Make what ships with licodec.

    scripts/make.py pack run.pt --calibrate PICTURES -o base.safetensors     from a training state
    scripts/make.py adapters PACK --adapters mse=alpha.pt ... -o OUT         sets put into packs
    scripts/make.py wheels -o dist/                                          for every system
    scripts/make.py python arm64 FOLDER                                      for another processor
    scripts/make.py golden                                                   files for the tests
    scripts/make.py reference                                                docs/commands.md

Each has a --help of its own.
"""

from __future__ import annotations

from command import command, dispatch

KINDS = ("pack", "adapters", "wheels", "python", "golden", "reference")


@command
def main(argv: list[str] | None = None) -> None:
    dispatch(__doc__, "making", KINDS, argv)


if __name__ == "__main__":
    main()
