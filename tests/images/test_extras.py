"""HEIC, JPEG XL and JPEG 2000."""

from __future__ import annotations

import io
import random
import struct
import sys

import numpy as np
import pytest
from PIL import Image

from licodec.errors import BadInputError, LimitError
from licodec.images import INPUT_FORMATS, INPUT_SUFFIXES, read_image
from licodec.images.metadata import exif_orientation
from tests.images.builders import RGB_PROFILE, read, refused, samples, saved

SMOOTH = np.stack(
    [np.add.outer(a * np.arange(48), b * np.arange(64)) for a, b in ((5, 0), (0, 3), (1, 1))], 2
).astype(np.uint8)
XMP = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>"


def exif(orientation: int = 6) -> bytes:
    block = Image.Exif()
    block[0x0112], block[0x010E] = orientation, "a picture"
    return block.tobytes()


def heic(image: Image.Image, **options) -> bytes:
    pillow_heif = pytest.importorskip("pillow_heif")
    pillow_heif.register_heif_opener()
    return saved(image, "HEIF", quality=-1, chroma=444, **options)


def jxl(image: Image.Image, **options) -> bytes:
    pytest.importorskip("pillow_jxl")
    return saved(image, "JXL", lossless=True, **options)


def jp2(image: Image.Image, **options) -> bytes:
    return saved(image, "JPEG2000", **options)


WRITERS = {"HEIF": heic, "JXL": jxl, "JPEG2000": jp2}
MAKERS = pytest.mark.parametrize("make", [heic, jxl, jp2])


def close(a: np.ndarray, b: np.ndarray, most: int = 2) -> bool:
    return a.shape == b.shape and int(np.abs(a.astype(int) - b).max()) <= most


@MAKERS
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA"])
def test_pixels(make, mode: str) -> None:
    image = Image.fromarray(SMOOTH).convert(mode)
    if "A" in mode:
        image.putalpha(Image.fromarray(SMOOTH[:, :, 2]))
    picture = read(make(image))
    # pillow-heif writes grey with alpha in colour.
    assert picture.channels == (1 if mode in ("L", "LA") and picture.channels == 1 else 3)
    assert close(picture.pixels[:, :, 0], np.asarray(image.convert("RGBA"))[:, :, 0])
    if "A" in mode:
        assert picture.alpha is not None
        assert close(picture.alpha, SMOOTH[:, :, 2], 1)
    else:
        assert picture.alpha is None
    assert picture.notes == ()


@pytest.mark.parametrize("make", [heic, jxl])
def test_metadata_and_orientation(make) -> None:
    options = {} if make is heic else {"use_container": True}
    data = make(Image.fromarray(SMOOTH), exif=exif(), xmp=XMP, **options)
    picture = read(data)
    # HEIC is turned by its boxes, as pillow-heif writes them; JPEG XL states it in its codestream
    # alone, which pillow-jxl-plugin leaves as it is.
    turned = make is heic
    assert close(picture.pixels, np.rot90(SMOOTH, -1) if turned else SMOOTH)
    assert picture.exif is not None
    assert exif_orientation(picture.exif) == 1
    assert picture.xmp == XMP
    assert b"a picture" in picture.exif


def test_profile_of_a_heic() -> None:
    assert read(heic(Image.fromarray(SMOOTH), icc_profile=RGB_PROFILE)).icc == RGB_PROFILE


def test_more_bits_of_a_heic() -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    wide = (SMOOTH.astype(np.uint16) * 257).tobytes()
    stream = io.BytesIO()
    pillow_heif.from_bytes(mode="RGB;16", size=(64, 48), data=wide).save(
        stream, quality=-1, chroma=444
    )
    picture = read(stream.getvalue())
    assert picture.notes == ("10-bit samples reduced to 8",)
    assert close(picture.pixels, SMOOTH)


def test_further_pictures_of_a_heic() -> None:
    image = Image.fromarray(SMOOTH)
    data = heic(image, save_all=True, append_images=[image.rotate(180)])
    picture = read(data)
    assert picture.notes == ("only the primary one of the 2 pictures in the HEIF file taken",)
    assert close(picture.pixels, SMOOTH)


def test_a_heic_that_pillow_has_opened() -> None:
    with Image.open(io.BytesIO(heic(Image.fromarray(SMOOTH), exif=exif(3)))) as image:
        assert close(read_image(image, "in.pic").pixels, np.rot90(SMOOTH, 2))


# JPEG XL


