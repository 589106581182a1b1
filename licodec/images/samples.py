"""Samples of a Pillow image, of any mode, as 8-bit grey or RGB and alpha, upright."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageFile

from licodec.errors import BadInputError

Box = tuple[int, int, int, int]

# Pixels converted at a time: large enough for speed, small beside the picture.
_BAND_PIXELS = 2**20


@dataclass(frozen=True)
class Coding:
    """How a file codes its samples: what Pillow forgets when it decodes them.

    rawmode   Pillow's name for the layout ("RGB;16B"); "" where there is none
    bits      bits of the widest sample
    inverted  0 is white and Pillow does not undo that
    covered   the box (left, top, right, bottom) that a GIF's frame fills, where not all
    """

    rawmode: str = ""
    bits: int = 8
    inverted: bool = False
    covered: Box | None = None


def tiles_of(image: Image.Image) -> Sequence[tuple[str, Box | None, int, Any]]:
    """What of its file Pillow has not decoded yet: decoder, box, offset and arguments."""
    return image.tile if isinstance(image, ImageFile.ImageFile) else []


def coding_of(image: Image.Image) -> Coding:
    """The coding of an image that Pillow has opened; of one already decoded what is left of it."""
    tile = next(iter(tiles_of(image)), None)
    arguments = tile[3] if tile else ""
    if isinstance(arguments, str):
        arguments = (arguments,)
    rawmode = arguments[0] if arguments and isinstance(arguments[0], str) else ""
    bits, inverted = 8, False
    if image.format == "TIFF" and hasattr(image, "tag_v2"):
        bits = max(image.tag_v2.get(258, (1,)))
        inverted = image.mode.startswith("I;16") and image.tag_v2.get(262) == 0
    elif image.format == "PNG":
        _, _, suffix = rawmode.partition(";")
        bits = int("".join(filter(str.isdigit, suffix)) or 8)
    elif image.format == "PPM":
        maximum = arguments[-1] if tile is not None and tile[0].startswith("ppm") else 1
        wide = isinstance(maximum, int) and maximum > 255  # of a bitmap none is stated
        bits = 16 if wide or image.mode == "I" else 8
    covered = None
    if image.format == "GIF" and tile is not None and tile[1] != (0, 0, *image.size):
        covered = tile[1]
    return Coding(rawmode, bits, inverted, covered)


@dataclass(frozen=True)
class Reading:
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
    "1": Reading("L", 1),
    "L": Reading("L", 1),
    "LA": Reading("LA", 1, alpha=True),
    "La": Reading("LA", 1, alpha=True),
    "P": Reading("RGB", 3),
    "PA": Reading("RGBA", 3, alpha=True),
    "RGB": Reading("RGB", 3),
    "RGBX": Reading("RGB", 3),
    "RGBA": Reading("RGBA", 3, alpha=True),
    "RGBa": Reading("RGBA", 3, alpha=True),
    "CMYK": Reading("RGB", 3),
    "YCbCr": Reading("RGB", 3),
}


def reading_of(image: Image.Image, coding: Coding, notes: list[str]) -> Reading:
    """How to read a loaded image; notes what that loses. Raises BadInputError."""
    mode = image.mode
    if mode.startswith("I;16") or (mode == "I" and image.format == "PPM"):
        bits = coding.bits if coding.bits in (12, 16) else 16
        notes.append(f"{bits}-bit samples reduced to 8")
        key = image.info.get("transparency")
        grey_key = (key,) if isinstance(key, int) else None
        return Reading(mode, 1, maximum=2**bits - 1, inverted=coding.inverted, key=grey_key)
    if mode in ("I", "F"):
        kind = "floating-point" if mode == "F" else "32-bit or signed integer"
        raise BadInputError(
            f"{kind} samples have no stated range; convert the picture to 8 or 16 bits"
        )
    if mode not in _PLAIN_READINGS:
        raise BadInputError(f"a picture of mode {mode}; convert it to RGB first")
    if coding.bits > 8:
        how = "rounded" if image.format == "PPM" else "their high bytes"
        notes.append(f"{coding.bits}-bit samples reduced to 8 ({how})")
    if mode in ("CMYK", "YCbCr"):
        notes.append(f"{mode} converted to RGB")
    if mode == "RGBX":
        notes.append("samples of unspecified meaning left out")
    if coding.rawmode.startswith("RGBa") or mode in ("RGBa", "La"):
        notes.append("premultiplied alpha divided out of the colours")
    if coding.rawmode == "LA;16B":  # grey and alpha of 16 bits, which Pillow makes RGBA
        return Reading("LA", 1, alpha=True)
    reading = _PLAIN_READINGS[mode]
    if mode == "P" and image.has_transparency_data:
        return Reading("RGBA", 3, alpha=True)
    if reading.alpha or "transparency" not in image.info:
        return reading
    return dataclasses.replace(reading, key=_colour_key(image, coding, notes))


def _colour_key(image: Image.Image, coding: Coding, notes: list[str]) -> tuple[int, ...] | None:
    """The transparent colour of a grey or RGB image, in 8-bit values; None where it has none.

    PNG states it in the samples' own bits, of which Pillow has made 8. Of an image that it has
    decoded only a large value tells that there were 16.
    """
    stated = image.info["transparency"]
    values = stated if isinstance(stated, tuple) else (stated,)
    channels = 3 if image.mode == "RGB" else 1
    if len(values) != channels or not all(isinstance(value, int) for value in values):
        return None
    if coding.bits == 16 or max(values) > 255:
        notes.append("the transparent colour compared in its high bytes")
        return tuple(value >> 8 for value in values)
    if coding.bits < 8:
        largest = 2**coding.bits - 1
        return tuple((value & largest) * (255 // largest) for value in values)
    return tuple(value & 255 for value in values)


def upright_samples(
    image: Image.Image, reading: Reading, orientation: int | None
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
    for rows in row_bands(height, width):
        band = image.crop((0, rows.start, width, rows.stop))
        if band.mode != reading.mode:
            band = band.convert(reading.mode)
        values = np.asarray(band).reshape(rows.stop - rows.start, width, -1)
        if alpha_rows is not None and reading.key is not None:
            transparent = (values == reading.key).all(axis=2)
            alpha_rows[rows] = np.where(transparent, 0, 255)
        elif alpha_rows is not None:
            alpha_rows[rows] = values[:, :, -1]
        pixel_rows[rows] = eight_bits(
            values[:, :, : reading.channels], reading.maximum, reading.inverted
        )
    return pixels, alpha


def row_bands(height: int, width: int) -> Iterator[slice]:
    """Rows to convert at a time, from the top."""
    rows = max(1, _BAND_PIXELS // width)
    for top in range(0, height, rows):
        yield slice(top, min(top + rows, height))


# What makes the rows and columns of a file of an upright picture's: steps down and to the right,
# and whether the file's rows are columns.
_STORED = {
    2: (1, -1, False),
    3: (-1, -1, False),
    4: (-1, 1, False),
    5: (1, 1, True),
    6: (1, -1, True),
    7: (-1, -1, True),
    8: (-1, 1, True),
}


def _as_stored(upright: np.ndarray, orientation: int | None) -> np.ndarray:
    """The view of an upright array whose rows and columns are those of the file.

    No orientation and illegal ones count as 1, as viewers have it.
    """
    down, right, turned = _STORED.get(orientation or 1, (1, 1, False))
    view = upright[::down, ::right]
    return view.swapaxes(0, 1) if turned else view


def eight_bits(values: np.ndarray, maximum: int, inverted: bool = False) -> np.ndarray:
    """Samples 0 to `maximum`, a 2^n - 1, as 0 to 255, rounded; 255 to 0 where `inverted`."""
    if maximum == 255 and not inverted:
        return values
    wide: np.ndarray = np.clip(values.astype(np.int32 if maximum < 2**16 else np.int64), 0, maximum)
    if inverted:
        wide = maximum - wide
    return ((wide * 255 + maximum // 2) // maximum).astype(np.uint8)
