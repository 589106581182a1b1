#!/usr/bin/env python3
"""Make what ships with licodec.

    scripts/make.py pack run.pt --calibrate PICTURES -o base.safetensors     from a training state
    scripts/make.py adapters PACK --adapters mse=alpha.pt ... -o OUT         sets put into packs
    scripts/make.py golden                                                   files for the tests

Each has a --help of its own.
"""

from __future__ import annotations

from command import command, dispatch


@command
def main(argv: list[str] | None = None) -> None:
    dispatch(__doc__, "making", ("pack", "adapters", "golden"), argv)


if __name__ == "__main__":
    main()
