#!/usr/bin/env python3
"""What the published networks cost: importing their checkpoints, and exact against float decoding.

    scripts/published_speed.py                       the formula's full-size networks
    scripts/published_speed.py cheng tcm --runs 5
    scripts/published_speed.py stf --import-only

A checkpoint of stand-in weights is imported as `licodec models import` does it, with built-in
pictures: seconds, those of processors (all that counts on a machine with other work), and the
largest resident size. Then one picture of 768x512 is decoded by the exact pack and by the float
network it was made of, best of so many runs, again in both kinds of seconds; cheng-attn is also
measured against CompressAI's cheng2020_attn. Each has a process of its own. The bars: an import in
5 minutes and 8 GB; exact decoding not slower than float, and cheng-attn's four times faster than
CompressAI's.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from benchmarking import rivals
from benchmarking.memory import measured, report
from evaluation.formula import NETWORKS, formula_picture, formula_state
from rich.console import Console
from rich.table import Table
from torch import Tensor

from licodec.backbones.checkpoints import load_network
from licodec.cli.models_import import ImportSettings, import_checkpoint
from licodec.cli.rendering import Verbosity
from licodec.codec import Codec
from licodec.container import read_file
from licodec.exact.interpreter import set_threads
from licodec.images import Picture
from licodec.packs import read_pack
from licodec.rate import Rate

HEIGHT, WIDTH = 512, 768
COMPRESSAI, BITS_PER_PIXEL = "cheng2020-attn", 0.5


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "networks", nargs="*", default=list(NETWORKS), help=f"of {', '.join(NETWORKS)}"
    )
    parser.add_argument("--runs", type=int, default=3, help="the best counts (%(default)s)")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--bits", type=int, choices=(8, 16), default=8, help="of weights")
    parser.add_argument("--backend", help="by default the fastest that is exact here")
    parser.add_argument("--import-only", action="store_true")
    parser.add_argument("--task", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args(argv)


def importing(job: Mapping[str, Any]) -> Mapping[str, Any]:
    settings = ImportSettings(
        backbone=None, calibrate=None, bits=job["bits"], plan_name="standard", pictures=1,
        objective=None, force=True, threads=job["threads"],
    )  # fmt: skip
    import_checkpoint(job["checkpoint"], job["pack"], settings, Verbosity.QUIET)
    return {"pack": Path(job["pack"]).stat().st_size, "cpu": time.process_time()}


def samples(picture: Tensor) -> np.ndarray:
    """(1, 3, H, W) in [0, 1] as uint8 (H, W, 3)."""
    return np.rint(255 * picture[0].permute(1, 2, 0).numpy()).astype(np.uint8)


def exact_decoding(job: Mapping[str, Any]) -> Mapping[str, Any]:
    set_threads(job["threads"])
    picture = formula_picture(HEIGHT, WIDTH)
    codec = Codec(read_pack(Path(job["pack"])), job["backend"])
    lic = read_file(codec.encode_at(Picture(samples(picture)), Rate()).result.data)
    return best(lambda: codec.decode(lic), job["runs"])


def float_decoding(job: Mapping[str, Any]) -> Mapping[str, Any]:
    torch.set_num_threads(job["threads"])
    network = load_network(Path(job["checkpoint"]))
    coded = network.compress(formula_picture(HEIGHT, WIDTH))
    return best(lambda: network.decompress(**coded), job["runs"])


def rival_decoding(job: Mapping[str, Any]) -> Mapping[str, Any]:
    """In a process of its own: CompressAI's coder cannot be loaded where ours is."""
    torch.set_num_threads(job["threads"])
    picture = formula_picture(HEIGHT, WIDTH)
    rival = rivals.Rival(COMPRESSAI, samples(picture), BITS_PER_PIXEL)
    coded = rival.encode(samples(picture))
    return best(lambda: rival.decode(coded), job["runs"])


def best(action: Callable[[], object], runs: int) -> Mapping[str, Any]:
    """The least seconds of so many runs, and the least of processors."""
    seconds, cpu = [], []
    for _ in range(runs):
        started, worked = time.perf_counter(), time.process_time()
        action()
        seconds.append(time.perf_counter() - started)
        cpu.append(time.process_time() - worked)
    return {"seconds": min(seconds), "cpu": min(cpu)}


DECODERS = {"exact": exact_decoding, "float": float_decoding, "CompressAI": rival_decoding}
TASKS = {"import": importing, **DECODERS}


def main() -> None:
    arguments = parse_arguments()
    if arguments.task:
        job = json.load(sys.stdin)
        print(report(lambda: lambda: TASKS[job["task"]](job)))
        return
    if unknown := sorted(set(arguments.networks) - set(NETWORKS)):
        sys.exit(f"error: no network {unknown[0]!r}; there are {', '.join(NETWORKS)}")
    table = Table(title=f"{WIDTH}x{HEIGHT}, {arguments.threads} threads, W{arguments.bits}A16")
    for heading in (
        "network",
        "import s",
        "CPU s",
        "peak GB",
        "pack MB",
        "exact s (CPU)",
        "float s (CPU)",
        "CompressAI s (CPU)",
    ):
        table.add_column(heading, justify="right")
    for name in arguments.networks:
        with tempfile.TemporaryDirectory() as folder:
            checkpoint, pack = Path(folder) / f"{name}.pth", Path(folder) / "p.safetensors"
            torch.save({"state_dict": formula_state(name)}, checkpoint)
            job = {
                "name": name, "checkpoint": str(checkpoint), "pack": str(pack),
                "bits": arguments.bits, "threads": arguments.threads, "runs": arguments.runs,
                "backend": arguments.backend,
            }  # fmt: skip
            done = measured(Path(__file__), job | {"task": "import"})
            cells = [
                f"{done.seconds:.0f}",
                f"{done.result['cpu']:.0f}",
                f"{done.peak / 1e9:.2f}",
                f"{done.result['pack'] / 1e6:.1f}",
            ]
            ways = [way for way in DECODERS if way != "CompressAI" or name == "cheng"]
            for way in () if arguments.import_only else ways:
                done = measured(Path(__file__), job | {"task": way})
                cells.append("{seconds:.2f} ({cpu:.2f})".format(**done.result))
            table.add_row(name, *cells)
            print(name, *cells, file=sys.stderr, flush=True)
    Console(width=None if sys.stdout.isatty() else 120).print(table)


if __name__ == "__main__":
    main()
