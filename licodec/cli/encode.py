"""`licodec encode`: pictures into .lic files."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from licodec.batches.converter import Likeness, Look, Made, unusual
from licodec.choice import encode_with_network, encode_without_network, may_be_lossless
from licodec.cli import machine
from licodec.cli.converting import convert_files
from licodec.cli.naming import LIC_SUFFIX, Job, command_line, encoded_name, plan_jobs
from licodec.cli.options import Machine
from licodec.cli.rate_options import option_name
from licodec.cli.reading import read_lic, read_source, source_name, target_name
from licodec.cli.rendering import Notice, Verbosity, about
from licodec.codec import Coded, decode_lossless, rate_fields
from licodec.container import (
    Header,
    LicFile,
    LosslessFile,
    LosslessHeader,
    Metadata,
    read_file,
)
from licodec.errors import LicodecError, UsageError
from licodec.files import display_name
from licodec.images import INPUT_SUFFIXES, Picture, metadata_subset, psnr
from licodec.images.resizing import AS_IT_IS, Framing
from licodec.images.transparency import Transparency
from licodec.library import PackCodecs
from licodec.packs import Pack, choose_pack, open_pack, require_encoder
from licodec.rate.modes import Rate, RateMode
from licodec.rate.setting import Setting
from licodec.wording import bits_per_pixel, decibels, missed_target, rate_in_words


@dataclass(frozen=True)
class EncodeSettings:
    """What the options of `encode` ask for.

    model, plan      see licodec.packs.choose_pack
    metadata         kinds to keep
    transparency     what becomes of it
    measure_psnr     whether results have their PSNR
    overwrite        whether outputs may exist
    framing          what is coded of each picture, and in which size
    """

    rate: Rate
    model: str
    plan: str
    metadata: frozenset[str]
    measure_psnr: bool
    overwrite: bool
    machine: Machine
    transparency: Transparency = Transparency()  # noqa: RUF009  (frozen)
    framing: Framing = AS_IT_IS


@dataclass(frozen=True)
class EncodeResult:
    """What became of one picture.

    size      bytes of the file
    pixels    width times height
    rate      d, alpha and beta in words
    psnr      dB of the decoded pixels; None where it was not asked for
    seconds   for reading and encoding
    warnings  one line each, with the picture's name
    notice    what encoded it
    """

    job: Job
    size: int
    pixels: int
    rate: str
    psnr: float | None
    seconds: float
    warnings: tuple[str, ...]
    notice: Notice

    def line(self) -> str:
        parts = [f"{self.size} bytes", bits_per_pixel(self.size, self.pixels), self.rate]
        if self.psnr is not None and decibels(self.psnr) not in parts:
            parts.append(decibels(self.psnr))
        return f"{self.job}: {', '.join(parts)}, {self.seconds:.2f} s"


class Encoder:
    """Encodes one picture after the other with the same settings.

    Opening it checks pack and rate, without torch; the networks are made ready for the first
    picture that needs them. Raises UsageError and CorruptFileError.
    """

    def __init__(self, settings: EncodeSettings) -> None:
        self.settings = settings
        self.setting = None if settings.rate.lossless else rate_setting(settings.rate, self.pack)

    @cached_property
    def pack(self) -> Pack:
        """What encodes, where not all is to be lossless."""
        pack = open_pack(choose_pack(self.settings.model, self.settings.plan).path)
        require_encoder(pack)
        return pack

    @property
    def weights_id(self) -> str | None:
        """In hexadecimal; None where all is to be lossless."""
        return None if self.settings.rate.lossless else self.pack.weights_id.hex()

    def require_backend(self) -> None:
        """Raise LicodecError where a backend was asked for that cannot encode here."""
        if not self.settings.rate.lossless:
            self.codecs.require_backend()

    @cached_property
    def codecs(self) -> PackCodecs:
        machine.prepare(self.settings.machine)
        return PackCodecs(self.pack, self.settings.machine.backend)

    @property
    def file_settings(self) -> dict[str, Any]:
        """All that changes a file beside its picture and the weights, in JSON's types."""
        return {
            "rate": self._rate_settings,
            "lossless": self.settings.rate.lossless,
            "metadata": sorted(self.settings.metadata),
            **self.settings.transparency.file_settings,
            **unusual(self.settings.framing, AS_IT_IS),
        }

    @property
    def _rate_settings(self) -> dict[str, Any] | None:
        """The rate as every file states it, or the target that it was searched for."""
        if self.settings.rate.lossless:
            return None
        if self.setting is not None:
            stated = rate_fields(self.pack, self.setting)
            adapter_id = stated["adapter_id"]
            return {**stated, "adapter_id": adapter_id and adapter_id.hex()}
        rate = self.settings.rate
        objective = self.pack.rate_scale.axis(rate).objective
        return {
            "target": rate.mode.value,
            "value": rate.value,
            "beta": rate.beta,
            "adapter_id": objective and self.pack.adapter_ids[objective].hex(),
        }

    def make(self, source: str, target: str) -> Made[EncodeResult]:
        """Read and encode one picture. Raises LicodecError."""
        settings = self.settings
        start = time.perf_counter()
        name = source_name(source)
        picture = self._read(source)
        kept = metadata_subset(picture, settings.metadata)
        keep_hidden = settings.transparency.keep_hidden
        with about(name), machine.memory_errors():
            encoded = encode_without_network(kept, settings.rate, keep_hidden)
        if encoded is None:
            spent = time.perf_counter() - start
            # Opening it may take seconds, which are not this picture's.
            codec = self.codecs.to_encode(picture.width, picture.height, settings.rate)
            start = time.perf_counter() - spent
            with about(name), machine.memory_errors():
                encoded = encode_with_network(codec, kept, settings.rate, keep_hidden)
        coded = encoded.coded
        missed = missed_target(encoded, kept, settings.rate, option_name, "--no-lossless")
        result = EncodeResult(
            Job(source, target),
            size=len(coded.data),
            pixels=picture.height * picture.width,
            rate=rate_in_words(coded.header),
            psnr=_psnr(picture, coded) if settings.measure_psnr else None,
            seconds=time.perf_counter() - start,
            warnings=tuple(f"{name}: {note}" for note in (*picture.notes, *missed)),
            notice=machine.notice(encoded.codec, settings.machine),
        )
        return Made(coded.data, self.weights_id, result)

    def _read(self, source: str) -> Picture:
        """The picture to encode, with all its metadata. Raises LicodecError."""
        with machine.memory_errors():
            picture = read_source(source)
        with about(source_name(source)), machine.memory_errors():
            return self.settings.transparency.applied(self.settings.framing.of(picture))

    def look(self, source: str, target: str) -> Look:
        """Whether a file that exists was made of a picture with these settings, as far as its
        header and metadata say. Raises LicodecError."""
        try:
            lic = read_file(read_lic(target))
        except LicodecError as error:
            return Look(Likeness.OTHER, f"is no whole .lic file ({error})")
        picture = metadata_subset(self._read(source), self.settings.metadata)
        difference = self._difference(lic, picture)
        if not difference and self.settings.rate.lossless and isinstance(lic, LosslessFile):
            with about(target_name(target)), machine.memory_errors():
                difference = _difference_of_pixels(decode_lossless(lic), picture)
        if difference:
            return Look(Likeness.OTHER, difference)
        return Look(Likeness.SAME if self._is_settled(lic, picture) else Likeness.UNKNOWN)

    def _is_settled(self, lic: LicFile | LosslessFile, picture: Picture) -> bool:
        """Whether a file without a difference can be no other than what would be made."""
        settings, lossless = self.settings, self.settings.rate.lossless
        # Which part, and on which background, no file tells.
        is_told = settings.framing == AS_IT_IS and settings.transparency.background is None
        if lossless or self.setting is None or not is_told:
            return lossless is True
        if lossless is False:
            return True
        size = sum(len(chunk.data) for chunk in lic.to_chunks())
        return isinstance(lic, LicFile) and not may_be_lossless(picture, size)

    def _difference(self, lic: LicFile | LosslessFile, picture: Picture) -> str:
        """How a file tells that it is of another picture or other settings, or nothing."""
        header, wanted = lic.header, self.settings.rate.lossless
        size = f"{header.width}x{header.height}"
        if size != f"{picture.width}x{picture.height}":
            return f"is a picture of {size} pixels, not {picture.width}x{picture.height}"
        if (header.channels, header.has_alpha) != (picture.channels, picture.alpha is not None):
            return "is a picture with other channels"
        if lic.metadata != Metadata(picture.icc, picture.exif, picture.xmp):
            return "has other metadata"
        if isinstance(header, LosslessHeader):
            return "is lossless" if wanted is False else ""
        return "is not lossless" if wanted else self._difference_of_rate(header)

    def _difference_of_rate(self, header: Header) -> str:
        pack, setting = self.pack, self.setting
        if header.weights_id != pack.weights_id:
            return f"was made with other weights ({header.weights_id.hex()})"
        if setting is None:
            return ""
        stated = rate_fields(pack, setting)
        if any(getattr(header, name) != stated[name] for name in stated):
            return f"was made at {rate_in_words(header)}"
        return ""


