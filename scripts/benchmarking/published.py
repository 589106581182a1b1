"""What the published networks cost: importing their checkpoints, exact against float decoding,
and how far the exact synthesis is from the float one.

    scripts/benchmark.py published cheng tcm --runs 5
    scripts/benchmark.py published stf --only import noise --bits 16
    scripts/benchmark.py published icm_78.pth.tar
    scripts/benchmark.py published cheng --size 18% --crops 1 --crop-size 128 --packs DIR

Without checkpoints, full-size networks of stand-in weights are taken (tests/data says which).
A checkpoint is imported as `licodec models import` does it, with built-in pictures: seconds, those
of processors (all that counts on a machine with other work), and the largest resident size. Then
one picture of 768x512 is decoded by the exact pack and by the float network it was made of, best
of so many runs, again in both kinds of seconds; cheng-attn is also measured against CompressAI's
cheng2020_attn. Each has a process of its own, and they take turns for so many rounds, as a machine
with other work is faster at one time than at another. The noise is the range, over all rate modes
and a picture's latents and noise, of the float output's variance over the mean squared error before
pixels are rounded.

The bars: an import in 5 minutes and 8 GB; exact decoding not slower than float, and cheng-attn's
six times faster than CompressAI's; 25 dB with weights of 8 bits, 50 dB with 16. Exits with 1
below those in dB. Where --only leaves out the import, a pack that lies in --packs is used.

With --size the pack is one of mixed widths that `licodec quantize` searches, on crops of the
built-in photograph, and how many evaluations that took is told beside those of a naive search.
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

import numpy as np
import torch
from torch import Tensor

from benchmarking import rivals
from benchmarking.memory import Job, Result, measured
from benchmarking.synthesis_noise import ratios
from licodec.cli.models_import import import_checkpoint
from licodec.cli.pack_options import ImportOptions, QuantizeOptions, WeightBits, parse_pack_size
from licodec.cli.quantize import quantize
from licodec.cli.rendering import Verbosity
from licodec.codec import Codec
from licodec.container import read_file
from licodec.errors import LicodecError
from licodec.exact.interpreter import set_threads
from licodec.images import Picture
from licodec.networks.cheng_attn import ChengNetwork
from licodec.networks.published import padded
from licodec.packing.checkpoints import load_network
from licodec.packs import read_pack
from licodec.packs.plans import search_figures
from licodec.rate.modes import Rate

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))  # for the formula itself, which lies with the tests

from tests.data.formula import formula_image, formula_tensor  # noqa: E402

NETWORKS = {path.stem: path for path in sorted((ROOT / "tests" / "data").glob("*.json"))}
HEIGHT, WIDTH = 512, 768
NOISE_HEIGHT, NOISE_WIDTH = 256, 384
COMPRESSAI, BITS_PER_PIXEL = "cheng2020-attn", 0.5
BARS = {8: 25.0, 16: 50.0}
IMPORT, DECODE, NOISE = PARTS = ("import", "decode", "noise")


def formula_state(name: str) -> dict[str, Tensor]:
    """The state dict of one of NETWORKS."""
    shapes = json.loads(NETWORKS[name].read_text(encoding="utf-8"))["parameters"]
    return {key: torch.from_numpy(formula_tensor(key, tuple(s))) for key, s in shapes.items()}


def formula_picture(height: int, width: int) -> Tensor:
    """(1, 3, height, width) in [0, 1]."""
    return torch.from_numpy(formula_image(height, width))[None]


def samples(picture: Tensor) -> np.ndarray:
    """(1, 3, H, W) in [0, 1] as uint8 (H, W, 3)."""
    return np.rint(255 * picture[0].permute(1, 2, 0).numpy()).astype(np.uint8)


# Tasks, each in a process of its own -----------------------------------------------------------


def importing(job: Job) -> Result:
    settings = ImportOptions(
        job["pack"], bits=WeightBits(str(job["bits"])), pictures=1, force=True,
        threads=job["threads"],
    )  # fmt: skip
    import_checkpoint(job["checkpoint"], settings, Verbosity.QUIET)
    return {"cpu": time.process_time()}


def searching(job: Job) -> Result:
    settings = QuantizeOptions(
        job["size"], job["pack"], state=Path(job["pack"]).with_suffix(".search.json"),
        plan_name="mixed", pictures=1, crops=job["crops"], crop_size=job["crop_size"], force=True,
        threads=job["threads"],
    )  # fmt: skip
    quantize(job["checkpoint"], parse_pack_size(job["size"]), settings, Verbosity.QUIET)
    return {"cpu": time.process_time()}


def exact_decoding(job: Job) -> Result:
    set_threads(job["threads"])
    codec = Codec(read_pack(Path(job["pack"])), job["backend"])
    picture = Picture(samples(formula_picture(HEIGHT, WIDTH)))
    lic = read_file(codec.encode_at(picture, Rate()).result.data)
    return best(lambda: codec.decode(lic), job["runs"])


def float_decoding(job: Job) -> Result:
    torch.set_num_threads(job["threads"])
    network = load_network(Path(job["checkpoint"]))
    picture = formula_picture(HEIGHT, WIDTH)
    with torch.no_grad():
        y = network.analysis(padded(picture, network.ALIGNMENT))
        z_hat, _ = network.entropy_bottleneck(network.hyper_analysis(y))

        def decode() -> None:
            """Everything but the entropy coder."""
            if isinstance(network, ChengNetwork):
                y_hat = network.decoded_from(y, network.hyper_synthesis(z_hat))
            else:
                y_hat, _ = network.code_latents(y, z_hat)
            network.synthesis(y_hat)

        return best(decode, job["runs"])


def rival_decoding(job: Job) -> Result:
    """In a process of its own: CompressAI's coder cannot be loaded where ours is."""
    torch.set_num_threads(job["threads"])
    picture = samples(formula_picture(HEIGHT, WIDTH))
    rival = rivals.Rival(COMPRESSAI, picture, BITS_PER_PIXEL)
    coded = rival.encode(picture)
    return best(lambda: rival.decode(coded), job["runs"])


