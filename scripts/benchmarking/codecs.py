"""Time and memory of licodec beside CompressAI's networks, in one run on one machine.

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

Peak memory is measured in a process for each task, from picture file to .lic file and back;
--large adds a generated picture of 100 megapixels.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tables import table

from benchmarking import memory, rivals
from benchmarking.memory import Job, Result
from benchmarking.profiling import profile
from licodec.codec import Codec
from licodec.container import read_file
from licodec.errors import LicodecError
from licodec.exact.interpreter import set_threads
from licodec.images import Picture, read_picture, write_picture
from licodec.packs import choose_pack, read_pack
from licodec.rate.setting import Setting, d_to_units

OURS = "licodec"
SLOW = "cheng2020-attn"
LARGE_SIDE = 10_000
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
        self.pixels = read_pixels(job)
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
        size = len(coded) if isinstance(coded, bytes) else coded.size
        return size, between - started, ended - between

    def profile(self) -> Counter[str]:
        coded = self.codec.encode(self.pixels)
        return profile(lambda: self.codec.decode(coded), 3)

    def describe(self) -> dict[str, str]:
        import torch

        return {"torch": torch.__version__, "backend": self.codec.codec.backend}


_stand: Stand


def _set_up(job: Job) -> None:
    global _stand
    _stand = Stand(job)


def _call(method: str) -> Any:
    return getattr(_stand, method)()


class Process:
    """A Stand in a process of its own, which waits between calls."""

    def __init__(self, job: Job) -> None:
        self.name = job["name"]
        self._pool = memory.own_process(initializer=_set_up, initargs=(job,))

    def __call__(self, method: str) -> Any:
        return self._pool.submit(_call, method).result()

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
        size = warm_up[0]
        timings.append(Timing(name, size, *(tuple(t[i] for t in counted) for i in (1, 2))))
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


# Memory ------------------------------------------------------------------------------------


def read_pixels(job: Job) -> np.ndarray:
    source = Path(job["source"])
    return read_picture(source, source.name).pixels


def _encode(job: Job) -> Callable[[], Result]:
    set_threads(job["threads"])
    ours = Ours(job)

    def task() -> Result:
        coded = ours.session.encode(Picture(read_pixels(job)))
        Path(job["target"]).write_bytes(coded.data)
        return {"sha256": _sha256(coded.picture)}

    return task


def _decode(job: Job) -> Callable[[], Result]:
    set_threads(job["threads"])
    ours = Ours(job)

    def task() -> Result:
        picture = ours.codec.decode(read_file(Path(job["source"]).read_bytes()))
        with open(job["target"], "wb") as file:
            write_picture(picture, file, "PPM")
        return {"sha256": _sha256(picture)}

    return task


def _rival(job: Job) -> Callable[[], Result]:
    stand = Stand(job)
    return lambda: {"size": stand.time_once()[0]}


def _sha256(picture: Picture) -> str:
    return hashlib.sha256(np.ascontiguousarray(picture.pixels).data).hexdigest()


def our_memory(source: Path, label: str, job: Job, folder: Path) -> dict[str, memory.Peak]:
    """Peaks of encoding and decoding a picture file. Exits where the pixels are wrong."""
    lic, target = folder / "picture.lic", folder / "decoded.ppm"
    encoded = memory.measured(_encode, {**job, "source": source, "target": lic})
    decoded = memory.measured(_decode, {**job, "source": lic, "target": target})
    if encoded.result["sha256"] != decoded.result["sha256"]:
        sys.exit(f"{label}: decoding gave other pixels than encoding promised")
    return {f"{OURS} encode, {label}": encoded, f"{OURS} decode, {label}": decoded}


def measure_memory(job: Job, names: Sequence[str], large: bool) -> dict[str, memory.Peak]:
    """Peaks of all codecs on the job's picture, and of ours on a large one where `large`."""
    source = Path(job["source"])
    with tempfile.TemporaryDirectory(prefix="benchmark-") as scratch:
        folder = Path(scratch)
        print("memory", file=sys.stderr)
        peaks = our_memory(source, source.name, job, folder)
        for name in names:
            peak = memory.measured(_rival, {**job, "name": name})
            peaks[f"{name} encode and decode, {source.name}"] = peak
        if large:
            picture = folder / "large.ppm"
            memory.write_large_picture(picture, LARGE_SIDE)
            peaks |= our_memory(picture, f"{LARGE_SIDE**2 // 10**6} megapixels", job, folder)
    return peaks


# Reporting -----------------------------------------------------------------------------------


def spread(values: Sequence[float], digits: int) -> str:
    ends = (min(values), statistics.median(values), max(values))
    return "  ".join(f"{value:.{digits}f}" for value in ends)


def report(
    pixels: int,
    timings: Sequence[Timing],
    found: Mapping[str, Sequence[float]],
    seconds: Counter[str],
    peaks: Mapping[str, memory.Peak],
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
    if peaks:
        rows = (
            (name, f"{p.peak / 2**20:.0f}", f"{p.before / 2**20:.0f}", f"{p.seconds:.2f}")
            for name, p in peaks.items()
        )
        headings = ("task", "peak", "of it before the task", "seconds")
        yield "peak memory, MiB"
        yield table(headings, rows)


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
    add("--rivals", default=",".join(rivals.NETWORKS), help="separated by commas; '' for none")
    add("--no-memory", action="store_true", help="measure time alone")
    add("--large", action="store_true", help="memory of 100 megapixels too")
    add("--json", type=Path, help="write all figures here")


def rival_names(text: str) -> list[str]:
    """Those asked for that can run here. Raises LicodecError for one that is not known."""
    names = [name for name in text.split(",") if name]
    if unknown := [name for name in names if name not in rivals.NETWORKS]:
        raise LicodecError(f"no network {unknown[0]!r}; there are {', '.join(rivals.NETWORKS)}")
    if names and (obstacle := rivals.obstacle()):
        print(f"{obstacle}; licodec alone is measured", file=sys.stderr)
        return []
    return names


def run(arguments: argparse.Namespace) -> None:
    """Measure, and print what was found. Raises LicodecError."""
    pixels = read_picture(arguments.picture, str(arguments.picture)).pixels
    if pixels.shape[2] != 3:
        raise LicodecError(f"{arguments.picture}: grey; the comparison needs a colour picture")
    names = rival_names(arguments.rivals)
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
    found = ratios(timings)
    peaks = {} if arguments.no_memory else measure_memory(job, names, arguments.large)
    machine = {
        "processor": _processor(),
        "threads": arguments.threads,
        **description,
        "d": arguments.d,
        "picture": f"{arguments.picture.name}, {pixels.shape[1]}x{pixels.shape[0]}",
        "weights_id": pack.weights_id.hex(),
    }
    if arguments.json:
        figures = {
            "machine": machine,
            "timings": [asdict(timing) for timing in timings],
            "ratios": found,
            "decode_profile": seconds,
            "memory": {name: asdict(peak) for name, peak in peaks.items()},
        }
        arguments.json.write_text(json.dumps(figures, indent=1))
    print(", ".join(f"{key} {value}" for key, value in machine.items()))
    print(*report(area, timings, found, seconds, peaks), sep="\n\n")


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