def _difference_of_pixels(decoded: Picture, picture: Picture) -> str:
    """How a lossless file of a picture's size and channels tells that it is of another, or
    nothing."""
    same = np.array_equal(decoded.pixels, picture.pixels)
    if decoded.alpha is not None and picture.alpha is not None:
        same = same and np.array_equal(decoded.alpha, picture.alpha)
    return "" if same else "has other pixels"


def rate_setting(rate: Rate, pack: Pack) -> Setting | None:
    """The rate as the file will state it, or None where it is a target to search.

    Raises UsageError for a value out of range and for a rate mode that the pack lacks.
    """
    try:
        return pack.rate_scale.setting(rate)
    except UsageError as error:
        as_cjxl_has_it = rate.mode is RateMode.D and rate.value == 0
        also = "; --lossless keeps every pixel" if as_cjxl_has_it else ""
        raise UsageError(f"{option_name(rate.mode)}: {error}{also}") from None


def _psnr(picture: Picture, coded: Coded) -> float:
    """Infinite for what is lossless, whatever hidden colours have become."""
    return math.inf if coded.d is None else psnr(picture.pixels, coded.picture.pixels)


def plan_encoding(sources: list[str], output: str | None) -> tuple[Job, ...]:
    """Inputs with their outputs; answers what is likely a mistake with the right command.

    Raises UsageError.
    """
    files = [source for source in sources if Path(source).suffix.lower() == LIC_SUFFIX]
    if output is None and len(sources) == 2 and files == sources[1:]:
        raise UsageError(
            f"{display_name(files[0])}: the output is named with -o: "
            f"{command_line('licodec', 'encode', sources[0], '-o', files[0])}"
        )
    if files:
        raise UsageError(
            f"{display_name(files[0])}: a .lic file already; to get its picture: "
            f"{command_line('licodec', 'decode', files[0])}"
        )
    if output is not None and Path(output).suffix.lower() in INPUT_SUFFIXES and len(sources) == 1:
        raise UsageError(
            f"{display_name(output)}: encode writes .lic files; give -o a name that ends in .lic"
        )
    return plan_jobs(sources, output, encoded_name)


def encode_files(
    sources: list[str], output: str | None, settings: EncodeSettings, verbosity: Verbosity
) -> int:
    """Encode each input; returns the exit code, the highest of the files'."""
    jobs = plan_encoding(sources, output)
    return convert_files(Encoder(settings), jobs, settings.overwrite, verbosity)
