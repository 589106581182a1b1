"""Files of pictures, byte by byte, and what tests of several families share."""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import dataclass, field

import numpy as np
import pytest
from PIL import Image, ImageCms

from licodec.errors import BadInputError, LicodecError
from licodec.images import Picture, read_picture

RANDOM = np.random.default_rng(11)
RGB_PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def samples(*shape: int, bits: int = 8) -> np.ndarray:
    dtype = np.uint8 if bits <= 8 else np.uint16
    return RANDOM.integers(0, 2**bits, shape).astype(dtype)


def saved(image: Image.Image, format: str, **options) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format=format, **options)
    return stream.getvalue()


def read(data: bytes) -> Picture:
    return read_picture(data, "in.pic")


def refused(data: bytes, *parts: str, error: type[LicodecError] = BadInputError) -> None:
    """Reading fails with one line that holds all parts."""
    with pytest.raises(LicodecError) as caught:
        read(data)
    assert type(caught.value) is error
    message = str(caught.value)
    assert message.startswith("in.pic: ")
    assert "\n" not in message
    for part in parts:
        assert part in message


def in_eight_bits(values: np.ndarray, bits: int) -> np.ndarray:
    """Rounded to the nearest."""
    return np.floor(values * (255 / (2**bits - 1)) + 0.5).astype(int)


# TIFF

_KINDS = {"H": 3, "I": 4, "Q": 16, "b": 1}  # SHORT, LONG, LONG8, BYTE
WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC = 256, 257, 258, 259, 262
OFFSETS, ORIENTATION, SAMPLES, ROWS, COUNTS, PLANAR = 273, 274, 277, 278, 279, 284
PREDICTOR, COLOUR_MAP, SUB_DIRECTORIES, EXTRA, FORMAT = 317, 320, 330, 338, 339
SUBFILE, SUBSAMPLING, DESCRIPTION = 254, 530, 270


@dataclass
class Page:
    """A TIFF directory: tags of integers or bytes, its strips, and directories inside of it."""

    tags: dict[int, list[int] | bytes]
    strips: list[bytes] = field(default_factory=list)
    inner: list[Page] = field(default_factory=list)


def page(pixels: np.ndarray, photometric: int, bits: int, **more: list[int]) -> Page:
    """Uncompressed samples, (H, W, S) of up to 16 bits each, in one strip a plane.

    More tags by the names above; `order` is of the file.
    """
    order = str(more.pop("order", "<"))
    height, width, count = pixels.shape
    tags: dict[int, list[int] | bytes] = {
        WIDTH: [width],
        HEIGHT: [height],
        BITS: [bits] * count,
        COMPRESSION: [1],
        PHOTOMETRIC: [photometric],
        SAMPLES: [count],
        ROWS: [height],
        **{globals()[name]: value for name, value in more.items()},
    }
    planes = [pixels]
    if tags.get(PLANAR) == [2]:
        planes = [pixels[:, :, i : i + 1] for i in range(count)]
    strips = [packed(plane, bits, order) for plane in planes]
    if tags[COMPRESSION] == [8]:
        strips = [zlib.compress(strip) for strip in strips]
    return Page(tags, strips)


def packed(plane: np.ndarray, bits: int, order: str = "<") -> bytes:
    """Samples as TIFF stores them: rows of packed bits, or bytes, or words of the order."""
    if bits == 16:
        return plane.astype(f"{order}u2").tobytes()
    rows = plane.reshape(plane.shape[0], -1).astype(np.int64)
    digits = (rows[:, :, None] >> np.arange(bits - 1, -1, -1)) & 1
    return np.packbits(digits.reshape(len(rows), -1).astype(np.uint8), axis=1).tobytes()


def tiff(*pages: Page, order: str = "<", big: bool = False) -> bytes:
    word = "Q" if big else "I"
    out = bytearray(
        (b"II" if order == "<" else b"MM") + struct.pack(order + "H", 43 if big else 42)
    )
    if big:
        out += struct.pack(order + "HH", 8, 0)
    link = len(out)
    out += bytes(struct.calcsize(word))
    for each in pages:
        struct.pack_into(order + word, out, link, len(out) + len(out) % 2)
        _, link = _put(out, each, order, big)
    return bytes(out)


def _put(out: bytearray, each: Page, order: str, big: bool) -> tuple[int, int]:
    """Append a directory and its data; returns where it is and where its link is."""
    word = "Q" if big else "I"
    out += bytes(len(out) % 2)
    start = len(out)
    tags = dict(each.tags)
    if each.strips:
        tags |= {OFFSETS: [0] * len(each.strips), COUNTS: [len(s) for s in each.strips]}
    if each.inner:
        tags[SUB_DIRECTORIES] = [0] * len(each.inner)
    size = struct.calcsize(word)
    entry = 4 + 2 * size
    out += struct.pack(order + ("Q" if big else "H"), len(tags))
    table = len(out)
    out += bytes(entry * len(tags) + size)
    link = len(out) - size
    places = {}
    for i, tag in enumerate(sorted(tags)):
        values = tags[tag]
        letter = "b" if isinstance(values, bytes) else "H"
        if tag in (OFFSETS, COUNTS, SUB_DIRECTORIES) and tag not in each.tags:
            letter = word
        data = (
            values
            if isinstance(values, bytes)
            else struct.pack(f"{order}{len(values)}{letter}", *values)
        )
        at = table + i * entry
        kind = 7 if letter == "b" else _KINDS[letter]
        kind = 2 if tag == DESCRIPTION else kind
        struct.pack_into(order + "HH" + word, out, at, tag, kind, len(values))
        place = at + 4 + size
        if len(data) <= size:
            out[place : place + len(data)] = data
        else:
            struct.pack_into(order + word, out, place, len(out))
            place = len(out)
            out += data
        places[tag] = place
    for i, strip in enumerate(each.strips):
        struct.pack_into(order + word, out, places[OFFSETS] + i * size, len(out))
        out += strip
    for i, sub in enumerate(each.inner):
        offset, _ = _put(out, sub, order, big)
        struct.pack_into(order + word, out, places[SUB_DIRECTORIES] + i * size, offset)
    return start, link


# PNG


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def with_chunks(png: bytes, *chunks: bytes) -> bytes:
    """The PNG with more chunks behind its header."""
    return png[:33] + b"".join(chunks) + png[33:]


# Exif


def exif_block(
    orientation: int, order: str = "<", sides: tuple[int, int] = (7, 5), thumbnail: bytes = b""
) -> bytes:
    """Exif of an orientation, the sides as stored, in both places, and a thumbnail."""
    first = 8
    inner = first + 2 + 12 * 4 + 4
    second = inner + 2 + 12 * 2 + 4
    begin = second + 2 + 12 * 3 + 4

    def directory(entries: list[tuple[int, int, int]], following: int) -> bytes:
        out = struct.pack(order + "H", len(entries))
        for tag, kind, value in entries:
            packed_value = struct.pack(order + {3: "H", 4: "I"}[kind], value).ljust(4, b"\0")
            out += struct.pack(order + "HHI", tag, kind, 1) + packed_value
        return out + struct.pack(order + "I", following)

    width, height = sides
    block = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(order + "I", first)
    block += directory(
        [(0x100, 4, width), (0x101, 4, height), (0x112, 3, orientation), (0x8769, 4, inner)],
        second if thumbnail else 0,
    )
    block += directory([(0xA002, 3, width), (0xA003, 4, height)], 0)
    if thumbnail:
        block += directory([(0x103, 3, 6), (0x201, 4, begin), (0x202, 4, len(thumbnail))], 0)
        block += thumbnail
    return block
