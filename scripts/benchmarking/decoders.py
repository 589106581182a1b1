"""What decoding one picture to PNG takes: licodec's command beside those of other codecs.

The picture is coded by each at about the same size, and decoded by a process of its own: medians
of seconds and of memory, in turns. Needs djxl and cjxl, avifdec, dwebp (Debian:
libjxl-tools, libavif-bin, webp); those that are missing are left out.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import tempfile
from bisect import bisect_left
from collections.abc import Callable, Mapping
from pathlib import Path

from PIL import Image
from tables import table

from benchmarking.commands import Costs, costs, licodec

QUALITIES = range(10, 98)


def pillow(image: Image.Image, kind: str) -> Callable[[Path, int], None]:
    return lambda path, quality: image.save(path, kind, quality=quality)


def cjxl(picture: Path) -> Callable[[Path, int], None]:
    def code(path: Path, quality: int) -> None:
        command = ["cjxl", "-q", str(quality), str(picture), str(path)]
        subprocess.run(command, check=True, capture_output=True)

    return code


def coded_to(size: int, path: Path, code: Callable[[Path, int], None]) -> int:
    """Write `path` at the first quality that gives at least `size` bytes; how many it has."""

    def bytes_at(quality: int) -> int:
        code(path, quality)
        return path.stat().st_size

    return bytes_at(QUALITIES[bisect_left(QUALITIES, size, hi=len(QUALITIES) - 1, key=bytes_at)])


def commands(picture: Path, folder: Path, d: float) -> Mapping[str, tuple[list[str], int]]:
    """What decodes the picture by each codec that is there, and its bytes."""
    lic = folder / "picture.lic"
    costs(licodec("encode", str(picture), "-o", str(lic), "--d", f"{d:g}"))
    size, image = lic.stat().st_size, Image.open(picture).convert("RGB")
    found = {"licodec decode": (licodec("decode", str(lic), "-o", str(folder / "lic.png")), size)}
    for name, suffix, code in (
        ("djxl", "jxl", cjxl(picture)),
        ("avifdec", "avif", pillow(image, "AVIF")),
        ("dwebp", "webp", pillow(image, "WEBP")),
    ):
        if shutil.which(name) and (name != "djxl" or shutil.which("cjxl")):
            path, decoded = folder / f"picture.{suffix}", str(folder / f"{suffix}.png")
            own = [name, str(path), *(["-o"] if name == "dwebp" else []), decoded]
            found[name] = own, coded_to(size, path, code)
    return found


def add_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("picture", type=Path)
    add("--d", type=float, default=1.0, help="(%(default)g)")
    add("--rounds", type=int, default=5, help="(%(default)s)")


def run(arguments: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as folder:
        found = commands(arguments.picture, Path(folder), arguments.d)
        turns = [[costs(command) for command, _ in found.values()] for _ in range(arguments.rounds)]
    rows = [
        (name, size, f"{own.seconds:.2f}", f"{own.processor:.2f}", f"{own.memory:.0f}")
        for (name, (_, size)), runs in zip(found.items(), zip(*turns, strict=True), strict=True)
        for own in (Costs.median(runs),)
    ]
    print(table(("command", "bytes", "s", "s of processors", "MB, at most"), rows))
