"""Train the adapters that give a frozen network a continuous rate, alpha, and those that trade
fidelity for realism, beta (CALICE).

    scripts/train.py adapters PICTURES --from weights/lite-precise.safetensors --state alpha.pt
    scripts/train.py adapters PICTURES --from stf_0483_best.pth.tar --state stf-alpha.pt
    scripts/train.py adapters PICTURES --from alpha.pt --loss perception --state beta.pt

Each step draws an alpha; lambda(alpha) is geometric between two ends, and the adapters of the
backbone's preset learn, nothing else. At alpha 0 the network stays what it was. With `lite`
a d goes with alpha and steps are even within a slice. Losses, defaults and their ends of lambda:

    mse         lambda * 255^2 * MSE + bpp                  0.0483 to 0.0018 (tcm 0.05 to 0.0025)
    ms-ssim     lambda * (1 - MS-SSIM) + bpp                60.5 to 2.40
    lpips       lambda * bpp + 150 * MSE + 0.1 LPIPS        0.048 to 1.28
    perception  lambda * bpp + 150 * MSE + 2 beta distance  0.048 to 1.28

perception trains beta, on top of adapters for alpha, which stay as they are: a second set stands
around the first, and each step draws a beta, too. The published distance is LPIPS (`--distance
lpips --alexnet FILE`). The default needs no trained network: 1 - MS-SSIM and the distance of local
statistics in a steerable pyramid, for reasons that scripts/training/pyramid.py gives.

CALICE trains alpha for another distortion in two steps. The first adapts the anchor to it, at one
lambda and alpha 1; the second merges what came of it into the weights and trains alpha there:

    scripts/train.py adapters PICTURES --from stf.pth.tar --state first.pt --loss ms-ssim \\
        --fixed-lambda 60.5
    scripts/train.py adapters PICTURES --from first.pt --merge --state second.pt --loss ms-ssim

With --start the adapters begin as those of another run, for another distortion or on another
network of the same backbone, such as one that was finished in a precision plan:

    scripts/train.py adapters PICTURES --from finished.pt --start alpha.pt --state small-alpha.pt

With --learn network the network's own weights learn at one alpha, with the d and the steps of the
adapters, which stay at nothing: what a network for that rate alone would be, to compare with.

    scripts/train.py adapters PICTURES --from lite.pt --state half.pt --learn network --alphas 0.5

The merged network is another one, with weights of its own. A set that shall belong to the
anchor's pack is trained for the new distortion directly, without the first step.

Defaults marked CALICE are from the commands and the code of EIDOSLAB/CALICE. The same command
again resumes a run that was interrupted, exactly.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import replace
from pathlib import Path

import torch
from command import numbers

from licodec.errors import UsageError
from licodec.networks.adapter_sets import PRESETS, AdapterSet, attach, merge
from licodec.networks.rate_modes import RateModes
from training import defaults, objectives
from training.adapter_run import Learning, Task, check, learn_adapters, learn_network, train
from training.networks import load_backbone, modes, sets_of, take_adapters
from training.objectives import RatePoint
from training.pyramid import texture_distance

LEARNING: dict[str, Learning] = {"adapters": learn_adapters, "network": learn_network}
LOSSES = (defaults.MSE, defaults.MS_SSIM, defaults.LPIPS, defaults.PERCEPTION)
STATISTICS = "statistics"


def listed(values: tuple[float, ...]) -> str:
    return ",".join(f"{value:g}" for value in values)


def add_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    # fmt: off
    add("pictures", type=Path, help="folder of training pictures")
    add("--state", type=Path, required=True, help="checkpoint of the run, resumed where it exists")
    add("--from", dest="source", type=Path, required=True,
        help="the network: a pack or a state file of lite, or a published checkpoint")
    add("--backbone", choices=list(defaults.BACKBONES), help="read off the keys by default")
    add("--loss", choices=LOSSES, default=defaults.MSE)
    add("--adapters", metavar="PRESET", help="instead of the backbone's own")
    add("--alphas", type=numbers, default=defaults.ALPHAS,
        help=f"drawn in training, separated by commas (CALICE: {listed(defaults.ALPHAS)})")
    add("--betas", type=numbers, default=defaults.BETAS,
        help=f"of perception (CALICE: {listed(defaults.BETAS)})")
    add("--start", type=Path, metavar="STATE", help="a run whose adapters these begin as")
    add("--fixed-lambda", type=float,
        help="the first of two steps: this lambda at alpha 1 alone (CALICE: 60.5 for ms-ssim, "
        "0.048 for lpips)")
    add("--merge", action="store_true",
        help="the second: fold the adapters that the network has into its weights")
    add("--learn", choices=LEARNING, default="adapters", help="what learns (%(default)s)")
    add("--lpips-weight", type=float, default=objectives.LPIPS_WEIGHT, help="(CALICE: %(default)s)")
    add("--distance", choices=(STATISTICS, defaults.LPIPS), default=STATISTICS,
        help="of perception (%(default)s)")
    add("--weight", type=float, default=objectives.PERCEPTION_WEIGHT,
        help="of that at beta 1 (CALICE, for LPIPS: %(default)s)")
    add("--learning-rate", type=float,
        help="of Adam, to 0 as a cosine (CALICE's commands: 1e-5 for stf, else 1e-4)")
    add("--epochs", type=int, default=defaults.EPOCHS, help="(CALICE's commands: %(default)s)")
    add("--steps", type=int, help="instead of --epochs")
    add("--batch", type=int, default=defaults.BATCH, help="crops a step (CALICE: %(default)s)")
    add("--crop", type=int, default=defaults.CROP, help="their side (CALICE: %(default)s)")
    add("--clip", type=float, default=defaults.CLIP,
        help="largest norm of the gradient (CALICE: %(default)s)")
    add("--lambdas", type=float, nargs=2, metavar=("ANCHOR", "LOWEST"),
        help="lambda at alpha 0 and at alpha 1 (CALICE's commands)")
    add("--rate-of", choices=(defaults.NOISE, defaults.SYMBOLS),
        help="in training: latents with uniform noise (as published; the default, but for lite), "
        "or the symbols that an encoder chooses, with straight-through gradients")
    add("--held-out", type=int, default=24,
        help="pictures kept for validation (%(default)s; CALICE: a tenth)")
    add("--validate-every", type=int, default=1000, help="steps (%(default)s)")
    add("--checkpoint-seconds", type=float, default=180)
    add("--seed", type=int, default=defaults.SEED, help="(CALICE: %(default)s)")
    add("--threads", type=int, default=os.cpu_count())
    add("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    add("--bfloat16", action="store_true",
        help="mixed precision: faster where there are units for it, less precise")
    add("--alexnet", type=Path, metavar="FILE",
        help="AlexNet's weights for LPIPS, as torchvision has them")
    # fmt: on


def lambdas(arguments: argparse.Namespace, backbone: str) -> objectives.LambdaRange:
    if arguments.fixed_lambda is not None:
        if arguments.lambdas is not None:
            raise UsageError("--lambdas and --fixed-lambda exclude each other; give one of them")
        if arguments.fixed_lambda <= 0:
            raise UsageError("--fixed-lambda: give a number above 0")
        return objectives.LambdaRange(arguments.fixed_lambda, arguments.fixed_lambda)
    if arguments.lambdas is not None:
        return objectives.LambdaRange(*arguments.lambdas)
    return defaults.LAMBDAS.get(arguments.loss, defaults.BACKBONES[backbone].lambdas)


def make_objective(arguments: argparse.Namespace, backbone: str) -> objectives.Objective:
    ends, weighed = lambdas(arguments, backbone), objectives.squared_error
    ms_ssim = objectives.ms_ssim_distance
    if defaults.LPIPS in (arguments.loss, arguments.distance):
        distance = objectives.lpips_distance(arguments.alexnet, arguments.device)
    elif arguments.loss == defaults.PERCEPTION:
        distance = texture_distance(ms_ssim(arguments.crop))
    match arguments.loss:
        case defaults.MS_SSIM:
            weighed = objectives.dissimilarity(ms_ssim(arguments.crop))
        case defaults.LPIPS:
            weighed = objectives.perceptual(distance, lambda point: arguments.lpips_weight)
        case defaults.PERCEPTION:
            weighed = objectives.perceptual(distance, lambda point: arguments.weight * point.beta)
    return objectives.Objective(ends, weighed)


def preset(arguments: argparse.Namespace, own: str, mode: str) -> AdapterSet:
    """The set asked for, or the backbone's `own`. Raises UsageError for one of another mode."""
    name = arguments.adapters or own
    if name not in PRESETS or PRESETS[name].mode != mode:
        known = ", ".join(key for key, preset in PRESETS.items() if preset.mode == mode)
        raise UsageError(f"--adapters {name}: no preset for {mode}; there are {known}")
    return PRESETS[name]


