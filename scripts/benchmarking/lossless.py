"""Sizes without loss: lossless .lic files beside PNG, WebP and JPEG XL, and what encode chooses.

    pip install pillow-jxl-plugin
    scripts/benchmark.py lossless PICTURE...

A row for each picture, in bytes: PNG (Pillow, optimised), WebP (method 6, quality 100, exact),
JPEG XL (effort 9, where pillow-jxl-plugin is installed), a lossless .lic file, and the file at --d
without further options, with its excess over WebP. The pixels of the lossless file are compared.
Metadata is left out. The exit code is 1 where a lossless file has other pixels or is more than 100
bytes above WebP, or where the chosen one is more than 2 % (and 100 bytes) above it.
"""

from __future__ import annotations

import argparse
import importlib.util
import io
import sys
from collections.abc import Iterator
from pathlib import Path

from pictures import pixel_hash
from PIL import Image
from tables import table

import licodec
from licodec.images import Picture, metadata_subset, read_picture

MOST_OVERHEAD, MOST_EXCESS = 100, 0.02


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("pictures", nargs="+", type=Path, metavar="PICTURE")
    parser.add_argument("--d", type=float, default=1.0)


def run(options: argparse.Namespace) -> None:
    has_jxl = importlib.util.find_spec("pillow_jxl") is not None
    rows, good = [], True
    for path in options.pictures:
        picture = metadata_subset(read_picture(path, path.name), frozenset())
        sizes = dict(peer_sizes(picture, has_jxl))
        lossless = licodec.encode(picture, lossless=True)
        chosen = licodec.encode(picture, d=options.d)
        form = "lossless" if licodec.read_info(chosen)["lossless"] else f"d {options.d:g}"
        excess = len(chosen) / sizes["WebP"] - 1
        allowed = sizes["WebP"] + max(MOST_OVERHEAD, MOST_EXCESS * sizes["WebP"])
        same = pixel_hash(licodec.decode(lossless)) == pixel_hash(picture)
        good &= same and len(lossless) <= sizes["WebP"] + MOST_OVERHEAD and len(chosen) <= allowed
        mark = "" if same else "OTHER PIXELS"
        rows.append(
            (path.name, *sizes.values(), len(lossless), len(chosen), form, f"{excess:+.1%}", mark)
        )
        print(f"{path.name}: {len(lossless)} lossless, {len(chosen)} chosen", file=sys.stderr)
    names = [*sizes, "lossless .lic", "encode", "form", "over WebP", ""]
    print(table(("picture", *names), rows))
    sys.exit(0 if good else 1)


def peer_sizes(picture: Picture, has_jxl: bool) -> Iterator[tuple[str, int]]:
    """Bytes by codec."""
    image = Image.fromarray(picture.pixels.squeeze(2) if picture.channels == 1 else picture.pixels)
    if picture.alpha is not None:
        image.putalpha(Image.fromarray(picture.alpha))
    yield "PNG", size(image, "PNG", optimize=True)
    yield "WebP", size(image, "WEBP", lossless=True, exact=True, quality=100, method=6)
    if has_jxl:
        import pillow_jxl  # noqa: F401  (tells Pillow of itself)

        yield "JPEG XL", size(image, "JXL", lossless=True, effort=9)


def size(image: Image.Image, format: str, **options: object) -> int:
    stream = io.BytesIO()
    image.save(stream, format, **options)
    return len(stream.getvalue())
