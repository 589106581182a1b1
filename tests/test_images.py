"""Pictures in and out: every Pillow mode, orientation, metadata, alpha, limits, damage."""

from __future__ import annotations

import io
import itertools
import math
import os
import random
import struct
import threading
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps, PngImagePlugin

from licodec.errors import BadInputError, CorruptFileError, LicodecError, LimitError, UsageError
from licodec.images import (
    INPUT_FORMATS,
    OUTPUT_FORMATS,
    Picture,
    compress_alpha,
    decompress_alpha,
    encode_picture,
    format_for_suffix,
    metadata_not_held,
    metadata_subset,
    output_format,
    psnr,
    read_picture,
)
from licodec.images import reading as reading_module
from licodec.images import samples as samples_module
from licodec.images.metadata import exif_orientation, icc_colour_space

XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6" '
    b'xmp:Rating="5"/><tiff:Orientation>6</tiff:Orientation></x:xmpmeta>'
)
RGB_PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def profile_for(space: bytes) -> bytes:
    """A profile whose header says another colour space."""
    return RGB_PROFILE[:16] + space + RGB_PROFILE[20:]


def samples(*shape: int) -> np.ndarray:
    return np.random.randint(0, 256, shape, dtype=np.uint8)


def saved(image: Image.Image, format: str, **options) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format=format, **options)
    return stream.getvalue()


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int, bits: int, colour: int, rows: bytes, *extra: bytes) -> bytes:
    """A PNG of the given filtered rows; Pillow writes few of these kinds."""
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    return b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            png_chunk(b"IHDR", header),
            *extra,
            png_chunk(b"IDAT", zlib.compress(rows)),
            png_chunk(b"IEND", b""),
        )
    )


def exif_block(orientation: int, order: str = "<", kind: str = "H", cut: int = 0) -> bytes:
    """Exif of a make, an orientation and a software tag, bare."""
    code = {"B": 1, "H": 3, "I": 4}[kind]
    value = struct.pack(order + kind, orientation).ljust(4, b"\0")
    entries = (
        struct.pack(order + "HHI4s", 0x010F, 2, 4, b"Lic\0")
        + struct.pack(order + "HHI", 0x0112, code, 1)
        + value
        + struct.pack(order + "HHI4s", 0x0131, 2, 4, b"abc\0")
    )
    head = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(order + "I", 8)
    block = head + struct.pack(order + "H", 3) + entries + bytes(4)
    return block[: len(block) - cut]


def read(data: bytes) -> Picture:
    return read_picture(data, "in.pic")


def refused(data: bytes | Path, *parts: str, error: type[LicodecError] = BadInputError) -> None:
    with pytest.raises(LicodecError) as caught:
        read_picture(data, "in.pic")
    assert type(caught.value) is error
    message = str(caught.value)
    assert message.startswith("in.pic: ") or isinstance(data, Path)
    assert "\n" not in message
    for part in parts:
        assert part in message


# Modes


def test_grey() -> None:
    pixels = samples(5, 7)
    picture = read(saved(Image.fromarray(pixels), "PNG"))
    assert np.array_equal(picture.pixels, pixels[:, :, None])
    assert picture.pixels.flags.c_contiguous
    assert (picture.alpha, picture.notes) == (None, ())
    assert (picture.height, picture.width, picture.channels) == (5, 7, 1)


@pytest.mark.parametrize(("bits", "scale"), [(2, 85), (4, 17)])
def test_grey_of_few_bits(bits: int, scale: int) -> None:
    byte = sum(value << (8 - bits * (i + 1)) for i, value in enumerate((1, 3)))
    picture = read(png(2, 1, bits, 0, bytes((0, byte))))
    assert picture.pixels.ravel().tolist() == [scale, 3 * scale]


def test_rgb() -> None:
    pixels = samples(5, 7, 3)
    for format in ("PNG", "BMP", "PPM", "TIFF"):
        picture = read(saved(Image.fromarray(pixels), format))
        assert np.array_equal(picture.pixels, pixels)
        assert (picture.alpha, picture.notes) == (None, ())


def test_lossy_formats_are_close() -> None:
    pixels = np.full((16, 16, 3), (10, 100, 200), np.uint8)
    for format in ("JPEG", "WEBP", "AVIF"):
        if format in INPUT_FORMATS:
            assert psnr(read(saved(Image.fromarray(pixels), format)).pixels, pixels) > 35


@pytest.mark.parametrize("format", ["PNG", "TIFF", "PPM", "BMP"])
def test_one_bit(format: str) -> None:
    bits = samples(5, 19) > 127
    picture = read(saved(Image.fromarray(bits), format))
    assert np.array_equal(picture.pixels[:, :, 0], np.where(bits, 255, 0))
    assert (picture.alpha, picture.notes) == (None, ())


@pytest.mark.parametrize("format", ["PNG", "TIFF", "BMP", "GIF"])
def test_palette(format: str) -> None:
    image = Image.new("P", (3, 2))
    image.putpalette(bytes((255, 0, 0, 0, 255, 0, 7, 8, 9)))
    image.putdata([0, 1, 2, 2, 1, 0])
    picture = read(saved(image, format))
    red, green, dark = (255, 0, 0), (0, 255, 0), (7, 8, 9)
    assert picture.pixels.tolist() == [
        list(map(list, row)) for row in ((red, green, dark), (dark, green, red))
    ]
    assert (picture.alpha, picture.notes) == (None, ())


@pytest.mark.parametrize(
    ("transparency", "alpha"), [(1, [[255, 0, 255]]), (bytes((10, 20)), [[10, 20, 255]])]
)
def test_palette_with_transparency(transparency: int | bytes, alpha: list) -> None:
    image = Image.new("P", (3, 1))
    image.putpalette(bytes((255, 0, 0, 0, 255, 0, 7, 8, 9)))
    image.putdata([0, 1, 2])
    picture = read(saved(image, "PNG", transparency=transparency))
    assert picture.alpha is not None
    assert picture.alpha.tolist() == alpha
    assert picture.pixels.tolist() == [[[255, 0, 0], [0, 255, 0], [7, 8, 9]]]


