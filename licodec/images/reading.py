"""Reading pictures: from files, bytes, streams and Pillow images as 8-bit grey or RGB, upright."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, UnidentifiedImageError

from licodec.container.limits import check_picture_size
from licodec.errors import BadInputError
from licodec.images import formats, tiff
from licodec.images import metadata as meta
from licodec.images.avif import examine_avif
from licodec.images.bmp import read_bmp
from licodec.images.colour import icc_profile
from licodec.images.directory import found_in_directory
from licodec.images.gif import examine_gif
from licodec.images.heif import examine_heif, open_heif
from licodec.images.jp2 import examine_jp2
from licodec.images.jpeg import ended_jpeg, examine_jpeg, refuse_unread_jpeg
from licodec.images.jxl import read_jxl
from licodec.images.metadata import Found, merged
from licodec.images.picture import Picture
from licodec.images.pillow import libtiff_for_all, pillow_errors, pillow_limits_lifted
from licodec.images.png import found_in_chunks, found_in_text, lacks_colours, set_exact_alpha
from licodec.images.png_chunks import sound_png
from licodec.images.ppm import examine_ppm
from licodec.images.samples import Coding, coding_of, reading_of, tiles_of, upright_samples
from licodec.images.sources import contents, from_start, seekable
from licodec.images.tiff_samples import conversion_notes, decoded

# The plugins are imported by name: Image.open would otherwise import every one Pillow has.
for _plugin in ("Avif", "Gif", "Jpeg", "Jpeg2K", "Mpo", "Png", "Ppm", "Tiff", "WebP"):
    import_module(f"PIL.{_plugin}ImagePlugin")


def _examine_png(image: Image.Image, stream: BinaryIO | None) -> Found:
    chunks = {} if stream is None else sound_png(stream).chunks
    return found_in_chunks(chunks, image.info)


def _examine_tiff(image: Image.Image, stream: BinaryIO | None) -> Found:
    if stream is None:
        tiff.refuse_misread(image)
    else:
        tiff.refuse_coefficients(image)
        tiff.set_small_palette(image)
    return found_in_directory(image.getexif())


_EXAMINERS: dict[str | None, Callable[[Image.Image, Any], Found]] = {
    "AVIF": examine_avif,
    "GIF": examine_gif,
    "HEIF": examine_heif,
    "JPEG": examine_jpeg,
    "JPEG2000": examine_jp2,
    "MPO": examine_jpeg,
    "PNG": _examine_png,
    "PPM": examine_ppm,
    "TIFF": _examine_tiff,
}
# Those that say something of images that Pillow has decoded, too.
_EXAMINE_DECODED = ("JPEG", "MPO", "PNG", "TIFF")
# Those of the others are opened on their own.
_OWN_FORMATS = ("BMP", "HEIF", "JXL", "PNG", "TIFF")
_PILLOW_FORMATS = tuple(format for format in formats.INPUT_FORMATS if format not in _OWN_FORMATS)


@dataclass(frozen=True)
class _Opened:
    """A picture as it was opened, its samples not yet ours.

    image        of Pillow, decoded or not
    coding       how the file codes its samples
    found        what the file says that Pillow does not pass on
    orientation  that the file states outside of Exif and Pillow does not apply
    """

    image: Image.Image
    coding: Coding
    found: Found
    orientation: int | None = None

    def without(self, *notes: str) -> _Opened:
        """The same, and what of it is lost or odd, one phrase each."""
        return dataclasses.replace(self, found=merged(self.found, Found(notes=notes)))


def read_picture(source: Path | bytes | BinaryIO, name: str) -> Picture:
    """Read a picture from a file, its bytes or a binary stream; `name` is for messages.

    Raises BadInputError for what is not one picture that can be read, LimitError for one
    over the limits of licodec.container.limits (before its pixels are decoded).
    """
    with seekable(source, name) as stream:
        head = stream.read(formats.HEAD_BYTES)
        if not head:
            raise BadInputError(f"{name}: the file is empty")
        stream.seek(0)
        with pillow_errors(name, head), pillow_limits_lifted():
            opened = _open(stream, head)
            with opened.image:
                return _picture(opened)


def read_image(image: Image.Image, name: str) -> Picture:
    """The picture that a Pillow image holds, its current frame.

    One that is not decoded yet is read from its file, as `read_picture` reads it. Raises as
    `read_picture`, and BadInputError for a mode that has no right reading.
    """
    with pillow_errors(name, b""), pillow_limits_lifted():
        stream = _undecoded(image)
        opener = None if stream is None else _opener(image, stream)
        if stream is None or opener is None:
            return _picture(_examined(image, stream))
        with from_start(stream):
            return _picture(opener(stream))


def _undecoded(image: Image.Image) -> BinaryIO | None:
    """The file of an image that Pillow has opened and not decoded; None for all others."""
    stream = getattr(image, "fp", None)
    if stream is None or stream.closed or not tiles_of(image) or not stream.seekable():
        return None
    return stream


def _opener(image: Image.Image, stream: BinaryIO) -> Callable[[BinaryIO], _Opened] | None:
    """What opens the file of an image better than Pillow has; None where nothing does."""
    match image.format:
        case "BMP":
            return _open_bmp
        case "TIFF":
            return functools.partial(_open_tiff, page=image.tell())
        case "PNG" if image.tell() == 0:
            return _open_png
        case "JPEG" if ended_jpeg(contents(stream)) is not None:
            return _open_jpeg
    return None


def _open(stream: BinaryIO, head: bytes) -> _Opened:
    if head.startswith(formats.TIFF_STARTS):
        return _open_tiff(stream)
    if formats.is_bmp(head):
        return _open_bmp(stream)
    if head.startswith(formats.PNG_START):
        return _open_png(stream)
    if head.startswith(formats.JPEG_START):
        refuse_unread_jpeg(contents(stream))
        return _open_jpeg(stream)
    if head.startswith(formats.JXL_STARTS):
        return _open_jxl(stream)
    if formats.brands(head) & formats.HEIC_BRANDS:
        return _examined(open_heif(stream), stream)
    return _examined(Image.open(stream, formats=_PILLOW_FORMATS), stream)


def _open_bmp(stream: BinaryIO) -> _Opened:
    image, found = read_bmp(stream)
    return _Opened(image, Coding(), found)


def _open_jpeg(stream: BinaryIO) -> _Opened:
    ended = ended_jpeg(contents(stream))
    source = ended or stream
    opened = _examined(Image.open(source, formats=_PILLOW_FORMATS), source)
    if ended is None:
        return opened
    return opened.without("the JPEG has no end marker; all of its pixels are there")


def _open_jxl(stream: BinaryIO) -> _Opened:
    image, found = read_jxl(stream)
    return _Opened(image, coding_of(image), found)


def _open_png(stream: BinaryIO) -> _Opened:
    sound = sound_png(stream)
    image = Image.open(sound.stream, formats=("PNG",))
    found = found_in_chunks(sound.chunks, image.info)
    opened = _Opened(image, coding_of(image), found).without(*sound.notes, *_frames_left_out(image))
    set_exact_alpha(image, sound.stream)
    if lacks_colours(image):
        return opened.without("pixels of colours beyond the palette taken as black")
    return opened


def _open_tiff(stream: BinaryIO, page: int | None = None) -> _Opened:
    """By Pillow where it reads the samples right, else by tifffile."""
    layout = tiff.layout_of(stream, page)
    image = _by_pillow(stream, layout) if layout.for_pillow else None
    if image is not None:
        return _examined(image, stream).without(*tiff.tiff_notes(layout))
    image = decoded(stream, layout)
    tags = tiff.tags_at(stream, layout)
    found = Found(notes=("metadata of a big-endian BigTIFF left out",))
    if tags is not None:
        found = found_in_directory(tags)
    found = merged(Found(notes=conversion_notes(layout)), found)
    return _Opened(image, Coding(), found, layout.orientation).without(*tiff.tiff_notes(layout))


def _by_pillow(stream: BinaryIO, layout: tiff.Layout) -> Image.Image | None:
    """The picture as Pillow opens it; None where it does not know this kind of samples."""
    whole = libtiff_for_all() if layout.for_libtiff else contextlib.nullcontext()
    try:
        with whole:
            image = Image.open(stream, formats=("TIFF",))
            image.seek(layout.index)
    except (UnidentifiedImageError, SyntaxError):
        return None
    return image


def _examined(image: Image.Image, stream: BinaryIO | None) -> _Opened:
    """An image that Pillow has opened, with what its file says besides."""
    _check_size(image)
    known = stream is not None or image.format in _EXAMINE_DECODED
    examine = _EXAMINERS.get(image.format) if known else None
    opened = _Opened(image, coding_of(image), examine(image, stream) if examine else Found())
    # To count a GIF's frames is to decode others in the place of one that is decoded.
    countable = stream is not None or image.format != "GIF"
    return opened.without(*(_frames_left_out(image) if countable else ()))


def _check_size(image: Image.Image) -> None:
    check_picture_size(image.width, image.height)
    if not image.width or not image.height:
        raise BadInputError(f"a picture of {image.width}x{image.height} has no pixels")


def _frames_left_out(image: Image.Image) -> tuple[str, ...]:
    if image.format == "TIFF":  # whose directories were looked at before
        return ()
    count = getattr(image, "n_frames", 1)
    if count == 1:
        return ()
    if which := {"MPO": "first", "HEIF": "primary one"}.get(image.format or ""):
        return (f"only the {which} of the {count} pictures in the {image.format} file taken",)
    frame = image.tell() + 1
    which = "the first" if frame == 1 else f"number {frame}"
    return (f"only {which} of the {count} frames of the animation taken",)


def _picture(opened: _Opened) -> Picture:
    """The picture of an image that was opened: decoded, converted, turned, with its metadata."""
    image = opened.image
    _check_size(image)
    image.load()
    if opened.found.aperture is not None:
        image = image.crop(opened.found.aperture)
    lost: list[str] = []
    reading = reading_of(image, opened.coding, lost)
    found = merged(opened.found, meta.found_in_info(image.info), found_in_text(image.info))
    exif = None if found.exif is None else meta.bare_exif(found.exif)
    orientation = opened.orientation
    if exif is not None:
        orientation = meta.exif_orientation(exif) or orientation
    pixels, alpha = upright_samples(image, reading, orientation)
    height, width, channels = pixels.shape
    if alpha is None and opened.coding.covered is not None:
        alpha = _cover(opened.coding.covered, (height, width))
        lost.append("pixels beside the GIF's first frame taken as transparent")
    icc = _kept_profile(found, channels, lost)
    xmp = found.xmp
    if found.exif is not None and exif is None:
        lost.append("damaged Exif left out")
    if exif is not None:
        if xmp is not None and meta.exif_orientation(exif) is not None:
            xmp = meta.upright_xmp(xmp)
        exif = _upright(exif, width, height, lost)
    return Picture(pixels, alpha, icc, exif, xmp, (*lost, *found.notes))


def _cover(box: tuple[int, int, int, int], shape: tuple[int, int]) -> np.ndarray:
    """Alpha that is opaque inside of the box alone."""
    left, top, right, bottom = box
    alpha = np.zeros(shape, np.uint8)
    alpha[top:bottom, left:right] = 255
    return alpha


def _kept_profile(found: Found, channels: int, lost: list[str]) -> bytes | None:
    """The profile, or one made of the colour space stated, where it fits the samples."""
    colour_name = "grey" if channels == 1 else "RGB"
    icc = found.icc
    if icc is not None and not meta.icc_fits(icc, channels):
        space = meta.icc_colour_space(icc)
        kind = f"for {space} samples" if space else "that is damaged"
        lost.append(f"ICC profile {kind} left out, the picture is {colour_name}")
        icc = None
    if icc is not None and found.before_icc:
        lost.append(f"ICC profile left out, as the {found.stated_by} goes before it")
        icc = None
    if icc is not None or found.colour is None or found.colour.is_srgb(channels):
        return icc
    made = icc_profile(found.colour, channels)
    lost.append(f"{found.stated_by} {'left out' if made is None else 'kept as an ICC profile'}")
    return made


def _upright(exif: bytes, width: int, height: int, lost: list[str]) -> bytes:
    """The block for a picture that has been turned; its thumbnail has not."""
    if meta.exif_orientation(exif) in range(2, 9):
        cut = meta.without_thumbnail(exif)
        if cut is not None:
            lost.append("the thumbnail in Exif left out, it is not upright")
            exif = cut
    return meta.upright_exif(exif, width, height)
