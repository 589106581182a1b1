"""The codecs that licodec is compared with, on the same pixels, without alpha and metadata.

JPEG with optimized Huffman tables and Pillow's default subsampling, WebP with method 6, AVIF with
speed 4 and 4:4:4, all by Pillow; JPEG XL with effort 7, by pillow-jxl-plugin (the extra `compare`)
or else by the programs cjxl and djxl.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import PIL
from PIL import Image, ImageFile, features

from licodec.errors import LicodecError, UsageError
from licodec.images.pillow import PILLOW_ERRORS, one_line, pillow_limits_lifted

_JXL_PLUGIN = "pillow_jxl"


class PeerCodec(Protocol):
    """A codec with one setting, its quality.

    name       as people write it
    qualities  those that it takes, lossless ones left out where they are another method
    library    what does the work, with versions
    """

    @property
    def name(self) -> str: ...

    @property
    def qualities(self) -> range: ...

    @property
    def library(self) -> str: ...

    def encode(self, pixels: np.ndarray, quality: int) -> bytes:
        """A file of uint8 (H, W, 1 or 3) pixels. Raises LicodecError for what it cannot code."""

    def decode(self, data: bytes, channels: int) -> np.ndarray:
        """The pixels of a file that `encode` made of so many channels."""


@dataclass(frozen=True)
class PillowCodec:
    """A codec of Pillow, or of a plugin to it.

    format          Pillow's name
    options         for Pillow's save
    colour_options  the same, for RGB alone
    plugin          the module that tells Pillow of the format, in each process that uses it
    """

    name: str
    format: str
    qualities: range
    library: str
    options: Mapping[str, Any] = field(default_factory=dict)
    colour_options: Mapping[str, Any] = field(default_factory=dict)
    plugin: str = "PIL"

    def encode(self, pixels: np.ndarray, quality: int) -> bytes:
        importlib.import_module(self.plugin)
        options = {**self.options, **(self.colour_options if pixels.shape[2] == 3 else {})}
        stream = io.BytesIO()
        try:
            with _room_for(pixels):
                _image(pixels).save(stream, self.format, quality=quality, **options)
        except PILLOW_ERRORS as error:
            raise _cannot_code(self.name, one_line(error)) from error
        return stream.getvalue()

    def decode(self, data: bytes, channels: int) -> np.ndarray:
        importlib.import_module(self.plugin)
        return _pixels(data, self.format, channels)


@dataclass(frozen=True)
class JxlPrograms:
    """JPEG XL by the programs cjxl and djxl, called by path."""

    cjxl: str
    djxl: str
    library: str
    name: str = "JPEG XL"
    qualities: range = range(0, 100)

    def encode(self, pixels: np.ndarray, quality: int) -> bytes:
        png = io.BytesIO()
        _image(pixels).save(png, "PNG")
        return self._run(self.cjxl, png.getvalue(), ".png", ".jxl", "-q", f"{quality}", "-e", "7")

    def decode(self, data: bytes, channels: int) -> np.ndarray:
        return _pixels(self._run(self.djxl, data, ".jxl", ".png"), "PNG", channels)

    def _run(self, program: str, data: bytes, source: str, target: str, *options: str) -> bytes:
        """What a program makes of `data`; suffixes tell it the formats. Raises LicodecError."""
        with tempfile.TemporaryDirectory(prefix="licodec-") as folder:
            given, made = Path(folder, f"in{source}"), Path(folder, f"out{target}")
            given.write_bytes(data)
            done = subprocess.run([program, given, made, *options], capture_output=True)
            if done.returncode or not made.exists():
                said = done.stderr.decode(errors="replace").strip().splitlines()
                raise _cannot_code(self.name, said[-1] if said else f"{program} failed")
            return made.read_bytes()


@contextlib.contextmanager
def _room_for(pixels: np.ndarray) -> Iterator[None]:
    """Let Pillow's buffer hold a whole JPEG, which libjpeg needs to optimize its tables: what
    Pillow takes without this is too little for noise."""
    before = ImageFile.MAXBLOCK
    ImageFile.MAXBLOCK = max(before, 2 * pixels.size + 2**16)
    try:
        yield
    finally:
        ImageFile.MAXBLOCK = before


def _image(pixels: np.ndarray) -> Image.Image:
    return Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)


def _pixels(data: bytes, format: str, channels: int) -> np.ndarray:
    with pillow_limits_lifted(), Image.open(io.BytesIO(data), formats=(format,)) as image:
        pixels = np.asarray(image.convert("L" if channels == 1 else "RGB"))
    return pixels.reshape(*pixels.shape[:2], channels)


def _cannot_code(name: str, why: str) -> LicodecError:
    return LicodecError(f"{name} cannot code this picture ({why})")


# Which there are -------------------------------------------------------------------------------


def _pillow(
    feature: str,
    name: str,
    qualities: range,
    options: Mapping[str, Any],
    colour_options: Mapping[str, Any] | None = None,
) -> Callable[[], PeerCodec]:
    """How a codec of Pillow is opened; its errors are LicodecError."""

    def opened() -> PeerCodec:
        if not features.check(feature):
            raise LicodecError(f"this Pillow cannot write {name}; install one that can")
        turbo = feature == "jpg" and features.check_feature("libjpeg_turbo")
        library = "libjpeg_turbo" if turbo else feature
        title = {"libjpeg_turbo": "libjpeg-turbo", "jpg": "libjpeg"}.get(library, f"lib{library}")
        by = f"{title} {features.version(library)}, Pillow {PIL.__version__}"
        return PillowCodec(name, name.upper(), qualities, by, options, colour_options or {})

    return opened


def _open_jxl() -> PeerCodec:
    try:
        importlib.import_module(_JXL_PLUGIN)
    except ImportError:
        cjxl, djxl = shutil.which("cjxl"), shutil.which("djxl")
        if cjxl is None or djxl is None:
            raise LicodecError(
                "JPEG XL needs the package pillow-jxl-plugin (pip install 'licodec[compare]') or "
                "the programs cjxl and djxl"
            ) from None
        told = subprocess.run([cjxl, "--version"], capture_output=True, text=True).stdout
        return JxlPrograms(cjxl, djxl, " ".join(told.split()[:2]) or "cjxl")
    library = f"pillow-jxl-plugin {version('pillow-jxl-plugin')}"
    return PillowCodec("JPEG XL", "JXL", range(0, 100), library, {"effort": 7}, plugin=_JXL_PLUGIN)


_OPENERS: dict[str, Callable[[], PeerCodec]] = {
    "jpeg": _pillow("jpg", "JPEG", range(1, 101), {"optimize": True}),
    "webp": _pillow("webp", "WebP", range(0, 101), {"method": 6}),
    # One tile: tiles cost rate.
    "avif": _pillow(
        "avif",
        "AVIF",
        range(0, 100),
        {"speed": 4, "autotiling": False},
        {"subsampling": "4:4:4"},
    ),
    "jxl": _open_jxl,
}
CODECS = tuple(_OPENERS)


def parse_codecs(text: str) -> tuple[str, ...]:
    """The codecs of "webp,avif", each once. Raises UsageError for one that there is not."""
    names = tuple(dict.fromkeys(filter(None, (part.strip().lower() for part in text.split(",")))))
    unknown = [name for name in names if name not in CODECS]
    if unknown or not names:
        raise UsageError(f"--codecs {text!a}: give one or more of {','.join(CODECS)}")
    return names


def open_codec(name: str) -> PeerCodec:
    """One of CODECS. Raises LicodecError where what it needs is not installed."""
    return _OPENERS[name]()