def best(action: Callable[[], object], runs: int) -> Result:
    """The least seconds of so many runs, and the least of processors."""
    seconds, cpu = [], []
    for _ in range(runs):
        started, worked = time.perf_counter(), time.process_time()
        action()
        seconds.append(time.perf_counter() - started)
        cpu.append(time.process_time() - worked)
    return {"seconds": min(seconds), "cpu": min(cpu)}


def noise(job: Job) -> Result:
    pack, network = read_pack(Path(job["pack"])), load_network(Path(job["checkpoint"]))
    picture = formula_picture(NOISE_HEIGHT, NOISE_WIDTH)
    return {name: found for name, *found in ratios(pack, network, picture, job["backend"])}


TASKS: Mapping[str, Callable[[Job], Result]] = {
    "import": importing,
    "quantize": searching,
    "exact": exact_decoding,
    "float": float_decoding,
    "CompressAI": rival_decoding,
    "noise": noise,
}


# The table -------------------------------------------------------------------------------------


def made(job: Job) -> str:
    """Import or search, and say what that took."""
    done, pack = measured(TASKS["quantize" if job["size"] else "import"], job), Path(job["pack"])
    told = (
        f"{done.seconds:.0f} s ({done.result['cpu']:.0f}), {done.peak / 1e9:.2f} GB, "
        f"pack {pack.stat().st_size / 1e6:.1f} MB"
    )
    if job["size"]:
        told += ", {evaluations} evaluations ({naive_evaluations})".format(**search_figures(pack))
    return told


def decoded(job: Job, rounds: int) -> str:
    """Best seconds of every way to decode, in turns, and those of processors."""
    ways = ["exact", "float", *(["CompressAI"] if job["name"] == "cheng" else [])]
    turns = [{way: measured(TASKS[way], job).result for way in ways} for _ in range(rounds)]
    return ", ".join(
        f"{way} {min(t[way]['seconds'] for t in turns):.2f} s "
        f"({min(t[way]['cpu'] for t in turns):.2f})"
        for way in ways
    )


def measure(name: str, arguments: argparse.Namespace) -> float:
    """Print what one network costs; its least ratio in dB, infinite where none was asked for."""
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Path(name)
        if name in NETWORKS:
            checkpoint = Path(folder) / f"{name}.pth"
            torch.save({"state_dict": formula_state(name)}, checkpoint)
        elif not checkpoint.is_file():
            raise LicodecError(f"{name}: no such file, and none of {', '.join(NETWORKS)}")
        pack = (arguments.packs or Path(folder)) / f"{checkpoint.name.split('.')[0]}.safetensors"
        job = {**vars(arguments), "name": name, "checkpoint": str(checkpoint), "pack": str(pack)}
        if IMPORT in arguments.only or not pack.exists():
            print(f"{name}, {IMPORT}: {made(job)}", flush=True)
        if DECODE in arguments.only:
            print(f"{name}, {DECODE}: {decoded(job, arguments.rounds)}", flush=True)
        if NOISE not in arguments.only:
            return float("inf")
        found = measured(noise, job).result
        for setting, (latents, white) in found.items():
            print(f"{name}, {NOISE}, {setting}: latents {latents:.1f} dB, noise {white:.1f} dB")
        return min(map(min, found.values()))


def add_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("networks", nargs="*", default=list(NETWORKS),
        help=f"{', '.join(NETWORKS)}, or checkpoints; by default all of the former")  # fmt: skip
    add("--only", nargs="+", choices=PARTS, default=PARTS, help="what to measure")
    add("--runs", type=int, default=3, help="a process: the best counts (%(default)s)")
    add("--rounds", type=int, default=2, help="of processes (%(default)s)")
    add("--threads", type=int, default=os.cpu_count() or 1)
    add("--bits", type=int, choices=tuple(BARS), default=8, help="of weights")
    add("--backend", help="by default the fastest that is exact here")
    add("--size", help="of packs that `licodec quantize` makes, such as 18%%")
    add("--crops", type=int, default=1, help="of its trials (%(default)s)")
    add("--crop-size", type=int, default=256, help="their side (%(default)s)")
    add("--packs", type=Path, help="existing folder to keep packs and states in")


def run(arguments: argparse.Namespace) -> None:
    """Raises LicodecError."""
    widths = f"weights of {arguments.size}" if arguments.size else f"W{arguments.bits}A16"
    print(f"{WIDTH}x{HEIGHT}, {arguments.threads} threads, {widths}; in brackets, of processors")
    least = [measure(name, arguments) for name in arguments.networks]
    if not arguments.size and min(least) < BARS[arguments.bits]:
        sys.exit(f"error: below {BARS[arguments.bits]:g} dB")