def test_palette_with_transparency_in_a_gif() -> None:
    image = Image.new("P", (2, 1))
    image.putpalette(bytes((255, 0, 0, 0, 255, 0)))
    image.putdata([0, 1])
    picture = read(saved(image, "GIF", transparency=1))
    assert picture.alpha is not None
    assert picture.alpha.tolist() == [[255, 0]]
    assert picture.pixels[0, 0].tolist() == [255, 0, 0]


def test_grey_gif_with_transparency() -> None:
    picture = read(saved(Image.fromarray(np.array([[0, 9, 200]], np.uint8)), "GIF", transparency=9))
    assert picture.alpha is not None
    assert picture.alpha.tolist() == [[255, 0, 255]]


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_grey_with_alpha(format: str) -> None:
    both = samples(5, 7, 2)
    picture = read(saved(la_image(both), format))
    assert picture.alpha is not None
    assert np.array_equal(picture.pixels[:, :, 0], both[:, :, 0])
    assert np.array_equal(picture.alpha, both[:, :, 1])


def la_image(both: np.ndarray) -> Image.Image:
    return Image.merge("LA", [Image.fromarray(both[:, :, i]) for i in (0, 1)])


@pytest.mark.parametrize("format", ["PNG", "TIFF", "WEBP"])
def test_rgb_with_alpha(format: str) -> None:
    both = samples(5, 7, 4)
    options = {"lossless": True, "exact": True} if format == "WEBP" else {}
    picture = read(saved(Image.fromarray(both), format, **options))
    assert picture.alpha is not None
    assert np.array_equal(picture.pixels, both[:, :, :3])
    assert np.array_equal(picture.alpha, both[:, :, 3])
    assert picture.notes == ()


def test_opaque_alpha_is_kept() -> None:
    picture = read(saved(Image.new("RGBA", (3, 2), (1, 2, 3, 255)), "PNG"))
    assert picture.alpha is not None
    assert (picture.alpha == 255).all()


def test_palette_with_alpha_channel() -> None:
    image = Image.new("PA", (2, 1))
    image.putpalette(bytes((1, 2, 3, 4, 5, 6)))
    image.putpixel((0, 0), (1, 30))
    image.putpixel((1, 0), (0, 255))
    picture = read(saved(image, "TIFF"))
    assert picture.alpha is not None
    assert picture.pixels.tolist() == [[[4, 5, 6], [1, 2, 3]]]
    assert picture.alpha.tolist() == [[30, 255]]


