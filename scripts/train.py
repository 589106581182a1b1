#!/usr/bin/env python3
"""Train licodec's networks in float.

    scripts/train.py base TILES --state run.pt                         one network for every rate
    scripts/train.py prepare imagenet/train --largest 8000 -o PICTURES    as CALICE's pictures were
    scripts/train.py adapters PICTURES --from weights/lite-precise.safetensors --state alpha.pt

Each has a --help of its own.
"""

from __future__ import annotations

from command import command, dispatch


@command
def main(argv: list[str] | None = None) -> None:
    dispatch(__doc__, "training", ("base", "adapters", "prepare"), argv)


if __name__ == "__main__":
    main()
