"""TIFF: which of a file's directories is the picture, and who reads its samples right.

Pillow takes the first directory for the picture and unpacks some layouts wrongly. So a file's
directories are read here first. What has no right reading is refused by its name; what Pillow
reads right it reads; the rest is for licodec.images.tiff_samples.
"""

from __future__ import annotations

import io
import itertools
import math
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from PIL import Image, ImagePalette, TiffImagePlugin
from PIL.ExifTags import Base as Tag

from licodec.container.limits import check_picture_size
from licodec.errors import BadInputError
from licodec.images.sources import from_start

_DEPTH, _TILE_DEPTH = 32997, 32998  # which Pillow does not name
# Tags of integers, of which `_directory` reads the values.
_TAGS = frozenset(
    (
        *(Tag.NewSubfileType, Tag.SubfileType, Tag.ImageWidth, Tag.ImageLength, Tag.BitsPerSample),
        *(Tag.Compression, Tag.PhotometricInterpretation, Tag.ImageDescription, Tag.StripOffsets),
        *(Tag.Orientation, Tag.SamplesPerPixel, Tag.RowsPerStrip, Tag.PlanarConfiguration),
        *(Tag.TileWidth, Tag.TileLength, Tag.TileOffsets, Tag.SubIFDs, Tag.InkSet),
        *(Tag.ExtraSamples, Tag.SampleFormat, _DEPTH, _TILE_DEPTH),
    )
)
_ASSOCIATED, _UNASSOCIATED, _COREL_ALPHA = 1, 2, 999

# Struct formats of the field types that hold unsigned integers, LONG8 and offsets among them; a
# text is its bytes.
_INTEGERS = {1: "B", 2: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}
_MOST_VALUES = 64  # of a tag that is looked at here
_MOST_DIRECTORIES = 4096

_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _SEPARATED, _YCBCR = 0, 1, 2, 3, 5, 6
_COLOURS = {_WHITE_IS_ZERO: 1, _BLACK_IS_ZERO: 1, _RGB: 3, _PALETTE: 1, _SEPARATED: 4, _YCBCR: 3}
_COLOUR_FILTERS, _LINEAR_RAW = 32803, 34892
_PHOTOMETRIC_NAMES = {
    4: "a transparency mask",
    8: "CIELAB",
    9: "ICCLAB",
    10: "ITULAB",
    32844: "LogL",
    32845: "LogLuv",
}
_OLD_JPEG, _JPEG, _WEBP = 6, 7, 50001
# Pillow knows the number of WebP, and its libtiff as a rule no WebP.
_PILLOW_COMPRESSIONS = frozenset(TiffImagePlugin.COMPRESSION_INFO) - {_WEBP}

# How ImageJ and tifffile describe a stack whose pictures but the first have no directory.
_IMAGEJ_STACK = re.compile(rb"ImageJ=[^\n]*\nimages=([0-9]{1,9})\n")
_TIFFFILE_STACK = re.compile(rb'{"shape": \[((?:[0-9]{1,9}, )*[0-9]{1,9})\]')

Directory = dict[int, tuple[int, ...]]
_OFFSET = -1  # stands among a directory's tags for where it is itself
_SEGMENTS = -2  # for how many strips or tiles it has


