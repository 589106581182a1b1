"""The golden files: small .lic files of every embedded pack, with their pixels' hashes.

    scripts/make.py golden

Each pack has a folder, named by its weights id. Golden files decode to these pixels for ever:
what is there is left alone, and only what is missing is made, for a new pack or a new adapter
set.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from pictures import pixel_hash
from rates import swept

from licodec.codec import Codec
from licodec.images import Picture, read_picture
from licodec.packs import Pack, PackName, embedded_folder, installed_packs, read_pack
from licodec.rate.modes import Rate, RateMode

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests" / "golden"


def samples(pack: Pack) -> Iterator[tuple[str, Picture, Rate]]:
    """Crops of the example photograph and generated pictures, of even and odd sizes; the first of
    them by every adapter set, too."""
    photograph = read_picture(ROOT / "examples" / "coffee.png", "coffee.png").pixels
    rng = np.random.default_rng(2026)
    noise = rng.integers(0, 256, (37, 70, 3), dtype=np.uint8)
    ramp = np.add.outer(np.arange(65), 3 * np.arange(129)).astype(np.uint8)[:, :, None]
    alpha = rng.integers(0, 256, (48, 80), dtype=np.uint8)
    crop = Picture(np.ascontiguousarray(photograph[100:228, 200:392]))
    small = np.ascontiguousarray(photograph[60:108, 300:380])
    for own in pack.adapter_rates:
        for value, beta in ((0.35, (0.0,)), (1.0, (1.0,))):
            for rate in swept([own], (), (value,), beta):
                yield f"{own.objective}-alpha{value:g}", crop, rate
    for name, picture, d in (
        ("photograph-d0.5", crop, 0.5),
        ("photograph-d1", crop, 1.0),
        ("photograph-d8", crop, 8.0),
        ("alpha-d3", Picture(small, alpha, xmp=b"<x:xmpmeta/>"), 3.0),
        ("noise-d0.25", Picture(noise), 0.25),
        ("grey-ramp-d2", Picture(ramp), 2.0),
        ("one-pixel-d1", Picture(np.full((1, 1, 3), (200, 30, 90), np.uint8)), 1.0),
    ):
        yield name, picture, Rate(RateMode.D, d)


def add_missing(name: PackName, folder: Path) -> None:
    """Make the golden files of one pack that `folder` lacks, and note their hashes."""
    codec = Codec(read_pack(name.path))
    listing = folder / "pixels.json"
    hashes = json.loads(listing.read_text()) if listing.exists() else {}
    for sample, picture, rate in samples(codec.pack):
        file = f"{sample}.lic"
        if file in hashes:
            continue
        coded = codec.encode_at(picture, rate).result
        folder.mkdir(parents=True, exist_ok=True)
        (folder / file).write_bytes(coded.data)
        hashes[file] = pixel_hash(coded.picture)
        print(f"{name.plan_name}: {file}, {len(coded.data)} bytes, {hashes[file][:16]}")
    listing.write_text(json.dumps(hashes, indent=1) + "\n")


def add_options(parser: argparse.ArgumentParser) -> None:
    """There are none."""


def run(arguments: argparse.Namespace) -> None:
    for name in installed_packs():
        if name.path.parent == embedded_folder():
            add_missing(name, GOLDEN / name.weights_id.hex())
