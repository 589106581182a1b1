"""Second readers of pictures: libraries that read them without Pillow.

libvips shares libjpeg-turbo and libwebp with it, and no code that reads PNG, GIF, AVIF's boxes,
orientations and metadata; the others share less. Each is optional and is imported when it is
first asked. All give samples as the file has them, upright, with no profile applied; the first
of several pictures where a file holds more.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from licodec.images import METADATA_KINDS

# Read when the libraries are loaded: what they have to say comes to us as errors.
os.environ.setdefault("OPENCV_LOG_LEVEL", "OFF")
os.environ.setdefault("VIPS_WARNING", "0")
os.environ.setdefault("VIPS_CONCURRENCY", "1")

_ORIENTATION, _ICC, _XMP = 274, 34675, 700
_ASSOCIATED, _UNASSOCIATED = 1, 2  # TIFF's kinds of extra samples that are alpha
_LOSSY_TIFF = {6, 7, 34892, 50001, 50002, 33003, 33004, 33005, 34712}  # JPEG, WebP, JPEG 2000


class UnableError(Exception):
    """A reader that is not installed, or that cannot read this file."""


@dataclass(frozen=True)
class Reading:
    """A picture as a second reader has it.

    samples        (H, W, C): 1 grey, 2 grey and alpha, 3 RGB, 4 RGB and alpha
    maximum        the sample that is white and opaque; None where nothing says which is
    bits           of a sample in the file; None where the reader does not say
    lossy          the file's coding leaves decoders some freedom, as far as the reader says
    premultiplied  colours are multiplied by alpha
    colours        how the file has them: "grey", "RGB", "CMYK", "YCbCr", or another name,
                   for which samples may mean anything
    pictures       in the file
    preview        the file says that this is a smaller version of another of its pictures
    complaint      what the reader objected to before it read on
    metadata       of "icc", "exif", "xmp", those that the reader found
    """

    samples: np.ndarray
    maximum: float | None
    bits: int | None = None
    lossy: bool = False
    premultiplied: bool = False
    colours: str = "RGB"
    pictures: int = 1
    preview: bool = False
    complaint: str = ""
    metadata: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Reader:
    """A second reader: its name, and what reads a file. `read` raises UnableError."""

    name: str
    read: Callable[[Path], Reading]


def one_line(error: object, path: Path) -> str:
    """An error's text, short, on one line and without the file's path."""
    text = " ".join(str(error).replace(str(path), path.name).split())
    return text[:200] or type(error).__name__


def rgb_from_cmyk(samples: np.ndarray, maximum: float) -> np.ndarray:
    """Colours of inks (C, M, Y, K, 0 is none) on white paper, each a filter: no profile.

    What follows the inks is kept.
    """
    paper = maximum - samples[:, :, :4].astype(np.float64)
    colours = paper[:, :, :3] * paper[:, :, 3:] / maximum
    return np.concatenate([colours, samples[:, :, 4:]], axis=2)


# libvips

_VIPS_METADATA = {"icc": "icc-profile-data", "exif": "exif-data", "xmp": "xmp-data"}


def _vips_image(path: Path) -> tuple[Any, np.ndarray, str]:
    """The upright image, its samples, and the complaint after which they came."""
    try:
        import pyvips
    except (ImportError, OSError) as error:  # OSError: without its library
        raise UnableError("not installed") from error
    try:
        complaint = ""
        for strictness in ("warning", "none"):
            try:
                image = pyvips.Image.new_from_file(str(path), fail_on=strictness).autorot()
                return image, image.numpy(), complaint
            except pyvips.Error as error:
                complaint = one_line(error, path)
    except (OSError, ValueError, TypeError) as error:
        complaint = one_line(error, path)
    raise UnableError(complaint)


def _read_vips(path: Path) -> Reading:
    image, samples, complaint = _vips_image(path)
    samples = np.atleast_3d(samples)
    # Not by the list of all names: they come from the file, in any encoding.
    bits, pictures = (
        image.get(name) if image.get_typeof(name) else None
        for name in ("bits-per-sample", "n-pages")
    )
    spaces = {"b-w": "grey", "grey16": "grey", "srgb": "RGB", "rgb": "RGB", "rgb16": "RGB"}
    colours = spaces.get(image.interpretation, image.interpretation.upper())
    maximum = {"uint8": 255.0, "uint16": 65535.0}.get(str(samples.dtype))
    if colours == "CMYK" and maximum:
        samples = rgb_from_cmyk(samples, maximum)
    if image.get("vips-loader") == "heifload" and _is_grey(samples):
        maximum = None  # libheif leaves samples from 16 to 235 as they are
    return Reading(
        samples[:, :, :4],
        maximum,
        bits,
        colours=colours,
        pictures=pictures or _png_pictures(path),
        complaint=complaint,
        metadata=frozenset(
            kind for kind in METADATA_KINDS if image.get_typeof(_VIPS_METADATA[kind])
        ),
    )


def _is_grey(samples: np.ndarray) -> bool:
    return samples.shape[2] < 3 or bool((samples[:, :, :3] == samples[:, :, :1]).all())


def _png_pictures(path: Path) -> int:
    """How many pictures an animated PNG holds, which libvips does not look for."""
    head, control, rest = path.read_bytes().partition(b"\x00\x00\x00\x08acTL")
    if not control or b"IDAT" in head or not head.startswith(b"\x89PNG"):
        return 1
    first_is_apart = b"fcTL" not in rest.partition(b"IDAT")[0]
    return max(int.from_bytes(rest[:4]), rest.count(b"\x00\x00\x00\x1afcTL")) + first_is_apart


# tifffile, with imagecodecs for what is compressed


@contextlib.contextmanager
def _tiff(path: Path) -> Iterator[Any]:
    """The file's pages, while it is open."""
    try:
        import tifffile
    except ImportError as error:
        raise UnableError("not installed") from error
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)
    try:
        with tifffile.TiffFile(path) as file:
            yield file.pages
    except UnableError:
        raise
    except Exception as error:  # its decoders promise no common class
        raise UnableError(one_line(error, path)) from error


