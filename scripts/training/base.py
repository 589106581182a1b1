"""Train `base` in float, one network for every rate and two objectives, on a CPU or a GPU.

    scripts/train.py base TILES --state run.pt --seconds 36000                  # constant rate
    scripts/train.py base TILES --state run.pt --seconds 7200 --decay-seconds 7200
    scripts/train.py base TILES --state run.pt --validate                       # a table
    scripts/train.py base TILES --state run.pt --against snapshot.safetensors   # what was gained

TILES holds folders a, b, c and held-out of tiles (``training/tiles.py``). Every sample draws d and
an objective; its loss is lambda / d^2 * 255^2 * MSE + bits per pixel, where of the distortion a
share by the objective is the error of SSIMULACRA 2 instead, divided by the usual loss of its band
of d, so that no rate dominates.

The learning rate is constant after a warm-up and falls to zero over the last --decay-seconds. The
state is exact and is never written in the decay, so that a longer run goes on from the stable
weights; the decayed average goes to a file of its own, .decayed.pt. Everything random is a function
of (seed, step). Needs torch, NumPy and Pillow alone.

--against compares averaged weights on the centres of every third held-out photograph: percent of
rate at equal quality, over all d, then for the low, middle and high third of the qualities.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, fields
from pathlib import Path

import torch

from licodec.networks.base import BaseNetwork
from licodec.networks.base_transforms import BaseConfig
from licodec.networks.conditions import D_RANGE
from training.base_run import Run, Settings
from training.state import read_state, save_state, write_pieces
from training.tiles import Tiles, read_tile, validation_paths
from training.validation import MEASURES, OBJECTIVES, evaluate, rate_changes

LOG_STEPS = 50


def add_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("tiles", type=Path, help="folder of the shards and of held-out")
    add("--state", type=Path, required=True, help="checkpoint, resumed where it exists")
    add("--from", dest="start", type=Path, help="state, pieces or pack to begin with, weights only")
    add("--shards", default="abc", help="folders to train on")
    add("--seconds", type=float, default=600, help="of training, after which it ends")
    add("--decay-seconds", type=float, default=0, help="the last of them, in which it slows down")
    add("--cpu-clock", action="store_true", help="seconds of the processor, to compare runs by")
    add("--steps", type=int, default=10**9, help="end at this step at the latest")
    add("--plan", default="4x192", help="BATCHxCROP, or several with the share of the time where "
        "they end: 32x256:0.66,16x384")  # fmt: skip
    add("--optimizer", choices=("adamw", "soap"), default=Settings.optimizer)
    add("--learning-rate", type=float, default=Settings.learning_rate)
    add("--warmup-steps", type=int, default=Settings.warmup_steps)
    add("--averaging", type=float, default=Settings.averaging, help="decay of the average")
    add("--bfloat16", action="store_true", help="convolutions in it; only where it is native")
    add("--cache", type=Path, help="decoded tiles as .npy, made where missing")
    add("--pieces", type=Path, help="folder for weights in pieces below 16 MiB")
    add("--checkpoint-seconds", type=float, default=300)
    add("--validate-seconds", type=float, default=3600)
    add("--validate", action="store_true", help="print the table of a state, and end")
    add("--against", type=Path, help="compare the state with these weights, and end")
    add("--seed", type=int, default=Settings.seed)
    add("--threads", type=int, default=os.cpu_count())
    add("--device", default="cuda" if torch.cuda.is_available() else "cpu")


def stage(plan: str, share: float) -> tuple[int, int]:
    """(batch, crop) at this share of the time."""
    for part in plan.split(","):
        size, _, until = part.partition(":")
        if share < float(until or 2):
            break
    batch, crop = size.split("x")
    return int(batch), int(crop)


def begin(arguments: argparse.Namespace) -> Run:
    """A new run, or one that goes on."""
    resumed = arguments.state.exists()
    source = arguments.state if resumed else arguments.start
    state = None if source is None else read_state(source)
    stored = {} if state is None else state["config"]
    config = config_of(stored)
    settings = Settings(**{f.name: getattr(arguments, f.name) for f in fields(Settings)})
    run = Run(config, settings, arguments.device)
    if state is not None:
        run.load(state, with_optimizer=resumed)
    print(json.dumps({"from": str(source), "step": run.step, **asdict(settings)}), flush=True)
    return run


def config_of(stored: dict) -> BaseConfig:
    return BaseConfig(**{k: tuple(v) if isinstance(v, list) else v for k, v in stored.items()})


class Trainer:
    """The loop around a run: crops, the clock, checkpoints and tables."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.arguments = arguments
        self.run = begin(arguments)
        paths = validation_paths(arguments.tiles)
        self.held_out = {name: [read_tile(p) for p in own] for name, own in paths.items()}
        out = [path for own in paths.values() for path in own]
        where = arguments.device, arguments.cache
        self.tiles = Tiles(arguments.tiles, arguments.shards, out, *where)
        counts = {name: len(pictures) for name, pictures in self.held_out.items()}
        print(json.dumps({"tiles": len(self.tiles), "held out": counts}), flush=True)
        self.clock = time.process_time if arguments.cpu_clock else time.monotonic
        self.drawing = ThreadPoolExecutor(1)  # draws the next crops while this step computes

    def validate(self, label: str) -> None:
        for name, pictures in self.held_out.items():
            for objective in OBJECTIVES:
                for row in evaluate(self.run.average, pictures, objective):
                    head = {"step": self.run.step, "weights": label, "set": name}
                    print(json.dumps({**head, **row}), flush=True)

    def keep(self) -> None:
        save_state(self.arguments.state, **self.run.state())
        if self.arguments.pieces is not None:
            write_pieces(self.arguments.pieces, self.run.weights())

    def submit(self, step: int, size: tuple[int, int]) -> object:
        return self.drawing.submit(self.tiles.draw, self.arguments.seed, step, *size, D_RANGE)

    def train(self) -> None:
        arguments, run, clock = self.arguments, self.run, self.clock
        started = saved = validated = logged = clock()
        cores, pixels = time.process_time(), run.pixels
        sums, count, decaying = [0.0] * 4, 0, False
        size = stage(arguments.plan, 0)
        following = (size, self.submit(run.step, size))
        while run.step < arguments.steps:
            now = clock()
            elapsed = now - started
            left = arguments.seconds - elapsed
            if left <= 0:
                break
            if not decaying and left <= arguments.decay_seconds:
                self.keep()  # the stable weights: a decay is never resumed
                decaying = True
            size = stage(arguments.plan, elapsed / arguments.seconds)
            if following[0] != size:
                following = (size, self.submit(run.step, size))
            draw = following[1].result()
            following = (size, self.submit(run.step + 1, size))
            share = min(1.0, left / arguments.decay_seconds) if decaying else 1.0
            figures = run.train_step(draw, share)
            sums = [s + f for s, f in zip(sums, asdict(figures).values(), strict=True)]
            count += 1
            used = time.process_time()
            run.core_seconds += used - cores
            cores = used
            now = clock()
            if run.step % LOG_STEPS == 0:
                normalised, bpp, mse, norm = (s / count for s in sums)
                print(
                    f"step {run.step} {run.pixels / 1e6:.1f} Mpx "
                    f"{run.core_seconds / 3600:.2f} core-hours "
                    f"{(run.pixels - pixels) / (now - logged):.0f} px/s, "
                    f"normalised {normalised:.4f} bpp {bpp:.3f} mse {mse:.2f} norm {norm:.2f} "
                    f"skipped {run.skipped}, bands {' '.join(f'{u:.3f}' for u in run.usual)}",
                    flush=True,
                )
                sums, count, pixels, logged = [0.0] * 4, 0, run.pixels, now
            if not decaying and now - saved > arguments.checkpoint_seconds:
                self.keep()
                saved = clock()
            if now - validated > arguments.validate_seconds and left > 60:
                self.validate("average")
                validated = clock()
                started += validated - now  # a table is no training
                cores = time.process_time()
        if decaying:
            save_state(arguments.state.with_suffix(".decayed.pt"), **run.weights())
            if arguments.pieces is not None:
                write_pieces(arguments.pieces.with_name("decayed"), run.weights())
        else:
            self.keep()
        self.drawing.shutdown(cancel_futures=True)
        self.validate("decayed" if decaying else "average")


