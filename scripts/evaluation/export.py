"""Decoded pictures as files, for those who measure something else on them: a detector's or a
segmenter's evaluation.

    DIR/manifest.json
    DIR/d-2/NAME.png      and so on, one folder a setting
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from licodec.codec import Codec
from licodec.container import read_file
from licodec.errors import BadInputError
from licodec.files import save_atomically
from licodec.images import Picture, encode_picture, psnr, read_picture
from licodec.packs import PackName, read_pack
from licodec.rate.modes import Rate, RateMode


def settings_of(
    ds: Iterable[float],
    alphas: Iterable[float],
    betas: Sequence[float] = (0.0,),
    objectives: Sequence[str] | None = None,
) -> tuple[Rate, ...]:
    """Every d, then for each objective (None: the pack's choice) every alpha with every beta."""
    adapted = itertools.product(objectives or (None,), alphas, betas)
    return (
        *(Rate(RateMode.D, d) for d in ds),
        *(Rate(RateMode.ALPHA, a, b, None, objective) for objective, a, b in adapted),
    )


def export(folder: Path, pack: PackName, paths: Sequence[Path], rates: Sequence[Rate]) -> Path:
    """Code every picture at every rate and write what decoding its file gives; the manifest.

    The manifest lists, in the order of the pictures, each decoded file with the picture's
    name, size, settings, bytes and bits per pixel of the file that it was decoded from, and
    PSNR. Raises BadInputError where two pictures would have one name, and UsageError for a rate
    that the pack does not have.
    """
    stems = [path.stem for path in paths]
    if twice := sorted({stem for stem in stems if stems.count(stem) > 1}):
        raise BadInputError(f"several pictures are called {twice[0]}; their files would be one")
    codec = Codec(read_pack(pack.path))
    for rate in rates:
        codec.rate_scale.setting(rate)  # refuses what the pack lacks before any work
    entries = []
    for path in paths:
        picture = Picture(read_picture(path, str(path)).pixels)  # no alpha, no metadata
        entries += [_one(folder, codec, path, picture, rate) for rate in rates]
    described = {
        "pack": {
            "backbone": pack.backbone,
            "plan": pack.plan_name,
            "weights_id": pack.weights_id.hex(),
            "adapters": {own.objective: own.adapter_id.hex() for own in pack.adapters},
        },
        "pictures": entries,
    }
    manifest = folder / "manifest.json"
    save_atomically(manifest, (json.dumps(described, indent=1) + "\n").encode(), overwrite=True)
    return manifest


def _one(folder: Path, codec: Codec, path: Path, picture: Picture, rate: Rate) -> dict[str, Any]:
    coded = codec.encode_at(picture, rate).result
    decoded = codec.decode(read_file(coded.data))
    settings = _described(rate)
    parts = (f"{v:g}" if isinstance(v, float) else v for v in settings.values())
    named = "-".join(part for pair in zip(settings, parts, strict=True) for part in pair)
    target = folder / named / f"{path.stem}.png"
    target.parent.mkdir(parents=True, exist_ok=True)
    save_atomically(target, encode_picture(decoded, "PNG"), overwrite=True)
    quality = psnr(picture.pixels, decoded.pixels)
    return {
        "name": path.name,
        "file": target.relative_to(folder).as_posix(),
        "width": picture.width,
        "height": picture.height,
        "settings": settings,
        "bytes": len(coded.data),
        "bpp": 8 * len(coded.data) / (picture.width * picture.height),
        "psnr": None if quality == float("inf") else quality,
    }


def _described(rate: Rate) -> dict[str, float | str]:
    """What of a rate is not neutral."""
    settings: dict[str, float | str] = {rate.mode.value: float(rate.value)}
    if rate.beta:
        settings["beta"] = float(rate.beta)
    if rate.objective:
        settings["objective"] = rate.objective
    return settings
