"""What pictures are coded with: Pillow's codecs, and licodec beside its float network.

A source codes one picture at its parameters, one after the other. Pictures are coded without
alpha and metadata, so that files compare by their pixels alone.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import PIL
from PIL import Image, features

from evaluation.samples import Sample, measure
from licodec.codec import Codec
from licodec.container import read_file
from licodec.errors import LicodecError
from licodec.images import Picture
from licodec.packs import PackName, read_pack
from licodec.rate import d_to_units

if TYPE_CHECKING:
    from evaluation.floating import FloatCoder


class Source(Protocol):
    """Codes a picture at several settings of one parameter.

    parameter  what it is called: "quality", "d"
    values     its values
    curves     names of the curves to which `code` adds one sample for every value
    identity   everything but the picture and the value that samples depend on
    """

    parameter: str
    values: tuple[float, ...]

    @property
    def curves(self) -> tuple[str, ...]: ...

    @property
    def identity(self) -> str: ...

    def code(
        self, pixels: np.ndarray, values: Sequence[float]
    ) -> Iterator[tuple[float, tuple[Sample, ...]]]:
        """Yield (value, one sample for each curve) of uint8 (H, W, 1 or 3) pixels."""
        ...


# Pillow ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class PillowSource:
    """A codec of Pillow, swept over its quality."""

    name: str
    values: tuple[float, ...]
    options: Mapping[str, Any]
    colour_options: Mapping[str, Any] = field(default_factory=dict)  # for RGB alone
    parameter: str = "quality"

    @property
    def curves(self) -> tuple[str, ...]:
        return (self.name,)

    @property
    def identity(self) -> str:
        return f"{self.name} {self.library()} {dict(self.options)} {dict(self.colour_options)}"

    def library(self) -> str:
        """The library that Pillow uses for it. Raises LicodecError where it has none."""
        feature = {"JPEG": "jpg", "WebP": "webp", "AVIF": "avif"}[self.name]
        if not features.check(feature):
            raise LicodecError(
                f"this Pillow cannot write {self.name}: install one that can, or leave "
                f"{self.name.lower()} out of --codecs"
            )
        turbo = self.name == "JPEG" and features.check_feature("libjpeg_turbo")
        version = features.version("libjpeg_turbo" if turbo else feature)
        return f"{'libjpeg-turbo' if turbo else feature} {version}, Pillow {PIL.__version__}"

    def code(
        self, pixels: np.ndarray, values: Sequence[float]
    ) -> Iterator[tuple[float, tuple[Sample, ...]]]:
        grey = pixels.shape[2] == 1
        image = Image.fromarray(pixels[:, :, 0] if grey else pixels)
        options = {**self.options, **({} if grey else self.colour_options)}
        for value in values:
            buffer = io.BytesIO()
            image.save(buffer, self.name, quality=int(value), **options)
            decoded = np.asarray(Image.open(buffer).convert(image.mode)).reshape(pixels.shape)
            yield value, (measure(pixels, decoded, buffer.tell()),)


_QUALITIES = (5, 10, 15, 20, 30, 40, 50, 60, 70, 80, 85, 90, 95)
PILLOW_SOURCES = {
    "jpeg": PillowSource("JPEG", _QUALITIES, {"optimize": True}),
    "webp": PillowSource("WebP", (0, *_QUALITIES), {"method": 6}),
    # One tile: tiles cost rate. One thread: pictures are what runs in parallel.
    "avif": PillowSource(
        "AVIF",
        (10, 20, 30, 40, 50, 60, 70, 80, 85, 90, 95),
        {"speed": 4, "autotiling": False, "max_threads": 1},
        {"subsampling": "4:4:4"},
    ),
}


# licodec -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class PackSource:
    """A weights pack, swept over d (a multiple of the pack's unit); with `state`, a training
    state, the float network that it was made of beside it.

    The float network's samples have the ideal length of its symbols in the pack's tables plus
    everything in the exact form's file that is not coded symbols, and pixels of 8 bits.
    """

    pack: PackName
    values: tuple[float, ...]
    state: Path | None = None
    parameter: str = "d"

    @property
    def exact_curve(self) -> str:
        return f"licodec {self.pack.backbone}"

    @property
    def float_curve(self) -> str:
        return f"{self.exact_curve}, float"

    @property
    def curves(self) -> tuple[str, ...]:
        return (self.exact_curve, *([self.float_curve] if self.state else []))

    @property
    def identity(self) -> str:
        files = [self.pack.path, *([self.state] if self.state else [])]
        return "licodec " + " ".join(_file_hash(path) for path in files)

    def code(
        self, pixels: np.ndarray, values: Sequence[float]
    ) -> Iterator[tuple[float, tuple[Sample, ...]]]:
        codec = _open_codec(self.pack.path)
        picture = Picture(pixels)
        analysed = codec.analyse(picture)
        coder = open_float_coder(self.pack.path, self.state) if self.state else None
        floating = coder and coder.analyse(pixels)
        for d in values:
            coded = codec.code(picture, analysed, d_to_units(d, codec.pack.schedule))
            lic = read_file(coded.data)
            if not np.array_equal(codec.decode(lic).pixels, coded.picture.pixels):
                raise LicodecError(f"d = {d:g}: decoding gave other pixels than encoding promised")
            samples = [measure(pixels, coded.picture.pixels, len(coded.data))]
            if coder:
                bits, decoded = coder.code(floating, d)
                streams = sum(len(s.rans) + len(s.escapes) for s in lic.streams)
                samples.append(measure(pixels, decoded, bits / 8 + len(coded.data) - streams))
            yield d, tuple(samples)


def representable(pack: PackName, ds: Sequence[float]) -> tuple[float, ...]:
    """`ds` as files hold them: the nearest multiples of the pack's unit.

    Raises UsageError for one that is out of the pack's range.
    """
    schedule = read_pack(pack.path).schedule
    unit = 1 << schedule.latent_fraction_bits
    return tuple(sorted({d_to_units(d, schedule) / unit for d in ds}))


@lru_cache(maxsize=1)
def _open_codec(path: Path) -> Codec:
    """One for each process."""
    return Codec(read_pack(path))


@lru_cache(maxsize=1)
def open_float_coder(pack: Path, state: Path) -> FloatCoder:
    """The float network of a training state beside its pack, one for each process."""
    from evaluation.floating import FloatCoder
    from licodec.fmpq.checkpoints import load_lite

    return FloatCoder(load_lite(state), _open_codec(pack).pack)


@lru_cache(maxsize=8)
def _file_hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]
