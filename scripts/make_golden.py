#!/usr/bin/env python3
"""Make the golden files: small .lic files of every embedded pack, with their pixels' hashes.

    scripts/make_golden.py

Each pack has a folder, named by its weights id. Golden files decode to these pixels for ever:
what is there is left alone, and only what is missing is made, for a new pack or a new adapter
set.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from licodec.codec import Codec
from licodec.images import Picture, read_picture
from licodec.packs import PackName, embedded_folder, installed_packs, read_pack
from licodec.rate.modes import Rate, RateMode
from licodec.rate.scale import AdapterRates

ROOT = Path(__file__).resolve().parent.parent
GOLDEN = ROOT / "tests" / "golden"


@dataclass(frozen=True)
class Sample:
    name: str
    picture: Picture
    d: float
    alpha: float | None = None
    beta: float = 0.0
    objective: str | None = None

    @property
    def rate(self) -> Rate:
        if self.alpha is None:
            return Rate(RateMode.D, self.d)
        return Rate(RateMode.ALPHA, self.alpha, self.beta, None, self.objective)


def samples(adapters: Sequence[AdapterRates]) -> list[Sample]:
    """Crops of the example photograph and generated pictures, of even and odd sizes; the first of
    them by every adapter set, too."""
    photograph = read_picture(ROOT / "examples" / "coffee.png", "coffee.png").pixels
    rng = np.random.default_rng(2026)
    noise = rng.integers(0, 256, (37, 70, 3), dtype=np.uint8)
    ramp = np.add.outer(np.arange(65), 3 * np.arange(129)).astype(np.uint8)[:, :, None]
    alpha = rng.integers(0, 256, (48, 80), dtype=np.uint8)
    crop = np.ascontiguousarray(photograph[100:228, 200:392])
    small = np.ascontiguousarray(photograph[60:108, 300:380])
    adapted = [
        Sample(f"{own.objective}-alpha{alpha:g}", Picture(crop), 1.0, alpha, beta, own.objective)
        for own in adapters
        for alpha, beta in ((0.35, 0.0), (1.0, 1.0 if "beta" in own.modes else 0.0))
    ]
    return [
        *adapted,
        Sample("photograph-d0.5", Picture(crop), 0.5),
        Sample("photograph-d1", Picture(crop), 1.0),
        Sample("photograph-d8", Picture(crop), 8.0),
        Sample("alpha-d3", Picture(small, alpha, xmp=b"<x:xmpmeta/>"), 3.0),
        Sample("noise-d0.25", Picture(noise), 0.25),
        Sample("grey-ramp-d2", Picture(ramp), 2.0),
        Sample("one-pixel-d1", Picture(np.full((1, 1, 3), (200, 30, 90), np.uint8)), 1.0),
    ]


def pixel_hash(picture: Picture) -> str:
    """SHA-256 of the interleaved samples, then the alpha plane."""
    digest = hashlib.sha256(np.ascontiguousarray(picture.pixels).data)
    if picture.alpha is not None:
        digest.update(np.ascontiguousarray(picture.alpha).data)
    return digest.hexdigest()


def add_missing(name: PackName, folder: Path) -> None:
    """Make the golden files of one pack that `folder` lacks, and note their hashes."""
    codec = Codec(read_pack(name.path))
    listing = folder / "pixels.json"
    hashes = json.loads(listing.read_text()) if listing.exists() else {}
    for sample in samples(codec.pack.adapter_rates):
        file = f"{sample.name}.lic"
        if file in hashes:
            continue
        coded = codec.encode_at(sample.picture, sample.rate).result
        folder.mkdir(parents=True, exist_ok=True)
        (folder / file).write_bytes(coded.data)
        hashes[file] = pixel_hash(coded.picture)
        print(f"{name.plan_name}: {file}, {len(coded.data)} bytes, {hashes[file][:16]}")
    listing.write_text(json.dumps(hashes, indent=1) + "\n")


def main() -> None:
    for name in installed_packs():
        if name.path.parent == embedded_folder():
            add_missing(name, GOLDEN / name.weights_id.hex())


if __name__ == "__main__":
    main()
