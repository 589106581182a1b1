"""Decoded pictures as files, for those who measure something else on them: a detector's or a
segmenter's evaluation.

    DIR/manifest.json
    DIR/d-2/NAME.png      and so on, one folder a setting
    DIR/NAME-crop.png     with --crop: settings side by side
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from rates import described, in_words

from licodec.codec import Codec
from licodec.compare.crops import Wanted, crop_of
from licodec.container import read_file
from licodec.errors import BadInputError
from licodec.files import save_atomically
from licodec.images import Picture, encode_picture, psnr, read_picture
from licodec.packs import PackName, read_pack
from licodec.rate.modes import Rate

LABEL_HEIGHT, GAP, ZOOM = 22, 6, 2  # the first two in pixels


def export(
    folder: Path, pack: PackName, paths: Sequence[Path], rates: Sequence[Rate], crop: Wanted | None
) -> Path:
    """Code every picture at every rate and write what decoding its file gives; the manifest.

    The manifest lists, in the order of the pictures, each decoded file with the picture's
    name, size, settings, bytes and bits per pixel of the file that it was decoded from, and
    PSNR. Raises BadInputError where two pictures would have one name, and UsageError for a rate
    that the pack does not have. A `crop` is also drawn, of all settings side by side.
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
        own = [_one(folder, codec, path, picture, rate) for rate in rates]
        if crop is not None:
            show(folder, path, own, crop)
        entries += own
    manifest = folder / "manifest.json"
    content = json.dumps({"pack": named(pack), "pictures": entries}, indent=1) + "\n"
    save_atomically(manifest, content.encode(), overwrite=True)
    return manifest


def named(pack: PackName) -> dict[str, Any]:
    """What of a pack tells it from others."""
    return {
        "file": pack.path.name,
        "backbone": pack.backbone,
        "plan": pack.plan_name,
        "weights_id": pack.weights_id.hex(),
        "adapters": {own.objective: own.adapter_id.hex() for own in pack.adapters},
    }


def _one(folder: Path, codec: Codec, path: Path, picture: Picture, rate: Rate) -> dict[str, Any]:
    coded = codec.encode_at(picture, rate).result
    decoded = codec.decode(read_file(coded.data))
    target = folder / in_words(rate) / f"{path.stem}.png"
    target.parent.mkdir(parents=True, exist_ok=True)
    save_atomically(target, encode_picture(decoded, "PNG"), overwrite=True)
    quality = psnr(picture.pixels, decoded.pixels)
    return {
        "name": path.name,
        "file": target.relative_to(folder).as_posix(),
        "width": picture.width,
        "height": picture.height,
        "settings": described(rate),
        "bytes": len(coded.data),
        "bpp": 8 * len(coded.data) / (picture.width * picture.height),
        "psnr": None if quality == float("inf") else quality,
    }


def sheet(crops: Sequence[np.ndarray], labels: Sequence[str]) -> Picture:
    """Crops, (H, W, 3) uint8 each, enlarged beside one another, with their labels under them."""
    height, width = (ZOOM * side for side in crops[0].shape[:2])
    drawn = Image.new("RGB", (len(crops) * (width + GAP) - GAP, height + LABEL_HEIGHT), "white")
    draw, font = ImageDraw.Draw(drawn), ImageFont.load_default(14)
    for i, (crop, label) in enumerate(zip(crops, labels, strict=True)):
        left = i * (width + GAP)
        enlarged = Image.fromarray(crop).resize((width, height), Image.Resampling.NEAREST)
        drawn.paste(enlarged, (left, 0))
        draw.text((left + 2, height + 2), label, fill="black", font=font)
    return Picture(np.asarray(drawn))


def show(folder: Path, path: Path, entries: Sequence[Mapping[str, Any]], crop: Wanted) -> None:
    """Write the crop of a picture and of what was decoded of it to FOLDER/NAME-crop.png.

    Raises UsageError where the picture does not hold it.
    """
    files = [path, *(folder / entry["file"] for entry in entries)]
    shown = [read_picture(file, str(file)).pixels for file in files]
    box = crop_of(crop, shown[0])
    crops = [np.repeat(box.cut(pixels), 3 // pixels.shape[2], 2) for pixels in shown]
    labels = [f"{Path(entry['file']).parent}: {entry['bpp']:.3f} bpp" for entry in entries]
    data = encode_picture(sheet(crops, ["original", *labels]), "PNG")
    save_atomically(folder / f"{path.stem}-crop.png", data, overwrite=True)