def test_premultiplied_tiff() -> None:
    data = bytearray(saved(Image.new("RGBA", (1, 1), (50, 100, 20, 128)), "TIFF"))
    entry = data.index(struct.pack("<HHI", 338, 3, 1))  # ExtraSamples
    data[entry + 8] = 1  # associated, premultiplied
    picture = read(bytes(data))
    assert picture.pixels.tolist() == [[[50 * 255 // 128, 100 * 255 // 128, 20 * 255 // 128]]]
    assert picture.notes == ("premultiplied alpha divided out of the colours",)


def test_unspecified_samples() -> None:
    picture = read(saved(Image.new("RGBX", (2, 2), (1, 2, 3, 4)), "TIFF"))
    assert picture.alpha is None
    assert picture.pixels[0, 0].tolist() == [1, 2, 3]
    assert picture.notes == ("samples of unspecified meaning left out",)


@pytest.mark.parametrize("format", ["JPEG", "TIFF"])
def test_cmyk(format: str) -> None:
    image = Image.new("CMYK", (8, 8), (0, 255, 255, 0))
    picture = read(saved(image, format))
    assert np.abs(picture.pixels.astype(int) - (255, 0, 0)).max() <= 2
    assert picture.notes == ("CMYK converted to RGB",)


def test_ycbcr() -> None:
    image = Image.new("RGB", (4, 4), (200, 100, 50)).convert("YCbCr")
    picture = read(saved(image, "TIFF"))
    assert np.abs(picture.pixels.astype(int) - (200, 100, 50)).max() <= 2
    assert picture.notes == ()  # as a JPEG's


VALUES_16 = np.array([[0, 128, 129, 257, 1000, 32767, 32768, 65406, 65407, 65535]], np.uint16)
VALUES_8 = [round(int(value) * 255 / 65535) for value in VALUES_16[0]]


@pytest.mark.parametrize("format", ["PNG", "TIFF", "PPM"])
def test_sixteen_bit_grey_is_rounded(format: str) -> None:
    picture = read(saved(Image.fromarray(VALUES_16), format))
    assert picture.pixels.ravel().tolist() == VALUES_8
    assert picture.notes == ("16-bit samples reduced to 8",)


def test_sixteen_bit_big_endian_tiff() -> None:
    image = Image.frombytes("I;16B", (10, 1), VALUES_16.astype(">u2").tobytes())
    assert read(saved(image, "TIFF")).pixels.ravel().tolist() == VALUES_8


def test_sixteen_bit_tiff_with_white_zero() -> None:
    data = saved(Image.fromarray(VALUES_16), "TIFF", tiffinfo={262: 0})
    assert read(data).pixels.ravel().tolist() == [255 - value for value in VALUES_8]


def test_sixteen_bit_grey_of_another_maximum() -> None:
    data = b"P5\n2 1\n4095\n" + struct.pack(">HH", 4095, 2048)
    assert read(data).pixels.ravel().tolist() == [255, 128]
    assert read(b"P2 2 1 1023\n1023 512\n").pixels.ravel().tolist() == [255, 128]


def test_twelve_bit_tiff() -> None:
    data = bytearray(saved(Image.fromarray(np.zeros((1, 2), np.uint16)), "TIFF"))
    for entry, value in ((struct.pack("<HHI", 258, 3, 1), 12), (struct.pack("<HHI", 279, 4, 1), 3)):
        position = data.index(entry) + 8
        data[position] = value
    (offset,) = struct.unpack_from("<I", data, data.index(struct.pack("<HHI", 273, 4, 1)) + 8)
    data[offset : offset + 3] = bytes((0xFF, 0xF8, 0x00))  # 4095 and 2048
    picture = read(bytes(data))
    assert picture.pixels.ravel().tolist() == [255, 128]
    assert picture.notes == ("12-bit samples reduced to 8",)


@pytest.mark.parametrize(
    ("colour", "channels", "alpha"), [(2, 3, False), (4, 1, True), (6, 3, True)]
)
def test_sixteen_bit_png_of_several_channels(colour: int, channels: int, alpha: bool) -> None:
    values = [0x0180, 0x80FF, 0xFF00, 0x1234][: channels + alpha]
    data = png(1, 1, 16, colour, b"\0" + struct.pack(f">{len(values)}H", *values))
    picture = read(data)
    high = [value >> 8 for value in values]
    assert picture.pixels.ravel().tolist() == high[:channels]
    assert (picture.alpha is not None) is alpha
    if picture.alpha is not None:
        assert picture.alpha.tolist() == [[high[-1]]]
    assert picture.notes == ("16-bit samples reduced to 8 (their high bytes)",)


def test_sixteen_bit_rgb_ppm_is_rounded() -> None:
    data = b"P6\n1 1\n65535\n" + struct.pack(">HHH", 0x0180, 0x80FF, 129)
    picture = read(data)
    assert picture.pixels.ravel().tolist() == [1, 128, 1]
    assert picture.notes == ("16-bit samples reduced to 8 (rounded)",)


@pytest.mark.parametrize(
    ("dtype", "part"),
    [(np.int32, "32-bit or signed integer samples"), (np.float32, "floating-point samples")],
)
def test_samples_without_a_stated_range_are_refused(dtype: type, part: str) -> None:
    image = Image.fromarray(np.ones((2, 2), dtype))
    refused(saved(image, "TIFF"), part, "convert the picture to 8 or 16 bits")


def test_float_ppm_is_refused() -> None:
    refused(b"Pf\n1 1\n-1.0\n" + struct.pack("<f", 0.5), "floating-point")


def test_other_modes_are_refused() -> None:
    refused(saved(Image.new("LAB", (2, 2)), "TIFF"), "CIELAB", "convert it to RGB")


# Colour keys: PNG states them in the samples' own bits


@pytest.mark.parametrize(
    ("bits", "row", "key", "alpha"),
    [
        (1, b"\x40", 1, [255, 0]),
        (2, b"\x70", 3, [255, 0]),
        (4, b"\x4c", 4, [0, 255]),
        (8, b"\x04\x05", 5, [255, 0]),
        (16, b"\x01\x00\x01\x01", 0x0101, [255, 0]),
    ],
)
def test_transparent_grey(bits: int, row: bytes, key: int, alpha: list[int]) -> None:
    transparency = png_chunk(b"tRNS", struct.pack(">H", key))
    picture = read(png(2, 1, bits, 0, b"\0" + row, transparency))
    assert picture.alpha is not None
    assert picture.alpha.ravel().tolist() == alpha
    assert picture.channels == 1


def test_transparent_colour() -> None:
    transparency = png_chunk(b"tRNS", struct.pack(">HHH", 1, 2, 3))
    picture = read(png(3, 1, 8, 2, bytes((0, 1, 2, 3, 1, 2, 4, 1, 2, 3)), transparency))
    assert picture.alpha is not None
    assert picture.alpha.tolist() == [[0, 255, 0]]


def test_transparent_sixteen_bit_colour() -> None:
    transparency = png_chunk(b"tRNS", struct.pack(">HHH", 0x0101, 0x0202, 0x0303))
    row = b"\0" + struct.pack(">6H", 0x0101, 0x0202, 0x0303, 0x0109, 0x0202, 0x0303)
    data = png(2, 1, 16, 2, row, transparency)
    picture = read(data)
    assert picture.alpha is not None
    assert picture.alpha.tolist() == [[0, 255]]
    with Image.open(io.BytesIO(data)) as image:
        image.load()  # which leaves the high bytes alone
        decoded = reading_module.read_image(image, "in.pic")
    assert decoded.alpha is not None
    assert decoded.alpha.tolist() == [[0, 0]]
    assert decoded.notes[-1] == "the transparent colour compared in its high bytes"


# Orientation


INVERSE_OF_ORIENTATION = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def turned(upright: np.ndarray, orientation: int) -> Image.Image:
    """The image that a file of this orientation stores."""
    image = Image.fromarray(upright)
    method = INVERSE_OF_ORIENTATION[orientation]
    return image if method is None else image.transpose(method)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("order", ["<", ">"])
def test_exif_orientation_is_applied_and_reset(orientation: int, order: str) -> None:
    upright = samples(5, 7, 4)
    exif = exif_block(orientation, order)
    data = saved(turned(upright, orientation), "PNG", exif=b"Exif\0\0" + exif)
    with Image.open(io.BytesIO(data)) as image:  # Pillow agrees with this test's table
        assert np.array_equal(np.asarray(ImageOps.exif_transpose(image)), upright)
    picture = read(data)
    assert np.array_equal(picture.pixels, upright[:, :, :3])
    assert picture.pixels.flags.c_contiguous
    assert picture.alpha is not None
    assert np.array_equal(picture.alpha, upright[:, :, 3])
    assert picture.exif == exif_block(1, order)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_in_bands(orientation: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samples_module, "_BAND_PIXELS", 16)
    upright = samples(23, 5)
    data = saved(turned(upright, orientation), "PNG", exif=exif_block(orientation))
    assert np.array_equal(read(data).pixels[:, :, 0], upright)


@pytest.mark.parametrize("format", ["JPEG", "WEBP", "AVIF"])
def test_orientation_in_other_formats(format: str) -> None:
    if format not in INPUT_FORMATS:
        pytest.skip("this Pillow was built without it")
    upright = np.zeros((32, 64, 3), np.uint8)
    upright[:16] = 250
    exif = b"Exif\0\0" + exif_block(6)
    picture = read(saved(turned(upright, 6), format, exif=exif, quality=95))
    assert psnr(picture.pixels, upright) > 30
    assert picture.exif is not None
    assert exif_orientation(picture.exif) in (None, 1)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_tiff_orientation(orientation: int) -> None:
    upright = samples(5, 7)
    data = saved(turned(upright, orientation), "TIFF", tiffinfo={274: orientation, 271: "Lic"})
    picture = read(data)
    assert np.array_equal(picture.pixels[:, :, 0], upright)
    assert picture.exif is not None
    assert exif_orientation(picture.exif) in (None, 1)


def test_orientation_of_a_wrong_field_type() -> None:
    upright = samples(2, 3)
    for kind in "BI":
        exif = exif_block(6, ">", kind)
        picture = read(saved(turned(upright, 6), "PNG", exif=exif))
        assert np.array_equal(picture.pixels[:, :, 0], upright)
        assert picture.exif == exif_block(1, ">", kind)


@pytest.mark.parametrize("orientation", [0, 9, 255])
def test_orientation_out_of_range(orientation: int) -> None:
    stored = samples(2, 3)
    picture = read(saved(Image.fromarray(stored), "PNG", exif=exif_block(orientation)))
    assert np.array_equal(picture.pixels[:, :, 0], stored)
    assert picture.exif == exif_block(1)


def test_orientation_in_cut_exif() -> None:
    stored = samples(2, 3)
    for cut in range(len(exif_block(6)) - 8):
        picture = read(saved(Image.fromarray(stored), "PNG", exif=exif_block(6, cut=cut)))
        assert picture.exif is not None
        assert exif_orientation(picture.exif) in (None, 1)


def test_damaged_exif_is_left_out() -> None:
    picture = read(saved(Image.new("L", (2, 2)), "PNG", exif=b"not Exif at all"))
    assert picture.exif is None
    assert picture.notes == ("damaged Exif left out",)


def test_exif_in_png_text() -> None:
    upright = samples(2, 3)
    block = b"Exif\0\0" + exif_block(3)
    info = PngImagePlugin.PngInfo()
    info.add_text("Raw profile type exif", f"\nexif\n{len(block):8}\n{block.hex()}\n", zip=True)
    picture = read(saved(turned(upright, 3), "PNG", pnginfo=info))
    assert np.array_equal(picture.pixels[:, :, 0], upright)
    assert picture.exif == exif_block(1)
    info = PngImagePlugin.PngInfo()
    info.add_text("Raw profile type exif", "\nexif\n 3\nxyz\n")
    assert read(saved(Image.new("L", (2, 2)), "PNG", pnginfo=info)).notes


def test_xmp_orientation_follows_exif() -> None:
    upright = samples(4, 6, 3)
    picture = read(saved(turned(upright, 6), "WEBP", lossless=True, exif=exif_block(6), xmp=XMP))
    assert np.array_equal(picture.pixels, upright)
    assert picture.xmp == XMP.replace(b'"6"', b'"1"').replace(b">6<", b">1<")


def test_xmp_orientation_alone_changes_nothing() -> None:
    stored = samples(4, 6, 3)
    picture = read(saved(Image.fromarray(stored), "WEBP", lossless=True, xmp=XMP))
    assert np.array_equal(picture.pixels, stored)
    assert picture.xmp == XMP


# Metadata


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "TIFF"])
@pytest.mark.parametrize("alpha", [False, True])
def test_metadata_round_trip(format: str, alpha: bool) -> None:
    if format == "JPEG" and alpha:
        pytest.skip("JPEG has no alpha")
    picture = Picture(
        samples(6, 9, 3),
        samples(6, 9) if alpha else None,
        icc=RGB_PROFILE,
        exif=exif_block(1),
        xmp=XMP.replace(b"6", b"1"),
    )
    assert metadata_not_held(picture, format) == ()
    again = read(encode_picture(picture, format))
    assert again.icc == picture.icc
    assert again.xmp == picture.xmp
    assert again.exif is not None
    if format == "TIFF":  # rebuilt from the TIFF's own directory
        assert b"Lic\0" in again.exif
        assert b"abc\0" in again.exif
    else:
        assert again.exif == picture.exif
    assert again.notes == ()
    if format != "JPEG":
        assert np.array_equal(again.pixels, picture.pixels)
        if picture.alpha is not None:
            assert again.alpha is not None
            assert np.array_equal(again.alpha, picture.alpha)


def test_tiff_keeps_exif_directories_and_no_layout() -> None:
    exif = Image.Exif()
    exif[271] = "Lic"
    exif[262] = 0  # would turn black and white round
    exif[274] = 6
    exif.get_ifd(0x8769)[36867] = "2024:01:02 03:04:05"
    exif.get_ifd(0x8825)[1] = "N"
    block = exif.tobytes()[6:]
    picture = Picture(samples(3, 4, 1), exif=block)
    data = encode_picture(picture, "TIFF")
    with Image.open(io.BytesIO(data)) as image:
        assert image.getexif().get(274) == 6
        assert image.getexif().get_ifd(0x8769) == {36867: "2024:01:02 03:04:05"}
        assert image.getexif().get_ifd(0x8825) == {1: "N"}
    upright = read(encode_picture(Picture(samples(3, 4, 1), exif=exif_block(1)), "TIFF"))
    assert upright.height == 3
    again = read(data)
    assert again.exif is not None
    assert b"2024:01:02 03:04:05" in again.exif
    assert np.array_equal(np.rot90(picture.pixels, -1), again.pixels)


def test_tiff_without_description_has_no_exif() -> None:
    assert read(saved(Image.new("L", (2, 2)), "TIFF")).exif is None


def test_exif_that_tiff_cannot_take() -> None:
    picture = Picture(samples(2, 2, 1), exif=b"II*\0" + bytes(3))
    with pytest.raises(LicodecError, match="Exif is damaged and cannot be written as TIFF"):
        encode_picture(picture, "TIFF")


@pytest.mark.parametrize(
    ("image", "profile", "kept"),
    [
        (Image.new("RGB", (2, 2)), b"RGB ", True),
        (Image.new("P", (2, 2)), b"RGB ", True),
        (Image.new("RGBA", (2, 2)), b"RGB ", True),
        (Image.new("L", (2, 2)), b"GRAY", True),
        (Image.new("1", (2, 2)), b"GRAY", True),
        (Image.new("L", (2, 2)), b"RGB ", False),
        (Image.new("RGB", (2, 2)), b"GRAY", False),
        (Image.new("RGB", (2, 2)), b"CMYK", False),
        (Image.new("CMYK", (2, 2)), b"CMYK", False),
    ],
)
def test_profile_must_fit_the_samples(image: Image.Image, profile: bytes, kept: bool) -> None:
    picture = read(saved(image, "TIFF", icc_profile=profile_for(profile)))
    assert (picture.icc is not None) is kept
    if not kept:
        name = "grey" if image.mode == "L" else "RGB"
        note = f"ICC profile for {profile.decode().strip()} samples left out, the picture is {name}"
        assert note in picture.notes


def test_damaged_profile_is_left_out() -> None:
    picture = read(saved(Image.new("RGB", (2, 2)), "PNG", icc_profile=b"nonsense"))
    assert picture.icc is None
    assert picture.notes == ("ICC profile that is damaged left out, the picture is RGB",)
    assert icc_colour_space(RGB_PROFILE) == "RGB"
    assert icc_colour_space(b"") is None


def test_profile_larger_than_pillow_expects_in_a_png() -> None:
    large = RGB_PROFILE + bytes(3_000_000)
    assert read(saved(Image.new("RGB", (2, 2)), "PNG", icc_profile=large)).icc == large


def test_png_gamma() -> None:
    row = bytes((0, 5))
    plain = png(1, 1, 8, 0, row, png_chunk(b"gAMA", struct.pack(">I", 45455)))
    linear = png(1, 1, 8, 0, row, png_chunk(b"gAMA", struct.pack(">I", 100000)))
    assert (read(plain).notes, read(plain).icc) == ((), None)
    picture = read(linear)
    assert picture.notes == ("PNG gamma 1 kept as an ICC profile",)
    assert picture.icc is not None
    assert icc_colour_space(picture.icc) == "GRAY"


def test_metadata_subset() -> None:
    picture = Picture(samples(2, 2, 3), samples(2, 2), b"icc", b"exif", b"xmp", ("note",))
    for count in range(4):
        for keep in itertools.combinations(("icc", "exif", "xmp"), count):
            subset = metadata_subset(picture, set(keep))
            for kind in ("icc", "exif", "xmp"):
                assert getattr(subset, kind) == (kind.encode() if kind in keep else None)
            assert subset.pixels is picture.pixels
            assert subset.alpha is picture.alpha
    with pytest.raises(UsageError, match='"iptc"; choose among icc, exif, xmp'):
        metadata_subset(picture, {"iptc"})


# What is not one picture


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG", "AVIF"])
def test_the_first_frame_of_an_animation_is_taken(format: str) -> None:
    if format not in INPUT_FORMATS:
        pytest.skip("this Pillow was built without it")
    frames = [Image.new("RGB", (16, 16), (value, 0, 0)) for value in (200, 100, 0)]
    picture = read(saved(frames[0], format, save_all=True, append_images=frames[1:]))
    assert picture.notes == ("only the first of the 3 frames of the animation taken",)
    assert abs(int(picture.pixels[8, 8, 0]) - 200) < 5


def test_several_pages_are_refused() -> None:
    pages = [Image.fromarray(samples(16, 16, 3)) for _ in range(3)]
    data = saved(pages[0], "TIFF", save_all=True, append_images=pages[1:])
    refused(data, "3 pages", "single pictures")


def test_the_first_picture_of_a_phone_s_file_is_taken() -> None:
    first, second = (Image.new("RGB", (16, 16), (value, 0, 0)) for value in (200, 0))
    data = saved(first, "MPO", save_all=True, append_images=[second])
    picture = read(data)
    assert picture.notes == ("only the first of the 2 pictures in the MPO file taken",)
    assert abs(int(picture.pixels[8, 8, 0]) - 200) < 5


def test_a_single_frame_gif_is_fine() -> None:
    assert read(saved(Image.new("L", (3, 2), 9), "GIF")).pixels.shape[:2] == (2, 3)


def test_truncated_jpeg() -> None:
    data = saved(Image.fromarray(samples(64, 64, 3)), "JPEG")
    refused(data[: len(data) // 2], "damaged or cut short", "truncated")
    refused(data[:3], "a JPEG file that is damaged or cut short")


@pytest.mark.parametrize("format", ["PNG", "WEBP", "TIFF", "BMP", "PPM", "GIF"])
def test_truncated_files(format: str) -> None:
    data = saved(Image.fromarray(samples(64, 64, 3)), format)
    refused(data[: len(data) * 3 // 4])


def test_not_a_picture(tmp_path: Path) -> None:
    refused(b"Dear diary, today I drew nothing.", "not a picture that licodec reads", "PNG, JPEG")
    refused(b"\x89LIC\r\n\x1a\n" + bytes(50), "not a picture that licodec reads")
    refused(b"%!PS-Adobe-3.0 EPSF-3.0\n", "not a picture that licodec reads")


def test_an_empty_file(tmp_path: Path) -> None:
    refused(b"", "the file is empty")
    (tmp_path / "empty.png").write_bytes(b"")
    refused(tmp_path / "empty.png", "the file is empty")


def test_a_missing_file_and_a_directory(tmp_path: Path) -> None:
    refused(tmp_path / "none.png", "none.png", "no such file")
    refused(tmp_path, str(tmp_path), "a directory")


def test_reading_from_a_file_and_from_a_pipe(tmp_path: Path) -> None:
    pixels = samples(5, 7, 3)
    data = saved(Image.fromarray(pixels), "PNG")
    (tmp_path / "a.png").write_bytes(data)
    assert np.array_equal(read_picture(tmp_path / "a.png", "a.png").pixels, pixels)
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=lambda: (tmp_path / "pipe").write_bytes(data))
    writer.start()
    assert np.array_equal(read_picture(tmp_path / "pipe", "pipe").pixels, pixels)
    writer.join()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("format", [f for f in INPUT_FORMATS if f not in ("HEIF", "JXL")])
def test_damage_gives_a_picture_or_one_of_our_errors(format: str) -> None:
    chance = random.Random(format)
    options = {"exif": exif_block(6)} if format not in ("BMP", "PPM", "GIF", "JPEG2000") else {}
    data = saved(Image.fromarray(samples(9, 8, 3)), format, **options)
    for _ in range(120):
        damaged = bytearray(data)
        for _ in range(chance.randint(1, 4)):
            damaged[chance.randrange(len(data))] = chance.randrange(256)
        if chance.random() < 0.3:
            del damaged[chance.randrange(len(data)) :]
        try:
            read(bytes(damaged))
        except (BadInputError, LimitError) as error:
            assert "\n" not in str(error)


# Limits


@pytest.mark.parametrize(
    ("width", "height"), [(2**31 - 1, 2**31 - 1), (65536, 1), (1, 65536), (16385, 16384)]
)
def test_sizes_over_the_limit_are_refused_at_once(width: int, height: int) -> None:
    tracemalloc.start()
    refused(png(width, height, 8, 2, b""), f"{width}x{height}", error=LimitError)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**20


@pytest.mark.parametrize("magic", [b"P6", b"BM"])
def test_other_headers_over_the_limit(magic: bytes) -> None:
    if magic == b"P6":
        data = b"P6\n99999 99999\n255\n"
    else:
        data = saved(Image.new("RGB", (4, 4)), "BMP")
        data = data[:18] + struct.pack("<ii", 99999, 99999) + data[26:]
    refused(data, "99999x99999", error=LimitError)


def test_pillow_s_own_limit_is_put_aside_and_restored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 3)
    pixels = samples(5, 7, 3)
    for format in ("PNG", "TIFF", "GIF"):
        assert read(saved(Image.fromarray(pixels), format)).pixels.shape == pixels.shape
    refused(b"nothing")
    assert Image.MAX_IMAGE_PIXELS == 3


def test_threads_may_read_at_the_same_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 3)
    data = saved(Image.fromarray(samples(40, 50, 3)), "PNG")
    failures: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(30):
                read(data)
        except BaseException as error:
            failures.append(error)
            raise

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert Image.MAX_IMAGE_PIXELS == 3


def test_memory_runs_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments) -> None:
        raise MemoryError

    monkeypatch.setattr(reading_module, "upright_samples", fail)
    refused(saved(Image.new("L", (2, 2)), "PNG"), "not enough memory", error=LimitError)


@pytest.mark.parametrize("orientation", [1, 6])
def test_reading_makes_one_copy_beside_pillow_s(
    orientation: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(samples_module, "_BAND_PIXELS", 2**14)
    image = Image.new("RGB", (700, 900), (1, 2, 3))
    data = saved(image, "PNG", exif=exif_block(orientation))
    tracemalloc.start()  # sees NumPy's memory and bytes objects, not Pillow's own pixels
    try:
        picture = read(data)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < picture.pixels.nbytes + 600_000


# Writing


@pytest.mark.parametrize(
    ("suffix", "format"),
    [
        (".png", "PNG"),
        (".PNG", "PNG"),
        (".jpg", "JPEG"),
        (".jpeg", "JPEG"),
        (".ppm", "PPM"),
        (".pgm", "PGM"),
        (".pnm", "PNM"),
        (".bmp", "BMP"),
        (".tif", "TIFF"),
        (".tiff", "TIFF"),
        (".webp", "WEBP"),
    ],
)
def test_format_for_suffix(suffix: str, format: str) -> None:
    assert format_for_suffix(suffix) == format
    assert output_format(suffix[1:]).name == format
    assert output_format(format.lower()).name == format


@pytest.mark.parametrize("suffix", [".gif", ".lic", ".pbm", "", ".", "png"])
def test_unknown_suffix(suffix: str) -> None:
    with pytest.raises(UsageError, match=r"choose one of \.png, "):
        format_for_suffix(suffix)


@pytest.mark.parametrize("format", [f for f in OUTPUT_FORMATS if f not in ("JPEG", "AVIF")])
@pytest.mark.parametrize("shape", [(1, 1), (5, 7), (33, 17)])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("alpha", [False, True])
def test_lossless_round_trip(
    format: str, shape: tuple[int, int], channels: int, alpha: bool
) -> None:
    if alpha and not output_format(format).alpha:
        pytest.skip("no alpha in this format")
    if channels > max(output_format(format).channels):
        pytest.skip("no colours in this format")
    picture = Picture(samples(*shape, channels), samples(*shape) if alpha else None)
    again = read(encode_picture(picture, format))
    # WebP and PPM have no grey; it comes back as equal channels.
    assert np.array_equal(again.pixels, np.broadcast_to(picture.pixels, again.pixels.shape))
    if format not in ("WEBP", "PPM"):
        assert again.channels == channels
    if picture.alpha is None:
        assert again.alpha is None
    elif not (format == "WEBP" and (picture.alpha == 255).all()):
        assert again.alpha is not None
        assert np.array_equal(again.alpha, picture.alpha)


def test_jpeg_is_of_high_quality_without_subsampling() -> None:
    pixels = np.zeros((16, 16, 3), np.uint8)
    pixels[:, ::2, 0] = 255  # colour detail that subsampling would lose
    data = encode_picture(Picture(pixels), "JPEG")
    assert psnr(read(data).pixels, pixels) > 30
    with Image.open(io.BytesIO(data)) as image:
        assert {layer[1:3] for layer in image.layer} == {(1, 1)}
    grey = read(encode_picture(Picture(np.full((8, 8, 1), 77, np.uint8)), "JPEG"))
    assert grey.channels == 1


@pytest.mark.parametrize("format", ["JPEG", "BMP", "PPM"])
def test_alpha_in_a_format_without(format: str) -> None:
    picture = Picture(samples(2, 2, 3), np.full((2, 2), 255, np.uint8))
    with pytest.raises(UsageError) as caught:
        encode_picture(picture, format)
    able = ", ".join(name for name in OUTPUT_FORMATS if output_format(name).alpha)
    assert str(caught.value) == (
        f"{format} cannot hold the picture's alpha; choose one of {able}, "
        "or flatten it (--background)"
    )


@pytest.mark.parametrize(
    ("format", "channels", "magic"),
    [("PPM", 3, b"P6"), ("PPM", 1, b"P6"), ("PGM", 1, b"P5"), ("PNM", 3, b"P6"), ("PNM", 1, b"P5")],
)
def test_what_is_in_a_netpbm_file(format: str, channels: int, magic: bytes) -> None:
    pixels = samples(2, 3, channels)
    written = encode_picture(Picture(pixels), format)
    if magic == b"P6":
        pixels = np.broadcast_to(pixels, (2, 3, 3))
    assert written == magic + b"\n3 2\n255\n" + pixels.tobytes()


def test_colours_in_a_pgm() -> None:
    with pytest.raises(UsageError, match=r"PGM holds grey pictures alone.*choose PPM or PNM"):
        encode_picture(Picture(samples(2, 2, 3)), "PGM")


@pytest.mark.parametrize(("format", "most"), [("WEBP", 16383), ("JPEG", 65500)])
def test_sides_that_a_format_cannot_hold(format: str, most: int) -> None:
    with pytest.raises(UsageError, match=f"at most {most} pixels a side.*{most + 1}.*choose PNG"):
        encode_picture(Picture(np.zeros((1, most + 1, 1), np.uint8)), format)


@pytest.mark.parametrize(("kind", "most"), [("exif", 65527), ("xmp", 65504)])
def test_metadata_that_a_jpeg_cannot_hold(kind: str, most: int) -> None:
    block = exif_block(1).ljust(most, b"\0")
    picture = Picture(samples(8, 8, 3), **{kind: block})
    assert getattr(read(encode_picture(picture, "JPEG")), kind) == block
    with pytest.raises(UsageError, match="does not fit into a JPEG; choose PNG"):
        encode_picture(Picture(samples(8, 8, 3), **{kind: block + b"\0"}), "JPEG")
    assert getattr(read(encode_picture(picture, "PNG")), kind) == block


def test_metadata_not_held() -> None:
    picture = Picture(samples(2, 2, 3), None, RGB_PROFILE, exif_block(1), XMP)
    assert metadata_not_held(picture, "PPM") == ("icc", "exif", "xmp")
    assert metadata_not_held(picture, "PNG") == ()
    grey = Picture(samples(2, 2, 1), None, profile_for(b"GRAY"))
    assert metadata_not_held(grey, "WEBP") == ("icc",)
    assert read(encode_picture(grey, "WEBP")).icc is None
    assert read(encode_picture(grey, "PNG")).icc == grey.icc
    read(encode_picture(picture, "BMP"))


def test_xmp_of_any_bytes_in_a_png() -> None:
    xmp = bytes(range(1, 256))
    picture = Picture(samples(2, 2, 3), xmp=xmp)
    with Image.open(io.BytesIO(encode_picture(picture, "PNG"))) as image:
        image.load()
        assert image.info["xmp"] == xmp


def test_writing_a_view() -> None:
    pixels = samples(6, 8, 3)
    again = read(encode_picture(Picture(pixels[::-1, ::2]), "PNG"))
    assert np.array_equal(again.pixels, pixels[::-1, ::2])


@pytest.mark.parametrize(
    ("pixels", "alpha"),
    [
        (np.zeros((2, 2, 3), np.float32), None),
        (np.zeros((2, 2), np.uint8), None),
        (np.zeros((2, 2, 4), np.uint8), None),
        (np.zeros((0, 2, 3), np.uint8), None),
        (np.zeros((2, 2, 3), np.uint8), np.zeros((2, 3), np.uint8)),
        (np.zeros((2, 2, 3), np.uint8), np.zeros((2, 2), np.uint16)),
    ],
)
def test_pictures_are_checked(pixels: np.ndarray, alpha: np.ndarray | None) -> None:
    with pytest.raises(BadInputError):
        Picture(pixels, alpha)


# The alpha plane


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (17, 33), (128, 130)])
@pytest.mark.parametrize("kind", ["noise", "opaque", "ramp"])
def test_alpha_round_trip(shape: tuple[int, int], kind: str) -> None:
    height, width = shape
    ramp = (np.add.outer(np.arange(height), np.arange(width)) % 256).astype(np.uint8)
    alpha = {"noise": samples(*shape), "opaque": np.full(shape, 255, np.uint8), "ramp": ramp}[kind]
    again = decompress_alpha(compress_alpha(alpha), height, width)
    assert again.dtype == np.uint8
    assert np.array_equal(again, alpha)


