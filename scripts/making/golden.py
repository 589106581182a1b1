"""The golden files: small .lic files of every embedded pack, with their pixels' hashes.

    scripts/make.py golden

Each pack has a folder, named by its weights id, and lossless files have one. Golden files decode to
these pixels for ever: what is there is left alone, and only what is missing is made, for a new pack
or a new adapter set.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
from pictures import pixel_hash
from rates import swept

from licodec.codec import Codec, Coded, encode_lossless
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


def lossless_samples() -> Iterator[tuple[str, Picture]]:
    """Generated pictures of all kinds: grey and colours, alpha, and sides that WebP cannot hold."""
    rng = np.random.default_rng(2027)
    stripes = (np.add.outer(np.arange(33), np.arange(65)) // 5 % 3 * 90).astype(np.uint8)
    colours = np.stack([stripes, stripes.T.copy().reshape(33, 65), 255 - stripes], 2)
    noise = rng.integers(0, 256, (33, 65, 3), dtype=np.uint8)
    hidden = stripes // 90 * 127  # noise under what is transparent, too
    wide = (np.arange(16_384) // 100 % 200).astype(np.uint8).reshape(1, -1, 1)
    tall = np.repeat(np.arange(16_400) // 50 % 256, 3).astype(np.uint8).reshape(-1, 1, 3)
    yield "colours", Picture(colours, xmp=b"<x:xmpmeta/>")
    yield "noise", Picture(noise)
    yield "alpha", Picture(noise, hidden)
    yield "opaque-alpha", Picture(colours, np.full((33, 65), 255, np.uint8))
    yield "grey", Picture(stripes[:, :, None])
    yield "grey-alpha", Picture(stripes[:, :, None], hidden.T.copy().reshape(33, 65))
    yield "one-pixel", Picture(np.full((1, 1, 3), (200, 30, 90), np.uint8))
    yield "16384x1", Picture(wide)
    yield "1x16400", Picture(tall)


def codings(name: PackName) -> Iterator[tuple[str, Callable[[], Coded]]]:
    """What makes each golden file of a pack, by its name."""
    codec = Codec(read_pack(name.path))
    for sample, picture, rate in samples(codec.pack):
        yield sample, partial(lambda *given: codec.encode_at(*given).result, picture, rate)


def add_missing(title: str, made: Iterable[tuple[str, Callable[[], Coded]]], folder: Path) -> None:
    """Make the golden files that `folder` lacks, and note their hashes."""
    listing = folder / "pixels.json"
    hashes = json.loads(listing.read_text()) if listing.exists() else {}
    for sample, code in made:
        file = f"{sample}.lic"
        if file in hashes:
            continue
        coded = code()
        folder.mkdir(parents=True, exist_ok=True)
        (folder / file).write_bytes(coded.data)
        hashes[file] = pixel_hash(coded.picture)
        print(f"{title}: {file}, {len(coded.data)} bytes, {hashes[file][:16]}")
    listing.write_text(json.dumps(hashes, indent=1) + "\n")


def add_options(parser: argparse.ArgumentParser) -> None:
    """There are none."""


def run(arguments: argparse.Namespace) -> None:
    for name in installed_packs():
        if name.path.parent == embedded_folder():
            add_missing(name.plan_name, codings(name), GOLDEN / name.weights_id.hex())
    made = ((name, partial(encode_lossless, own)) for name, own in lossless_samples())
    add_missing("lossless", made, GOLDEN / "lossless")
