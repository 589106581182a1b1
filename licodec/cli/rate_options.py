"""The options that say how large a file may be."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from typing import Annotated

import typer

from licodec.errors import UsageError
from licodec.rate.modes import Rate, RateMode, choose_rate

PANEL = "Rate (at most one, but --beta goes with any and -d with --alpha; else d = 1)"
rate_option = partial(typer.Option, rich_help_panel=PANEL)


@dataclass(frozen=True)
class RateOptions:
    """Options by the names of the rate modes, and the objective."""

    d: Annotated[
        float | None,
        rate_option(
            "-d",
            "--d",
            metavar="D",
            help="Quantization step: 1 is the trained codec, larger gives smaller files.",
        ),
    ] = None
    quality: Annotated[
        float | None,
        rate_option(
            "-q",
            "--quality",
            metavar="Q",
            help="0 (smallest) to 100 (best); d = 2^((75 - Q) / 12.5), so 75 is d = 1, or with "
            "--objective the alpha that goes with that d. Packs without d take "
            "alpha = 1 - Q / 100.",
        ),
    ] = None
    target_bpp: Annotated[
        float | None,
        rate_option(metavar="BPP", help="The best quality within this many bits per pixel."),
    ] = None
    target_size: Annotated[
        str | None,
        rate_option(
            metavar="BYTES",
            help="The best quality within this many bytes: 20000, 50k, 1.5M; Ki and Mi count 1024.",
        ),
    ] = None
    target_psnr: Annotated[
        float | None,
        rate_option(metavar="DB", help="The smallest file with at least this PSNR."),
    ] = None
    alpha: Annotated[
        float | None,
        rate_option(
            metavar="ALPHA",
            help="Rate by adapters, 0 (highest) to 1; for packs that have them. The d that goes "
            "with it may be replaced by -d.",
        ),
    ] = None
    beta: Annotated[
        float | None,
        rate_option(
            metavar="BETA",
            help="Realism by adapters, 0 (none) to 1, beside any other; for packs that have them.",
        ),
    ] = None
    objective: Annotated[
        str | None,
        rate_option(
            metavar="NAME",
            help="What the adapters were trained for: mse, ms-ssim, perceptual or what else "
            "'licodec models' lists. With it, -q and targets go over alpha instead of d.",
        ),
    ] = None

    lossless: Annotated[
        bool | None,
        rate_option(
            "--lossless/--no-lossless",
            help="Keep every pixel, or never do so. By default a file is lossless where that is no "
            "larger, as with most screenshots and drawings, where it fits into --target-size or "
            "--target-bpp, and where the network does not reach --target-psnr.",
        ),
    ] = None

    def chosen(self) -> Rate:
        """The rate that was given, or d = 1. Raises UsageError."""
        size = None if self.target_size is None else parse_size(self.target_size)
        return choose_rate(option_name, **{**vars(self), "target_size": size})


_SHORT_NAMES = {RateMode.D: "-d", RateMode.QUALITY: "-q"}


def option_name(mode: RateMode) -> str:
    """The option that sets a rate mode, as a person types it."""
    return _SHORT_NAMES.get(mode) or "--" + mode.value.replace("_", "-")


_SIZE = re.compile(
    r"(\d{1,15}(?:\.\d{0,15})?|\.\d{1,15})\s*([kmg]?)(i?)b?", re.IGNORECASE | re.ASCII
)
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3}


def parse_size(text: str) -> int:
    """Bytes of "20000", "50k", "1.5M" (powers of 1000) or "64Ki" (of 1024). Raises UsageError."""
    match = _SIZE.fullmatch(text.strip())
    number, prefix, binary = match.groups() if match else ("0", "", "")
    size = int(float(number) * (1024 if binary else 1000) ** _POWERS[prefix.lower()])
    if size < 1 or (binary and not prefix):
        raise UsageError(
            f"--target-size {text!a}: give a number of bytes, such as 20000, 50k or 1.5M"
        )
    return size
