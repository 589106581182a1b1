#!/usr/bin/env python3
"""Signal-to-noise ratio of the exact synthesis of the published networks, against the float one.

    scripts/published_snr.py                         the formula's full-size networks
    scripts/published_snr.py stf tcm --bits 8        some of them, W8A16 alone
    scripts/published_snr.py icm_78.pth.tar          a checkpoint

Both forms make pixels of the same decoded latents: those of a picture at each setting, and
seeded noise of unit variance. The ratio is the float output's variance over the mean squared
error before pixels are clamped and rounded. Ranges are calibrated on the built-in pictures, as
`licodec models import` does it. The bars: 25 dB with weights of 8 bits, 50 dB with 16.
"""

from __future__ import annotations

import argparse
import gc
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from evaluation.formula import NETWORKS, formula_picture, formula_state
from evaluation.synthesis_noise import decibels
from rich.console import Console
from rich.table import Table
from torch import Tensor

from licodec.cli.models_import import CALIBRATION_SIDE
from licodec.errors import LicodecError
from licodec.networks.published import PublishedNetwork
from licodec.packing.calibration import built_in_pictures
from licodec.packing.checkpoints import load_network
from licodec.packing.packs import PackSettings, compile_pack

BARS = {8: 25.0, 16: 50.0}
SETTINGS: tuple[Mapping[str, float], ...] = (
    {},
    {"d": 8.0},
    {"alpha": 0.5},
    {"alpha": 1.0},
    {"alpha": 0.5, "beta": 1.0},
    {"alpha": 1.0, "beta": 0.5},
)


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "networks", nargs="*", default=list(NETWORKS),
        help=f"{', '.join(NETWORKS)}, or checkpoints; by default all of the former",
    )  # fmt: skip
    parser.add_argument("--bits", default="8,16", help="of weights, separated by commas")
    parser.add_argument("--height", type=int, default=256, help="of the picture (%(default)s)")
    parser.add_argument("--width", type=int, default=384, help="of the picture (%(default)s)")
    parser.add_argument(
        "--side", type=int, default=CALIBRATION_SIDE, help="of calibration pictures (%(default)s)"
    )
    parser.add_argument("--backend", help="by default the fastest that is exact here")
    return parser.parse_args(argv)


def decoded_latents(network: PublishedNetwork, picture: Tensor) -> Tensor:
    """What the float network decodes of a picture at the rate that it is set to."""
    with torch.no_grad():
        y = network.analysis(network.padded(picture))
        z_hat, _ = network.entropy_bottleneck(network.hyper_analysis(y))
        return network.code_latents(y, z_hat)[0]


def ratios(
    network: PublishedNetwork, bits: int, arguments: argparse.Namespace
) -> Iterator[tuple[str, float, float]]:
    """Of every setting that the network takes: its name, and decibels for the latents of the
    picture and for noise."""
    network.set_rate()
    settings = PackSettings("standard", {}, lambda layer: bits)
    pack = compile_pack(network, built_in_pictures(arguments.side), settings)
    picture = formula_picture(arguments.height, arguments.width)
    for setting in SETTINGS:
        if not set(setting) <= set(network.rate_modes):
            continue
        network.set_rate(**setting)
        latents = decoded_latents(network, picture)
        noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(1))
        gains = {mode: value for mode, value in setting.items() if mode != "d"}
        found = (decibels(pack, network, gains, x, arguments.backend) for x in (latents, noise))
        name = ", ".join(f"{mode} {value:g}" for mode, value in setting.items()) or "anchor"
        yield (name, *found)


def main() -> int:
    arguments = parse_arguments()
    table = Table(title="exact against float synthesis, dB")
    for heading in ("network", "weights", "setting", "picture's latents", "noise", "bar"):
        table.add_column(heading, no_wrap=True)
    short = 0
    try:
        for name in arguments.networks:
            state = formula_state(name) if name in NETWORKS else Path(name)
            network = load_network(state)
            del state
            for bits in map(int, arguments.bits.split(",")):
                for setting, *found in ratios(network, bits, arguments):
                    short += min(found) < BARS[bits]
                    cells = (name, f"W{bits}A16", setting, *(f"{x:.1f}" for x in found))
                    table.add_row(*cells, f"{BARS[bits]:g}")
                    print("  ".join(cells), file=sys.stderr, flush=True)
                gc.collect()
    except (LicodecError, ValueError, KeyError) as error:
        sys.exit(f"error: {error}")
    Console(width=None if sys.stdout.isatty() else 120).print(table)
    return 1 if short else 0


if __name__ == "__main__":
    sys.exit(main())
