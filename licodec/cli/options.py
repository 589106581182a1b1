"""The options that commands share: how they are written, and what they are turned into."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from licodec.cli.rendering import Verbosity
from licodec.cli.streams import say
from licodec.cli.threads import limit_threads
from licodec.errors import UsageError
from licodec.exact.threads import MOST_THREADS
from licodec.rate.modes import Rate

if TYPE_CHECKING:
    from licodec.batches.selection import Selection

machine_option = partial(typer.Option, rich_help_panel="Machine (never changes a pixel)")
output_option = partial(typer.Option, "-o", "--output", metavar="OUT")


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


# Files -------------------------------------------------------------------------------------

Pictures = Annotated[
    list[str],
    typer.Argument(
        metavar="IN",
        help="Pictures: PNG, JPEG, WebP, TIFF, BMP, PPM/PGM/PBM, GIF, JPEG 2000, AVIF, and with "
        "extras HEIC and JPEG XL; a URL such as s3://bucket/a.png; - is standard input.",
    ),
]
LicFiles = Annotated[
    list[str], typer.Argument(metavar="IN", help="Files to read, or URLs; - is standard input.")
]
Folder = Annotated[str, typer.Argument(metavar="DIR", help="Folder, searched with its subfolders.")]
EncodeOutput = Annotated[
    str | None,
    output_option(
        help="File to write, or - for standard output; a folder for several inputs. "
        "By default NAME.lic beside each picture."
    ),
]
DecodeOutput = Annotated[
    str | None,
    output_option(
        help="File to write, or - for standard output; a folder for several inputs. "
        "By default NAME.png beside NAME.lic, or NAME.decoded.png where that exists."
    ),
]
BatchOutput = Annotated[
    str | None,
    output_option(
        help="Folder for the mirrored tree; by default DIR-lic, with --decode DIR-decoded."
    ),
]
MetadataKept = Annotated[
    str,
    typer.Option(
        "--metadata",
        metavar="KINDS",
        help="Metadata to keep: all, none, or any of icc,exif,xmp.",
    ),
]
Force = Annotated[bool, typer.Option("-f", "--force", help="Overwrite outputs that exist.")]
Psnr = Annotated[bool, typer.Option("--psnr", help="Print the PSNR of what decoding will give.")]

METADATA_KINDS = ("icc", "exif", "xmp")
ALL_METADATA = ",".join(METADATA_KINDS)


def parse_metadata(text: str) -> frozenset[str]:
    """The kinds named in "all", "none", "icc", "icc,exif", .... Raises UsageError."""
    kinds = {part.strip().lower() for part in text.split(",")}
    if kinds in ({"none"}, {"all"}):
        return frozenset(METADATA_KINDS if kinds == {"all"} else ())
    if not kinds <= set(METADATA_KINDS):
        raise UsageError(f"--metadata {text!a}: give all, none, or some of {ALL_METADATA}")
    return frozenset(kinds)


Decode = Annotated[bool, typer.Option("--decode", help="Decode .lic files instead.")]
Include = Annotated[
    list[str] | None,
    typer.Option(
        metavar="GLOB",
        help="Take only what matches: names, as in '*.jpg' or a folder's, or with a slash paths "
        "below DIR, as in '2024/**/*.jpg'. May be given several times.",
    ),
]
Exclude = Annotated[
    list[str] | None,
    typer.Option(
        metavar="GLOB",
        help="Leave out what matches, before all of --include. May be given several times.",
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

DEFAULT_PLAN = "standard"


@dataclass(frozen=True)
class SelectionOptions:
    """Which files of a folder are meant."""

    include: Include = None
    exclude: Exclude = None

    def chosen(self) -> Selection:
        """Raises UsageError for a pattern that is empty."""
        from licodec.batches.selection import Selection

        return Selection(tuple(self.include or ()), tuple(self.exclude or ()))


@dataclass(frozen=True)
class ModelOptions:
    """Which pack encodes."""

    model: Annotated[
        str, typer.Option(metavar="MODEL", help="Backbone, or the path of a weights pack.")
    ] = "lite"
    plan: Annotated[str, typer.Option(metavar="PLAN", help="Which of the model's packs.")] = (
        DEFAULT_PLAN
    )

    def require_default(self) -> None:
        """Raises UsageError for what is said of pictures to encode."""
        if self != ModelOptions():
            raise UsageError("--model and --plan are for encoding; a .lic file names its weights")

    def check_beside(self, rate: Rate) -> None:
        """Refuse a pack where no network encodes. Raises UsageError."""
        if rate.lossless and self != ModelOptions():
            raise UsageError("--lossless takes no --model and no --plan; leave them out")


Threads = Annotated[
    int | None,
    machine_option(
        min=1,
        max=MOST_THREADS,
        help="Threads; by default all cores.",
        callback=limit_threads,
    ),
]
Jobs = Annotated[
    int | None,
    machine_option(
        min=1,
        max=MOST_THREADS,
        help="Processes; by default one a core, at most 8. Each has its share of the threads.",
    ),
]


Packs = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="PACK",
        help="Paths, models or weights ids; by default all that are installed.",
    ),
]
PackFile = Annotated[str, typer.Argument(metavar="PACK", help="The path of a pack.")]


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


@dataclass(frozen=True)
class MachineOptions:
    """What is to run the networks."""

    backend: Annotated[
        Backend | None,
        machine_option(
            "--backend",
            help="Force what runs the networks. By default it is the fastest that proves itself "
            "exact here; without native code, the reference for small pictures.",
        ),
    ] = None
    device: Annotated[
        Device | None,
        machine_option("--device", help="cpu leaves GPUs alone, cuda takes one."),
    ] = None
    threads: Threads = None

    def chosen(self) -> Machine:
        """Backend and device as one choice. Raises UsageError where they contradict each other."""
        backend, device = self.backend, self.device
        on_gpu = backend is Backend.CUDA
        if backend is not None and device is not None and on_gpu != (device is Device.CUDA):
            raise UsageError(
                f"--backend {backend.value} does not run on --device {device.value}; "
                "give one of them"
            )
        if device is Device.CUDA:
            backend = Backend.CUDA
        name = None if backend is None else backend.value
        return Machine(name, device is Device.CPU, self.threads)


# Output of the program itself ------------------------------------------------------------------

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
        "-V",
        "--version",
        callback=_print_version,
        help="Show the version and exit; with -v whether native code is there, too.",
    ),
]
# Eager, so that it is known when the version is printed.
VersionVerbose = Annotated[
    bool, typer.Option("-v", "--verbose", is_eager=True, help="Say more of the version.")
]


@dataclass(frozen=True)
class VerbosityOptions:
    """How much is said."""

    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Say more.")] = False
    quiet: Quiet = False

    def chosen_beside(self, json: bool) -> Verbosity:
        """Raises UsageError where JSON is asked for as well as silence, too."""
        if json and self.quiet:
            raise UsageError("--json and --quiet exclude each other; give one of them")
        return self.chosen()

    def chosen(self) -> Verbosity:
        """Raises UsageError where both are asked for."""
        if self.verbose and self.quiet:
            raise UsageError("-v and --quiet exclude each other; give one of them")
        if self.quiet:
            return Verbosity.QUIET
        return Verbosity.VERBOSE if self.verbose else Verbosity.NORMAL
