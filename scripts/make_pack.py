#!/usr/bin/env python3
"""Make a weights pack of `lite` from a training state at the hand-made plan.

scripts/make_pack.py run.pt --calibrate PICTURES -o weights/lite-standard.safetensors

All weights take 8 bits and the linear path 16; `licodec quantize` searches plans.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from licodec.backbones.lite import DISTORTION_WEIGHT
from licodec.errors import LicodecError
from licodec.fmpq.calibration import read_pictures
from licodec.fmpq.checkpoints import load_lite
from licodec.fmpq.packing import PackForm, make_pack
from licodec.packs import write_pack


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("state", type=Path, help="state file of scripts/train.py")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--calibrate", type=Path, required=True, help="folder of pictures")
    parser.add_argument("--pictures", type=int, default=24, help="how many of them to use")
    parser.add_argument("--crop", type=int, default=512, help="largest side of the centre crop")
    parser.add_argument("--activation-bits", type=int, default=12, help="bits of activations, 8-16")
    parser.add_argument(
        "--distortion-weight",
        type=float,
        default=DISTORTION_WEIGHT,
        help="bits that an error of one quantization step is worth to the encoder (%(default)s)",
    )
    parser.add_argument("--plan", default="standard", help="name of the precision plan")
    parser.add_argument("--card", type=Path, help="JSON to carry: description, data, licences")
    return parser.parse_args(argv)


def main() -> None:
    arguments = parse_arguments()
    card = json.loads(arguments.card.read_text()) if arguments.card else {}
    form = PackForm(
        arguments.plan,
        activation_bits=arguments.activation_bits,
        distortion_weight=arguments.distortion_weight,
    )
    try:
        network = load_lite(arguments.state)
        pictures = read_pictures(arguments.calibrate, arguments.pictures, arguments.crop)
        pack = make_pack(network, pictures, form, card)
        write_pack(pack, arguments.output)
    except LicodecError as error:
        sys.exit(f"error: {error}")
    size = arguments.output.stat().st_size
    print(f"{arguments.output}: id {pack.weights_id.hex()}, {size:,} bytes")


if __name__ == "__main__":
    main()
