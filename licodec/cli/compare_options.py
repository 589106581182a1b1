"""The options of `compare` alone: how they are written, and what they are turned into."""

from __future__ import annotations

import math
from typing import Annotated

import typer

from licodec.compare.matching import Equal
from licodec.errors import UsageError

DEFAULT_DS = "1,2,4,8"

Ds = Annotated[
    str,
    typer.Option(
        metavar="D,D,...", help="Quantization steps of licodec, each a rate to compare at."
    ),
]
Codecs = Annotated[
    str | None,
    typer.Option(
        metavar="NAMES",
        help="Of jpeg,webp,avif,jxl; by default all that there are here.",
        show_default=False,
    ),
]
AtEqual = Annotated[
    Equal,
    typer.Option(
        help="What the others are made equal to licodec in: the file's size, or the quality by "
        "SSIMULACRA 2 (by PSNR where that is not installed)."
    ),
]
CropShown = Annotated[
    str | None,
    typer.Option(
        "--crop",
        metavar="WxH+X+Y",
        help="What the page shows of each picture, in pixels; WxH alone is put where most detail "
        "is. By default up to 768x512.",
        show_default=False,
    ),
]
PageOutput = Annotated[
    str | None,
    typer.Option(
        "-o",
        "--output",
        metavar="PAGE",
        help="HTML file to write, or - for standard output. Without it figures are printed alone.",
        show_default=False,
    ),
]


def parse_ds(text: str) -> tuple[float, ...]:
    """The numbers of "1,4", each once, in their order. Raises UsageError."""
    try:
        ds = [float(part) for part in text.split(",") if part.strip()]
    except ValueError:
        ds = []
    if not ds or not all(0 < d < math.inf for d in ds):
        raise UsageError(f"--ds {text!a}: give numbers above 0 separated by commas, such as 1,2,4")
    return tuple(dict.fromkeys(ds))