def compare(arguments: argparse.Namespace) -> None:
    """Print what the state has gained over other weights, at equal quality."""
    paths = validation_paths(arguments.tiles)["photographs"][::3]
    pictures = [read_tile(path) for path in paths]
    anchor, own = (averaged(read_state(path)) for path in (arguments.against, arguments.state))
    for objective in OBJECTIVES:
        curves = [evaluate(network, pictures, objective) for network in (anchor, own)]
        for measure in MEASURES:
            changes = [round(change, 2) for change in rate_changes(*curves, measure)]
            print(json.dumps({"objective": objective, "at equal": measure, "percent": changes}))


def averaged(state: dict) -> BaseNetwork:
    """The network of a state with its averaged weights."""
    network = BaseNetwork(config_of(state["config"]))
    network.load_state_dict({k: v.float() for k, v in state["average"].items()})
    return network


def run(arguments: argparse.Namespace) -> None:
    arguments.state.parent.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(arguments.threads)
    if arguments.device == "cuda":
        # No TF32: its 10 bits would cost the linear path up to half a level; the rest is bfloat16.
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
        torch.backends.cudnn.benchmark = True
    if arguments.against is not None:
        compare(arguments)
        return
    trainer = Trainer(arguments)
    if arguments.validate:
        trainer.validate("average")
    else:
        trainer.train()
