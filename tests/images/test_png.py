"""PNG: colour spaces in chunks, profiles in text, checksums."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms, PngImagePlugin

from licodec.images.metadata import icc_colour_space
from tests.images.builders import (
    RGB_PROFILE,
    exif_block,
    png_chunk,
    read,
    refused,
    samples,
    saved,
    with_chunks,
)

SRGB = ImageCms.createProfile("sRGB")
D65, P3 = (31270, 32900), (68000, 32000, 26500, 69000, 15000, 6000)
REC_709 = (64000, 33000, 30000, 60000, 15000, 6000)


def png(colour: tuple[int, ...] = (200, 100, 80)) -> bytes:
    mode = "L" if len(colour) == 1 else "RGB"
    return saved(Image.new(mode, (4, 3), colour if mode == "RGB" else colour[0]), "PNG")


def chromaticities(*values: int) -> bytes:
    return png_chunk(b"cHRM", struct.pack(">8I", *values))


def gamma(value: int) -> bytes:
    return png_chunk(b"gAMA", struct.pack(">I", value))


def coded(primaries: int, transfer: int) -> bytes:
    return png_chunk(b"cICP", bytes((primaries, transfer, 0, 1)))


def in_srgb(data: bytes) -> tuple[int, ...]:
    """The colour of a picture as its profile shows it."""
    picture = read(data)
    assert picture.icc is not None
    image = Image.fromarray(
        picture.pixels[0, :1].reshape(1, 1, -1).squeeze(2)
        if picture.channels == 1
        else picture.pixels[:1, :1]
    )
    profile = ImageCms.ImageCmsProfile(io.BytesIO(picture.icc))
    shown = ImageCms.profileToProfile(image, profile, SRGB, renderingIntent=1, outputMode="RGB")
    return shown.getpixel((0, 0))


@pytest.mark.parametrize(
    ("chunks", "wanted", "stated_by"),
    [
        ((chromaticities(*D65, *P3),), (215, 93, 73), "PNG chromaticities"),
        (
            (chromaticities(*D65, *P3), gamma(45455)),
            (214, 92, 73),
            "PNG chromaticities and gamma 0.45455",
        ),
        ((coded(12, 13),), (215, 93, 73), "PNG colour description (cICP 12/13)"),
        ((coded(1, 8),), (229, 168, 152), "PNG colour description (cICP 1/8)"),
        ((gamma(100000),), (229, 168, 152), "PNG gamma 1"),
        # What comes first in the specification's order of precedence.
        (
            (gamma(100000), coded(12, 13)),
            (215, 93, 73),
            "PNG colour description (cICP 12/13)",
        ),
    ],
)
def test_stated_colours_become_a_profile(
    chunks: tuple[bytes, ...], wanted: tuple[int, ...], stated_by: str
) -> None:
    data = with_chunks(png(), *chunks)
    assert np.abs(np.subtract(in_srgb(data), wanted)).max() <= 2
    assert read(data).notes == (f"{stated_by} kept as an ICC profile",)


def test_grey_of_another_gamma() -> None:
    data = with_chunks(png((55,)), gamma(100000))
    picture = read(data)
    assert picture.icc is not None
    assert icc_colour_space(picture.icc) == "GRAY"
    assert np.abs(np.subtract(in_srgb(data), 128)).max() <= 1


@pytest.mark.parametrize(
    "chunks",
    [
        (gamma(45455),),
        (chromaticities(*D65, *REC_709),),
        (chromaticities(*D65, *REC_709), gamma(45455)),
        (coded(1, 13),),
        (png_chunk(b"sRGB", b"\0"), gamma(100000)),
        (png_chunk(b"sRGB", b"\0"), chromaticities(*D65, *P3)),
    ],
)
def test_what_is_srgb_needs_no_profile(chunks: tuple[bytes, ...]) -> None:
    picture = read(with_chunks(png(), *chunks))
    assert (picture.icc, picture.notes) == (None, ())


@pytest.mark.parametrize(("transfer", "word"), [(16, "PQ"), (18, "HLG"), (99, "99")])
def test_transfers_that_a_profile_does_not_hold(transfer: int, word: str) -> None:
    picture = read(with_chunks(png(), coded(9, transfer)))
    assert picture.icc is None
    (note,) = picture.notes
    assert f"cICP 9/{transfer}" in note
    assert word in note
    assert "left out" in note


def test_samples_of_a_narrow_range() -> None:
    data = with_chunks(png(), png_chunk(b"cICP", bytes((1, 13, 0, 0))))
    assert read(data).notes == ("PNG colour description (cICP 1/13): narrow range left out",)


def test_chromaticities_that_span_nothing() -> None:
    picture = read(with_chunks(png(), chromaticities(*D65, *(30000, 30000) * 3)))
    assert picture.icc is None
    assert picture.notes == ("PNG chromaticities left out",)


def test_a_profile_comes_before_numbers() -> None:
    data = saved(Image.new("RGB", (2, 2)), "PNG", icc_profile=RGB_PROFILE)
    picture = read(with_chunks(data, gamma(100000)))
    assert (picture.icc, picture.notes) == (RGB_PROFILE, ())


@pytest.mark.parametrize("body", [b"name\0\0not zlib", b"name\0\0" + zlib.compress(b"no profile")])
def test_damaged_profiles(body: bytes) -> None:
    picture = read(with_chunks(png(), png_chunk(b"iCCP", body)))
    assert picture.icc is None
    assert len(picture.notes) == 1
    assert "ICC profile that is damaged left out" in picture.notes[0]


# Text chunks


def raw_profile(kind: str, block: bytes, title: str | None = None, zipped: bool = False) -> bytes:
    info = PngImagePlugin.PngInfo()
    hexadecimal = "\n".join(block.hex()[at : at + 72] for at in range(0, 2 * len(block), 72))
    text = f"\n{title or kind}\n{len(block):8}\n{hexadecimal}\n"
    info.add_text(f"Raw profile type {kind}", text, zip=zipped)
    return saved(Image.fromarray(samples(5, 7, 3)), "PNG", pnginfo=info)


XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"/>'


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize(
    ("kind", "block", "field", "wanted"),
    [
        ("icc", RGB_PROFILE, "icc", RGB_PROFILE),
        ("icm", RGB_PROFILE, "icc", RGB_PROFILE),
        ("xmp", XMP, "xmp", XMP),
        ("APP1", b"http://ns.adobe.com/xap/1.0/\0" + XMP, "xmp", XMP),
        ("exif", b"Exif\0\0" + exif_block(1), "exif", exif_block(1)),
        ("APP1", b"Exif\0\0" + exif_block(1), "exif", exif_block(1)),
    ],
)
def test_raw_profiles(zipped: bool, kind: str, block: bytes, field: str, wanted: bytes) -> None:
    picture = read(raw_profile(kind, block, "generic profile", zipped))
    assert getattr(picture, field) == wanted
    assert picture.notes == ()


@pytest.mark.parametrize("kind", ["exif", "APP1", "app1"])
def test_orientation_in_a_raw_profile(kind: str) -> None:
    picture = read(raw_profile(kind, b"Exif\0\0" + exif_block(6), "generic profile"))
    assert picture.pixels.shape == (7, 5, 3)
    assert picture.exif is not None
    assert picture.exif == exif_block(1, sides=(5, 7))


@pytest.mark.parametrize(
    ("kind", "block", "note"),
    [
        ("iptc", b"8BIM", "IPTC left out"),
        ("8bim", b"8BIM", "IPTC left out"),
        ("other", b"abc", "Raw profile type other left out"),
    ],
)
def test_raw_profiles_that_are_not_kept(kind: str, block: bytes, note: str) -> None:
    assert read(raw_profile(kind, block)).notes == (note,)


def test_raw_profiles_that_are_damaged() -> None:
    for text in ("\nicc\n 3\nxyz\n", "\nicc\n", "no lines", "\nicc\n 3\nabc\n"):
        info = PngImagePlugin.PngInfo()
        info.add_text("Raw profile type icc", text)
        picture = read(saved(Image.new("RGB", (2, 2)), "PNG", pnginfo=info))
        assert picture.notes == ("damaged Raw profile type icc left out",)


@pytest.mark.parametrize("zipped", [False, True])
def test_xmp_in_a_plain_text_chunk(zipped: bool) -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("XML:com.adobe.xmp", XMP.decode(), zip=zipped)
    assert read(saved(Image.new("RGB", (2, 2)), "PNG", pnginfo=info)).xmp == XMP


def test_wrong_checksums_of_pixels() -> None:
    data = saved(Image.fromarray(samples(9, 9, 3)), "PNG")
    start = data.index(b"IDAT")
    (length,) = struct.unpack(">I", data[start - 4 : start])
    checksum = start + 4 + length
    damaged = data[:checksum] + bytes((data[checksum] ^ 1,)) + data[checksum + 1 :]
    refused(damaged, "damaged", "checksum")


BITS_OF_COLOURS = {
    0: (1, 2, 4, 8, 16),
    2: (8, 16),
    3: (1, 2, 4, 8),
    4: (8, 16),
    6: (8, 16),
}


@pytest.mark.parametrize(
    ("colour", "bits"), [(colour, b) for colour, all in BITS_OF_COLOURS.items() for b in all]
)
@pytest.mark.parametrize("size", [(1, 1), (3, 9), (8, 8), (21, 5)])
@pytest.mark.parametrize("interlaced", [0, 1])
def test_pixels_that_are_missing(
    colour: int, bits: int, size: tuple[int, int], interlaced: int
) -> None:
    width, height = size
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, interlaced)
    palette = png_chunk(b"PLTE", bytes(6)) if colour == 3 else b""
    count = bytes_of_rows(width, height, bits * (1, 0, 3, 1, 2, 0, 4)[colour], interlaced)

    def file(rows: int) -> bytes:
        data = png_chunk(b"IHDR", header) + palette
        return (
            b"\x89PNG\r\n\x1a\n"
            + data
            + png_chunk(b"IDAT", zlib.compress(bytes(rows)))
            + png_chunk(b"IEND", b"")
        )

    assert read(file(count)).pixels.shape[:2] == (height, width)
    assert read(file(count + 9)).pixels.shape[:2] == (height, width)
    refused(file(count - 1), "damaged", "a part of its pixels only")


def bytes_of_rows(width: int, height: int, depth: int, interlaced: int) -> int:
    """By a grid of which pass takes each pixel, as the specification draws it."""
    grid = np.zeros((height, width), int)
    if interlaced:
        odd = "77777777"
        pattern = ("16462646", odd, "56565656", odd, "36463646", odd, "56565656", odd)
        digits = np.array([[int(digit) for digit in row] for row in pattern])
        grid = np.tile(digits, (height // 8 + 1, width // 8 + 1))[:height, :width]
    total = 0
    for number in np.unique(grid):
        rows, columns = np.nonzero(grid == number)
        total += len(set(rows)) * (1 + -(-len(set(columns)) * depth // 8))
    return total