def _read_tiff(path: Path) -> Reading:
    with _tiff(path) as pages:
        return _tiff_page(pages.first, len(pages))


def _read_vips_tiff(path: Path) -> Reading:
    """libvips's samples, with what tifffile says that they mean."""
    reading = _read_vips(path)
    with _tiff(path) as pages:
        page = pages.first
        extra = page.extrasamples[0] if page.extrasamples else 0
        count = 1 if reading.colours == "grey" else 3
        return replace(
            reading,
            samples=reading.samples[:, :, : count + (extra in (_ASSOCIATED, _UNASSOCIATED))],
            lossy=int(page.compression) in _LOSSY_TIFF or int(page.photometric) == 6,
            premultiplied=extra == _ASSOCIATED,
            preview=bool(page.is_reduced),
        )


def _tiff_page(page: Any, pages: int) -> Reading:
    samples = page.asarray()
    samples = np.moveaxis(samples, 0, 2) if page.planarconfig == 2 else np.atleast_3d(samples)
    if samples.ndim != 3 or not samples.size:
        raise UnableError(f"samples of shape {samples.shape}")
    bits = page.bitspersample
    bits = max(bits) if isinstance(bits, tuple) else bits
    integers = np.issubdtype(samples.dtype, np.unsignedinteger) or samples.dtype == bool
    maximum = float(2**bits - 1) if integers and bits <= 16 else None
    lossy, colours, count = int(page.compression) in _LOSSY_TIFF, "RGB", 3
    match int(page.photometric):
        case 0 if maximum is not None:
            samples, colours, count = maximum - samples[:, :, :1], "grey", 1
        case 0 | 1:
            colours, count = "grey", 1
        case 2:
            pass
        case 3:
            table = np.moveaxis(page.colormap, 0, 1)
            samples, maximum = table[samples[:, :, 0]], 65535.0
        case 5 if maximum is not None:
            samples, colours = rgb_from_cmyk(samples, maximum), "CMYK"
        case 6 if lossy:  # the decoder has made RGB of it
            colours = "YCbCr"
        case 6:
            lossy, colours = True, "YCbCr not converted"
        case other:
            colours = f"photometric {other}"
    extra = page.extrasamples[0] if page.extrasamples else 0
    has_alpha = extra in (_ASSOCIATED, _UNASSOCIATED) and samples.shape[2] > count
    metadata = {kind for kind, tag in (("icc", _ICC), ("xmp", _XMP)) if tag in page.tags}
    orientation = page.tags.get(_ORIENTATION)
    return Reading(
        _upright(samples[:, :, : count + has_alpha], orientation.value if orientation else 1),
        maximum,
        bits,
        lossy,
        premultiplied=has_alpha and extra == _ASSOCIATED,
        colours=colours,
        pictures=pages,
        preview=bool(page.is_reduced),
        metadata=frozenset(metadata),
    )