def test_constant_alpha_is_small() -> None:
    assert len(compress_alpha(np.full((1000, 1000), 255, np.uint8))) < 2500


def test_alpha_of_another_size_is_refused() -> None:
    data = compress_alpha(samples(4, 5))
    for height, width in ((5, 4), (4, 6), (5, 5), (60000, 4000)):
        with pytest.raises(CorruptFileError, match=f"{width}x{height}"):
            decompress_alpha(data, height, width)
    with pytest.raises(LimitError):
        decompress_alpha(data, 2**31, 2**31)


@pytest.mark.filterwarnings("ignore")
def test_alpha_damaged_anywhere() -> None:
    alpha = samples(6, 5)
    data = compress_alpha(alpha)
    for length in range(len(data)):
        with pytest.raises(CorruptFileError):
            decompress_alpha(data[:length], 6, 5)
    for position in range(len(data)):
        for bit in (0, 3, 7):
            damaged = bytearray(data)
            damaged[position] ^= 1 << bit
            with pytest.raises(CorruptFileError):
                decompress_alpha(bytes(damaged), 6, 5)
    with pytest.raises(CorruptFileError):
        decompress_alpha(data + b"\0", 6, 5)


def rechecked(data: bytes, change: Callable[[list[tuple[bytes, bytes]]], None]) -> bytes:
    """A PNG with its chunks changed and the checksums right again."""
    chunks = []
    position = 8
    while position < len(data):
        (length,) = struct.unpack_from(">I", data, position)
        body = data[position + 8 : position + 8 + length]
        chunks.append((data[position + 4 : position + 8], body))
        position += 12 + length
    change(chunks)
    return data[:8] + b"".join(png_chunk(kind, body) for kind, body in chunks)