def test_wide_samples_of_a_jxl() -> None:
    imagecodecs = pytest.importorskip("imagecodecs")
    grey = SMOOTH[:, :, 0].astype(np.uint16) * 257 + 100
    picture = read(imagecodecs.jpegxl_encode(grey, lossless=True))
    assert np.array_equal(picture.pixels[:, :, 0], (grey.astype(int) * 255 + 32767) // 65535)
    assert picture.notes == ("16-bit samples reduced to 8",)
    floating = imagecodecs.jpegxl_encode((SMOOTH / 255).astype(np.float32), lossless=True)
    refused(floating, "floating-point samples")


def test_a_jxl_that_moves() -> None:
    imagecodecs = pytest.importorskip("imagecodecs")
    frames = np.stack([SMOOTH, 255 - SMOOTH])
    refused(imagecodecs.jpegxl_encode(frames, lossless=True), "a JPEG XL animation")


def test_the_jpeg_in_a_jxl() -> None:
    imagecodecs = pytest.importorskip("imagecodecs")
    jpeg = saved(Image.fromarray(SMOOTH), "JPEG", exif=exif(), icc_profile=RGB_PROFILE)
    picture, same = read(imagecodecs.jpegxl_encode_jpeg(jpeg)), read(jpeg)
    assert np.array_equal(picture.pixels, same.pixels)
    assert (picture.icc, picture.exif, picture.notes) == (same.icc, same.exif, same.notes)


def test_compressed_metadata_of_a_jxl() -> None:
    image = Image.fromarray(SMOOTH)
    data = jxl(image, exif=exif(), use_container=True, compress_metadata=True)
    assert read(data).notes == ("metadata that is compressed left out",)


def test_a_jxl_in_srgb_has_no_profile() -> None:
    assert read(jxl(Image.fromarray(SMOOTH))).icc is None
    assert read(jxl(Image.fromarray(SMOOTH[:, :, 0]))).icc is None


def jxl_start(width: int, height: int) -> bytes:
    """A codestream's header of this size, and nothing else."""
    fields = [(0, 1), (3, 2), (height - 1, 30), (0, 3), (3, 2), (width - 1, 30)]
    value = at = 0
    for field, bits in fields:
        value |= field << at
        at += bits
    return b"\xff\x0a" + value.to_bytes(16, "little")


@pytest.mark.parametrize(("width", "height"), [(2**30, 2**30), (65536, 1), (1, 65536)])
def test_sizes_of_a_jxl_are_checked_first(width: int, height: int) -> None:
    pytest.importorskip("pillow_jxl")
    refused(jxl_start(width, height), f"{width}x{height}", error=LimitError)


# JPEG 2000


def box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(body), kind) + body


def test_blocks_of_a_jp2() -> None:
    data = jp2(Image.fromarray(SMOOTH))
    colour = data.index(b"colr") - 4
    (length,) = struct.unpack_from(">I", data, colour)
    header = data.index(b"jp2h") - 4
    (whole,) = struct.unpack_from(">I", data, header)
    profile = box(b"colr", b"\x02\0\0" + RGB_PROFILE)
    data = (
        data[:header]
        + struct.pack(">I", whole + len(profile) - length)
        + data[header + 4 : colour]
        + profile
        + data[colour + length :]
    )
    ids = ("4a706754696666457869662d3e4a5032", "be7acfcb97a942e89c71999491e3afac")
    for name, block in zip(ids, (exif(3)[6:], XMP), strict=True):
        data += box(b"uuid", bytes.fromhex(name) + block)
    data += box(b"uuid", bytes.fromhex("33c7a4d2b81d4723a0baf1a3e097ad38")) + box(b"xml ", b"<a/>")
    picture = read(data)
    assert np.array_equal(picture.pixels, np.rot90(SMOOTH, 2))
    assert picture.icc == RGB_PROFILE
    assert picture.exif is not None
    assert exif_orientation(picture.exif) == 1
    assert picture.xmp == XMP
    assert picture.notes == ("IPTC left out", "XML left out")


def test_wide_samples_of_a_jp2() -> None:
    grey = SMOOTH[:, :, 0].astype(np.uint16) * 257
    picture = read(jp2(Image.fromarray(grey)))
    assert np.array_equal(picture.pixels[:, :, 0], SMOOTH[:, :, 0])
    assert picture.notes == ("16-bit samples reduced to 8",)
    imagecodecs = pytest.importorskip("imagecodecs")
    picture = read(imagecodecs.jpeg2k_encode(SMOOTH.astype(np.uint16) * 257, level=0))
    assert close(picture.pixels, SMOOTH, 1)
    assert picture.notes == ("16-bit samples reduced to 8",)


def test_colours_of_a_jp2_that_are_not_converted() -> None:
    data = bytearray(jp2(Image.fromarray(SMOOTH)))
    at = data.index(b"colr") + 4 + 3
    data[at : at + 4] = struct.pack(">I", 14)
    refused(bytes(data), "colour space 14", "convert it to RGB first")


def test_sizes_of_a_jp2_are_checked_first() -> None:
    for no_jp2 in (False, True):
        data = bytearray(jp2(Image.fromarray(SMOOTH), no_jp2=no_jp2))
        at = data.index(b"\xff\x4f\xff\x51") + 8
        data[at : at + 8] = struct.pack(">II", 60_000, 60_000)
        refused(bytes(data), "60000x60000", error=LimitError)
        if not no_jp2:
            data[at : at + 8] = struct.pack(">II", 64, 49)
            refused(bytes(data), "64x49")


# All of them


def test_suffixes_are_known_where_the_extra_is_there() -> None:
    for format, suffix in (("HEIF", ".heic"), ("JXL", ".jxl"), ("JPEG2000", ".jp2")):
        assert (format in INPUT_FORMATS) == (suffix in INPUT_SUFFIXES)


@pytest.mark.parametrize(
    ("package", "extra", "data"),
    [
        ("pillow_heif", "heic", b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic"),
        ("pillow_heif", "heic", b"\0\0\0\x1cftypheic\0\0\0\0mif1heic"),
        ("pillow_jxl", "jxl", b"\xff\x0a\x11\x22"),
        ("pillow_jxl", "jxl", b"\0\0\0\x0cJXL \r\n\x87\n"),
    ],
)
def test_the_extra_that_is_missing_is_named(
    package: str, extra: str, data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    refused(data, f"pip install 'licodec[{extra}]'")


@MAKERS
def test_cut_short(make) -> None:
    data = make(Image.fromarray(samples(40, 40, 3)))
    for size in (16, 40, len(data) // 3):
        refused(data[:size], "damaged")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("format", WRITERS)
def test_damage_gives_a_picture_or_one_of_our_errors(format: str) -> None:
    chance = random.Random(format)
    data = WRITERS[format](Image.fromarray(samples(9, 8, 3)))
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
