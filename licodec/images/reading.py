"""Reading pictures: any file that Pillow reads as 8-bit grey or RGB, upright."""

from __future__ import annotations

import contextlib
import dataclasses
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

# The plugins are imported by name: Image.open would otherwise import every one Pillow has.
from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,  # noqa: F401
    GifImagePlugin,  # noqa: F401
    Image,
    JpegImagePlugin,  # noqa: F401
    MpoImagePlugin,  # noqa: F401
    PngImagePlugin,  # noqa: F401
    PpmImagePlugin,  # noqa: F401
    TiffImagePlugin,  # noqa: F401
    WebPImagePlugin,  # noqa: F401
)

from licodec.container.limits import check_picture_size
from licodec.errors import BadInputError, LimitError
from licodec.files import open_input, read_at_most
from licodec.images.directory import DESCRIPTIVE_TAGS, described_exif
from licodec.images.metadata import (
    bare_exif,
    exif_orientation,
    icc_colour_space,
    icc_fits,
    upright_exif,
    upright_xmp,
)
from licodec.images.picture import Picture
from licodec.images.pillow import pillow_errors, pillow_limits_lifted

_AVIF = AvifImagePlugin.SUPPORTED  # Pillow can be built without it
INPUT_FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "PPM", "GIF", *(["AVIF"] if _AVIF else []))
INPUT_FORMATS_TEXT = f"PNG, JPEG, WebP, TIFF, BMP, PPM/PGM/PBM, GIF{', AVIF' if _AVIF else ''}"
INPUT_SUFFIXES = frozenset(
    (
        *(".png", ".apng"),
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"),
        ".webp",
        *(".tif", ".tiff"),
        *(".bmp", ".dib"),
        *(".ppm", ".pgm", ".pbm", ".pnm"),
        ".gif",
        *([".avif"] if _AVIF else []),
    )
)

# The largest picture, of four 16-bit samples a pixel, as a file without compression.
MAX_PICTURE_FILE_BYTES = 2**31

# Pixels converted at a time: large enough for speed, small beside the picture.
_BAND_PIXELS = 2**20


def read_picture(source: Path | bytes, name: str) -> Picture:
    """Read a picture from a file, or from the bytes of one; `name` is for messages.

    Raises BadInputError for what is not one picture that can be read, LimitError for one
    over the limits of licodec.container.limits (before its pixels are decoded).
    """
    with _seekable(source, name) as stream:
        head = stream.read(16)
        if not head:
            raise BadInputError(f"{name}: the file is empty")
        stream.seek(0)
        with pillow_errors(name, head, INPUT_FORMATS_TEXT), pillow_limits_lifted():
            image = Image.open(stream, formats=INPUT_FORMATS)
        with image:
            return _picture_from(image, name, head)


@contextlib.contextmanager
def _seekable(source: Path | bytes, name: str) -> Iterator[BinaryIO]:
    if not isinstance(source, Path):
        yield io.BytesIO(source)
        return
    with open_input(source) as stream:
        if stream.seekable():
            yield stream
        else:  # a named pipe, as the shell's <(...) gives
            yield io.BytesIO(read_at_most(stream, MAX_PICTURE_FILE_BYTES, name))


def _picture_from(image: Image.Image, name: str, head: bytes) -> Picture:
    """The picture in a file that Pillow has opened and not yet decoded."""
    try:
        check_picture_size(image.width, image.height)
    except LimitError as error:
        raise LimitError(f"{name}: {error}") from None
    notes: list[str] = []
    with pillow_errors(name, head, INPUT_FORMATS_TEXT), pillow_limits_lifted():
        _refuse_several_pictures(image, name, notes)
        coding = _coding(image)
        image.load()
        reading = _reading(image, coding, name, notes)
        icc, exif, xmp = _metadata(image, reading.channels, notes)
        orientation = exif_orientation(exif) if exif is not None else None
        pixels, alpha = _samples(image, reading, orientation)
    if exif is not None:
        if xmp is not None and orientation is not None:
            xmp = upright_xmp(xmp)
        exif = upright_exif(exif)
    return Picture(pixels, alpha, icc, exif, xmp, tuple(notes))


def _refuse_several_pictures(image: Image.Image, name: str, notes: list[str]) -> None:
    count = getattr(image, "n_frames", 1)
    if count == 1:
        return
    if image.format == "MPO":
        notes.append(f"only the first of the {count} pictures in the MPO file taken")
        return
    if image.format == "TIFF":
        raise BadInputError(
            f"{name}: a TIFF of {count} pages; licodec takes single pictures, so split it first"
        )
    raise BadInputError(
        f"{name}: an animated {image.format} of {count} frames; "
        "licodec takes single pictures, so extract a frame first"
    )


