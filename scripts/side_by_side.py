#!/usr/bin/env python3
"""Show what settings look like: the same crop of a picture, decoded at each of them.

    scripts/side_by_side.py photo.png --crop 200,100,160,120 -o shown.png \\
        --rates alpha=0.8 alpha=0.8,beta=1 alpha=0.8,objective=ms-ssim d=8

The whole picture is coded, real files with all overhead, and decoded again; of the original and of
every decoded picture the crop (left, top, width, height) is drawn, enlarged, with the setting and
the file's bits per pixel under it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from licodec.codec import Codec
from licodec.container import read_file
from licodec.errors import LicodecError, UsageError
from licodec.files import save_atomically
from licodec.images import Picture, encode_picture, read_picture
from licodec.packs import choose_pack, read_pack
from licodec.rate.modes import Rate, RateMode

LABEL_HEIGHT, GAP = 22, 6  # pixels
Box = tuple[int, int, int, int]  # left, top, width, height


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("picture", type=Path)
    parser.add_argument("--crop", required=True, help="LEFT,TOP,WIDTH,HEIGHT in pixels")
    parser.add_argument("--rates", nargs="+", required=True, help="settings, as d=8 or alpha=1")
    parser.add_argument("--model", default="lite", help="a backbone, or the path of a pack")
    parser.add_argument("--plan", default="standard")
    parser.add_argument("--zoom", type=int, default=2, help="(%(default)s)")
    parser.add_argument("-o", "--output", type=Path, required=True, help="PNG file")
    return parser.parse_args(argv)


def rate_of(text: str) -> Rate:
    """The rate that "d=8" or "alpha=0.8,beta=1,objective=mse" means. Raises UsageError."""
    given = dict(part.partition("=")[::2] for part in text.split(","))
    objective = given.pop("objective", None)
    try:
        values = {name: float(value) for name, value in given.items()}
    except ValueError:
        values = {}
    beta = values.pop("beta", 0.0)
    if "alpha" in values and values.keys() <= {"alpha", "d"}:
        return Rate(RateMode.ALPHA, values["alpha"], beta, values.get("d"), objective)
    if values.keys() == {"d"}:
        return Rate(RateMode.D, values["d"], beta, None, objective)
    raise UsageError(f"--rates {text}: give d=D or alpha=A, and with commas beta=B, objective=NAME")


def box_of(text: str, picture: Picture) -> Box:
    """The crop. Raises UsageError where the picture does not hold it."""
    try:
        left, top, width, height = map(int, text.split(","))
    except ValueError:
        raise UsageError(f"--crop {text}: give LEFT,TOP,WIDTH,HEIGHT") from None
    inside = left >= 0 and top >= 0 and width > 0 and height > 0
    if not (inside and left + width <= picture.width and top + height <= picture.height):
        raise UsageError(
            f"--crop {text}: not within the picture's {picture.width}x{picture.height} pixels"
        )
    return left, top, width, height


def drawn(crops: Sequence[np.ndarray], labels: Sequence[str], zoom: int) -> np.ndarray:
    """The crops, (H, W, 3) uint8 each, beside one another, with their labels under them."""
    height, width = (zoom * side for side in crops[0].shape[:2])
    sheet = Image.new("RGB", (len(crops) * (width + GAP) - GAP, height + LABEL_HEIGHT), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(14)
    for i, (crop, label) in enumerate(zip(crops, labels, strict=True)):
        left = i * (width + GAP)
        enlarged = Image.fromarray(crop).resize((width, height), Image.Resampling.NEAREST)
        sheet.paste(enlarged, (left, 0))
        draw.text((left + 2, height + 2), label, fill="black", font=font)
    return np.asarray(sheet)


def run(arguments: argparse.Namespace) -> None:
    """Code, draw, write. Raises LicodecError."""
    pixels = read_picture(arguments.picture, str(arguments.picture)).pixels
    picture = Picture(np.array(np.broadcast_to(pixels, (*pixels.shape[:2], 3))))
    left, top, width, height = box_of(arguments.crop, picture)
    codec = Codec(read_pack(choose_pack(arguments.model, arguments.plan).path))
    shown, labels = [picture], ["original"]
    for text in arguments.rates:
        data = codec.encode_at(picture, rate_of(text)).result.data
        shown.append(codec.decode(read_file(data)))
        bpp = 8 * len(data) / (picture.width * picture.height)
        labels.append(f"{text.replace('=', ' ').replace(',', ', ')}: {bpp:.3f} bpp")
    crops = [one.pixels[top : top + height, left : left + width] for one in shown]
    sheet = drawn(crops, labels, arguments.zoom)
    save_atomically(arguments.output, encode_picture(Picture(sheet), "PNG"), overwrite=True)


def main(argv: list[str] | None = None) -> None:
    try:
        run(parse_arguments(argv))
    except LicodecError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
