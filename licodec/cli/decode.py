"""`licodec decode`: .lic files into pictures."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from licodec.batches.converter import Likeness, Look, Made, unusual
from licodec.batches.names import AnyPath
from licodec.cli import machine
from licodec.cli.converting import convert_files
from licodec.cli.naming import LIC_SUFFIX, Job, aside, command_line, decoded_name, plan_jobs
from licodec.cli.options import Machine
from licodec.cli.picture_options import WritingOptions
from licodec.cli.reading import read_lic, source_name
from licodec.cli.rendering import Notice, Verbosity, about
from licodec.container import LicFile, LosslessFile, read_file
from licodec.descriptors import output_descriptor
from licodec.errors import UsageError
from licodec.files import display_name
from licodec.images import (
    INPUT_SUFFIXES,
    OUTPUT_SUFFIXES,
    PNG_COMPRESSION,
    QUALITY_FORMATS,
    encode_picture,
    format_for_suffix,
    metadata_not_held,
    metadata_subset,
    output_format,
)
from licodec.images.views import WHOLE, View
from licodec.library import Library

if TYPE_CHECKING:
    from licodec.images.transparency import Colour

DEFAULT_FORMAT = "PNG"


@dataclass(frozen=True)
class DecodeSettings:
    """What the options of `decode` ask for.

    format     of every output, by Pillow's name; None: that of each output's suffix
    metadata   kinds to keep
    overwrite  whether outputs may exist
    compression  of PNG, 0 to 9; None: the default
    quality    of formats that have one, 0 to 100; None: the default
    background that alpha is flattened onto; None: it is kept
    view       what is decoded of each picture
    """

    format: str | None
    metadata: frozenset[str]
    overwrite: bool
    machine: Machine
    compression: int | None = None
    quality: int | None = None
    background: Colour | None = None
    view: View = WHOLE

    @classmethod
    def chosen(
        cls,
        writing: WritingOptions,
        metadata: frozenset[str],
        overwrite: bool,
        machine: Machine,
        background: Colour | None,
        view: View,
    ) -> DecodeSettings:
        """With outputs as they are asked for. Raises UsageError."""
        return cls(
            choose_format(writing.format),
            metadata,
            overwrite,
            machine,
            writing.compress,
            writing.output_quality,
            background,
            view,
        )

    @property
    def png_compression(self) -> int:
        return PNG_COMPRESSION if self.compression is None else self.compression


@dataclass(frozen=True)
class DecodeResult:
    """What became of one file.

    size      bytes of the .lic file
    pixels    of its picture, whatever view of that was decoded
    written   bytes of the picture's file
    seconds   for reading and decoding
    warnings  one line each, with the file's name
    notice    what decoded it
    """

    job: Job
    width: int
    height: int
    size: int
    pixels: int
    written: int
    seconds: float
    warnings: tuple[str, ...]
    notice: Notice

    def line(self) -> str:
        return f"{self.job}: {self.width}x{self.height}, {self.written} bytes, {self.seconds:.2f} s"


class Decoder:
    """Decodes one file after the other with the same settings.

    The networks are made ready for the first file that needs them.
    """

    def __init__(self, settings: DecodeSettings) -> None:
        self.settings = settings

    @cached_property
    def library(self) -> Library:
        machine.prepare(self.settings.machine)
        return Library(self.settings.machine.backend)

    @property
    def file_settings(self) -> dict[str, Any]:
        """All that changes a picture's file beside the .lic file, in JSON's types."""
        settings = self.settings
        background = settings.background and list(settings.background)
        optional: dict[str, Any] = {
            "compression": settings.compression,
            "quality": settings.quality,
            "background": background,
        }
        return {
            "format": settings.format or DEFAULT_FORMAT,
            "metadata": sorted(settings.metadata),
            **{name: value for name, value in optional.items() if value is not None},
            **unusual(settings.view, WHOLE),
        }

    def make(self, source: str, target: str) -> Made[DecodeResult]:
        """Read and decode one file. Raises LicodecError."""
        settings = self.settings
        start = time.perf_counter()
        name = source_name(source)
        data = read_lic(source)
        with about(name), machine.memory_errors():
            lic = read_file(data)
            reading = time.perf_counter() - start
            codec = self.library.codec_for(lic)  # takes seconds the first time
            start = time.perf_counter() - reading
            decoded = self.library.decode_with(codec, lic, settings.view)
            kept = metadata_subset(decoded, settings.metadata)
            if settings.background is not None:
                from licodec.images.transparency import flattened

                kept = flattened(kept, settings.background)
            chosen = settings.format or format_of(target)
            image = encode_picture(kept, chosen, settings.png_compression, settings.quality)
        left_out = (
            f"{chosen} holds no {kind}; left out" for kind in metadata_not_held(kept, chosen)
        )
        result = DecodeResult(
            Job(source, target),
            width=decoded.width,
            height=decoded.height,
            size=len(data),
            pixels=lic.header.width * lic.header.height,
            written=len(image),
            seconds=time.perf_counter() - start,
            warnings=tuple(f"{name}: {note}" for note in (*kept.notes, *left_out)),
            notice=machine.notice(codec, settings.machine),
        )
        return Made(image, weights_id_of(lic), result)

    def look(self, source: str, target: str) -> Look:
        """Whether a picture was decoded from a file is not to be seen without decoding it."""
        return Look(Likeness.UNKNOWN)


def weights_id_of(lic: LicFile | LosslessFile) -> str | None:
    """In hexadecimal; None where no network is needed."""
    return lic.header.weights_id.hex() if isinstance(lic, LicFile) else None


def format_of(target: str) -> str:
    """The format that an output's name asks for. Raises UsageError."""
    if not _states_format(target):
        return DEFAULT_FORMAT
    with about(display_name(target)):
        return format_for_suffix(Path(target).suffix)