@dataclass(frozen=True)
class _Coding:
    """How a file codes its samples: what Pillow forgets when it decodes them.

    rawmode   Pillow's name for the layout ("RGB;16B"); "" where there is none
    bits      bits of the widest sample
    inverted  0 is white and Pillow does not undo that
    """

    rawmode: str
    bits: int
    inverted: bool


def _coding(image: Image.Image) -> _Coding:
    tile = image.tile[0] if getattr(image, "tile", None) else None
    arguments = tile[3] if tile else ""
    if isinstance(arguments, str):
        arguments = (arguments,)
    rawmode = arguments[0] if arguments and isinstance(arguments[0], str) else ""
    bits, inverted = 8, False
    if image.format == "TIFF":
        bits = max(image.tag_v2.get(258, (1,)))
        inverted = image.mode.startswith("I;16") and image.tag_v2.get(262) == 0
    elif image.format == "PNG":
        _, _, suffix = rawmode.partition(";")
        bits = int("".join(filter(str.isdigit, suffix)) or 8)
    elif image.format == "PPM":
        sixteen = image.mode == "I" or (tile[0].startswith("ppm") and arguments[-1] > 255)
        bits = 16 if sixteen else 8
    return _Coding(rawmode, bits, inverted)


@dataclass(frozen=True)
class _Reading:
    """How samples of a loaded Pillow image become ours.

    mode      Pillow mode that each band is converted to
    channels  1 or 3
    alpha     whether the band's last channel, in that mode, is alpha
    maximum   the value that becomes 255
    inverted  0 is white
    key       the transparent colour, one value a channel, in the values of `mode`
    """

    mode: str
    channels: int
    alpha: bool = False
    maximum: int = 255
    inverted: bool = False
    key: tuple[int, ...] | None = None


_PLAIN_READINGS = {
    "1": _Reading("L", 1),
    "L": _Reading("L", 1),
    "LA": _Reading("LA", 1, alpha=True),
    "La": _Reading("LA", 1, alpha=True),
    "P": _Reading("RGB", 3),
    "PA": _Reading("RGBA", 3, alpha=True),
    "RGB": _Reading("RGB", 3),
    "RGBX": _Reading("RGB", 3),
    "RGBA": _Reading("RGBA", 3, alpha=True),
    "RGBa": _Reading("RGBA", 3, alpha=True),
    "CMYK": _Reading("RGB", 3),
    "YCbCr": _Reading("RGB", 3),
}


def _reading(image: Image.Image, coding: _Coding, name: str, notes: list[str]) -> _Reading:
    """How to read a loaded image; notes what that loses. Raises BadInputError."""
    mode = image.mode
    if mode.startswith("I;16") or (mode == "I" and image.format == "PPM"):
        bits = coding.bits if coding.bits in (12, 16) else 16
        notes.append(f"{bits}-bit samples reduced to 8")
        key = image.info.get("transparency")
        return _Reading(
            mode,
            1,
            maximum=2**bits - 1,
            inverted=coding.inverted,
            key=(key,) if isinstance(key, int) else None,
        )
    if mode in ("I", "F"):
        kind = "floating-point" if mode == "F" else "32-bit or signed integer"
        raise BadInputError(
            f"{name}: {kind} samples have no stated range; convert the picture to 8 or 16 bits"
        )
    if mode not in _PLAIN_READINGS:
        raise BadInputError(f"{name}: a picture of mode {mode}; convert it to RGB first")
    if coding.bits > 8:
        how = "rounded" if image.format == "PPM" else "their high bytes"
        notes.append(f"{coding.bits}-bit samples reduced to 8 ({how})")
    if mode in ("CMYK", "YCbCr"):
        notes.append(f"{mode} converted to RGB")
    if coding.rawmode.startswith("RGBX") or mode == "RGBX":
        notes.append("samples of unspecified meaning left out")
    if coding.rawmode.startswith("RGBa") or mode in ("RGBa", "La"):
        notes.append("premultiplied alpha divided out of the colours")
    if coding.rawmode == "LA;16B":  # grey and alpha of 16 bits, which Pillow makes RGBA
        return _Reading("LA", 1, alpha=True)
    reading = _PLAIN_READINGS[mode]
    if reading.alpha or "transparency" not in image.info:
        return reading
    if mode == "P":
        return _Reading("RGBA", 3, alpha=True)
    return dataclasses.replace(reading, key=_colour_key(image, coding, notes))