def prepare_alpha(network: RateModes, arguments: argparse.Namespace) -> tuple[AdapterSet, ...]:
    """Merge and attach as the options say; the set that was attached. Raises UsageError."""
    if arguments.merge and not modes(network):
        raise UsageError(f"{arguments.source.name}: has no adapters to merge")
    if arguments.merge:
        merge(network)
    elif modes(network):
        raise UsageError(
            f"{arguments.source.name}: has adapters already; --merge folds them into its weights"
        )
    own = defaults.BACKBONES[network.backbone].alpha_for(arguments.loss)
    adapters = preset(arguments, own, "alpha")
    if arguments.fixed_lambda is not None:
        adapters = replace(adapters, d=1.0)  # no weights can take in a d, and these will be merged
    attach(network, adapters)
    return (adapters,)


def prepare_beta(network: RateModes, arguments: argparse.Namespace) -> tuple[AdapterSet, ...]:
    """Attach a set around those for alpha; all sets. Raises UsageError where there are none."""
    if modes(network) != {"alpha"}:
        raise UsageError(
            f"{arguments.source.name}: its adapters are for {' and '.join(modes(network)) or '-'}; "
            "give a network with those that the other losses train, for alpha alone"
        )
    sets = sets_of(network, arguments.source)
    adapters = preset(arguments, defaults.BACKBONES[network.backbone].beta, "beta")
    attach(network, adapters)
    return (*sets, adapters)


