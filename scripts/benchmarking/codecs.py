"""Time of licodec beside CompressAI's networks, in one run on one machine.

Times are from pixels (a uint8 array) to bytes and back, with models loaded: ours to and from
a whole .lic file with its pixel check, CompressAI's mbt2018_mean (quality 8) and
cheng2020_attn (quality 6), in float, to and from bare strings. Each waits in a process of its
own with the same number of threads, and they run in turn within each round, so that what else
the machine does falls on all alike; ratios are taken within rounds. One round before the first
warms up.

CompressAI's trained weights are not needed: the time of a network does not depend on them.
Entropy coding does depend on the symbols, so the last layers are set such that the picture's
strings are about as long as our file (benchmarking/rivals.py says how); the lengths are in the
table.

The profile of our decode charges every function of licodec with its own time and that of the
library functions it calls.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import statistics
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from tables import table

from benchmarking import rivals
from benchmarking.memory import Job, own_process
from benchmarking.profiling import profile
from licodec.codec import Codec
from licodec.container import read_file
from licodec.errors import LicodecError
from licodec.exact.interpreter import set_threads
from licodec.images import Picture, read_picture
from licodec.packs import choose_pack, read_pack
from licodec.rate.setting import Setting, d_to_units

OURS = "licodec"
SLOW = "cheng2020-attn"
SHOWN_SHARE = 0.005  # of the decode; what takes less is summed up


@dataclass(frozen=True)
class Timing:
    """Seconds of one codec, one entry for each round in which it ran; `size` is in bytes."""

    name: str
    size: int
    encode: tuple[float, ...]
    decode: tuple[float, ...]


class Ours:
    """licodec behind the interface of a rival."""

    def __init__(self, job: Job) -> None:
        self.codec = Codec(read_pack(Path(job["pack"])), job["backend"])
        units = d_to_units(job["d"], self.codec.pack.schedule)
        self.session = self.codec.at(Setting(units))

    def encode(self, pixels: np.ndarray) -> bytes:
        return self.session.encode(Picture(pixels)).data

    def decode(self, data: bytes) -> np.ndarray:
        return self.codec.decode(read_file(data)).pixels


# Time --------------------------------------------------------------------------------------


class Stand:
    """In a process of its own: one codec, and the picture that it codes again and again."""

    def __init__(self, job: Job) -> None:
        source = Path(job["source"])
        self.pixels = read_picture(source, source.name).pixels
        set_threads(job["threads"])
        self.codec: Ours | rivals.Rival
        if job["name"] == OURS:
            self.codec = Ours(job)
        else:
            import torch

            torch.set_num_threads(job["threads"])
            self.codec = rivals.Rival(job["name"], self.pixels, job["bits_per_pixel"])

    def time_once(self) -> tuple[int, float, float]:
        """Size in bytes, and the seconds of one encode and of one decode."""
        started = time.perf_counter()
        coded = self.codec.encode(self.pixels)
        between = time.perf_counter()
        self.codec.decode(coded)
        ended = time.perf_counter()
        return len(coded), between - started, ended - between

    def profile(self) -> Counter[str]:
        coded = self.codec.encode(self.pixels)
        return profile(lambda: self.codec.decode(coded), 3)

    def describe(self) -> dict[str, str]:
        import torch

        return {"torch": torch.__version__, "backend": self.codec.codec.backend}


@cache
def _stand(job: str) -> Stand:
    return Stand(json.loads(job))


def _call(job: str, method: str) -> Any:
    return getattr(_stand(job), method)()


class Process:
    """A Stand in a process of its own, which waits between calls."""

    def __init__(self, job: Job) -> None:
        self.name, self._job, self._pool = job["name"], json.dumps(job), own_process()

    def __call__(self, method: str) -> Any:
        return self._pool.submit(_call, self._job, method).result()

    def close(self) -> None:
        self._pool.shutdown()


def time_all(processes: Sequence[Process], rounds: Mapping[str, int]) -> list[Timing]:
    """Run the codecs in turn; `rounds` says in how many of the rounds each takes part."""
    times: dict[str, list[tuple[int, float, float]]] = {process.name: [] for process in processes}
    for number in range(-1, max(rounds.values())):
        print("warming up" if number < 0 else f"round {number + 1}", file=sys.stderr)
        for process in processes:
            if number < rounds[process.name]:
                times[process.name].append(process("time_once"))
    timings = []
    for name, (warm_up, *counted) in times.items():
        if not counted:  # of no round
            continue
        _, encode, decode = zip(*counted, strict=True)
        timings.append(Timing(name, warm_up[0], encode, decode))
    return timings


def ratios(timings: Sequence[Timing]) -> dict[str, list[float]]:
    """Theirs against ours, round by round: decode, and encode and decode together against our
    encode, which holds a decode of its own (the pixel check)."""
    ours, found = timings[0], {}
    for theirs in timings[1:]:
        rounds = range(len(theirs.decode))
        found[f"decode: {theirs.name} / {ours.name}"] = [
            theirs.decode[i] / ours.decode[i] for i in rounds
        ]
        found[f"encode and decode: {theirs.name} / encode with check: {ours.name}"] = [
            (theirs.encode[i] + theirs.decode[i]) / ours.encode[i] for i in rounds
        ]
    return found


# Reporting -----------------------------------------------------------------------------------


def spread(values: Sequence[float], digits: int) -> str:
    ends = (min(values), statistics.median(values), max(values))
    return "  ".join(f"{value:.{digits}f}" for value in ends)


def report(
    pixels: int,
    timings: Sequence[Timing],
    found: Mapping[str, Sequence[float]],
    seconds: Counter[str],
) -> Iterator[str]:
    """Tables under their titles."""
    yield "seconds: least, median, largest of the rounds"
    yield table(
        ("codec", "bits per pixel", "encode", "decode"),
        (
            (t.name, f"{8 * t.size / pixels:.2f}", spread(t.encode, 3), spread(t.decode, 3))
            for t in timings
        ),
    )
    if found:
        rows = ((what, spread(values, 1)) for what, values in found.items())
        yield "times faster"
        yield table(("what", "least, median, largest"), rows)
    total = seconds.total()
    shown = [pair for pair in seconds.most_common() if pair[1] >= SHOWN_SHARE * total]
    shown += [("all others", total - sum(s for _, s in shown)), ("all", total)]
    rows = ((name, f"{1000 * s:.1f}", f"{s / total:.1%}") for name, s in shown)
    yield "our decode by function"
    yield table(("function", "ms", "share"), rows)


# The command -------------------------------------------------------------------------------


def add_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("picture", type=Path, help="a picture, say of 768x512")
    add("--d", type=float, default=1.0)
    add("--model", default="lite", help="a backbone, or the path of a pack")
    add("--plan", default="standard")
    add("--backend", help="force one of ours")
    add("--threads", type=int, default=os.cpu_count())
    add("--rounds", type=int, default=7)
    add("--slow-rounds", type=int, default=3, help=f"rounds in which {SLOW} takes part")
    add("--rivals", nargs="*", choices=rivals.NETWORKS, default=list(rivals.NETWORKS))


def run(arguments: argparse.Namespace) -> None:
    """Measure, and print what was found. Raises LicodecError."""
    pixels = read_picture(arguments.picture, str(arguments.picture)).pixels
    if pixels.shape[2] != 3:
        raise LicodecError(f"{arguments.picture}: grey; the comparison needs a colour picture")
    names = arguments.rivals
    if names and (obstacle := rivals.obstacle()):
        print(f"{obstacle}; licodec alone is measured", file=sys.stderr)
        names = []
    pack = choose_pack(arguments.model, arguments.plan)
    job = {
        "source": str(arguments.picture),
        "threads": arguments.threads,
        "pack": str(pack.path),
        "backend": arguments.backend,
        "d": arguments.d,
    }
    ours = Process({**job, "name": OURS})
    size, _, _ = ours("time_once")
    area = pixels.shape[0] * pixels.shape[1]
    job["bits_per_pixel"] = 8 * size / area
    processes = [ours, *(Process({**job, "name": name}) for name in names)]
    rounds = dict.fromkeys((OURS, *names), arguments.rounds)
    if SLOW in rounds:
        rounds[SLOW] = min(arguments.rounds, arguments.slow_rounds)
    timings = time_all(processes, rounds)
    seconds, description = ours("profile"), ours("describe")
    for process in processes:
        process.close()
    machine = {
        "processor": _processor(),
        "threads": arguments.threads,
        **description,
        "d": arguments.d,
        "picture": f"{arguments.picture.name}, {pixels.shape[1]}x{pixels.shape[0]}",
        "weights_id": pack.weights_id.hex(),
    }
    print(", ".join(f"{key} {value}" for key, value in machine.items()))
    print(*report(area, timings, ratios(timings), seconds), sep="\n\n")


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    text = information.read_text() if information.exists() else ""
    names = re.findall(r"^model name\s*: (.*)", text, re.MULTILINE)
    return names[0] if names else platform.processor() or platform.machine()
