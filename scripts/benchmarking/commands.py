"""What whole commands take: licodec's choice of a backend against one that is asked for.

The picture is scaled to each width, and encoded and decoded by a process of its own for every
command, as one is started in a terminal: once as licodec chooses, and once with --backend, if one
is given. The two take turns, and medians of seconds, of those of processors (all that counts on a
machine with other work) and of the most memory are shown. A photograph of 3:2 has 100 megapixels
at a width of 12250.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

from command import numbers
from PIL import Image

from benchmarking.memory import UNIT


class Costs(NamedTuple):
    """seconds    from the start to the end of a command
    processor  seconds of processors
    memory     the most of its largest process, in megabytes; not less than this one's own
    """

    seconds: float
    processor: float
    memory: float


def costs(command: Sequence[str]) -> Costs:
    """Run a command. Exits with its message where it fails."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    message = process.stderr.read().decode()
    _, status, usage = os.wait4(process.pid, 0)
    if os.waitstatus_to_exitcode(status):
        sys.exit(message.strip() or f"{command[0]} failed")
    seconds = time.perf_counter() - start
    return Costs(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * UNIT / 1e6)


def in_turns(commands: Sequence[Sequence[str]], rounds: int) -> list[Costs]:
    """The medians of commands that take turns."""
    turns = [[costs(command) for command in commands] for _ in range(rounds)]
    return [Costs(*map(median, zip(*runs, strict=True))) for runs in zip(*turns, strict=True)]


def licodec(*arguments: str) -> list[str]:
    """The command as an installed one is started."""
    return [sys.executable, "-m", "licodec", *arguments, "--force", "--quiet"]


def rows(picture: Path, size: str, arguments: argparse.Namespace) -> Iterator[str]:
    """Lines of the table, in an order in which each command has its input."""
    lic, decoded = picture.with_suffix(".lic"), picture.with_suffix(".decoded.png")
    for own in (
        ["encode", str(picture), "-o", str(lic), "--d", f"{arguments.d:g}"],
        ["decode", str(lic), "-o", str(decoded)],
    ):
        own += ["--model", arguments.model] if own[0] == "encode" else []
        ways = ([], *([["--backend", arguments.backend]] if arguments.backend else []))
        spent = in_turns([licodec(*own, *way) for way in ways], arguments.rounds)
        cells = ["{:.2f} s ({:.2f}), {:.0f} MB".format(*one) for one in spent]
        yield f"| {size} | {own[0]} | {' | '.join(cells)} |"


def add_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("picture", type=Path)
    add("--widths", type=numbers, default=(96, 384, 600, 768, 1200), help="separated by commas")
    add("--d", type=float, default=4.0, help="(%(default)g)")
    add("--model", default="lite", help="a backbone that is installed (%(default)s)")
    add("--backend", default="int8", help="'' for none (%(default)s)")
    add("--rounds", type=int, default=5, help="(%(default)s)")


def run(arguments: argparse.Namespace) -> None:
    whole = Image.open(arguments.picture).convert("RGB")
    print(f"| picture | command | as licodec chooses | --backend {arguments.backend} |")
    print("|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for width in map(int, arguments.widths):
            height = max(1, round(width * whole.height / whole.width))
            picture = Path(folder) / f"{width}.png"
            whole.resize((width, height), Image.Resampling.LANCZOS).save(picture, compress_level=1)
            for row in rows(picture, f"{width}x{height}", arguments):
                print(row, flush=True)