def rows_of(count: int, width: int = 5, filter: int = 0) -> bytes:
    return (bytes((filter,)) + bytes(width)) * count


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not zlib",
        zlib.compress(rows_of(5)),
        zlib.compress(rows_of(6) + b"\0"),
        zlib.compress(rows_of(6)) + b"more",
        zlib.compress(rows_of(6))[:-1],
        zlib.compress(rows_of(6))[:-4] + bytes(4),
        zlib.compress(rows_of(6, filter=9)),
        zlib.compress(rows_of(6))[2:-4],
    ],
)
def test_alpha_with_hostile_samples(body: bytes) -> None:
    def change(chunks: list) -> None:
        chunks[1:-1] = [(b"IDAT", body)]

    with pytest.raises(CorruptFileError):
        decompress_alpha(rechecked(compress_alpha(samples(6, 5)), change), 6, 5)


@pytest.mark.parametrize(
    "change",
    [
        lambda chunks: chunks.insert(1, (b"tEXt", b"a\0b")),
        lambda chunks: chunks.insert(1, (b"tRNS", b"\0\0")),
        lambda chunks: chunks.insert(1, (b"acTL", bytes(8))),
        lambda chunks: chunks.insert(1, chunks[0]),
        lambda chunks: chunks.insert(0, (b"IDAT", b"")),
        lambda chunks: chunks.append((b"IEND", b"")),
        lambda chunks: chunks.pop(0),
        lambda chunks: chunks.pop(1),
        lambda chunks: chunks.pop(),
        lambda chunks: chunks.__setitem__(-1, (b"IEND", b"x")),
        lambda chunks: chunks.clear(),
        *(
            lambda chunks, at=at, value=value: chunks.__setitem__(
                0, (b"IHDR", chunks[0][1][:at] + bytes((value,)) + chunks[0][1][at + 1 :])
            )
            for at, value in ((8, 1), (8, 16), (9, 3), (9, 2), (10, 1), (11, 1), (12, 1))
        ),
    ],
)
def test_alpha_with_hostile_chunks(change: Callable) -> None:
    with pytest.raises(CorruptFileError):
        decompress_alpha(rechecked(compress_alpha(samples(6, 5)), change), 6, 5)


