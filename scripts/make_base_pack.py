#!/usr/bin/env python3
"""Make a weights pack of `base` from a training state, at the hand-made plan.

    scripts/make_base_pack.py run.pt --calibrate PICTURES -o base.safetensors

All weights take 8 bits and the linear paths 16. The pack keeps what its float network is read back
with, and how far that was trained: scripts/train.py --from goes on from it.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from licodec.errors import LicodecError
from licodec.packing.base import TRAINING_KEY, load_base, make_base_pack
from licodec.packing.calibration import read_pictures
from licodec.packs import write_pack


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("state", type=Path, help="state file of scripts/train.py")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--calibrate", type=Path, required=True, help="folder of pictures")
    parser.add_argument("--pictures", type=int, default=16, help="how many of them to use")
    parser.add_argument("--crop", type=int, default=384, help="largest side of the centre crop")
    parser.add_argument("--activation-bits", type=int, default=12, help="bits of activations, 8-16")
    parser.add_argument("--plan", default="standard", help="name of the precision plan")
    parser.add_argument("--card", type=Path, help="JSON to carry: description, data, licences")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    arguments = parse_arguments(argv)
    try:
        network, training = load_base(arguments.state)
        pictures = read_pictures(arguments.calibrate, arguments.pictures, arguments.crop)
        card = json.loads(arguments.card.read_text()) if arguments.card else {}
        card[TRAINING_KEY] = training
        bits = arguments.activation_bits
        pack = make_base_pack(network, pictures, arguments.plan, card, activation_bits=bits)
        write_pack(pack, arguments.output)
    except LicodecError as error:
        sys.exit(f"error: {error}")
    size = arguments.output.stat().st_size
    print(f"{arguments.output}: id {pack.weights_id.hex()}, {size:,} bytes")


if __name__ == "__main__":
    main()
