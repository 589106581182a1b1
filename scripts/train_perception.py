#!/usr/bin/env python3
"""Train the adapters that trade fidelity for realism, beta, on top of those for alpha (CALICE).

    scripts/train_perception.py PICTURES --from alpha.pt --state beta.pt

Network and adapters for alpha stay as they are; a second set stands around the first. Each
step draws an alpha and a beta. The loss is

    lambda * bpp + 150 * MSE + 2 * beta * distance

with lambda(alpha) geometric from 0.048 to 1.28, as published. There the distance is LPIPS
(`--distance lpips --alexnet FILE`). The default needs no trained network: 1 - MS-SSIM and the
distance of local statistics in a steerable pyramid, for reasons that scripts/training/pyramid.py
gives.

Defaults marked CALICE are from the commands and the code of EIDOSLAB/CALICE. The same command
again resumes a run that was interrupted, exactly.
"""

from __future__ import annotations

import argparse
import sys

from torch import Tensor
from training import defaults
from training.adapters import Task, add_options, check, fill_in, numbers, train
from training.networks import load_backbone, modes, sets_of
from training.objectives import (
    PERCEPTION_WEIGHT,
    Distance,
    LambdaRange,
    PerceptionByBeta,
    RatePoint,
    lpips_distance,
    ms_ssim_distance,
)
from training.pyramid import statistics_distance

from licodec.errors import LicodecError, UsageError
from licodec.networks.adapter_sets import PRESETS, attach

STATISTICS = "statistics"


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    add_options(parser)
    distances = (STATISTICS, defaults.LPIPS)
    parser.add_argument("--distance", choices=distances, default=STATISTICS)
    parser.add_argument("--adapters", metavar="PRESET", help="instead of the backbone's own")
    for name, drawn in (("--alphas", defaults.ALPHAS), ("--betas", defaults.BETAS)):
        values = ",".join(f"{value:g}" for value in drawn)
        parser.add_argument(
            name,
            type=numbers,
            default=drawn,
            help=f"drawn in training, separated by commas (CALICE:\n{values})",
        )
    parser.add_argument(
        "--weight",
        type=float,
        default=PERCEPTION_WEIGHT,
        help="of the distance at beta 1 (CALICE, for LPIPS: %(default)s)",
    )
    return parser.parse_args(argv)


def make_distance(arguments: argparse.Namespace) -> Distance:
    if arguments.distance == defaults.LPIPS:
        return lpips_distance(arguments.alexnet, arguments.device)
    dissimilarity = ms_ssim_distance(arguments.crop)

    def distance(decoded: Tensor, original: Tensor) -> Tensor:
        return dissimilarity(decoded, original) + statistics_distance(decoded.float(), original)

    return distance


def make_task(arguments: argparse.Namespace) -> Task:
    network = load_backbone(arguments.source, arguments.backbone)
    if modes(network) != {"alpha"}:
        raise UsageError(
            f"{arguments.source.name}: its adapters are for {' and '.join(modes(network)) or '-'}; "
            "give a network with those that scripts/train_adapters.py trains, for alpha alone"
        )
    sets = sets_of(network, arguments.source)
    name = arguments.adapters or defaults.BACKBONES[network.backbone].beta
    if name not in PRESETS or PRESETS[name].mode != "beta":
        known = ", ".join(key for key, preset in PRESETS.items() if preset.mode == "beta")
        raise UsageError(f"--adapters {name}: no preset for beta; there are {known}")
    attach(network, PRESETS[name])
    fill_in(arguments, network.backbone)
    ends = LambdaRange(*arguments.lambdas) if arguments.lambdas else defaults.PERCEPTION_LAMBDAS
    return Task(
        network,
        (*sets, PRESETS[name]),
        PerceptionByBeta(ends, make_distance(arguments), arguments.weight),
        tuple(RatePoint(a, b) for a in arguments.alphas for b in arguments.betas),
        tuple(
            RatePoint(a, b)
            for b in defaults.VALIDATION_BETAS
            for a in defaults.VALIDATION_ALPHAS[::2] + defaults.VALIDATION_ALPHAS[-1:]
        ),
        f"{arguments.distance}, weight {arguments.weight:g}",
    )


def main(argv: list[str] | None = None) -> None:
    arguments = parse_arguments(argv)
    try:
        check(arguments)
        train(make_task(arguments), arguments)
    except LicodecError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
