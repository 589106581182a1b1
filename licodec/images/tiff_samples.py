"""TIFF samples that Pillow does not unpack, by tifffile and imagecodecs: the extra `tiff`."""

from __future__ import annotations

import logging
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

from licodec.errors import BadInputError
from licodec.images.pillow import PILLOW_ERRORS, one_line
from licodec.images.samples import eight_bits, row_bands
from licodec.images.sources import from_start
from licodec.images.tiff import Layout

_WHITE_IS_ZERO, _BLACK_IS_ZERO, _PALETTE, _CMYK, _YCBCR = 0, 1, 3, 5, 6
_JPEG_COMPRESSIONS = {6, 7, 34892, 33007}


def decoded(stream: BinaryIO, layout: Layout) -> Image.Image:
    """The picture of a TIFF as an image of 8-bit samples in Pillow's modes, as it is stored.

    16-bit samples are rounded. Leaves the stream where it was. Raises BadInputError where the
    extra is not installed or does not read this kind either, and where the file is damaged.
    """
    subsampled = layout.photometric == _YCBCR and layout.compression not in _JPEG_COMPRESSIONS
    if subsampled or (layout.premultiplied and layout.photometric in (_PALETTE, _CMYK)):
        raise _not_read(layout, "convert it to RGB first")
    try:
        import imagecodecs  # noqa: F401 (tifffile decodes little without it)
        import tifffile
    except ImportError as error:
        advice = "`pip install 'licodec[tiff]'` may read it, or convert it to 8-bit RGB"
        raise _not_read(layout, advice) from error
    # What it has to say about odd files is said by our errors.
    logging.getLogger("tifffile").addHandler(logging.NullHandler())
    failures = (*PILLOW_ERRORS, NotImplementedError, tifffile.TiffFileError)
    try:
        with from_start(stream), tifffile.TiffFile(stream) as file:
            page = file.pages[layout.index]
            return _image(_planes(page, layout, _palette(page, layout)), layout)
    except failures as error:
        raise BadInputError(
            f"a TIFF ({layout}) that cannot be decoded: {one_line(error)}; "
            "it may be damaged, or of a kind that is not read: convert it to 8-bit RGB"
        ) from error


def conversion_notes(layout: Layout) -> tuple[str, ...]:
    """What `decoded` itself has converted."""
    notes = []
    if layout.bits > 8 and (layout.photometric != _PALETTE or layout.alpha is not None):
        notes.append(f"{layout.bits}-bit samples reduced to 8")
    if layout.photometric == _CMYK and layout.alpha is not None:
        notes.append("CMYK converted to RGB")
    return tuple(notes)


def _not_read(layout: Layout, advice: str) -> BadInputError:
    return BadInputError(f"a TIFF of a kind that is not read ({layout}); {advice}")


def _palette(page: Any, layout: Layout) -> np.ndarray | None:
    """The colours that indices stand for, (entries, 3) uint8; None where samples are colours."""
    if layout.photometric != _PALETTE:
        return None
    colour_map = getattr(page, "colormap", None)
    if colour_map is None:
        raise ValueError("no colour map")
    colours = np.asarray(colour_map).T
    return (colours if colours.max() < 256 else colours >> 8).astype(np.uint8)


def _planes(page: Any, layout: Layout, palette: np.ndarray | None) -> np.ndarray:
    """Colours and alpha, (H, W, samples) uint8."""
    if 0 in page.databytecounts:
        raise ValueError("a strip or tile is missing")
    # (planes, 1, height, width, samples of each plane)
    stored = np.moveaxis(page.asarray(maxworkers=1, squeeze=False)[:, 0], 0, -1)
    stored = stored.reshape(layout.height, layout.width, layout.samples)
    used = [*range(layout.colours), *([] if layout.alpha is None else [layout.alpha])]
    colours = layout.colours if palette is None else 3
    planes = np.empty((layout.height, layout.width, colours + len(used) - layout.colours), np.uint8)
    for rows in row_bands(layout.height, layout.width):
        values = stored[rows][:, :, used]
        planes[rows, :, -len(used) :] = eight_bits(values, 2**layout.bits - 1)
        if palette is not None:
            planes[rows, :, :3] = palette[values[:, :, 0]]
    return planes


def _image(planes: np.ndarray, layout: Layout) -> Image.Image:
    if layout.photometric == _WHITE_IS_ZERO:
        np.subtract(255, planes[:, :, 0], out=planes[:, :, 0])
    if layout.photometric != _CMYK:
        return _as_image(_mode(layout), planes)
    image = _as_image("CMYK", planes[:, :, :4])
    if layout.alpha is not None:
        image = image.convert("RGB")
        image.putalpha(_as_image("L", planes[:, :, -1:]))
    return image


def _mode(layout: Layout) -> str:
    colours = "L" if layout.photometric in (_WHITE_IS_ZERO, _BLACK_IS_ZERO) else "RGB"
    if layout.alpha is None:
        return colours
    return colours + ("a" if layout.premultiplied else "A")


def _as_image(mode: str, planes: np.ndarray) -> Image.Image:
    height, width, _ = planes.shape
    return Image.frombuffer(mode, (width, height), np.ascontiguousarray(planes), "raw", mode, 0, 1)