def _states_format(target: str) -> bool:
    """Whether the output's name is to say the format; descriptors and devices need not."""
    special = os.path.exists(target) and not os.path.isfile(target)
    nameless = special or output_descriptor(target) is not None
    return Path(target).suffix != "" or not nameless


def choose_format(name: str | None) -> str | None:
    """Pillow's name for the value of --format. Raises UsageError."""
    if name is None:
        return None
    try:
        return output_format(name.removeprefix(".")).name
    except UsageError:
        known = ", ".join(suffix[1:] for suffix in OUTPUT_SUFFIXES)
        message = f"--format {name!a}: not written by licodec; give one of {known}"
        raise UsageError(message) from None


def suffix_of(chosen: str | None) -> str:
    """The usual suffix of a format, PNG's for None."""
    return output_format(chosen or DEFAULT_FORMAT).suffixes[0]


def plan_decoding(sources: list[str], output: str | None, chosen: str | None) -> tuple[Job, ...]:
    """Inputs with their outputs; answers what is likely a mistake with the right command.

    Raises UsageError.
    """
    pictures = [s for s in sources if Path(s).suffix.lower() in INPUT_SUFFIXES]
    if output is None and len(sources) == 2 and pictures == sources[1:]:
        raise UsageError(
            f"{display_name(pictures[0])}: the output is named with -o: "
            f"{command_line('licodec', 'decode', sources[0], '-o', pictures[0])}"
        )
    suffix = suffix_of(chosen)

    def derive(source: AnyPath, /) -> AnyPath:
        name = decoded_name(source, suffix)
        here = isinstance(name, Path)  # and not in a store
        return aside(name) if here and os.path.exists(name) else name

    jobs = plan_jobs(sources, output, derive)
    for job in jobs:
        if chosen is None:
            if output is not None:  # else the name is ours
                format_of(job.target)
        elif _states_format(job.target):
            _check_suffix(job.target, chosen)
    return jobs


def _check_suffix(target: str, chosen: str) -> None:
    """Refuse the name of one format for a file of another."""
    suffix = Path(target).suffix.lower()
    if suffix == LIC_SUFFIX or (
        suffix in INPUT_SUFFIXES and suffix not in output_format(chosen).suffixes
    ):
        raise UsageError(
            f"{display_name(target)}: not a name for the format {chosen}; "
            f"give -o a name that ends in {suffix_of(chosen)}"
        )


def decode_files(
    sources: list[str], output: str | None, settings: DecodeSettings, verbosity: Verbosity
) -> int:
    """Decode each input; returns the exit code, the highest of the files'."""
    jobs = plan_decoding(sources, output, settings.format)
    if settings.compression is not None or settings.quality is not None:
        for job in jobs:
            chosen = settings.format or format_of(job.target)
            check_coding(settings, chosen, display_name(job.target))
    return convert_files(Decoder(settings), jobs, settings.overwrite, verbosity)


def check_coding(settings: DecodeSettings, chosen: str, name: str) -> None:
    """Refuse what is asked of a format, that of `name`, that does not have it."""
    if settings.compression is not None and chosen != "PNG":
        raise UsageError(f"--compress is of PNG, and {name} is {chosen}")
    if settings.quality is not None and chosen not in QUALITY_FORMATS:
        raise UsageError(
            f"--output-quality is of {', '.join(QUALITY_FORMATS)}, and {name} is {chosen}"
        )