@dataclass(frozen=True)
class Layout:
    """How a TIFF states its picture: the values of the tags of these names.

    index       of its directory in the file's chain
    pages       how many pictures the file has, of which none is a preview of another
    beside      how many previews and masks it has
    offset      of that directory
    bits        of every sample
    extra       meanings of the samples beyond the colours'
    separate    whether each sample has a plane of its own
    big_endian  byte order
    big         BigTIFF
    """

    index: int
    pages: int
    beside: int
    offset: int
    width: int
    height: int
    photometric: int
    bits: int
    samples: int
    extra: tuple[int, ...]
    separate: bool
    compression: int
    orientation: int
    big_endian: bool
    big: bool

    @property
    def colours(self) -> int:
        return _COLOURS[self.photometric]

    @property
    def alpha(self) -> int | None:
        """Which sample is alpha; None where none is."""
        alphas = (_ASSOCIATED, _UNASSOCIATED, _COREL_ALPHA)
        return next((self.colours + i for i, x in enumerate(self.extra) if x in alphas), None)

    @property
    def premultiplied(self) -> bool:
        return self.alpha is not None and self.extra[self.alpha - self.colours] == _ASSOCIATED

    @property
    def stored_bytes(self) -> int:
        """Of the samples, without compression."""
        return self.height * -(-self.width * self.samples * self.bits // 8)

    @property
    def for_pillow(self) -> bool:
        """Whether Pillow, where it opens the file, unpacks its samples right."""
        return (
            not (self.big and self.big_endian)
            and self.compression in _PILLOW_COMPRESSIONS
            and not (self.separate and self.extra and (self.colours == 1 or self.samples > 4))
        )

    @property
    def for_libtiff(self) -> bool:
        """Whether Pillow must leave it to libtiff even without compression, to be right."""
        return self.separate or self.photometric == _YCBCR

    def __str__(self) -> str:
        planes = ", each in a plane of its own" if self.separate else ""
        return (
            f"{self.samples} samples of {self.bits} bits{planes}, photometric interpretation "
            f"{self.photometric}, compression {self.compression}"
        )


def layout_of(stream: BinaryIO, page: int | None = None) -> Layout:
    """The layout of the one picture in a TIFF, or of a page; leaves the stream where it was.

    Raises BadInputError for what is not one picture, or one of samples that have no right
    reading as 8-bit grey or RGB; LimitError for one that is too large.
    """
    with from_start(stream):
        try:
            file = _file(stream)
        except struct.error:  # not even a whole header
            file = None
    if file is None or not file.chain:
        raise BadInputError("a TIFF file that is damaged or cut short")
    pages = _pages(file)
    if page is None and len(pages) > 1:
        raise BadInputError(
            f"a TIFF of {len(pages)} pages; licodec takes single pictures, so split it first"
        )
    index = page if page is not None and page < len(file.chain) else pages[0]
    layout = _layout(file, index, len(pages))
    _check_segments(file.chain[index], layout)
    stacked = _stacked(file.chain[index].get(Tag.ImageDescription, ()), layout)
    end = _value(file.chain[index], Tag.StripOffsets, 0) + stacked * layout.stored_bytes
    with from_start(stream):
        size = stream.seek(0, io.SEEK_END)
    # Programs that take one of the pictures out may leave the description as it is.
    if stacked > 1 and layout.compression == 1 and end <= size:
        raise BadInputError(
            f"a stack of {stacked} pictures in one page of a TIFF; licodec takes single "
            "pictures, so split it first"
        )
    return layout


@dataclass(frozen=True)
class _File:
    """order: "<" or ">"; big: whether BigTIFF; chain: its directories; inner: the first one's."""

    order: str
    big: bool
    chain: list[Directory]
    inner: list[Directory]


def _file(stream: BinaryIO) -> _File:
    head = stream.read(16)
    order = "<" if head[:2] == b"II" else ">"
    big = 43 in head[2:4]
    # Canon's CR2, whose first directory does not say what it is, and stands right behind this.
    if head[8:11] == b"CR\2" and struct.unpack_from(order + "I", head, 4) == (16,):
        return _File(order, big, [{Tag.PhotometricInterpretation: (_COLOUR_FILTERS,)}], [])
    (offset,) = struct.unpack_from(order + ("Q" if big else "I"), head, 8 if big else 4)
    chain = list(_chain(stream, order, big, offset))
    inner = [
        directory
        for offset in (chain[0].get(Tag.SubIFDs, ()) if chain else ())
        for directory in itertools.islice(_chain(stream, order, big, offset), 1)
    ]
    return _File(order, big, chain, inner)


def _chain(stream: BinaryIO, order: str, big: bool, offset: int) -> Iterator[Directory]:
    """Directories one after the other, as far as they can be read."""
    seen: set[int] = set()
    while offset and offset not in seen and len(seen) < _MOST_DIRECTORIES:
        seen.add(offset)
        try:
            directory, offset = _directory(stream, order, big, offset)
        except (struct.error, OverflowError, OSError, ValueError):
            return
        yield directory


def _directory(stream: BinaryIO, order: str, big: bool, offset: int) -> tuple[Directory, int]:
    """The tags of a directory, and where the next one is.

    Values are those of the tags that matter here, where they are integers; () of the others.
    """
    word, entry, inline = ("Q", "HHQ8s", 8) if big else ("I", "HHI4s", 4)
    stream.seek(offset)
    count_format = order + ("Q" if big else "H")
    (count,) = struct.unpack(count_format, stream.read(struct.calcsize(count_format)))
    size = struct.calcsize(order + entry)
    data = stream.read(min(count, 65_535) * size + struct.calcsize(word))
    directory: Directory = {_OFFSET: (offset,)}
    for start in range(0, min(count, 65_535) * size, size):
        tag, kind, values, field = struct.unpack_from(order + entry, data, start)
        directory[tag] = ()
        if tag in (Tag.StripOffsets, Tag.TileOffsets):
            directory[_SEGMENTS] = (values,)
        if tag == Tag.ImageDescription:
            values = min(values, _MOST_VALUES)  # where a stack is described
        if tag not in _TAGS or kind not in _INTEGERS or values > _MOST_VALUES:
            continue
        form = f"{order}{values}{_INTEGERS[kind]}"
        if struct.calcsize(form) > inline:
            stream.seek(struct.unpack(order + word, field)[0])
            field = stream.read(struct.calcsize(form))
        directory[tag] = struct.unpack_from(form, field)
    after = data[count * size :]
    following = struct.unpack(order + word, after)[0] if len(after) == inline else 0
    return directory, following


def _pages(file: _File) -> list[int]:
    """Which directories are pictures: no previews and no masks. Raises BadInputError."""
    chain = file.chain
    pages = [i for i, d in enumerate(chain) if not _is_preview(d) and not _is_mask(d)]
    raw = [i for i, d in enumerate(chain) if _is_raw(d)]
    if raw and pages and pages[0] < raw[0] and len(pages) > 1:
        raise BadInputError(
            f"a TIFF whose directory {raw[0] + 1} is a camera's raw picture, which licodec "
            "does not develop, behind other pages; take out the page that you want first"
        )
    if raw or Tag.DNGVersion in chain[0] or any(map(_is_raw, file.inner)):
        raise BadInputError(
            "a camera's raw file, which licodec does not develop; convert it to TIFF or JPEG first"
        )
    if not pages:
        raise BadInputError(
            "a TIFF whose directories are previews of a picture elsewhere in it, as in "
            "cameras' raw files; convert it to a TIFF of one picture first"
        )
    return pages


def _is_raw(directory: Directory) -> bool:
    return _value(directory, Tag.PhotometricInterpretation, 0) in (_COLOUR_FILTERS, _LINEAR_RAW)


def _is_preview(directory: Directory) -> bool:
    return bool(_value(directory, Tag.NewSubfileType, 0) & 1) or (
        _value(directory, Tag.SubfileType, 0) == 2
    )


def _is_mask(directory: Directory) -> bool:
    return bool(_value(directory, Tag.NewSubfileType, 0) & 4)


def _value(directory: Directory, tag: int, default: int) -> int:
    values = directory.get(tag, ())
    return values[0] if values else default


def _stacked(description: tuple[int, ...], layout: Layout) -> int:
    """How many pictures a directory's description says follow each other; 1 where it does not."""
    text = bytes(description)
    if match := _IMAGEJ_STACK.match(text):
        return int(match[1])
    if match := _TIFFFILE_STACK.match(text):
        samples = math.prod(int(side) for side in match[1].split(b", "))
        return samples // (layout.width * layout.height * layout.samples)
    return 1


def _layout(file: _File, index: int, pages: int) -> Layout:
    """The layout that a directory states, where it is one that has a right reading."""
    tags = file.chain[index]
    width, height = _value(tags, Tag.ImageWidth, 0), _value(tags, Tag.ImageLength, 0)
    if not width or not height:
        raise BadInputError("a TIFF file that is damaged: it states no size")
    check_picture_size(width, height)
    check_picture_size(_value(tags, Tag.TileWidth, 1), _value(tags, Tag.TileLength, 1))
    compression = _value(tags, Tag.Compression, 1)
    photometric = _value(tags, Tag.PhotometricInterpretation, _WHITE_IS_ZERO)
    if compression == _OLD_JPEG:
        photometric = _YCBCR  # as Pillow and libtiff have it
    if photometric not in _COLOURS:
        kind = _PHOTOMETRIC_NAMES.get(photometric, f"of photometric interpretation {photometric}")
        raise BadInputError(f"a TIFF picture in {kind}; convert it to RGB first")
    colours = _COLOURS[photometric]
    samples = _value(tags, Tag.SamplesPerPixel, colours if compression == _OLD_JPEG else 1)
    bits = tags.get(Tag.BitsPerSample, ())[:samples] or (1,)
    _check_samples(tags, bits, samples - colours)
    if photometric == _SEPARATED and _value(tags, Tag.InkSet, 1) != 1:
        raise BadInputError("inks that are not CMYK; convert the picture to RGB first")
    extra = tags.get(Tag.ExtraSamples, ())[: samples - colours]
    if photometric == _RGB and samples == 4 and not extra:
        extra = (_UNASSOCIATED,)  # what writers that do not say so mean
    extra += (0,) * (samples - colours - len(extra))
    return Layout(
        index=index,
        pages=pages,
        beside=len(file.chain) - pages,
        offset=tags[_OFFSET][0],
        width=width,
        height=height,
        photometric=photometric,
        bits=bits[0],
        samples=samples,
        extra=extra,
        separate=_value(tags, Tag.PlanarConfiguration, 1) == 2,
        compression=compression,
        orientation=_value(tags, Tag.Orientation, 1),
        big_endian=file.order == ">",
        big=file.big,
    )


def _check_segments(tags: Directory, layout: Layout) -> None:
    """Refuse a directory with fewer strips or tiles than its picture has, the rest of which Pillow
    would show black."""
    if Tag.TileOffsets in tags:
        width, height = _value(tags, Tag.TileWidth, 0), _value(tags, Tag.TileLength, 0)
    else:
        width, height = layout.width, _value(tags, Tag.RowsPerStrip, 2**32 - 1)
    if not width or not height:
        raise BadInputError("a TIFF file that is damaged: strips or tiles of no size")
    wanted = -(-layout.width // width) * -(-layout.height // height)
    wanted *= layout.samples if layout.separate else 1
    if layout.compression != _OLD_JPEG and _value(tags, _SEGMENTS, 0) < wanted:
        raise BadInputError(
            "a TIFF file that is damaged: it has data for a part of its pixels only"
        )


def _check_samples(tags: Directory, bits: tuple[int, ...], extra: int) -> None:
    """Refuse samples that are not unsigned integers of one width up to 16 bits."""
    formats = set(tags.get(Tag.SampleFormat, ())) or {1}
    if extra < 0 or 0 in bits:
        raise BadInputError("a TIFF file that is damaged: fewer samples than colours")
    if _value(tags, _DEPTH, 1) > 1 or _value(tags, _TILE_DEPTH, 1) > 1:
        raise BadInputError("a volume, not a picture; take a slice of it first")
    if 3 in formats:
        kind = "floating-point"
    elif formats != {1}:
        kind = "32-bit or signed integer" if formats == {2} else "complex or undefined"
    elif max(bits) > 16:
        kind = "32-bit or signed integer" if max(bits) == 32 else f"{max(bits)}-bit"
    elif len(set(bits)) > 1:
        raise BadInputError(
            f"samples of unequal bits ({', '.join(map(str, bits))}); "
            "convert the picture to 8 or 16 bits"
        )
    else:
        return
    raise BadInputError(f"{kind} samples have no stated range; convert the picture to 8 or 16 bits")


def tiff_notes(layout: Layout) -> tuple[str, ...]:
    """What taking the colours and alpha alone loses, whoever decodes the samples."""
    notes = []
    if len(layout.extra) > (layout.alpha is not None):
        notes.append("samples of unspecified meaning left out")
    if layout.pages > 1:
        notes.append(f"only page {layout.index + 1} of the file's {layout.pages} pages taken")
    if layout.beside:
        notes.append(f"{layout.beside} previews or masks beside the picture left out")
    return tuple(notes)


def tags_at(stream: BinaryIO, layout: Layout) -> Image.Exif | None:
    """The tags of the layout's directory; None where Pillow cannot read them."""
    if layout.big and layout.big_endian:
        return None
    tags = Image.Exif()
    tags.bigtiff, tags.endian = layout.big, ">" if layout.big_endian else "<"
    tags.load_from_fp(stream, layout.offset)
    return tags


def refuse_coefficients(image: Image.Image) -> None:
    """Refuse YCbCr whose coefficients state no conversion. Raises BadInputError."""
    tags = getattr(image, "tag_v2", {})
    if tags.get(Tag.PhotometricInterpretation) != _YCBCR or tags.get(Tag.Compression) in (
        _OLD_JPEG,
        _JPEG,
    ):
        return
    coefficients = tags.get(Tag.YCbCrCoefficients, (0.299, 0.587, 0.114))
    if not all(0 < float(value) < 1 for value in coefficients):
        raise BadInputError(
            f"a TIFF in YCbCr whose coefficients ({', '.join(map(str, coefficients))}) "
            "state no conversion to RGB; it is damaged"
        )


def set_small_palette(image: Image.Image) -> None:
    """Give an opened image, not yet decoded, its colours where the file's are of 8 bits.

    The colour map of a TIFF has 16 bits; that of some old writers has not, and Pillow shows it
    black. A map without large values is taken as libtiff takes it.
    """
    colours = getattr(image, "tag_v2", {}).get(Tag.ColorMap, ())
    if image.palette is not None and any(colours) and max(colours) < 256:
        image.palette = ImagePalette.raw("RGB;L", bytes(colours))


def refuse_misread(image: Image.Image) -> None:
    """Refuse a TIFF that Pillow has decoded already, and wrongly. Raises BadInputError."""
    tags = getattr(image, "tag_v2", {})
    if tags.get(Tag.Compression, 1) != 1:
        return
    planes = (
        tags.get(Tag.PlanarConfiguration, 1) == 2 and max(tags.get(Tag.BitsPerSample, (1,))) > 8
    )
    signed = set(tags.get(Tag.SampleFormat, (1,))) != {1}
    units = tuple(tags.get(Tag.YCbCrSubSampling, (2, 2))) != (1, 1)
    if planes or signed or (tags.get(Tag.PhotometricInterpretation) == _YCBCR and units):
        raise BadInputError(
            "Pillow decodes this kind of TIFF wrongly; give licodec the file itself"
        )
