"""Hostile lossless files: what is wrong with the pieces, or with what the header says of them."""

from __future__ import annotations

import io
import struct

import numpy as np
from PIL import Image

from licodec.container import Grid, LosslessFile, LosslessHeader
from licodec.container.chunks import Chunk, write_chunks
from licodec.container.header import pack_header
from licodec.container.pieces import pack_pieces
from tests.attacks.tools import join_chunks, split_chunks

WIDTH, HEIGHT = 9, 7
PIXELS = np.random.default_rng(5).integers(0, 256, (HEIGHT, WIDTH, 4), dtype=np.uint8)


def webp(pixels: np.ndarray, **options: object) -> bytes:
    """A WebP file, lossless unless told otherwise."""
    stream = io.BytesIO()
    options = {"lossless": True, "exact": True, **options}
    Image.fromarray(pixels).save(stream, "WEBP", **options)
    return stream.getvalue()


def lossless_file(
    *pieces: bytes,
    grid: Grid = Grid(),  # noqa: B008  (frozen)
    width: int = WIDTH,
    height: int = HEIGHT,
    channels: int = 3,
    has_alpha: bool = False,
    pixel_crc: int = 0,
) -> bytes:
    """A file with right CRCs of these pieces, legal or not."""
    header = LosslessHeader(width, height, channels, has_alpha)
    file = LosslessFile(header, grid, pieces, pixel_crc)
    return write_chunks(file.to_chunks())


def with_bits(data: bytes, keep: int, put: int) -> bytes:
    """A WebP file with other bits in the four bytes of size, alpha and version."""
    (bits,) = struct.unpack_from("<I", data, 21)
    return data[:21] + struct.pack("<I", bits & keep | put) + data[25:]


def with_chunk_behind(data: bytes) -> bytes:
    """A WebP file with an Exif chunk behind its picture, and the size that goes with it."""
    longer = data[8:] + b"EXIF" + struct.pack("<I", 2) + b"II"
    return b"RIFF" + struct.pack("<I", len(longer)) + longer


def with_header(data: bytes, change: bytes) -> bytes:
    """A file with other bytes from the header's backbone length on."""
    (_, header), *others = split_chunks(data)
    return join_chunks([(b"LHDR", header[:-2] + change), *others])


def _animation() -> bytes:
    stream = io.BytesIO()
    frames = [Image.fromarray(PIXELS[:, :, :3]), Image.fromarray(PIXELS[::-1, :, :3].copy())]
    frames[0].save(stream, "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    return stream.getvalue()


def _png() -> bytes:
    stream = io.BytesIO()
    Image.fromarray(PIXELS).save(stream, "PNG")
    return stream.getvalue()


def _bomb(side: int) -> bytes:
    """A WebP file of 30 bytes that says that it has so many pixels a side."""
    bits = side - 1 | (side - 1) << 14
    return b"RIFF" + struct.pack("<I4s4sIBI5s", 22, b"WEBP", b"VP8L", 10, 0x2F, bits, b"\xff" * 5)


RGB, RGBA = webp(PIXELS[:, :, :3]), webp(PIXELS)
HONEST = lossless_file(RGB)
TWO = Grid(2, 1)
HALVES = webp(PIXELS[:, :4, :3]), webp(PIXELS[:, 4:, :3])
_COUNT = pack_pieces(0, Grid(), (RGB,))[:4]

# What is wrong; the file; words of the message. All are corrupt files, refused as they are read.
READ: dict[str, tuple[bytes, str]] = {
    "a PNG": (lossless_file(_png()), "no WebP file"),
    "nothing": (lossless_file(b""), "has 0 bytes"),
    "a lossy WebP": (lossless_file(webp(PIXELS[:, :, :3], lossless=False)), "'VP8 '"),
    "a lossy WebP with alpha": (
        lossless_file(webp(PIXELS, lossless=False), has_alpha=True),
        "'VP8X'",
    ),
    "an animation": (lossless_file(_animation()), "'VP8X'"),
    "metadata": (lossless_file(webp(PIXELS[:, :, :3], xmp=b"<x/>")), "'VP8X'"),
    "a chunk behind": (lossless_file(with_chunk_behind(RGB)), "bytes after its picture"),
    "a byte behind": (lossless_file(RGB + b"!"), "bytes after its picture"),
    "cut short": (lossless_file(RGB[:-2]), "cut short"),
    "the head alone": (lossless_file(RGB[:25]), "cut short"),
    "half a head": (lossless_file(RGB[:20]), "has 20 bytes"),
    "another size": (lossless_file(RGB, width=WIDTH + 1), "says that it has 9x7"),
    "sides exchanged": (lossless_file(RGB, width=HEIGHT, height=WIDTH), "says that it has 9x7"),
    "16384 a side in its head": (
        lossless_file(with_bits(RGB, ~0x0FFFFFFF & 0xFFFFFFFF, 0x0FFFFFFF)),
        "says that it has 16384x16384",
    ),
    "a piece too wide": (lossless_file(RGB, width=16_384), "larger than 16383 a side"),
    "a piece too large": (lossless_file(RGB, width=8192, height=4097), "or 33554432"),
    "alpha that is not told": (lossless_file(RGBA), "has alpha"),
    "another version": (lossless_file(with_bits(RGB, 0x1FFFFFFF, 1 << 29)), "of version 0"),
    "another signature": (lossless_file(RGB[:20] + b"\x2e" + RGB[21:]), "of version 0"),
    "pieces exchanged": (lossless_file(*HALVES[::-1], grid=TWO), "says that it has 5x7"),
    "no columns": (lossless_file(grid=Grid(0, 1)), "0x1 pieces"),
    "more columns than pixels": (lossless_file(*[RGB] * 10, grid=Grid(10, 1)), "10x1 pieces"),
    "a piece missing": (lossless_file(HALVES[0], grid=TWO), "its pieces say"),
    "an empty payload": (join_chunks([split_chunks(HONEST)[0], (b"DATA", b"")]), "ends inside"),
    "a length beyond the end": (
        join_chunks([split_chunks(HONEST)[0], (b"DATA", _COUNT + b"\x01\x01\x7fRIFF")]),
        "say 127 bytes where 4 are present",
    ),
    "an unknown coding": (with_header(HONEST, b"\x00\x02"), "lossless coding 2"),
    "no coding": (with_header(HONEST, b"\x00"), "ends inside its coding"),
    "more in the header": (with_header(HONEST, b"\x00\x01\x00"), "goes on after its last field"),
    "a plan": (
        write_chunks(
            [
                Chunk(b"LHDR", pack_header(LosslessHeader(WIDTH, HEIGHT, 3, False))),
                Chunk(b"PLAN", b"\x06"),
                Chunk(b"DATA", pack_pieces(0, Grid(), (RGB,))),
            ]
        ),
        "lossless and has a chunk PLAN",
    ),
}

# The same of what only decoding shows.
DECODED: dict[str, tuple[bytes, str]] = {
    "a bitstream of noise": (lossless_file(RGB[:25] + bytes(len(RGB) - 25)), "damaged"),
    "colours in a grey picture": (lossless_file(RGB, channels=1), "colours"),
    "much from little": (lossless_file(_bomb(2000), width=2000, height=2000), "damaged"),
}
