"""What decoding one picture to PNG takes: licodec's command beside those of other codecs.

The picture is coded by each at about the same size, and decoded by a process of its own: medians
of seconds and of memory, in turns. Needs djxl and cjxl, avifdec, dwebp (Debian:
libjxl-tools, libavif-bin, webp); those that are missing are left out.
"""

from __future__ import annotations

import argparse
import functools
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from tables import table

from benchmarking.commands import costs, in_turns, licodec
from licodec.compare.codecs import JxlPrograms, PeerCodec, PillowCodec
from licodec.compare.matching import nearest, ratio
from licodec.images import read_picture

# By what decodes it, each at its encoder's defaults.
PEERS: Mapping[str, PeerCodec] = {
    "djxl": JxlPrograms("cjxl", "djxl", ""),
    "avifdec": PillowCodec("AVIF", "AVIF", range(10, 98), ""),
    "dwebp": PillowCodec("WebP", "WEBP", range(10, 98), ""),
}


def coded_to(size: int, peer: PeerCodec, pixels: np.ndarray) -> bytes:
    """A file of about so many bytes, as near as the qualities come."""
    encoded = functools.cache(lambda quality: peer.encode(pixels, quality))
    return encoded(nearest(peer.qualities, lambda quality: ratio(len(encoded(quality)), size)))


def commands(picture: Path, folder: Path, d: float) -> Mapping[str, tuple[list[str], int]]:
    """What decodes the picture by each codec that is there, and its bytes."""
    lic = folder / "picture.lic"
    costs(licodec("encode", str(picture), "-o", str(lic), "--d", f"{d:g}"))
    size, pixels = lic.stat().st_size, read_picture(picture, picture.name).pixels
    found = {"licodec decode": (licodec("decode", str(lic), "-o", str(folder / "lic.png")), size)}
    for name, peer in PEERS.items():
        if shutil.which(name) and (name != "djxl" or shutil.which("cjxl")):
            data = coded_to(size, peer, pixels)
            path, decoded = folder / f"picture.{name}", str(folder / f"{name}.png")
            path.write_bytes(data)
            own = [name, str(path), *(["-o"] if name == "dwebp" else []), decoded]
            found[name] = own, len(data)
    return found


def add_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("picture", type=Path)
    add("--d", type=float, default=1.0, help="(%(default)g)")
    add("--rounds", type=int, default=5, help="(%(default)s)")


def run(arguments: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as folder:
        found = commands(arguments.picture, Path(folder), arguments.d)
        spent = in_turns([command for command, _ in found.values()], arguments.rounds)
    rows = [
        (name, size, f"{own.seconds:.2f}", f"{own.processor:.2f}", f"{own.memory:.0f}")
        for (name, (_, size)), own in zip(found.items(), spent, strict=True)
    ]
    print(table(("command", "bytes", "s", "s of processors", "MB, at most"), rows))
