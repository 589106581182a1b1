#!/usr/bin/env python3
"""Train the float form of `lite` on a folder of pictures.

    scripts/train.py PICTURES --state run.pt --steps 20000

The loss is lambda * 255^2 * MSE + bpp at the high-rate anchor (lambda 0.0483, CALICE's
anchor). A share of the steps draws AQVR's d at random and scales lambda by d^-1.5, so
that the network knows the step sizes it will meet. The learning rate is constant after
a warm-up and falls to zero over the last `--decay-steps` steps, so a run can be
lengthened until the decay begins. The last `--quantized-steps` steps run in the
arithmetic of the exact form (grids, weight widths), with straight-through gradients.
Everything random is a function of (seed, step): a run resumed from its state file
continues exactly.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from training.pictures import (
    draw_crop,
    load_pictures,
    rate_and_distortion,
    split_pictures,
    to_tensor,
)
from training.soap import Soap
from training.state import save_state

from licodec.backbones.lite import LiteNetwork
from licodec.backbones.lite_exact import (
    calibrate,
    quantization_aware,
    standard_widths,
    with_ranges,
)
from licodec.fmpq.plans import plan_of_pack
from licodec.fmpq.search import widths_of


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("pictures", type=Path, help="folder of training pictures")
    parser.add_argument(
        "--state", type=Path, required=True, help="checkpoint, resumed where it exists"
    )
    parser.add_argument("--steps", type=int, default=20000)
    parser.add_argument("--decay-steps", type=int, default=4000)
    parser.add_argument("--quantized-steps", type=int, default=500)
    parser.add_argument(
        "--widths-of",
        metavar="PACK",
        type=Path,
        help="pack of `licodec quantize` whose plan the quantized steps train for",
    )
    parser.add_argument("--warmup-steps", type=int, default=300)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--crop", type=int, default=128, help="side in pixels, a multiple of 64")
    parser.add_argument("--optimizer", choices=("adam", "soap"), default="soap")
    parser.add_argument("--learning-rate", type=float, default=2e-4)
    parser.add_argument("--lambda", dest="lagrangian", type=float, default=0.0483)
    parser.add_argument("--d-share", type=float, default=0.5, help="share of steps with a random d")
    parser.add_argument("--d-range", type=float, nargs=2, default=(0.5, 12.0))
    parser.add_argument(
        "--only", metavar="PART", help="hold all but one part still, such as synthesis"
    )
    parser.add_argument(
        "--averaging", type=float, default=0.999, help="decay of the weight average"
    )
    parser.add_argument("--held-out", type=int, default=24, help="pictures kept for validation")
    parser.add_argument("--validate-every", type=int, default=1000)
    parser.add_argument("--checkpoint-seconds", type=float, default=180)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--bfloat16", action="store_true", help="autocast the wide convolutions")
    return parser.parse_args(argv)


@dataclass(frozen=True)
class StepDraw:
    """What chance decides about one step."""

    pixels: torch.Tensor  # (N, 3, side, side) in [0, 1]
    d: float


def draw_step(pictures: list[np.ndarray], step: int, arguments: argparse.Namespace) -> StepDraw:
    rng = np.random.default_rng((arguments.seed, step))
    chosen = rng.integers(len(pictures), size=arguments.batch)
    crops = np.stack([draw_crop(pictures[i], arguments.crop, rng) for i in chosen])
    d = 1.0
    if rng.random() < arguments.d_share:
        low, high = arguments.d_range
        d = math.exp(rng.uniform(math.log(low), math.log(high)))
    return StepDraw(to_tensor(crops), d)


def learning_rate(step: int, arguments: argparse.Namespace) -> float:
    rising = min(1.0, (step + 1) / arguments.warmup_steps)
    left = max(0, arguments.steps - step) / max(1, arguments.decay_steps)
    return arguments.learning_rate * rising * min(1.0, left)


def make_optimizer(network: LiteNetwork, kind: str, rate: float) -> torch.optim.Optimizer:
    """The linear path starts as a good transform and is moved a tenth as fast as the rest."""
    linear, others = [], []
    for name, parameter in network.named_parameters():
        (linear if ".linear." in name else others).append(parameter)
    groups = [{"params": others, "factor": 1.0}, {"params": linear, "factor": 0.1}]
    if kind == "soap":
        return Soap(groups, lr=rate)
    return torch.optim.Adam(groups, lr=rate, fused=True)


def hold_still_all_but(network: LiteNetwork, part: str) -> None:
    parts = [name for name, _ in network.named_children()]
    if part not in parts:
        sys.exit(f"--only {part}: no such part; the network has {', '.join(parts)}")
    for name, child in network.named_children():
        child.requires_grad_(name == part)


def make_average(network: LiteNetwork, decay: float) -> torch.optim.swa_utils.AveragedModel:
    """The exponential moving average of the weights; it, or after steps in exact arithmetic the
    weights themselves, is what is validated and shipped."""
    return torch.optim.swa_utils.AveragedModel(
        network, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(decay)
    )


@torch.no_grad()
def validate(network: LiteNetwork, pictures: list[np.ndarray], device: str) -> list[dict]:
    """Estimated rate and PSNR on the centre 256x256 of each held-out picture, at a few d."""
    network.eval()
    rows = []
    for d in (1.0, 4.0, 12.0):
        figures = []
        for picture in pictures:
            top, left = (picture.shape[0] - 256) // 2, (picture.shape[1] - 256) // 2
            crop = picture[top : top + 256, left : left + 256]
            pixels = (torch.from_numpy(crop.copy()).permute(2, 0, 1)[None].float() / 255).to(device)
            output = network(pixels, d)
            output["x_hat"] = output["x_hat"].clamp(0, 1)
            bpp, mse = rate_and_distortion(output, pixels)
            figures.append((bpp.item(), -10 * math.log10(mse.item())))
        bpp, psnr = np.mean(figures, axis=0)
        rows.append({"d": d, "bpp": round(float(bpp), 4), "psnr": round(float(psnr), 3)})
    network.train()
    return rows


def calibration_ranges(
    network: LiteNetwork, pictures: list[np.ndarray], device: str
) -> dict[str, dict[str, tuple[float, float]]]:
    """Ranges of every value of the exact form on up to 16 training pictures."""
    tensors = []
    for picture in pictures[:: max(1, len(pictures) // 16)][:16]:
        height, width = (min(384, side) // 64 * 64 for side in picture.shape[:2])
        pixels = torch.from_numpy(picture[:height, :width].copy())
        tensors.append((pixels.permute(2, 0, 1)[None].float() / 255).to(device))
    return {name: dict(part.ranges) for name, part in calibrate(network, tensors).items()}


def main() -> None:
    arguments = parse_arguments()
    torch.set_num_threads(arguments.threads)
    device = arguments.device
    pictures = load_pictures(arguments.pictures)
    held_out, training = split_pictures(pictures, arguments.held_out)
    training = [p for p in training if min(p.shape[:2]) >= arguments.crop]

    torch.manual_seed(arguments.seed)
    network = LiteNetwork().to(device, memory_format=torch.channels_last)
    if arguments.only is not None:
        hold_still_all_but(network, arguments.only)
    optimizer = make_optimizer(network, arguments.optimizer, arguments.learning_rate)
    average = make_average(network, arguments.averaging)
    widths = standard_widths
    if arguments.widths_of is not None:
        widths = widths_of(plan_of_pack(arguments.widths_of))
    first, ranges = 0, {}
    if arguments.state.exists():
        state = torch.load(arguments.state, map_location=device, weights_only=True)
        network.load_state_dict(state["network"])
        if state["optimizer"] is not None:  # as train_entropy_model.py leaves it
            optimizer.load_state_dict(state["optimizer"])
        average.load_state_dict(state["average"])
        first, ranges = state["step"], state.get("ranges", {})
        print(f"resumed at step {first}", file=sys.stderr)

    network.train()
    active = network
    # One thread draws the next step's crops while this one computes.
    drawing = ThreadPoolExecutor(1)
    following = drawing.submit(draw_step, training, first, arguments)
    started = saved = time.monotonic()
    running: list[float] = []
    for step in range(first, arguments.steps):
        if active is network and step >= arguments.steps - arguments.quantized_steps:
            ranges = ranges or calibration_ranges(network, training, device)
            active = quantization_aware(network, with_ranges(network, ranges), widths)
        draw = following.result()
        following = drawing.submit(draw_step, training, step + 1, arguments)
        pixels = draw.pixels.to(device)
        torch.manual_seed(arguments.seed * 1_000_003 + step)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, arguments) * group["factor"]
        with torch.autocast(torch.device(device).type, torch.bfloat16, enabled=arguments.bfloat16):
            output = active(pixels, draw.d)
        bpp, mse = rate_and_distortion(output, pixels)
        loss = arguments.lagrangian * draw.d**-1.5 * 255**2 * mse + bpp
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        if active is network:
            average.update_parameters(network)
        else:  # weights that were trained rounded serve on their side of each rounding alone
            average.module.load_state_dict(network.state_dict())
        if draw.d == 1.0:
            running.append(loss.item())

        done = step + 1
        if done % 100 == 0:
            rate = (done - first) / (time.monotonic() - started)
            print(
                f"step {done}  loss at d=1 {np.mean(running):.4f}  {rate:.2f} steps/s", flush=True
            )
            running.clear()
        if done % arguments.validate_every == 0 or done == arguments.steps:
            for row in validate(average.module, held_out, device):
                print(json.dumps({"step": done, **row}), flush=True)
        if time.monotonic() - saved > arguments.checkpoint_seconds or done == arguments.steps:
            save_state(
                arguments.state,
                network=network.state_dict(),
                optimizer=optimizer.state_dict(),
                average=average.state_dict(),
                step=done,
                ranges=ranges,
            )
            saved = time.monotonic()


if __name__ == "__main__":
    main()