def _upright(samples: np.ndarray, orientation: int) -> np.ndarray:
    """Samples as they are to be seen: Exif's eight orientations are four flips, or transposed."""
    if orientation in (5, 6, 7, 8):
        samples = samples.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        samples = samples[::-1]
    return samples[:, ::-1] if orientation in (2, 3, 6, 7) else samples


# ImageMagick


@functools.cache
def _magick() -> str:
    for name in ("magick", "convert-im6.q16", "convert"):
        command = shutil.which(name)
        if command:
            version = subprocess.run([command, "-version"], capture_output=True, text=True)
            if version.stdout.startswith("Version: ImageMagick"):
                return command
    raise UnableError("not installed")


def _read_magick(path: Path) -> Reading:
    # Stripped of comments, which would go into the header.
    wanted = ["-auto-orient", "-colorspace", "sRGB", "-strip", "-depth", "16"]
    command = [_magick(), f"{path}[0]", *wanted, "pam:-"]
    with tempfile.TemporaryFile() as output:
        run = subprocess.run(command, stdout=output, stderr=subprocess.PIPE)
        output.seek(0)
        data = output.read()
    complaint = one_line(run.stderr.decode(errors="replace"), path) if run.stderr else ""
    header, end, body = data.partition(b"ENDHDR\n")
    if not end:
        raise UnableError(complaint or f"exit code {run.returncode}")
    fields = dict(re.findall(r"(\w+) (\d+)", header.decode()))
    height, width = int(fields["HEIGHT"]), int(fields["WIDTH"])
    if not height or not width:
        raise UnableError(complaint)
    samples = np.frombuffer(body, ">u2").reshape(height, width, -1)
    return Reading(samples, 65535.0, complaint=complaint)


# OpenCV


def _read_opencv(path: Path) -> Reading:
    try:
        import cv2
    except ImportError as error:
        raise UnableError("not installed") from error
    try:
        samples = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise UnableError(one_line(error, path)) from error
    if samples is None:
        raise UnableError("cannot read it")
    samples = np.atleast_3d(samples)
    samples = samples[:, :, [[0], [0, 1], [2, 1, 0], [2, 1, 0, 3]][samples.shape[2] - 1]]
    maximum = {"uint8": 255.0, "uint16": 65535.0}.get(str(samples.dtype))
    return Reading(samples, maximum)


VIPS = Reader("libvips", _read_vips)
VIPS_TIFF = Reader("libvips", _read_vips_tiff)
TIFFFILE = Reader("tifffile", _read_tiff)
MAGICK = Reader("ImageMagick", _read_magick)
OPENCV = Reader("OpenCV", _read_opencv)

# By format, the best first: the others are asked where it is unable or disagrees. tifffile is
# the last one, for licodec may read a TIFF by it, too. For AVIF OpenCV has libavif, as Pillow,
# and ImageMagick libheif, as libvips.
READERS: dict[str, tuple[Reader, ...]] = {
    "PNG": (VIPS, MAGICK),
    "JPEG": (VIPS, MAGICK),
    "WEBP": (VIPS, MAGICK),
    "TIFF": (VIPS_TIFF, MAGICK, TIFFFILE),
    "BMP": (MAGICK, OPENCV),
    "PPM": (MAGICK, OPENCV),
    "GIF": (VIPS, MAGICK),
    "AVIF": (VIPS,),
}


def reference_reader(suite: Path, references: Path) -> Reader:
    """A reader of a suite's own reference pictures: PNGs called like its files, as libvips reads
    them."""

    def read(path: Path) -> Reading:
        reference = references / f"{path.relative_to(suite)}.png"
        if not reference.is_file():
            raise UnableError("no such reference")
        # The reference stands for the pixels alone: depths and metadata are the file's own.
        return replace(_read_vips(reference), bits=None, metadata=frozenset())

    return Reader("the suite's reference", read)
