"""PNG: what its chunks say and Pillow does not pass on."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

from licodec.images.colour import UNSPECIFIED, ColourSpace, Curve, coded_space, transfer_name
from licodec.images.metadata import Found
from licodec.images.samples import row_bands, tiles_of
from licodec.images.sources import from_start

_RAW_PROFILE = "Raw profile type "
_XMP_KEYWORD = "XML:com.adobe.xmp"


def found_in_chunks(chunks: Mapping[bytes, bytes], info: Mapping[Any, Any]) -> Found:
    """The colour space that the chunks state, and what of it is lost; `info` is Pillow's.

    cICP goes before iCCP, that before sRGB, and that before gAMA and cHRM, as in the third edition
    of the specification; what cannot be kept makes way for the next.
    """
    notes = []
    if b"iCCP" in chunks and info.get("icc_profile") is None:
        notes.append("ICC profile that is damaged left out")
    coded, stated_by, problem = _coded_colour(chunks.get(b"cICP", b""))
    if problem:
        notes.append(f"{stated_by}: {problem} left out")
    if coded is not None:
        return Found(colour=coded, stated_by=stated_by, before_icc=True, notes=tuple(notes))
    colour, stated_by = _measured_colour(info)
    if colour is not None and "srgb" in info:
        if not colour.is_srgb(channels=3):
            notes.append(f"{stated_by} left out, as the sRGB chunk goes before it")
        colour = None
    return Found(colour=colour, stated_by=stated_by, notes=tuple(notes))


def lacks_colours(image: Image.Image) -> bool:
    """Whether an image, not yet decoded, has pixels of colours that its palette has not."""
    if image.mode != "P" or image.palette is None:
        return False
    entries = len(image.palette.palette) // 3  # Pillow completes them when it decodes
    image.load()
    return any(image.histogram()[entries:])


def _coded_colour(body: bytes) -> tuple[ColourSpace | None, str, str]:
    """The space of a cICP chunk, what states it, and why it is none where it is not."""
    if len(body) != 4:
        return None, "", ""
    primaries, transfer, matrix, full_range = body
    if primaries == transfer == UNSPECIFIED:
        return None, "", ""
    stated_by = f"PNG colour description (cICP {primaries}/{transfer})"
    if matrix or full_range > 1:
        return None, stated_by, f"matrix {matrix} and range {full_range}, which no PNG has,"
    if not full_range:
        return None, stated_by, "narrow range"
    colour = coded_space(primaries, transfer)
    return colour, stated_by, "" if colour else transfer_name(transfer)


def set_exact_alpha(image: Image.Image, stream: BinaryIO) -> None:
    """Make the transparent colour of 16-bit RGB, where the file has one, an alpha channel.

    Pillow decodes the high bytes of the samples alone. Told that they are the other way round
    it decodes the low ones; a pixel is transparent where both are the colour's.
    """
    key = image.info.get("transparency")
    if image.mode != "RGB" or not isinstance(key, tuple) or tiles_of(image)[0][3] != "RGB;16B":
        return
    with from_start(stream), Image.open(stream, formats=("PNG",)) as low:
        low.tile = [tile._replace(args="RGB;16L") for tile in low.tile]
        low.load()
        image.load()
        alpha = np.empty((image.height, image.width), np.uint8)
        for rows in row_bands(image.height, image.width):
            box = (0, rows.start, image.width, rows.stop)
            high_equal = (np.asarray(image.crop(box)) == [v >> 8 for v in key]).all(axis=2)
            low_equal = (np.asarray(low.crop(box)) == [v & 255 for v in key]).all(axis=2)
            alpha[rows] = np.where(high_equal & low_equal, 0, 255)
    del image.info["transparency"]
    image.putalpha(Image.fromarray(alpha))


def _measured_colour(info: Mapping[Any, Any]) -> tuple[ColourSpace | None, str]:
    """The space of the chunks cHRM and gAMA, and what states it."""
    gamma, points = info.get("gamma"), info.get("chromaticity")
    if gamma is None and points is None:
        return None, ""
    space, stated_by = ColourSpace(), []
    if isinstance(points, tuple) and len(points) == 8:
        white, red, green, blue = zip(points[::2], points[1::2], strict=True)
        space = ColourSpace(white, red, green, blue)
        stated_by.append("chromaticities")
    if isinstance(gamma, float) and gamma > 0:
        space = ColourSpace(*space.points, Curve(1 / gamma))
        stated_by.append(f"gamma {gamma:g}")
    return space, f"PNG {' and '.join(stated_by)}"


# Text chunks of older programs -------------------------------------------------------------------


def found_in_text(info: Mapping[Any, Any]) -> Found:
    """Blocks that ImageMagick and others put into text chunks, as hexadecimal numbers."""
    blocks: dict[str, bytes] = {}
    notes = []
    for keyword, text in info.items():
        if keyword == _XMP_KEYWORD and isinstance(text, str):  # in a chunk of the wrong type
            blocks["xmp"] = text.encode("latin-1", "replace")
        if not isinstance(keyword, str) or not keyword.startswith(_RAW_PROFILE):
            continue
        kind = keyword.removeprefix(_RAW_PROFILE).lower()
        block = _raw_profile(text)
        if kind in ("iptc", "8bim"):
            notes.append("IPTC left out")
        elif block is None:
            notes.append(f"damaged {keyword} left out")
        elif kind == "app1" and not block.startswith(b"Exif\0"):
            blocks.setdefault("xmp", block.split(b"\0", 1)[-1])
        else:
            blocks[{"app1": "exif", "icm": "icc"}.get(kind, kind)] = block
    icc, exif, xmp = (blocks.pop(kind, None) for kind in ("icc", "exif", "xmp"))
    notes += [f"{_RAW_PROFILE}{kind} left out" for kind in blocks]
    return Found(icc, exif, xmp, notes=tuple(notes))


def _raw_profile(text: object) -> bytes | None:
    """The block in the text: a line of its name, one of its length, lines of hexadecimal."""
    layout = r"\s*[^\n]+\n\s*\d+\s+([0-9a-fA-F\s]*)"
    match = re.fullmatch(layout, text) if isinstance(text, str) else None
    if match is None:
        return None
    try:
        return bytes.fromhex(match[1])
    except ValueError:
        return None
