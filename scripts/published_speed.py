#!/usr/bin/env python3
"""What the published networks cost: importing their checkpoints, and exact against float decoding.

    scripts/published_speed.py                       the formula's full-size networks
    scripts/published_speed.py cheng tcm --runs 5
    scripts/published_speed.py stf --import-only
    scripts/published_speed.py cheng --size 18% --crops 1 --crop-size 128 --packs DIR

A checkpoint of stand-in weights is imported as `licodec models import` does it, with built-in
pictures: seconds, those of processors (all that counts on a machine with other work), and the
largest resident size. Then one picture of 768x512 is decoded by the exact pack and by the float
network it was made of, best of so many runs, again in both kinds of seconds; cheng-attn is also
measured against CompressAI's cheng2020_attn. Each has a process of its own, and they take turns for
so many rounds, as a machine with other work is faster at one time than at another. The bars: an
import in 5 minutes and 8 GB; exact decoding not slower than float, and cheng-attn's four times
faster than CompressAI's.

With --size the pack is one of mixed widths that `licodec quantize` searches, on crops of the
built-in photograph, and how many evaluations that took is told beside those of a naive search.
"""

from __future__ import annotations

import argparse
import itertools
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

from licodec.cli.models_import import import_checkpoint
from licodec.cli.pack_options import ImportOptions, QuantizeOptions, WeightBits, parse_pack_size
from licodec.cli.quantize import quantize
from licodec.cli.rendering import Verbosity
from licodec.codec import Codec
from licodec.container import read_file
from licodec.exact.interpreter import set_threads
from licodec.images import Picture
from licodec.networks.cheng_attn import ChengNetwork
from licodec.packing.checkpoints import load_network
from licodec.packs import read_pack
from licodec.packs.plans import search_figures
from licodec.rate.modes import Rate

HEIGHT, WIDTH = 512, 768
COMPRESSAI, BITS_PER_PIXEL = "cheng2020-attn", 0.5


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "networks", nargs="*", default=list(NETWORKS), help=f"of {', '.join(NETWORKS)}"
    )
    parser.add_argument(
        "--runs", type=int, default=3, help="a process: the best counts (%(default)s)"
    )
    parser.add_argument("--rounds", type=int, default=2, help="of processes (%(default)s)")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--bits", type=int, choices=(8, 16), default=8, help="of weights")
    parser.add_argument("--backend", help="by default the fastest that is exact here")
    parser.add_argument("--import-only", action="store_true")
    parser.add_argument("--size", help="of packs that `licodec quantize` makes, such as 18%%")
    parser.add_argument("--crops", type=int, default=1, help="of its trials (%(default)s)")
    parser.add_argument("--crop-size", type=int, default=256, help="their side (%(default)s)")
    parser.add_argument("--packs", type=Path, help="existing folder to keep packs and states in")
    parser.add_argument("--task", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args(argv)


def importing(job: Mapping[str, Any]) -> Mapping[str, Any]:
    settings = ImportOptions(
        job["pack"], bits=WeightBits(str(job["bits"])), pictures=1, force=True,
        threads=job["threads"],
    )  # fmt: skip
    import_checkpoint(job["checkpoint"], settings, Verbosity.QUIET)
    return {"pack": Path(job["pack"]).stat().st_size, "cpu": time.process_time()}


def searching(job: Mapping[str, Any]) -> Mapping[str, Any]:
    pack = Path(job["pack"])
    settings = QuantizeOptions(
        job["size"], str(pack), state=pack.with_suffix(".search.json"), plan_name="mixed",
        pictures=1, crops=job["crops"], crop_size=job["crop_size"], force=True,
        threads=job["threads"],
    )  # fmt: skip
    quantize(job["checkpoint"], parse_pack_size(job["size"]), settings, Verbosity.QUIET)
    figures = search_figures(pack)
    counts = {name: figures[name] for name in ("evaluations", "naive_evaluations")}
    return {"pack": pack.stat().st_size, "cpu": time.process_time(), **counts}


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
    picture = formula_picture(HEIGHT, WIDTH)
    with torch.no_grad():
        y = network.analysis(network.padded(picture))
        z_hat, _ = network.entropy_bottleneck(network.hyper_analysis(y))

        def decode() -> None:
            """Everything but the entropy coder."""
            if isinstance(network, ChengNetwork):
                y_hat = network.decoded_from(y, network.hyper_synthesis(z_hat))
            else:
                y_hat, _ = network.code_latents(y, z_hat)
            network.synthesis(y_hat)

        return best(decode, job["runs"])


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
TASKS = {"import": importing, "quantize": searching, **DECODERS}


def main() -> None:
    arguments = parse_arguments()
    if arguments.task:
        job = json.load(sys.stdin)
        print(report(lambda: lambda: TASKS[job["task"]](job)))
        return
    if unknown := sorted(set(arguments.networks) - set(NETWORKS)):
        sys.exit(f"error: no network {unknown[0]!r}; there are {', '.join(NETWORKS)}")
    making = "quantize" if arguments.size else "import"
    widths = f"weights of {arguments.size}" if arguments.size else f"W{arguments.bits}A16"
    table = Table(title=f"{WIDTH}x{HEIGHT}, {arguments.threads} threads, {widths}")
    for heading in (
        "network",
        f"{making} s",
        "CPU s",
        "peak GB",
        "pack MB",
        *(("evaluations (naive)",) if arguments.size else ()),
        "exact s (CPU)",
        "float s (CPU)",
        "CompressAI s (CPU)",
    ):
        table.add_column(heading, justify="right")
    for name in arguments.networks:
        with tempfile.TemporaryDirectory() as folder:
            checkpoint = Path(folder) / f"{name}.pth"
            pack = (arguments.packs or Path(folder)) / f"{name}.safetensors"
            torch.save({"state_dict": formula_state(name)}, checkpoint)
            job = {
                "name": name, "checkpoint": str(checkpoint), "pack": str(pack),
                "bits": arguments.bits, "threads": arguments.threads, "runs": arguments.runs,
                "backend": arguments.backend, "size": arguments.size, "crops": arguments.crops,
                "crop_size": arguments.crop_size,
            }  # fmt: skip
            done = measured(Path(__file__), job | {"task": making})
            cells = [
                f"{done.seconds:.0f}",
                f"{done.result['cpu']:.0f}",
                f"{done.peak / 1e9:.2f}",
                f"{done.result['pack'] / 1e6:.1f}",
            ]
            if arguments.size:
                cells.append("{evaluations} ({naive_evaluations})".format(**done.result))
            ways = [way for way in DECODERS if way != "CompressAI" or name == "cheng"]
            rounds = 0 if arguments.import_only else arguments.rounds
            times: dict[str, list[Mapping[str, Any]]] = {way: [] for way in ways}
            for _, way in itertools.product(range(rounds), ways):
                times[way].append(measured(Path(__file__), job | {"task": way}).result)
            for found in filter(None, times.values()):
                seconds, cpu = (min(one[kind] for one in found) for kind in ("seconds", "cpu"))
                cells.append(f"{seconds:.2f} ({cpu:.2f})")
            table.add_row(name, *cells)
            print(name, *cells, file=sys.stderr, flush=True)
    Console(width=None if sys.stdout.isatty() else 120).print(table)


if __name__ == "__main__":
    main()
