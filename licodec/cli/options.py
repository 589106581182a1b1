"""The options that commands share: how they are written, and what they are turned into."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from licodec.cli.rendering import Verbosity
from licodec.cli.streams import say
from licodec.cli.threads import limit_threads
from licodec.errors import UsageError
from licodec.exact.torch_loading import MOST_THREADS
from licodec.rate import Rate, RateMode, choose_rate

RATE_PANEL = "Rate (at most one, but --beta goes with any and -d with --alpha; else d = 1)"
MACHINE_PANEL = "Machine (never changes a pixel)"


class Backend(StrEnum):
    """Names of `licodec.exact.interpreter.BACKENDS`, which is too heavy for `--help`."""

    NATIVE = "native"
    CUDA = "cuda"
    INT8 = "int8"
    FLOAT32 = "float32"
    REFERENCE = "reference"


class Device(StrEnum):
    """Where the networks run."""

    CPU = "cpu"
    CUDA = "cuda"


# Rate --------------------------------------------------------------------------------------

D = Annotated[
    float | None,
    typer.Option(
        "-d",
        "--d",
        metavar="D",
        help="Quantization step: 1 is the trained codec, larger gives smaller files.",
        rich_help_panel=RATE_PANEL,
    ),
]
Quality = Annotated[
    float | None,
    typer.Option(
        "-q",
        "--quality",
        metavar="Q",
        help="0 (smallest) to 100 (best); d = 2^((75 - Q) / 12.5), so 75 is d = 1, or with "
        "--objective the alpha that goes with that d. Packs without d take alpha = 1 - Q / 100.",
        rich_help_panel=RATE_PANEL,
    ),
]
TargetBpp = Annotated[
    float | None,
    typer.Option(
        metavar="BPP",
        help="The best quality within this many bits per pixel.",
        rich_help_panel=RATE_PANEL,
    ),
]
TargetSize = Annotated[
    str | None,
    typer.Option(
        metavar="BYTES",
        help="The best quality within this many bytes: 20000, 50k, 1.5M; Ki and Mi count 1024.",
        rich_help_panel=RATE_PANEL,
    ),
]
TargetPsnr = Annotated[
    float | None,
    typer.Option(
        metavar="DB",
        help="The smallest file with at least this PSNR.",
        rich_help_panel=RATE_PANEL,
    ),
]
Alpha = Annotated[
    float | None,
    typer.Option(
        metavar="ALPHA",
        help="Rate by adapters, 0 (highest) to 1; for packs that have them. The d that goes with "
        "it may be replaced by -d.",
        rich_help_panel=RATE_PANEL,
    ),
]
Beta = Annotated[
    float | None,
    typer.Option(
        metavar="BETA",
        help="Realism by adapters, 0 (none) to 1, beside any other; for packs that have them.",
        rich_help_panel=RATE_PANEL,
    ),
]
Objective = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="What the adapters were trained for: mse, ms-ssim, perceptual or what else 'licodec "
        "models' lists. With it, -q and targets go over alpha instead of d.",
        rich_help_panel=RATE_PANEL,
    ),
]


_SHORT_NAMES = {RateMode.D: "-d", RateMode.QUALITY: "-q"}


def option_name(mode: RateMode) -> str:
    """The option that sets a rate mode, as a person types it."""
    return _SHORT_NAMES.get(mode) or "--" + mode.value.replace("_", "-")


def parse_rate(
    d: float | None,
    quality: float | None,
    bpp: float | None,
    size: str | None,
    psnr: float | None,
    alpha: float | None,
    beta: float | None,
    objective: str | None = None,
) -> Rate:
    """The rate options that were given, or d = 1. Raises UsageError."""
    values = {
        RateMode.D: d,
        RateMode.QUALITY: quality,
        RateMode.BPP: bpp,
        RateMode.SIZE: None if size is None else parse_size(size),
        RateMode.PSNR: psnr,
        RateMode.ALPHA: alpha,
        RateMode.BETA: beta,
    }
    return choose_rate(values, option_name, objective)


_SIZE = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\s*([kmg]?)(i?)b?", re.IGNORECASE)
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


# Files -------------------------------------------------------------------------------------

Pictures = Annotated[
    list[str],
    typer.Argument(
        metavar="IN",
        help="Pictures: PNG, JPEG, WebP, TIFF, BMP, PPM/PGM/PBM, GIF, AVIF; - is standard input.",
        show_default=False,
    ),
]
LicFiles = Annotated[
    list[str],
    typer.Argument(metavar="IN", help="Files to read; - is standard input.", show_default=False),
]
Folder = Annotated[
    str,
    typer.Argument(metavar="DIR", help="Folder, searched with its subfolders.", show_default=False),
]
EncodeOutput = Annotated[
    str | None,
    typer.Option(
        "-o",
        "--output",
        metavar="OUT",
        help="File to write, or - for standard output; a folder for several inputs. "
        "By default NAME.lic beside each picture.",
    ),
]
DecodeOutput = Annotated[
    str | None,
    typer.Option(
        "-o",
        "--output",
        metavar="OUT",
        help="File to write, or - for standard output; a folder for several inputs. "
        "By default NAME.png beside NAME.lic, or NAME.decoded.png where that exists.",
    ),
]
BatchOutput = Annotated[
    str | None,
    typer.Option(
        "-o",
        "--output",
        metavar="OUT",
        help="Folder for the mirrored tree; by default DIR-lic, with --decode DIR-decoded.",
    ),
]
Format = Annotated[
    str | None,
    typer.Option(
        metavar="FORMAT",
        help="png, jpg, webp, tiff, bmp, ppm (colour), pgm (grey) or pnm (either); by default that "
        "of OUT's suffix, or png.",
    ),
]
MetadataKept = Annotated[
    str,
    typer.Option(
        "--metadata",
        metavar="KINDS",
        help="Metadata to keep: none, or any of icc,exif,xmp.",
    ),
]
Force = Annotated[bool, typer.Option("-f", "--force", help="Overwrite outputs that exist.")]
Psnr = Annotated[bool, typer.Option("--psnr", help="Print the PSNR of what decoding will give.")]

METADATA_KINDS = ("icc", "exif", "xmp")
ALL_METADATA = ",".join(METADATA_KINDS)


def parse_metadata(text: str) -> frozenset[str]:
    """The kinds named in "none", "icc", "icc,exif", .... Raises UsageError."""
    kinds = {part.strip().lower() for part in text.split(",")}
    if kinds in ({"none"}, {"all"}):
        return frozenset(METADATA_KINDS if kinds == {"all"} else ())
    if not kinds <= set(METADATA_KINDS):
        raise UsageError(f"--metadata {text!a}: give none, or some of {ALL_METADATA}")
    return frozenset(kinds)


Decode = Annotated[bool, typer.Option("--decode", help="Decode .lic files instead.")]
Include = Annotated[
    list[str] | None,
    typer.Option(
        metavar="GLOB",
        help="Take only what matches: names, as in '*.jpg' or a folder's, or with a slash paths "
        "below DIR, as in '2024/**/*.jpg'. May be given several times.",
        show_default=False,
    ),
]
Exclude = Annotated[
    list[str] | None,
    typer.Option(
        metavar="GLOB",
        help="Leave out what matches, before all of --include. May be given several times.",
        show_default=False,
    ),
]
Preserve = Annotated[
    bool,
    typer.Option(
        "-p",
        "--preserve",
        help="Give outputs the times of modification of their sources, as cp -p does. By default "
        "they have the times at which they were written.",
    ),
]
DryRun = Annotated[
    bool, typer.Option("-n", "--dry-run", help="Say what would be done and why, and do nothing.")
]
BatchForce = Annotated[
    bool,
    typer.Option("-f", "--force", help="Do everything again and overwrite whatever is there."),
]
JsonLines = Annotated[
    bool,
    typer.Option(
        "--json", help="Print JSON, for programs: a line for each file, and one for the summary."
    ),
]

# Model and machine ---------------------------------------------------------------------------

DEFAULT_MODEL = "lite"
DEFAULT_PLAN = "standard"

Model = Annotated[
    str, typer.Option(metavar="MODEL", help="Backbone, or the path of a weights pack.")
]
Plan = Annotated[str, typer.Option(metavar="PLAN", help="Which of the model's packs.")]
BackendName = Annotated[
    Backend | None,
    typer.Option(
        "--backend",
        help="Force one; by default the fastest that proves itself exact here, and where there is "
        "no native code the reference for what it has done before the others have started.",
        rich_help_panel=MACHINE_PANEL,
    ),
]
DeviceName = Annotated[
    Device | None,
    typer.Option(
        "--device", help="cpu leaves GPUs alone, cuda takes one.", rich_help_panel=MACHINE_PANEL
    ),
]
Threads = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=MOST_THREADS,
        help="Threads; by default all cores.",
        rich_help_panel=MACHINE_PANEL,
        callback=limit_threads,
    ),
]
Jobs = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=MOST_THREADS,
        help="Processes; by default one a core, at most 8. Each has its share of the threads.",
        rich_help_panel=MACHINE_PANEL,
    ),
]


Packs = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="PACK",
        help="Paths, models or weights ids; by default all that are installed.",
        show_default=False,
    ),
]
PackFile = Annotated[
    str, typer.Argument(metavar="PACK", help="The path of a pack.", show_default=False)
]


@dataclass(frozen=True)
class Machine:
    """What the networks run on; the choice changes speed alone.

    backend   None: the fastest exact one
    hide_gpu  whether GPUs are out of bounds
    threads   None: as many as torch takes by itself
    """

    backend: str | None = None
    hide_gpu: bool = False
    threads: int | None = None


def choose_machine(backend: Backend | None, device: Device | None, threads: int | None) -> Machine:
    """Backend and device as one choice. Raises UsageError where they contradict each other."""
    on_gpu = backend is Backend.CUDA
    if backend is not None and device is not None and on_gpu != (device is Device.CUDA):
        raise UsageError(
            f"--backend {backend.value} does not run on --device {device.value}; give one of them"
        )
    if device is Device.CUDA:
        backend = Backend.CUDA
    name = None if backend is None else backend.value
    return Machine(name, device is Device.CPU, threads)


# Quantization --------------------------------------------------------------------------------

DEFAULT_PACK_PLAN = "custom"


class Rule(StrEnum):
    """Names of `licodec.fmpq.allocation.RULES`."""

    THRESHOLD = "threshold"
    GREEDY = "greedy"
    UNIFORM = "uniform"


Checkpoint = Annotated[
    str,
    typer.Argument(
        metavar="CHECKPOINT",
        help="Training state, state dict or pack of lite, or a published "
        "checkpoint of stf, tcm, icm or cheng-attn.",
        show_default=False,
    ),
]
PublishedCheckpoint = Annotated[
    str,
    typer.Argument(
        metavar="CHECKPOINT",
        help="A file that torch.save wrote, in a published layout.",
        show_default=False,
    ),
]


ImportedObjective = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="What the checkpoint's adapters were trained for; by default mse, or perceptual "
        "where they have beta.",
        show_default=False,
    ),
]


class WeightBits(StrEnum):
    """Widths that every weight of an imported network can have."""

    EIGHT = "8"
    SIXTEEN = "16"


ImportedBackbone = Annotated[
    str | None,
    typer.Option(
        "--backbone",
        metavar="NAME",
        help="stf, tcm, icm or cheng-attn; by default read off the checkpoint's keys.",
        show_default=False,
    ),
]
SeparateAdapters = Annotated[
    list[Path] | None,
    typer.Option(
        "--adapters",
        metavar="FILE",
        help="Adapters of the checkpoint that are in a file of their own; alpha's before beta's.",
        show_default=False,
    ),
]
ImportedBits = Annotated[
    WeightBits, typer.Option("--bits", help="Of every weight; activations have 16.")
]
PackOutput = Annotated[
    str,
    typer.Option("-o", "--output", metavar="PACK", help="The pack to write.", show_default=False),
]
WeightsSize = Annotated[
    str,
    typer.Option(
        "--size",
        metavar="SIZE",
        help="Of the weights in percent of float32 (25% is 8 bits each), "
        "or of the whole pack in bytes: 5M.",
        show_default=False,
    ),
]
Calibrate = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Pictures to measure on; by default a built-in one."),
]
AllocationRule = Annotated[
    Rule,
    typer.Option(
        "--rule",
        help="greedy: bits go where they gain most; "
        "threshold: each layer's least bits below one tolerance, as published; "
        "uniform: the same bits for all, to compare with.",
    ),
]
SearchState = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Keeps what is measured, for further sizes; by default a file beside PACK, "
        "which goes when PACK is there.",
    ),
]
PlanName = Annotated[str, typer.Option(metavar="NAME", help="What --plan will call the pack.")]
Seed = Annotated[int, typer.Option(min=0, help="Of the places of the trial crops.")]
ImportPictureCount = Annotated[
    int, typer.Option("--pictures", min=1, help="How many pictures of DIR to measure on.")
]
PictureCount = Annotated[
    int, typer.Option("--pictures", min=1, help="Pictures for ranges and tables.")
]
CropCount = Annotated[int, typer.Option("--crops", min=1, help="Crops that trials run on.")]
CropSize = Annotated[
    int, typer.Option(min=64, help="Their side, a multiple of 64; of 128 for tcm and icm.")
]


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


# Output of the program itself ------------------------------------------------------------------

Verbose = Annotated[bool, typer.Option("-v", "--verbose", help="Say more.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Say nothing but errors.")]
InfoVerbose = Annotated[
    bool, typer.Option("-v", "--verbose", help="Show the chunks and the plan by layer, too.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


def _print_version(context: typer.Context, wanted: bool) -> None:
    if not wanted:
        return
    from licodec import __version__

    say(f"licodec {__version__}")
    if context.params["verbose"]:
        from licodec.exact import native

        why = native.reason()
        say("native code: yes" if why is None else f"native code: none, {why}; {SLOWER}")
    raise typer.Exit


SLOWER = "the same files and pixels take longer (networks, entropy coding)"
Version = Annotated[
    bool,
    typer.Option(
        "--version",
        callback=_print_version,
        help="Show the version and exit; with -v whether native code is there, too.",
    ),
]
# Eager, so that it is known when the version is printed.
VersionVerbose = Annotated[
    bool, typer.Option("-v", "--verbose", is_eager=True, help="Say more of the version.")
]


def choose_verbosity(verbose: bool, quiet: bool) -> Verbosity:
    """Raises UsageError where both are asked for."""
    if verbose and quiet:
        raise UsageError("-v and --quiet exclude each other; give one of them")
    if quiet:
        return Verbosity.QUIET
    return Verbosity.VERBOSE if verbose else Verbosity.NORMAL