def test_alpha_in_many_chunks() -> None:
    alpha = samples(6, 5)

    def change(chunks: list) -> None:
        body = b"".join(body for kind, body in chunks if kind == b"IDAT")
        chunks[1:-1] = [(b"IDAT", b"")] + [(b"IDAT", bytes((byte,))) for byte in body]

    data = rechecked(compress_alpha(alpha), change)
    with pytest.raises(LimitError):
        decompress_alpha(data * 40, 6, 5)
    assert np.array_equal(decompress_alpha(data, 6, 5), alpha)


def test_alpha_bomb_takes_no_memory() -> None:
    bomb = zlib.compress(bytes(60_000_000), 9)  # 58 kB

    def change(chunks: list) -> None:
        chunks[1:-1] = [(b"IDAT", bomb)]

    alpha = samples(300, 300)
    data = rechecked(compress_alpha(alpha), change)
    tracemalloc.start()
    try:
        with pytest.raises(CorruptFileError, match="more samples"):
            decompress_alpha(data, 300, 300)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 5_000_000


# PSNR


def test_psnr() -> None:
    a = samples(33, 17, 3)
    assert psnr(a, a.copy()) == math.inf
    b = np.where(a < 128, a + 1, a - 1).astype(np.uint8)
    assert psnr(a, b) == pytest.approx(20 * math.log10(255))
    zero, full = np.zeros((2, 2), np.uint8), np.full((2, 2), 255, np.uint8)
    assert psnr(zero, full) == pytest.approx(0)


def test_psnr_by_bands() -> None:
    a, b = samples(3000, 500), samples(3000, 500)
    mean = np.square(a.astype(float) - b).mean()
    assert psnr(a, b) == pytest.approx(10 * math.log10(255**2 / mean))


def test_psnr_takes_equal_shapes() -> None:
    with pytest.raises(BadInputError):
        psnr(samples(2, 2), samples(2, 3))
    with pytest.raises(BadInputError):
        psnr(samples(2, 2), np.zeros((2, 2)))
