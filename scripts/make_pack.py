#!/usr/bin/env python3
"""Make a weights pack of `lite` from a training state.

scripts/make_pack.py run.pt --calibrate PICTURES -o weights/lite-standard.safetensors
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

import torch

from licodec.backbones.lite import LiteNetwork
from licodec.backbones.lite_exact import compile_lite
from licodec.codec import Codec
from licodec.entropy.fitting import fitted_tables
from licodec.entropy.quantization import COST_UNIT
from licodec.entropy.tables import tables_to_tensors
from licodec.images import Picture, read_picture
from licodec.packs import Pack, write_pack
from licodec.rate import d_to_units

FITTING_DS = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
FITTING_ROUNDS = 2  # tables decide which symbols are cheap, and those decide the tables


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
        default=20.0,
        help="bits that an error of one quantization step is worth to the encoder (%(default)s)",
    )
    parser.add_argument("--plan", default="standard", help="name of the precision plan")
    parser.add_argument("--card", type=Path, help="JSON to carry: description, data, licences")
    return parser.parse_args(argv)


def load_network(path: Path) -> LiteNetwork:
    """The averaged weights of a training state."""
    state = torch.load(path, map_location="cpu", weights_only=True)
    network = LiteNetwork()
    prefix = "module."
    averaged = {
        k.removeprefix(prefix): v for k, v in state["average"].items() if k.startswith(prefix)
    }
    network.load_state_dict(averaged)
    return network.eval()


def calibration_pictures(folder: Path, count: int, crop: int) -> list[torch.Tensor]:
    """Centre crops (1, 3, H, W) in [0, 1] of `count` pictures spread over the folder."""
    paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in {".png", ".jpg", ".webp"})
    if not paths:
        sys.exit(f"{folder}: no pictures (png, jpg, webp) to calibrate on")
    pictures = []
    for path in paths[:: max(1, len(paths) // count)][:count]:
        pixels = read_picture(path, str(path)).pixels
        height, width = (min(crop, side) // 64 * 64 for side in pixels.shape[:2])
        if not height or not width or pixels.shape[2] != 3:
            continue
        top, left = (pixels.shape[0] - height) // 2, (pixels.shape[1] - width) // 2
        tensor = torch.from_numpy(pixels[top : top + height, left : left + width].copy())
        pictures.append(tensor.permute(2, 0, 1)[None].float() / 255)
    return pictures


def as_picture(pixels: torch.Tensor) -> Picture:
    """The picture that (1, 3, H, W) in [0, 1] was made from."""
    return Picture((pixels[0] * 255).round().byte().permute(1, 2, 0).contiguous().numpy())


def with_fitted_tables(pack: Pack, pictures: list[torch.Tensor]) -> Pack:
    """`pack` with the latents' tables fitted to the symbols that its encoder chooses."""
    codec = Codec(pack)
    model = codec.entropy_model
    analysed = [
        (found.latents, found.hyper_latents)
        for found in map(codec.analyse, map(as_picture, pictures))
    ]
    ds = [d_to_units(d, pack.schedule) for d in FITTING_DS]
    for _ in range(FITTING_ROUNDS):
        model = replace(model, tables=fitted_tables(model, analysed, ds))
    return replace(pack, tensors={**pack.tensors, **tables_to_tensors(model.tables)})


def main() -> None:
    arguments = parse_arguments()
    card = json.loads(arguments.card.read_text()) if arguments.card else {}
    pictures = calibration_pictures(arguments.calibrate, arguments.pictures, arguments.crop)
    pack = compile_lite(
        load_network(arguments.state),
        pictures,
        plan_name=arguments.plan,
        card=card,
        activation_bits=arguments.activation_bits,
    )
    weight = round(arguments.distortion_weight * COST_UNIT)
    pack = with_fitted_tables(replace(pack, distortion_weight=weight), pictures)
    write_pack(pack, arguments.output)
    size = arguments.output.stat().st_size
    print(f"{arguments.output}: id {pack.weights_id.hex()}, {size:,} bytes")


if __name__ == "__main__":
    main()
