#!/usr/bin/env python3
"""Train the entropy model of `lite` alone, on the latents of a trained analysis.

    scripts/train_entropy_model.py PICTURES --state run.pt --latents run.npy --steps 10000

The hyper-networks, slices and residual predictions are most of what there is to learn and
a tenth of the cost of a step. With the transforms held still the latents of every picture
can be stored once (--latents, made where it does not exist: pictures and their mirror
images). The distortion is the squared error of the decoded latents, weighted by what the
linear path of the synthesis makes of it in pixels.

--state is a state file of scripts/train.py, rewritten with the new weights and a fresh
optimiser, so that train.py can go on with the whole network. Until that is done the run keeps
its own state beside it (run.entropy) and resumes from it.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from train import learning_rate, make_average
from training.pictures import load_pictures, split_pictures
from training.state import save_state

from licodec.backbones.lite import BLOCK, PIXEL_UNIT, LiteNetwork

PICTURE_SIDE = 512
TRANSFORMS = ("analysis.", "synthesis.")


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("pictures", type=Path, help="folder of training pictures")
    parser.add_argument("--state", type=Path, required=True, help="state file of train.py")
    parser.add_argument("--latents", type=Path, required=True, help=".npy file of the latents")
    parser.add_argument("--steps", type=int, default=10000)
    parser.add_argument("--decay-steps", type=int, default=4000)
    parser.add_argument("--warmup-steps", type=int, default=50)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--window", type=int, default=16, help="side in latents, a multiple of 4")
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--lambda", dest="lagrangian", type=float, default=0.0483)
    parser.add_argument("--d-share", type=float, default=0.6, help="share of steps with a random d")
    parser.add_argument("--d-range", type=float, nargs=2, default=(0.5, 12.0))
    parser.add_argument("--averaging", type=float, default=0.995)
    parser.add_argument("--held-out", type=int, default=24, help="pictures kept for validation")
    parser.add_argument("--validate-every", type=int, default=1000)
    parser.add_argument("--checkpoint-seconds", type=float, default=180)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    return parser.parse_args(argv)


@dataclass(frozen=True)
class Latents:
    """Stored latents, float16 (count, M, h, w); the first `held_out` are for validation."""

    planes: np.ndarray
    held_out: int

    def draw(self, step: int, arguments: argparse.Namespace) -> tuple[Tensor, float]:
        """A batch of windows (N, M, window, window) and a d, functions of (seed, step)."""
        rng = np.random.default_rng((arguments.seed, step))
        count, _, height, width = self.planes.shape
        side = arguments.window
        windows = []
        for i in rng.integers(self.held_out, count, size=arguments.batch):
            top, left = rng.integers(height - side + 1), rng.integers(width - side + 1)
            windows.append(self.planes[i, :, top : top + side, left : left + side])
        d = 1.0
        if rng.random() < arguments.d_share:
            d = math.exp(rng.uniform(*np.log(arguments.d_range)))
        y = torch.from_numpy(np.stack(windows).astype(np.float32))
        return y.contiguous(memory_format=torch.channels_last), d


@torch.inference_mode()
def store_latents(network: LiteNetwork, arguments: argparse.Namespace) -> None:
    """Run the analysis over the centre 512x512 of every picture: the held-out ones, the others,
    the others mirrored."""
    held_out, training = split_pictures(load_pictures(arguments.pictures), arguments.held_out)
    crops = [_centre(p) for p in (*held_out, *training)]
    crops += [crop[:, ::-1] for crop in crops[len(held_out) :]]
    side = PICTURE_SIDE // BLOCK
    partial = arguments.latents.with_suffix(".partial")
    shape = (len(crops), network.config.latents, side, side)
    planes = np.lib.format.open_memmap(partial, "w+", np.float16, shape)
    for i, crop in enumerate(crops):
        pixels = torch.from_numpy(crop.copy()).permute(2, 0, 1)[None].float() / 255
        planes[i] = network.analyse(pixels.contiguous(memory_format=torch.channels_last))[0]
        if i % 100 == 0:
            print(f"latents of {i} of {len(crops)} pictures", flush=True)
    planes.flush()
    partial.replace(arguments.latents)


def _centre(picture: np.ndarray) -> np.ndarray:
    height, width = picture.shape[:2]
    if min(height, width) < PICTURE_SIDE:
        sys.exit(f"a training picture is {width}x{height}; use {PICTURE_SIDE} or more each way")
    top, left = (height - PICTURE_SIDE) // 2, (width - PICTURE_SIDE) // 2
    return picture[top : top + PICTURE_SIDE, left : left + PICTURE_SIDE]


@torch.no_grad()
def error_weights(network: LiteNetwork, lagrangian: float) -> Tensor:
    """Bits that a squared error of 1 in each latent is worth, (M, 1, 1): lambda times the
    squared error in levels that the linear path makes of it."""
    columns = network.synthesis.linear.transform.weight[:, :, 0, 0]  # (3 * 256, M)
    per_channel = lagrangian / 3 * PIXEL_UNIT**2 * (columns**2).sum(0)
    return per_channel[:, None, None]


def bits_and_error(
    network: LiteNetwork, y: Tensor, d: float, weights: Tensor
) -> tuple[Tensor, Tensor]:
    """(bits, lambda * squared error in levels / 3) of coding y, each per pixel."""
    decoded, likelihoods = network.code(y, d)
    bits = -sum(likelihood.log2().sum() for likelihood in likelihoods.values())
    pixels = y.shape[0] * y.shape[2] * y.shape[3] * BLOCK**2
    return bits / pixels, (weights * (y - decoded) ** 2).sum() / pixels


@torch.no_grad()
def validate(network: LiteNetwork, latents: Latents, weights: Tensor) -> list[dict]:
    network.eval()
    rows = []
    for d in (1.0, 4.0, 12.0):
        figures = []
        for planes in latents.planes[: latents.held_out]:
            y = torch.from_numpy(planes[None].astype(np.float32))
            figures.append([x.item() for x in bits_and_error(network, y, d, weights)])
        bpp, error = np.mean(figures, axis=0)
        rows.append({"d": d, "bpp": round(float(bpp), 4), "error": round(float(error), 4)})
    network.train()
    return rows


def main() -> None:
    arguments = parse_arguments()
    torch.set_num_threads(arguments.threads)
    whole = torch.load(arguments.state, weights_only=True)
    network = LiteNetwork().to(memory_format=torch.channels_last)
    network.load_state_dict(
        {k.removeprefix("module."): v for k, v in whole["average"].items() if k != "n_averaged"}
    )
    if not arguments.latents.exists():
        store_latents(network.eval(), arguments)
    latents = Latents(np.load(arguments.latents, mmap_mode="r"), arguments.held_out)
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(not name.startswith(TRANSFORMS))
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    weights = error_weights(network, arguments.lagrangian)
    optimizer = torch.optim.Adam(trained, lr=arguments.learning_rate, fused=True)
    average = make_average(network, arguments.averaging)
    own_state, first = arguments.state.with_suffix(".entropy"), 0
    if own_state.exists():
        state = torch.load(own_state, weights_only=True)
        network.load_state_dict(state["network"])
        optimizer.load_state_dict(state["optimizer"])
        average.load_state_dict(state["average"])
        first = state["step"]
        print(f"resumed at step {first}", file=sys.stderr)

    def save(done: int) -> None:
        save_state(
            own_state,
            network=network.state_dict(),
            optimizer=optimizer.state_dict(),
            average=average.state_dict(),
            step=done,
        )

    network.train()
    started = saved = time.monotonic()
    running: list[float] = []
    for step in range(first, arguments.steps):
        y, d = latents.draw(step, arguments)
        torch.manual_seed(arguments.seed * 1_000_003 + step)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, arguments)
        bpp, error = bits_and_error(network, y, d, weights)
        loss = bpp + d**-1.5 * error
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        average.update_parameters(network)
        if d == 1.0:
            running.append(loss.item())
        done = step + 1
        if done % 200 == 0:
            rate = (done - first) / (time.monotonic() - started)
            print(
                f"step {done}  loss at d=1 {np.mean(running):.4f}  {rate:.2f} steps/s", flush=True
            )
            running.clear()
        if done % arguments.validate_every == 0 or done == arguments.steps:
            for row in validate(average.module, latents, weights):
                print(json.dumps({"step": done, **row}), flush=True)
        if time.monotonic() - saved > arguments.checkpoint_seconds:
            save(done)
            saved = time.monotonic()

    for parameter in network.parameters():
        parameter.requires_grad_(True)
    network.load_state_dict(average.module.state_dict())
    save_state(
        arguments.state,
        network=network.state_dict(),
        optimizer=None,  # train.py starts a new one
        average=make_average(network, arguments.averaging).state_dict(),
        step=0,
        ranges={},
    )
    own_state.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
