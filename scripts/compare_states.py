#!/usr/bin/env python3
"""What training at lower rates gained over d: float networks against their anchor's curve.

    scripts/compare_states.py PICTURES --anchor weights/lite-precise.safetensors \\
        alpha.pt@0.6,0.8,1 half.pt@0.6

STATE@ALPHAS are states of scripts/train_adapters.py, of adapters or of a whole network, and where
to measure them; the anchor is measured at each of --ds. Rates are estimated from the likelihoods of
the symbols, without any overhead; means over whole pictures, cut to multiples of the network's
alignment. The last column is the change of rate at equal PSNR against the anchor, whose log rate is
taken to be straight between two d.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from training.networks import load_backbone
from training.pictures import (
    centre_crop,
    picture_paths,
    rate_and_distortion,
    read_pixels,
    to_tensor,
)

from licodec.errors import LicodecError, UsageError
from licodec.networks.rate_modes import RateModes


@dataclass(frozen=True)
class Point:
    """Means over the pictures: bits per pixel, and PSNR in dB."""

    bpp: float
    psnr: float


@torch.no_grad()
def measured(network: RateModes, paths: Iterable[Path]) -> Point:
    """What `network` does on whole pictures at the rate that it is set to."""
    found = []
    for path in paths:
        pixels = read_pixels(path)
        crop = centre_crop(pixels, max(pixels.shape), network.ALIGNMENT)
        pixels = to_tensor(crop[None].copy())  # what Pillow gives cannot be written to
        output = network(pixels)
        output["x_hat"] = output["x_hat"].clamp(0, 1)
        bpp, mse = rate_and_distortion(output, pixels)
        found.append((bpp.item(), -10 * math.log10(max(mse.item(), 1e-10))))
    return Point(*map(float, np.mean(found, axis=0)))


def rate_change(point: Point, curve: Sequence[Point]) -> float | None:
    """The change of rate from `curve` at the PSNR of `point`, a fraction; None beyond its ends."""
    psnr, log_rate = zip(*sorted((p.psnr, math.log(p.bpp)) for p in curve), strict=True)
    if not psnr[0] <= point.psnr <= psnr[-1]:
        return None
    return math.expm1(math.log(point.bpp) - float(np.interp(point.psnr, psnr, log_rate)))


def places(entry: str) -> tuple[Path, list[float]]:
    """A state and its alphas, out of STATE@ALPHAS. Raises UsageError."""
    name, _, alphas = entry.rpartition("@")
    try:
        return Path(name), [float(alpha) for alpha in alphas.split(",")]
    except ValueError:
        raise UsageError(f"{entry}: give STATE@ALPHAS, alpha.pt@0.5,1 say") from None


def rows(arguments: argparse.Namespace) -> Iterator[str]:
    """The lines of the table, each as soon as it is known."""
    states = [places(entry) for entry in arguments.states]
    paths = picture_paths(arguments.pictures)
    yield "| network | at | bpp | PSNR, dB | rate against d |"
    yield "|---|---|---|---|---|"
    curve = []
    anchor = load_backbone(arguments.anchor, None)
    for d in arguments.ds:
        anchor.set_rate(d=d)
        curve.append(point := measured(anchor, paths))
        yield f"| {arguments.anchor} | d = {d:g} | {point.bpp:.4f} | {point.psnr:.2f} | |"
    for path, alphas in states:
        network = load_backbone(path, None)
        for alpha in alphas:
            network.set_rate(alpha=alpha)
            point = measured(network, paths)
            change = rate_change(point, curve)
            told = "beyond it" if change is None else f"{100 * change:+.1f} %"
            told = told.replace("-", "\N{MINUS SIGN}")
            yield f"| {path} | {alpha:g} | {point.bpp:.4f} | {point.psnr:.2f} | {told} |"


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("pictures", type=Path, help="folder of pictures")
    parser.add_argument("states", nargs="+", metavar="STATE@ALPHAS")
    parser.add_argument("--anchor", type=Path, required=True, help="a pack or a state")
    parser.add_argument(
        "--ds",
        type=lambda text: [float(part) for part in text.split(",")],
        default=[3.5, 4.5, 6, 8, 12, 16, 20],
        help="where to measure the anchor, separated by commas (3.5,4.5,6,8,12,16,20)",
    )
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    arguments = parser.parse_args(argv)
    torch.set_num_threads(arguments.threads)
    try:
        for row in rows(arguments):
            print(row, flush=True)
    except LicodecError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
