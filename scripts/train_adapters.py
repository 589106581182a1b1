#!/usr/bin/env python3
"""Train the adapters that give a frozen network a continuous rate, alpha (CALICE).

    scripts/train_adapters.py PICTURES --from weights/lite-precise.safetensors --state alpha.pt
    scripts/train_adapters.py PICTURES --from stf_0483_best.pth.tar --state stf-alpha.pt

Each step draws an alpha; lambda(alpha) is geometric between two ends, and the adapters of the
backbone's preset learn, nothing else. At alpha 0 the network stays what it was. With `lite`
a d goes with alpha and steps are even within a slice. Losses, defaults and their ends of lambda:

    mse      lambda * 255^2 * MSE + bpp            0.0483 to 0.0018; tcm, icm 0.05 to 0.0025
    ms-ssim  lambda * (1 - MS-SSIM) + bpp          60.5 to 2.40
    lpips    lambda * bpp + 150 * MSE + 0.1 LPIPS  0.048 to 1.28

CALICE trains for another distortion in two steps. The first adapts the anchor to it, at one
lambda and alpha 1; the second merges what came of it into the weights and trains alpha there:

    scripts/train_adapters.py PICTURES --from stf.pth.tar --state first.pt --loss ms-ssim \\
        --fixed-lambda 60.5
    scripts/train_adapters.py PICTURES --from first.pt --merge --state second.pt --loss ms-ssim

With --start the adapters begin as those of another run, for another distortion or on another
network of the same backbone, such as one that was finished in a precision plan:

    scripts/train_adapters.py PICTURES --from finished.pt --start alpha.pt --state small-alpha.pt

With --learn network the network's own weights learn at one alpha, with the d and the steps of the
adapters, which stay at nothing: what a network for that rate alone would be, to compare with.

    scripts/train_adapters.py PICTURES --from lite.pt --state half.pt --learn network --alphas 0.5

The merged network is another one, with weights of its own. A set that shall belong to the
anchor's pack is trained for the new distortion directly, without the first step.

Defaults marked CALICE are from the commands and the code of EIDOSLAB/CALICE. The same command
again resumes a run that was interrupted, exactly.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from training import defaults
from training.adapters import (
    Learning,
    Task,
    add_options,
    check,
    fill_in,
    learn_adapters,
    learn_network,
    numbers,
    train,
)
from training.networks import load_backbone, modes, take_adapters
from training.objectives import (
    LPIPS_WEIGHT,
    LambdaRange,
    Objective,
    Perceptual,
    RatePoint,
    SquaredError,
    StructuralSimilarity,
    lpips_distance,
    ms_ssim_distance,
)

from licodec.errors import LicodecError, UsageError
from licodec.networks.adapter_sets import PRESETS, AdapterSet, attach, merge
from licodec.networks.rate_modes import RateModes

LEARNING: dict[str, Learning] = {"adapters": learn_adapters, "network": learn_network}


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    add_options(parser)
    losses = (defaults.MSE, defaults.MS_SSIM, defaults.LPIPS)
    parser.add_argument("--loss", choices=losses, default=defaults.MSE)
    parser.add_argument("--adapters", metavar="PRESET", help="instead of the backbone's own")
    parser.add_argument(
        "--alphas",
        type=numbers,
        default=defaults.ALPHAS,
        help="drawn in training, separated by commas (CALICE: 1,.95,.9,.8,.6,.4,.2)",
    )
    parser.add_argument(
        "--start", type=Path, metavar="STATE", help="a run whose adapters these begin as"
    )
    parser.add_argument(
        "--fixed-lambda",
        type=float,
        help="the first of two steps: this lambda at alpha 1 alone (CALICE: 60.5 for ms-ssim,\n"
        "0.048 for lpips)",
    )
    parser.add_argument(
        "--merge",
        action="store_true",
        help="the second: fold the adapters that the network has into its weights",
    )
    parser.add_argument(
        "--learn", choices=LEARNING, default="adapters", help="what learns (%(default)s)"
    )
    parser.add_argument(
        "--lpips-weight", type=float, default=LPIPS_WEIGHT, help="(CALICE: %(default)s)"
    )
    return parser.parse_args(argv)


def lambdas(arguments: argparse.Namespace, backbone: str) -> LambdaRange:
    if arguments.fixed_lambda is not None:
        if arguments.lambdas is not None:
            raise UsageError("--lambdas and --fixed-lambda exclude each other; give one of them")
        if arguments.fixed_lambda <= 0:
            raise UsageError("--fixed-lambda: give a number above 0")
        return LambdaRange(arguments.fixed_lambda, arguments.fixed_lambda)
    if arguments.lambdas is not None:
        return LambdaRange(*arguments.lambdas)
    return defaults.LAMBDAS.get(arguments.loss, defaults.BACKBONES[backbone].lambdas)


def make_objective(arguments: argparse.Namespace, backbone: str) -> Objective:
    ends = lambdas(arguments, backbone)
    match arguments.loss:
        case defaults.MS_SSIM:
            return StructuralSimilarity(ends, ms_ssim_distance(arguments.crop))
        case defaults.LPIPS:
            distance = lpips_distance(arguments.alexnet, arguments.device)
            return Perceptual(ends, distance, arguments.lpips_weight)
        case _:
            return SquaredError(ends)


def prepare(network: RateModes, arguments: argparse.Namespace) -> AdapterSet:
    """Merge and attach as the options say; the set that was attached. Raises UsageError."""
    if arguments.merge and not modes(network):
        raise UsageError(f"{arguments.source.name}: has no adapters to merge")
    if arguments.merge:
        merge(network)
    elif modes(network):
        raise UsageError(
            f"{arguments.source.name}: has adapters already; --merge folds them into its weights"
        )
    name = arguments.adapters or defaults.BACKBONES[network.backbone].alpha_for(arguments.loss)
    if name not in PRESETS or PRESETS[name].mode != "alpha":
        known = ", ".join(key for key, preset in PRESETS.items() if preset.mode == "alpha")
        raise UsageError(f"--adapters {name}: no preset for alpha; there are {known}")
    adapters = PRESETS[name]
    if arguments.fixed_lambda is not None:
        adapters = replace(adapters, d=1.0)  # no weights can take in a d, and these will be merged
    attach(network, adapters)
    if arguments.start is not None:
        take_adapters(network, arguments.start)
    return adapters


def make_task(arguments: argparse.Namespace) -> Task:
    network = load_backbone(arguments.source, arguments.backbone)
    adapters = prepare(network, arguments)
    fill_in(arguments, network.backbone)
    learn = LEARNING[arguments.learn]
    first_step = arguments.fixed_lambda is not None
    alphas = (1.0,) if first_step else arguments.alphas
    seen = alphas if first_step or learn is learn_network else defaults.VALIDATION_ALPHAS
    objective = make_objective(arguments, network.backbone)
    return Task(
        network,
        (adapters,),
        objective,
        tuple(map(RatePoint, alphas)),
        tuple(map(RatePoint, seen)),
        arguments.loss if learn is learn_adapters else f"{arguments.loss}, {arguments.learn}",
        learn,
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