def points(arguments: argparse.Namespace) -> tuple[list[RatePoint], list[RatePoint]]:
    """What training draws, each as likely, and what validation looks at."""
    if arguments.loss == defaults.PERCEPTION:
        drawn = [RatePoint(a, b) for a in arguments.alphas for b in arguments.betas]
        seen = defaults.VALIDATION_ALPHAS[::2] + defaults.VALIDATION_ALPHAS[-1:]
        return drawn, [RatePoint(a, b) for b in defaults.VALIDATION_BETAS for a in seen]
    if arguments.fixed_lambda is not None:
        return [RatePoint(1.0)], [RatePoint(1.0)]
    own = arguments.learn == "network"
    drawn = [RatePoint(alpha) for alpha in arguments.alphas]
    return drawn, drawn if own else [RatePoint(alpha) for alpha in defaults.VALIDATION_ALPHAS]


def make_task(arguments: argparse.Namespace) -> Task:
    """Raises UsageError and BadInputError. Options left to the backbone get its defaults."""
    network = load_backbone(arguments.source, arguments.backbone)
    perception = arguments.loss == defaults.PERCEPTION
    sets = (prepare_beta if perception else prepare_alpha)(network, arguments)
    if arguments.start is not None:
        take_adapters(network, arguments.start)
    chosen = defaults.BACKBONES[network.backbone]
    for name in ("learning_rate", "rate_of"):
        if getattr(arguments, name) is None:
            setattr(arguments, name, getattr(chosen, name))
    name = arguments.loss
    if perception:
        name = f"{arguments.distance}, weight {arguments.weight:g}"
    elif arguments.learn != "adapters":
        name += f", {arguments.learn}"
    objective = make_objective(arguments, network.backbone)
    learn = LEARNING[arguments.learn]
    return Task(network, sets, objective, *map(tuple, points(arguments)), name, learn)


def run(arguments: argparse.Namespace) -> None:
    """Raises LicodecError."""
    check(arguments)
    train(make_task(arguments), arguments)
