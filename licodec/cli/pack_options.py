"""The options of the commands that make weights packs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from licodec.cli import options
from licodec.cli.rate_options import parse_size
from licodec.errors import UsageError


class Rule(StrEnum):
    """Names of `licodec.fmpq.allocation.RULES`."""

    THRESHOLD = "threshold"
    GREEDY = "greedy"
    UNIFORM = "uniform"


class WeightBits(StrEnum):
    """Widths that every weight of an imported network can have."""

    EIGHT = "8"
    SIXTEEN = "16"


@dataclass(frozen=True)
class PackSize:
    """How large a pack is to be: one of the two.

    share  of the float32 size of all weights
    size   bytes of the whole file
    """

    share: float | None = None
    size: int | None = None


_PERCENTAGE = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\s*%")


def parse_pack_size(text: str) -> PackSize:
    """A size such as "25%", "5M" or "4800000". Raises UsageError."""
    match = _PERCENTAGE.fullmatch(text.strip())
    if match is None:
        try:
            return PackSize(size=parse_size(text))
        except UsageError:
            raise UsageError(
                f"--size {text!a}: give a percentage of the float32 size, such as 12.5%, "
                "or bytes, such as 5M"
            ) from None
    share = float(match[1]) / 100
    if not 0 < share <= 1:
        raise UsageError(f"--size {text!a}: give more than 0% and at most 100%")
    return PackSize(share=share)


Checkpoint = Annotated[
    str,
    typer.Argument(
        metavar="CHECKPOINT",
        help="Training state, state dict or pack of lite or base, or a published "
        "checkpoint of stf, tcm, icm or cheng-attn.",
    ),
]
PublishedCheckpoint = Annotated[
    str,
    typer.Argument(
        metavar="CHECKPOINT", help="A file that torch.save wrote, in a published layout."
    ),
]
PackOutput = Annotated[str, options.output_option(metavar="PACK", help="The pack to write.")]
ImportedBackbone = Annotated[
    str | None,
    typer.Option(
        "--backbone",
        metavar="NAME",
        help="stf, tcm, icm or cheng-attn; by default read off the checkpoint's keys.",
    ),
]
SeparateAdapters = Annotated[
    list[Path] | None,
    typer.Option(
        "--adapters",
        metavar="FILE",
        help="Adapters of the checkpoint that are in a file of their own; alpha's before beta's.",
    ),
]
Calibrate = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Pictures to measure on; by default a built-in one."),
]
PlanName = Annotated[str, typer.Option(metavar="NAME", help="What --plan will call the pack.")]
ImportedObjective = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="What the checkpoint's adapters were trained for; by default mse, or perceptual "
        "where they have beta.",
    ),
]


@dataclass(frozen=True)
class QuantizeOptions:
    """What `licodec quantize` is told of the pack, the pictures and the search."""

    size: Annotated[
        str,
        typer.Option(
            "--size",
            metavar="SIZE",
            help="Of the weights in percent of float32 (25% is 8 bits each), "
            "or of the whole pack in bytes: 5M.",
        ),
    ]
    output: PackOutput
    backbone: ImportedBackbone = None
    adapters: SeparateAdapters = None
    calibrate: Calibrate = None
    rule: Annotated[
        Rule,
        typer.Option(
            "--rule",
            help="greedy: bits go where they gain most; "
            "threshold: each layer's least bits below one tolerance, as published; "
            "uniform: the same bits for all, to compare with.",
        ),
    ] = Rule.GREEDY
    state: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Keeps what is measured, for further sizes; by default a file beside PACK, "
            "which goes when PACK is there.",
        ),
    ] = None
    plan_name: PlanName = "custom"
    seed: Annotated[int, typer.Option(min=0, help="Of the places of the trial crops.")] = 1
    pictures: Annotated[
        int, typer.Option("--pictures", min=1, help="Pictures for ranges and tables.")
    ] = 24
    crops: Annotated[int, typer.Option("--crops", min=1, help="Crops that trials run on.")] = 8
    crop_size: Annotated[
        int, typer.Option(min=64, help="Their side, a multiple of 64; of 128 for tcm and icm.")
    ] = 256
    objective: ImportedObjective = None
    force: options.Force = False
    threads: options.Threads = None


@dataclass(frozen=True)
class ImportOptions:
    """What `licodec models import` is told of the pack and the pictures."""

    output: PackOutput
    backbone: ImportedBackbone = None
    adapters: SeparateAdapters = None
    calibrate: Calibrate = None
    bits: Annotated[
        WeightBits, typer.Option("--bits", help="Of every weight; activations have 16.")
    ] = WeightBits.EIGHT
    plan_name: PlanName = options.DEFAULT_PLAN
    pictures: Annotated[
        int, typer.Option("--pictures", min=1, help="How many pictures of DIR to measure on.")
    ] = 8
    objective: ImportedObjective = None
    force: options.Force = False
    threads: options.Threads = None
