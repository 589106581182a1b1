#!/usr/bin/env python3
"""Time and memory of licodec beside CompressAI's networks, in one run on one machine.

    scripts/benchmark.py PICTURE --rounds 7 --large

Times are from pixels (a uint8 array) to bytes and back, with models loaded: ours to and from
a whole .lic file with its pixel check, CompressAI's mbt2018_mean (quality 8) and
cheng2020_attn (quality 6), in float, to and from bare strings. Each waits in a process of its
own with the same number of threads, and they run in turn within each round, so that what else
the machine does falls on all alike; ratios are taken within rounds. One round before the first
warms up.

CompressAI's trained weights are not needed: the time of a network does not depend on them.
Entropy coding does depend on the symbols, so the last layers are set such that the picture's
strings are about as long as our file (scripts/benchmarking/rivals.py says how); the lengths
are in the table.

The tables of our decode charge every function of licodec with its own time and that of the
library functions it calls: summed up by kind of operation inside the backend (named after
its kernels) and by module outside, and function by function.

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
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from benchmarking import memory, rivals
from benchmarking.profiling import Entry, profile, summed, with_rest
from rich.console import Console
from rich.table import Table

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
    """Seconds of one codec, one entry for each round in which it ran."""

    name: str
    size: int
    encode: tuple[float, ...]
    decode: tuple[float, ...]


@dataclass(frozen=True)
class Ratio:
    """How many times longer theirs takes than ours, within rounds."""

    what: str
    least: float
    median: float
    largest: float


class Ours:
    """licodec behind the interface of a rival."""

    def __init__(self, codec: Codec, d: float) -> None:
        self.codec = codec
        self.setting = Setting(d_to_units(d, codec.pack.schedule))

    def encode(self, pixels: np.ndarray) -> bytes:
        return self.codec.at(self.setting).encode(Picture(pixels)).data

    def decode(self, data: bytes) -> np.ndarray:
        lic = read_file(data)
        return self.codec.session_of(lic).decode(lic).pixels  # profiled by what `decode` calls


# Time --------------------------------------------------------------------------------------


class Stand:
    """In a process of its own: one codec, and the picture that it codes again and again."""

    def __init__(self, job: Mapping[str, Any]) -> None:
        source = Path(job["source"])
        self.pixels = read_picture(source, source.name).pixels
        set_threads(job["threads"])
        self.codec: Ours | rivals.Rival
        if job["name"] == OURS:
            self.codec = Ours(Codec(read_pack(Path(job["pack"])), job["backend"]), job["d"])
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

    def profile(self) -> list[Entry]:
        coded = self.codec.encode(self.pixels)
        return profile(lambda: self.codec.decode(coded), 3)

    def describe(self) -> dict[str, str]:
        import torch

        return {"torch": torch.__version__, "backend": self.codec.codec.backend}


_stand: Stand


def _set_up(job: Mapping[str, Any]) -> None:
    global _stand
    _stand = Stand(job)


def _call(method: str) -> Any:
    return getattr(_stand, method)()


class Process:
    """A Stand in a process of its own, which waits between calls."""

    def __init__(self, job: Mapping[str, Any]) -> None:
        self.name = job["name"]
        self._pool = ProcessPoolExecutor(
            1, get_context("spawn"), initializer=_set_up, initargs=(job,)
        )

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


def ratios(timings: Sequence[Timing]) -> list[Ratio]:
    """Theirs against ours: decode, and encode and decode together against our encode, which
    holds a decode of its own (the pixel check)."""
    ours = timings[0]
    found = []
    for theirs in timings[1:]:
        rounds = range(len(theirs.decode))
        decode = [theirs.decode[i] / ours.decode[i] for i in rounds]
        both = [(theirs.encode[i] + theirs.decode[i]) / ours.encode[i] for i in rounds]
        found.append(_ratio(f"decode: {theirs.name} / {ours.name}", decode))
        found.append(
            _ratio(f"encode and decode: {theirs.name} / encode with check: {ours.name}", both)
        )
    return found


def _ratio(what: str, values: list[float]) -> Ratio:
    return Ratio(what, min(values), statistics.median(values), max(values))


# Memory ------------------------------------------------------------------------------------


def memory_task(job: Mapping[str, Any]) -> str:
    """In a process of its own: one task of MEMORY_TASKS."""
    set_threads(job["threads"])
    return memory.report(lambda: MEMORY_TASKS[job["task"]](job))


def _prepare_encode(job: Mapping[str, Any]) -> Callable[[], Mapping[str, Any]]:
    codec = Codec(read_pack(Path(job["pack"])), job["backend"])
    session = codec.at(Setting(d_to_units(job["d"], codec.pack.schedule)))
    source, target = Path(job["source"]), Path(job["target"])

    def task() -> Mapping[str, Any]:
        coded = session.encode(read_picture(source, source.name))
        target.write_bytes(coded.data)
        return {"size": len(coded.data), "sha256": _sha256(coded.picture)}

    return task


def _prepare_decode(job: Mapping[str, Any]) -> Callable[[], Mapping[str, Any]]:
    codec = Codec(read_pack(Path(job["pack"])), job["backend"])
    source, target = Path(job["source"]), Path(job["target"])

    def task() -> Mapping[str, Any]:
        picture = codec.decode(read_file(source.read_bytes()))
        with target.open("wb") as file:
            write_picture(picture, file, "PPM")
        return {"sha256": _sha256(picture)}

    return task


def _prepare_rival(job: Mapping[str, Any]) -> Callable[[], Mapping[str, Any]]:
    stand = Stand(job)

    def task() -> Mapping[str, Any]:
        stand.time_once()
        return {}

    return task


MEMORY_TASKS: Mapping[str, Callable[[Mapping[str, Any]], Callable[[], Mapping[str, Any]]]] = {
    "encode": _prepare_encode,
    "decode": _prepare_decode,
    "rival": _prepare_rival,
}


def _sha256(picture: Picture) -> str:
    return hashlib.sha256(np.ascontiguousarray(picture.pixels).data).hexdigest()


def our_memory(
    source: Path, label: str, job: Mapping[str, Any], folder: Path
) -> dict[str, memory.Peak]:
    """Peaks of encoding and decoding a picture file. Exits where the pixels are wrong."""
    lic, target = folder / "picture.lic", folder / "decoded.ppm"
    script = Path(__file__)
    encoded = memory.measured(
        script, {**job, "task": "encode", "source": str(source), "target": str(lic)}
    )
    decoded = memory.measured(
        script, {**job, "task": "decode", "source": str(lic), "target": str(target)}
    )
    if encoded.result["sha256"] != decoded.result["sha256"]:
        sys.exit(f"{label}: decoding gave other pixels than encoding promised")
    return {f"{OURS} encode, {label}": encoded, f"{OURS} decode, {label}": decoded}


def measure_memory(
    job: Mapping[str, Any], names: Sequence[str], large: bool
) -> dict[str, memory.Peak]:
    """Peaks of all codecs on the job's picture, and of ours on a large one where `large`."""
    script, source = Path(__file__), Path(job["source"])
    with tempfile.TemporaryDirectory(prefix="benchmark-") as scratch:
        folder = Path(scratch)
        print("memory", file=sys.stderr)
        peaks = our_memory(source, source.name, job, folder)
        for name in names:
            peak = memory.measured(script, {**job, "task": "rival", "name": name})
            peaks[f"{name} encode and decode, {source.name}"] = peak
        if large:
            picture = folder / "large.ppm"
            memory.write_large_picture(picture, LARGE_SIDE)
            peaks |= our_memory(picture, f"{LARGE_SIDE**2 // 10**6} megapixels", job, folder)
    return peaks