def _colour_key(image: Image.Image, coding: _Coding, notes: list[str]) -> tuple[int, ...] | None:
    """The transparent colour of a grey or RGB image, in 8-bit values; None where it has none.

    PNG states it in the samples' own bits, of which Pillow has made 8.
    """
    stated = image.info["transparency"]
    values = stated if isinstance(stated, tuple) else (stated,)
    channels = 3 if image.mode == "RGB" else 1
    if len(values) != channels or not all(isinstance(value, int) for value in values):
        return None
    if coding.bits == 16:
        notes.append("the transparent colour compared in its high bytes")
        return tuple(value >> 8 for value in values)
    if coding.bits < 8:
        largest = 2**coding.bits - 1
        return tuple((value & largest) * (255 // largest) for value in values)
    return tuple(value & 255 for value in values)


def _samples(
    image: Image.Image, reading: _Reading, orientation: int | None
) -> tuple[np.ndarray, np.ndarray | None]:
    """Pixels (H, W, C) uint8 and alpha (H, W) uint8 or None, upright."""
    width, height = image.size
    upright = (width, height) if orientation in (5, 6, 7, 8) else (height, width)
    pixels = np.empty((*upright, reading.channels), np.uint8)
    has_alpha = reading.alpha or reading.key is not None
    alpha = np.empty(upright, np.uint8) if has_alpha else None
    # Views in the file's own row order: writing to them puts every sample upright.
    pixel_rows = _as_stored(pixels, orientation)
    alpha_rows = None if alpha is None else _as_stored(alpha, orientation)
    rows = max(1, _BAND_PIXELS // width)
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        band = image.crop((0, top, width, bottom))
        if band.mode != reading.mode:
            band = band.convert(reading.mode)
        values = np.asarray(band).reshape(bottom - top, width, -1)
        if alpha_rows is not None and reading.key is not None:
            transparent = (values == reading.key).all(axis=2)
            alpha_rows[top:bottom] = np.where(transparent, 0, 255)
        elif alpha_rows is not None:
            alpha_rows[top:bottom] = values[:, :, -1]
        pixel_rows[top:bottom] = _eight_bits(values[:, :, : reading.channels], reading)
    return pixels, alpha


def _as_stored(upright: np.ndarray, orientation: int | None) -> np.ndarray:
    """The view of an upright array whose rows and columns are those of the file.

    No orientation and illegal ones count as 1, as viewers have it.
    """
    match orientation:
        case 2:
            return upright[:, ::-1]
        case 3:
            return upright[::-1, ::-1]
        case 4:
            return upright[::-1]
        case 5:
            return upright.swapaxes(0, 1)
        case 6:  # the file's rows are upright columns, read from the right
            return upright[:, ::-1].swapaxes(0, 1)
        case 7:
            return upright[::-1, ::-1].swapaxes(0, 1)
        case 8:  # the file's rows are upright columns, each read from below
            return upright[::-1].swapaxes(0, 1)
        case _:
            return upright


def _eight_bits(values: np.ndarray, reading: _Reading) -> np.ndarray:
    """Samples 0 to `maximum` as 0 to 255, rounded (there are no ties: maximum is odd)."""
    if reading.maximum == 255:
        return values
    wide = np.clip(values.astype(np.int64), 0, reading.maximum)
    if reading.inverted:
        wide = reading.maximum - wide
    return ((wide * 255 + reading.maximum // 2) // reading.maximum).astype(np.uint8)


# Metadata on the way in


def _metadata(
    image: Image.Image, channels: int, notes: list[str]
) -> tuple[bytes | None, bytes | None, bytes | None]:
    """ICC profile, Exif (orientation as in the file) and XMP of a loaded image."""
    icc = _as_bytes(image.info.get("icc_profile"))
    if icc is not None and not icc_fits(icc, channels):
        space = icc_colour_space(icc)
        kind = f"for {space} samples" if space else "that is damaged"
        notes.append(f"ICC profile {kind} left out, the picture is {_colour_name(channels)}")
        icc = None
    gamma = image.info.get("gamma")
    if isinstance(gamma, float) and icc is None and abs(gamma - 1 / 2.2) > 0.005:
        notes.append(f"PNG gamma {gamma:g} left out")
    if image.format == "TIFF":
        exif = described_exif(image.getexif(), DESCRIPTIVE_TAGS)
    else:
        exif = _as_bytes(image.info.get("exif")) or _raw_profile(image)
    if exif is not None:
        exif = bare_exif(exif)
        if exif is None:
            notes.append("damaged Exif left out")
    xmp = _as_bytes(image.info.get("xmp"))
    if xmp is not None and image.format == "TIFF":
        xmp = upright_xmp(xmp)
    return icc, exif, xmp


def _colour_name(channels: int) -> str:
    return "grey" if channels == 1 else "RGB"


def _as_bytes(value: object) -> bytes | None:
    """A metadata block as Pillow has it: bytes, or text from a wrongly typed TIFF field."""
    if isinstance(value, str):
        value = value.encode()
    return value if isinstance(value, bytes) and value else None


def _raw_profile(image: Image.Image) -> bytes | None:
    """Exif as older programs put it into a PNG: hexadecimal text after three lines."""
    text = image.info.get("Raw profile type exif")
    if not isinstance(text, str):
        return None
    try:
        return bytes.fromhex("".join(text.split("\n")[3:]))
    except ValueError:
        return b"damaged"
