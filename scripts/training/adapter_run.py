"""The training of one adapter set on a frozen network, or of the network in its place: steps,
validation, checkpoints.

Everything random is a function of (seed, step), so a run resumed from its state continues
exactly.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from command import require_positive
from torch import Tensor, nn

from licodec.errors import BadInputError, UsageError
from licodec.networks import adapter_sets
from licodec.networks.adapter_sets import AdapterSet
from licodec.networks.rate_modes import RateModes
from licodec.packing.checkpoint_files import read_checkpoint
from training import pictures
from training.defaults import NOISE
from training.objectives import Objective, RatePoint, Seen
from training.pictures import rate_and_distortion, read_pixels, to_tensor
from training.state import save_state

VALIDATION_SIDE = 256
REPORT_EVERY = 100
# Options that decide what a run computes, beside those that its task says.
SETTINGS = ["learning_rate", "batch", "crop", "clip", "rate_of", "held_out", "seed", "bfloat16"]


Learning = Callable[[RateModes, AdapterSet], list[nn.Parameter]]


def learn_adapters(network: RateModes, adapters: AdapterSet) -> list[nn.Parameter]:
    """The parameters of `adapters`, all others frozen."""
    adapter_sets.freeze_all_but(network, adapters.mode)
    return list(adapter_sets.adapter_parameters(network, adapters.mode))


def learn_network(network: RateModes, adapters: AdapterSet) -> list[nn.Parameter]:
    """The parameters of the network itself; adapters stay as they are."""
    network.requires_grad_(True)
    for _, layer in adapter_sets.adapted_layers(network):
        layer.branch.requires_grad_(False)
    return [parameter for parameter in network.parameters() if parameter.requires_grad]


@dataclass(frozen=True)
class Task:
    """What a run trains, and for which objective."""

    network: RateModes
    sets: tuple[AdapterSet, ...]  # as they were attached
    objective: Objective
    points: tuple[RatePoint, ...]  # each as likely
    validation: tuple[RatePoint, ...]
    name: str  # of the objective, for the checkpoint
    learn: Learning = learn_adapters  # those of the last set


@dataclass(frozen=True)
class Draw:
    """What chance decides about one step."""

    pixels: Tensor  # (N, 3, side, side) in [0, 1]
    point: RatePoint


def draw_step(
    paths: Sequence[Path], points: Sequence[RatePoint], step: int, arguments: argparse.Namespace
) -> Draw:
    rng = np.random.default_rng((arguments.seed, step))
    point = points[rng.integers(len(points))]
    chosen = rng.integers(len(paths), size=arguments.batch)
    crops = np.stack(
        [pictures.draw_crop(read_pixels(paths[i]), arguments.crop, rng) for i in chosen]
    )
    return Draw(to_tensor(crops), point)


def cosine(step: int, steps: int, largest: float) -> float:
    """The learning rate of `step`: `largest` at 0 and 0 at `steps`."""
    return largest * 0.5 * (1 + math.cos(math.pi * step / steps))


@torch.no_grad()
def validate(task: Task, paths: Sequence[Path], device: str) -> list[dict[str, float]]:
    """Mean loss, estimated rate and PSNR on the centre of each held-out picture, by point."""
    network, rows = task.network, []
    network.eval()
    crops = [pictures.centre_crop(read_pixels(path), VALIDATION_SIDE, 64) for path in paths]
    for point in task.validation:
        network.set_rate(alpha=point.alpha, beta=point.beta)
        figures = []
        for crop in crops:
            pixels = to_tensor(crop[None]).to(device)
            output = network(pixels)
            output["x_hat"] = output["x_hat"].clamp(0, 1)
            seen = Seen(*rate_and_distortion(output, pixels), output["x_hat"], pixels, point)
            psnr = -10 * math.log10(max(seen.mse.item(), 1e-10))
            figures.append((task.objective.loss(seen).item(), seen.bpp.item(), psnr))
        loss, bpp, psnr = (round(float(value), 4) for value in np.mean(figures, axis=0))
        rows.append({**asdict(point), "loss": loss, "bpp": bpp, "psnr": psnr})
    return rows


def report(task: Task, paths: Sequence[Path], device: str, done: int) -> None:
    """Print the validation after `done` steps: at 0, what the anchor does without adapters."""
    if paths:
        for row in validate(task, paths, device):
            print(json.dumps({"step": done, **row}), flush=True)


def run_settings(task: Task, steps: int, arguments: argparse.Namespace) -> dict[str, object]:
    """All that decides what a run computes, which a resumed run must have in common."""
    return {
        "backbone": task.network.backbone,
        "adapters": [adapters.to_data() for adapters in task.sets],
        "objective": task.name,
        "lambdas": [task.objective.lambdas.anchor, task.objective.lambdas.lowest],
        "points": [[point.alpha, point.beta] for point in task.points],
        "steps": steps,
        **{name: getattr(arguments, name) for name in SETTINGS},
    }


def resumed(path: Path, settings: dict[str, object]) -> dict | None:
    """The state of a run that was begun, or None. Raises BadInputError where it is the state
    of something else or of a run with other settings."""
    if not path.exists():
        return None
    state = read_checkpoint(path)
    if not isinstance(state, dict) or not isinstance(state.get("settings"), dict):
        raise BadInputError(f"{path.name}: not the state of a training of adapters")
    for name, value in settings.items():
        if state["settings"].get(name) != value:
            raise BadInputError(
                f"{path.name}: the run was begun with {name} = {state['settings'].get(name)}, "
                f"not {value}: go on with that, or give another --state"
            )
    return state


def check(arguments: argparse.Namespace) -> None:
    """Raise UsageError for options that no run can have."""
    require_positive(arguments, "batch", "crop", "epochs", "steps", "validate_every")
    if arguments.crop % 64:
        raise UsageError(f"--crop {arguments.crop}: give a multiple of 64")
    for name in ("alphas", "betas"):
        if not all(0 <= value <= 1 for value in getattr(arguments, name)):
            raise UsageError(f"--{name}: give numbers from 0 to 1")
    if arguments.lambdas is not None and min(arguments.lambdas) <= 0:
        raise UsageError("--lambdas: give numbers above 0")


def find_pictures(arguments: argparse.Namespace) -> tuple[list[Path], list[Path]]:
    """(held out, for training), those large enough. Raises UsageError where none is left."""
    paths = pictures.picture_paths(arguments.pictures)
    held_out, training = pictures.split_pictures(paths, arguments.held_out)
    held_out = pictures.at_least(held_out, min(arguments.crop, VALIDATION_SIDE))
    training = pictures.at_least(training, arguments.crop)
    if not training:
        raise UsageError(
            f"{arguments.pictures}: no picture beside the held-out ones has sides of "
            f"{arguments.crop} pixels"
        )
    return held_out, training


def begin(
    task: Task, steps: int, settings: dict[str, object], arguments: argparse.Namespace
) -> tuple[torch.optim.Optimizer, int]:
    """The optimizer and the step that a new run, or one that goes on, begins with."""
    state = resumed(arguments.state, settings)
    network = task.network
    if state is not None:
        network.load_state_dict(state["state_dict"])
    network.to(arguments.device, memory_format=torch.channels_last)
    learning = task.learn(network, task.sets[-1])
    optimizer = torch.optim.Adam(learning, lr=arguments.learning_rate, fused=True)
    if state is not None:
        optimizer.load_state_dict(state["optimizer"])
        print(f"resumed at step {state['step']} of {steps}", file=sys.stderr)
        return optimizer, state["step"]
    whole, own = (sum(p.numel() for p in group) for group in (network.parameters(), learning))
    print(f"{own:,} parameters to train beside {whole - own:,}; {steps:,} steps", flush=True)
    return optimizer, 0


def learn_step(
    task: Task, optimizer: torch.optim.Optimizer, draw: Draw, arguments: argparse.Namespace
) -> float:
    """One step; the loss, of which nothing is learned where it is not finite, as published."""
    network, pixels = task.network, draw.pixels.to(arguments.device)
    network.set_rate(alpha=draw.point.alpha, beta=draw.point.beta)
    # In evaluation the networks count the bits of the symbols, and gradients pass as well.
    network.train(arguments.rate_of == NOISE)
    kind = torch.device(arguments.device).type
    with torch.autocast(kind, torch.bfloat16, enabled=arguments.bfloat16):
        output = network(pixels)
    seen = Seen(*rate_and_distortion(output, pixels), output["x_hat"], pixels, draw.point)
    loss = task.objective.loss(seen)
    optimizer.zero_grad(set_to_none=True)
    if torch.isfinite(loss):
        loss.backward()
        (group,) = optimizer.param_groups
        torch.nn.utils.clip_grad_norm_(group["params"], arguments.clip)
        optimizer.step()
    return loss.item()


def train(task: Task, arguments: argparse.Namespace) -> None:
    """Run or resume the training that `task` and the options describe."""
    torch.set_num_threads(arguments.threads)
    held_out, training = find_pictures(arguments)
    steps = arguments.steps or arguments.epochs * math.ceil(len(training) / arguments.batch)
    settings = run_settings(task, steps, arguments)
    optimizer, first = begin(task, steps, settings, arguments)
    drawing = ThreadPoolExecutor(1)  # draws the next step's crops while this one computes
    following = drawing.submit(draw_step, training, task.points, first, arguments)
    if first == 0:
        report(task, held_out, arguments.device, 0)
    started = saved = time.monotonic()
    running: list[float] = []
    for step in range(first, steps):
        draw = following.result()
        following = drawing.submit(draw_step, training, task.points, step + 1, arguments)
        torch.manual_seed(arguments.seed * 1_000_003 + step)
        optimizer.param_groups[0]["lr"] = cosine(step, steps, arguments.learning_rate)
        loss, done = learn_step(task, optimizer, draw, arguments), step + 1
        if math.isfinite(loss):
            running.append(loss)
        else:
            print(f"step {done}: the loss is {loss}, nothing learned", file=sys.stderr)
        if done % REPORT_EVERY == 0 and running:
            rate = (done - first) / (time.monotonic() - started)
            print(f"step {done}  loss {np.mean(running):.4f}  {rate:.2f} steps/s", flush=True)
            running.clear()
        if done % arguments.validate_every == 0 or done == steps:
            report(task, held_out, arguments.device, done)
        if time.monotonic() - saved > arguments.checkpoint_seconds or done == steps:
            # It resumes, and loads as a network: published ones by their keys alone, `lite` by
            # what is said of its adapters.
            save_state(
                arguments.state,
                backbone=task.network.backbone,
                state_dict=task.network.state_dict(),
                optimizer=optimizer.state_dict(),
                step=done,
                settings=settings,
                adapters=settings["adapters"],
            )
            saved = time.monotonic()