# Reporting -----------------------------------------------------------------------------------


def print_report(
    console: Console,
    pixels: int,
    timings: Sequence[Timing],
    found: Sequence[Ratio],
    entries: Sequence[Entry],
    peaks: Mapping[str, memory.Peak],
) -> None:
    table = Table(title="seconds: least, median, largest of the rounds")
    for heading in ("codec", "bits per pixel", "encode", "decode"):
        table.add_column(heading, justify="left" if heading == "codec" else "right")
    for timing in timings:
        spread = (
            f"{min(t):.3f}  {statistics.median(t):.3f}  {max(t):.3f}"
            for t in (timing.encode, timing.decode)
        )
        table.add_row(timing.name, f"{8 * timing.size / pixels:.2f}", *spread)
    console.print(table)
    if found:
        table = Table(title="times faster than they are")
        for heading in ("what", "least", "median", "largest"):
            table.add_column(heading, justify="left" if heading == "what" else "right")
        for ratio in found:
            figures = (f"{x:.1f}" for x in (ratio.least, ratio.median, ratio.largest))
            table.add_row(ratio.what, *figures)
        console.print(table)
    console.print(
        _profile_table(
            "our decode in milliseconds, by kind of operation, or by module",
            entries,
            lambda entry: entry.purpose,
        )
    )
    console.print(
        _profile_table(
            "our decode in milliseconds, by function", entries, lambda entry: entry.function
        )
    )
    if peaks:
        table = Table(title="peak memory, MiB")
        for heading in ("task", "peak", "of it before the task", "seconds"):
            table.add_column(heading, justify="left" if heading == "task" else "right")
        for name, peak in peaks.items():
            mebibytes = (f"{x / 2**20:.0f}" for x in (peak.peak, peak.before))
            table.add_row(name, *mebibytes, f"{peak.seconds:.2f}")
        console.print(table)


