#!/usr/bin/env python3
"""What whole commands take: licodec's choice of a backend against one that is asked for.

    scripts/start_up.py photo.png --widths 96,384,600,768,1200

The picture is scaled to each width, and encoded and decoded by a process of its own for every
command, as one is started in a terminal: once as licodec chooses, and once with --backend. The
two take turns, and medians of seconds and of the most memory are shown.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

MEMORY_UNIT = 1 if sys.platform == "darwin" else 1024  # of what the system says, bytes


@dataclass(frozen=True)
class Run:
    """One command: seconds from its start to its end, and its most memory in bytes."""

    seconds: float
    memory: int


def run(arguments: Sequence[str]) -> Run:
    """Run `licodec`. Exits with its message where it fails."""
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "licodec", *arguments, "--force", "--quiet"],
        stderr=subprocess.PIPE,
    )
    message = process.stderr.read().decode()
    _, status, usage = os.wait4(process.pid, 0)
    if os.waitstatus_to_exitcode(status):
        sys.exit(message.strip() or "licodec failed")
    return Run(time.perf_counter() - start, usage.ru_maxrss * MEMORY_UNIT)


def commands(picture: Path, d: float) -> Iterator[tuple[str, list[str]]]:
    """Names and arguments, in an order in which each has its input."""
    lic, decoded = picture.with_suffix(".lic"), picture.with_suffix(".decoded.png")
    yield "encode", ["encode", str(picture), "-o", str(lic), "--d", f"{d:g}"]
    yield "decode", ["decode", str(lic), "-o", str(decoded)]


def row(size: str, name: str, arguments: list[str], backend: str, rounds: int) -> str:
    """A line of the table."""
    ways: dict[tuple[str, ...], list[Run]] = {(): [], ("--backend", backend): []}
    for _ in range(rounds):
        for options, runs in ways.items():
            runs.append(run([*arguments, *options]))
    cells = []
    for runs in ways.values():
        seconds = statistics.median(one.seconds for one in runs)
        memory = statistics.median(one.memory for one in runs) / 1e6
        cells.append(f"{seconds:.2f} s, {memory:.0f} MB")
    return f"| {size} | {name} | {' | '.join(cells)} |"


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("picture", type=Path)
    parser.add_argument(
        "--widths",
        type=lambda text: [int(part) for part in text.split(",")],
        default=[96, 384, 600, 768, 1200],
        help="separated by commas (96,384,600,768,1200)",
    )
    parser.add_argument("--d", type=float, default=4.0, help="(%(default)g)")
    parser.add_argument("--backend", default="int8", help="(%(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="(%(default)s)")
    arguments = parser.parse_args(argv)
    whole = Image.open(arguments.picture).convert("RGB")
    print(f"| picture | command | as licodec chooses | --backend {arguments.backend} |")
    print("|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for width in arguments.widths:
            height = max(1, round(width * whole.height / whole.width))
            picture = Path(folder) / f"{width}.png"
            whole.resize((width, height), Image.Resampling.LANCZOS).save(picture)
            for name, own in commands(picture, arguments.d):
                size, chosen = f"{width}x{height}", (arguments.backend, arguments.rounds)
                print(row(size, name, own, *chosen), flush=True)


if __name__ == "__main__":
    main()
