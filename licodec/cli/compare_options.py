"""What can be typed of `compare`: its own options, and the command."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

import typer

from licodec.cli import options
from licodec.compare.matching import Equal
from licodec.errors import UsageError

DEFAULT_DS = "1,2,4,8"


@dataclass(frozen=True)
class CompareOptions:
    """What `licodec compare` is told of the comparison and the page."""

    output: Annotated[
        str | None,
        options.output_option(
            metavar="PAGE",
            help="HTML file to write, or - for standard output. Without it figures are printed "
            "alone.",
        ),
    ] = None
    force: options.Force = False
    ds: Annotated[
        str,
        typer.Option(
            metavar="D,D,...", help="Quantization steps of licodec, each a rate to compare at."
        ),
    ] = DEFAULT_DS
    codecs: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES", help="Of jpeg,webp,avif,jxl; by default all that there are here."
        ),
    ] = None
    at_equal: Annotated[
        Equal,
        typer.Option(
            help="What the others are made equal to licodec in: the file's size, or the quality by "
            "SSIMULACRA 2 (by PSNR where that is not installed)."
        ),
    ] = Equal.SIZE
    crop: Annotated[
        str | None,
        typer.Option(
            "--crop",
            metavar="WxH+X+Y",
            help="What the page shows of each picture, in pixels; WxH alone is put where most "
            "detail is. By default up to 768x512.",
        ),
    ] = None
    no_lossless: Annotated[
        bool,
        typer.Option(
            "--no-lossless",
            help="Compare what the network makes, also where encode keeps every pixel as that is "
            "no larger.",
        ),
    ] = False


def parse_ds(text: str) -> tuple[float, ...]:
    """The numbers of "1,4", each once, in their order. Raises UsageError."""
    try:
        ds = [float(part) for part in text.split(",") if part.strip()]
    except ValueError:
        ds = []
    if not ds or not all(0 < d < math.inf for d in ds):
        raise UsageError(f"--ds {text!a}: give numbers above 0 separated by commas, such as 1,2,4")
    return tuple(dict.fromkeys(ds))


def compare(
    *,
    inputs: options.Pictures,
    asked: CompareOptions,
    pack: options.ModelOptions,
    json: options.Json = False,
    machine: options.MachineOptions,
    said: options.VerbosityOptions,
) -> int:
    """Compare licodec with JPEG, WebP, AVIF and JPEG XL on pictures.

    Each picture is coded at every d, and by the other codecs as near to that in
    size, or in quality, as they come. Sizes, PSNR, MS-SSIM and SSIMULACRA 2 are
    printed; with -o there is a page of them, too, with curves, and with crops to
    wipe between.
    """
    ds, on, verbosity = parse_ds(asked.ds), machine.chosen(), said.chosen_beside(json)

    from licodec.cli.compare import compare_files

    return compare_files(inputs, ds, asked, pack, on, json, verbosity)