def _profile_table(title: str, entries: Sequence[Entry], key: Callable[[Entry], str]) -> Table:
    total = sum(entry.seconds for entry in entries)
    (_, by_stage), *_ = summed(entries, lambda entry: "")
    stages = sorted(by_stage, key=by_stage.__getitem__, reverse=True)
    stages = [stage for stage in stages if by_stage[stage] >= SHOWN_SHARE * total]
    table = Table(title=title)
    table.add_column("", no_wrap=True)
    for heading in (*(f"in {stage.strip('_')}" for stage in stages), "total", "share"):
        table.add_column(heading, justify="right")

    def add(name: str, seconds: Mapping[str, float]) -> None:
        whole = sum(seconds.values())
        cells = (f"{1000 * seconds.get(stage, 0):.1f}" for stage in stages)
        table.add_row(name, *cells, f"{1000 * whole:.1f}", f"{whole / total:.1%}")

    for name, seconds in with_rest(summed(entries, key), SHOWN_SHARE * total):
        add(name, seconds)
    table.add_section()
    add("all", by_stage)
    return table


# The command -------------------------------------------------------------------------------


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("picture", type=Path, nargs="?", help="a picture, say of 768x512")
    parser.add_argument("--d", type=float, default=1.0)
    parser.add_argument("--model", default="lite", help="a backbone, or the path of a pack")
    parser.add_argument("--plan", default="standard")
    parser.add_argument("--backend", help="force one of ours")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument(
        "--slow-rounds", type=int, default=3, help=f"rounds in which {SLOW} takes part"
    )
    parser.add_argument(
        "--rivals", default=",".join(rivals.NETWORKS), help="separated by commas; '' for none"
    )
    parser.add_argument("--no-memory", action="store_true", help="measure time alone")
    parser.add_argument("--large", action="store_true", help="memory of 100 megapixels too")
    parser.add_argument("--json", type=Path, help="write all figures here")
    parser.add_argument("--task", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args(argv)


def run(arguments: argparse.Namespace) -> None:
    pixels = read_picture(arguments.picture, str(arguments.picture)).pixels
    if pixels.shape[2] != 3:
        sys.exit(f"{arguments.picture}: grey; the comparison needs a colour picture")
    names = [name for name in arguments.rivals.split(",") if name]
    if unknown := [name for name in names if name not in rivals.NETWORKS]:
        sys.exit(f"no network {unknown[0]!r}; there are {', '.join(rivals.NETWORKS)}")
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
    entries = ours("profile")
    description = ours("describe")
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
            "ratios": [asdict(ratio) for ratio in found],
            "decode_profile": [asdict(entry) for entry in entries],
            "memory": {name: asdict(peak) for name, peak in peaks.items()},
        }
        arguments.json.write_text(json.dumps(figures, indent=1))
    console = Console(width=None if sys.stdout.isatty() else 140)
    console.print(", ".join(f"{key} {value}" for key, value in machine.items()), soft_wrap=True)
    print_report(console, area, timings, found, entries, peaks)


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def main() -> None:
    arguments = parse_arguments()
    try:
        if arguments.task:
            print(memory_task(json.load(sys.stdin)))
        elif arguments.picture is None:
            sys.exit("no picture: name one, say of 768x512 pixels")
        else:
            run(arguments)
    except LicodecError as error:
        sys.exit(f"error: {error}")
    except BrokenProcessPool:  # its process has said why
        sys.exit("error: a codec could not be set up")


if __name__ == "__main__":
    main()
