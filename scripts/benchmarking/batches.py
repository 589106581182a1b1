"""How many megapixels a second a batch codes, as licodec chooses and by --backend.

    scripts/benchmark.py batches photographs/ --d 1

`licodec batch` encodes the pictures of a folder, then decodes them, each time in a process of its
own and once for each way.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from PIL import Image
from tables import table

from benchmarking.commands import costs, licodec


def megapixels(folder: Path) -> float:
    """Of all its pictures."""
    total = 0
    for path in sorted(folder.glob("*.png")):
        with Image.open(path) as image:
            total += image.width * image.height
    return total / 1e6


def add_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("folder", type=Path, help="of PNG files")
    add("--d", type=float, default=1.0, help="(%(default)g)")
    add("--backend", default="int8", help="the other way (%(default)s)")


def run(arguments: argparse.Namespace) -> None:
    total, rows = megapixels(arguments.folder), []
    with tempfile.TemporaryDirectory() as name:
        for label, way in (("as licodec chooses", []), ("", ["--backend", arguments.backend])):
            coded, decoded = (Path(name) / f"{part} {label}" for part in ("coded", "decoded"))
            own = {
                "encode": [str(arguments.folder), "-o", str(coded), "--d", f"{arguments.d:g}"],
                "decode": [str(coded), "-o", str(decoded), "--decode"],
            }
            for what, options in own.items():
                seconds, _, memory = costs(licodec("batch", *options, *way))
                figures = f"{seconds:.1f}", f"{total / seconds:.2f}", f"{memory:.0f}"
                rows.append((label or " ".join(way), what, *figures))
    print(table(("way", "batch", "s", "megapixels a second", "MB of one process"), rows))
