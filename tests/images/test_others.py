"""GIF, PPM and AVIF beyond their pixels, and files of other kinds by their names."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from PIL import Image

from licodec.images import INPUT_FORMATS, INPUT_FORMATS_TEXT
from licodec.images.avif import examine_avif
from licodec.images.metadata import icc_colour_space
from tests.images.builders import RGB_PROFILE, read, refused, samples, saved

# GIF


def lzw(indices: list[int]) -> bytes:
    """Indices of 2 bits, each behind a code that clears the table."""
    bits = sum(code << 3 * i for i, code in enumerate([c for i in indices for c in (4, i)] + [5]))
    data = bits.to_bytes((3 * (2 * len(indices) + 1) + 7) // 8, "little")
    return bytes((2, len(data))) + data + b"\0"


def gif(*extensions: bytes, box: tuple[int, int, int, int] = (1, 1, 2, 1), key: int = -1) -> bytes:
    """Four by three pixels; the box (left, top, width, height) is red and green."""
    colours = bytes((255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 9, 9))
    control = b"" if key < 0 else bytes((0x21, 0xF9, 4, 1, 0, 0, key, 0))
    return (
        b"GIF89a"
        + struct.pack("<HHBBB", 4, 3, 0x81, 2, 0)
        + colours
        + b"".join(extensions)
        + control
        + b"\x2c"
        + struct.pack("<HHHHB", *box, 0)
        + lzw([0, 1] * (box[2] * box[3] // 2))
        + b";"
    )


def blocks(data: bytes) -> bytes:
    parts = [data[at : at + 255] for at in range(0, len(data), 255)]
    return b"".join(bytes((len(part),)) + part for part in parts) + b"\0"


@pytest.mark.parametrize("key", [-1, 3])
def test_a_frame_that_does_not_fill_its_gif(key: int) -> None:
    picture = read(gif(key=key))
    assert picture.alpha is not None
    assert picture.alpha.tolist() == [[0] * 4, [0, 255, 255, 0], [0] * 4]
    assert picture.pixels[1, 1:3].tolist() == [[255, 0, 0], [0, 255, 0]]
    note = "pixels beside the GIF's first frame taken as transparent"
    assert picture.notes == ((note,) if key < 0 else ())


def test_a_frame_that_fills_its_gif() -> None:
    picture = read(gif(box=(0, 0, 4, 3)))
    assert (picture.alpha, picture.notes) == (None, ())


def test_blocks_in_a_gif() -> None:
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"/>'
    trailer = b"\x01" + bytes(range(255, -1, -1)) + b"\0"
    picture = read(
        gif(
            b"\x21\xff\x0bICCRGBG1012" + blocks(RGB_PROFILE),
            b"\x21\xfe" + blocks(b"a comment"),
            b"\x21\xff\x0bXMP DataXMP" + xmp + trailer,
            box=(0, 0, 4, 3),
        )
    )
    assert picture.icc == RGB_PROFILE
    assert picture.xmp == xmp
    assert picture.notes == ()


def test_cut_gifs() -> None:
    data = gif(b"\x21\xff\x0bXMP DataXMP<x/>", box=(0, 0, 4, 3))
    for length in range(6, len(data)):
        try:
            read(data[:length])
        except Exception as error:
            assert "damaged or cut short" in str(error)


# PPM


@pytest.mark.parametrize(
    ("head", "size"),
    [
        (b"P4 9 2 ", 4),
        (b"P5 3 2 255 ", 6),
        (b"P5 3 2 100 ", 6),
        (b"P5 3 2 65535 ", 12),
        (b"P5 3 2 1023 ", 12),
        (b"P6 3 2 255 ", 18),
        (b"P6 3 2 4095 ", 36),
    ],
)
def test_several_pictures_in_a_ppm(head: bytes, size: int) -> None:
    one = head + bytes(size)
    several = "only the first of several pictures in the file taken"
    assert several not in read(one).notes
    assert several not in read(one + b"\n").notes
    for more in (one, b"\n" + one):
        assert several in read(one + more).notes


@pytest.mark.parametrize("maximum", [1, 5, 100, 254, 255, 256, 1023, 4095, 65535])
@pytest.mark.parametrize("magic", [b"P5", b"P6", b"P2", b"P3"])
def test_any_maximum(maximum: int, magic: bytes) -> None:
    channels = 3 if magic in (b"P6", b"P3") else 1
    values = (samples(2, 4, channels, bits=16) % (maximum + 1)).astype(int)
    body = values.astype("u1" if maximum < 256 else ">u2").tobytes()
    if magic in (b"P2", b"P3"):
        body = " ".join(map(str, values.ravel())).encode()
    picture = read(magic + b" 4 2 %d\n" % maximum + body)
    assert np.abs(picture.pixels - values * 255 / maximum).max() <= 0.5


@pytest.mark.parametrize("comment", [b"", b"# a comment\n"])
def test_bitmaps(comment: bytes) -> None:
    bits = samples(3, 11, bits=1)
    plain = b"\n".join(b" ".join(b"%d" % bit for bit in row) for row in bits)
    for body in (b"P1\n%b11 3\n%b\n", b"P1\n%b11 3\n%b"):
        picture = read(body % (comment, plain))
        assert np.array_equal(picture.pixels[:, :, 0], 255 - 255 * bits)
        assert picture.notes == ()
    raw = read(b"P4\n%b11 3\n%b" % (comment, np.packbits(bits, axis=1).tobytes()))
    assert np.array_equal(raw.pixels[:, :, 0], 255 - 255 * bits)


# AVIF


@pytest.fixture
def avif() -> bytes:
    if "AVIF" not in INPUT_FORMATS:
        pytest.skip("this Pillow was built without it")
    return saved(Image.new("RGB", (32, 16), (200, 100, 80)), "AVIF", quality=95)


def with_codes(avif: bytes, primaries: int, transfer: int) -> bytes:
    at = avif.index(b"nclx") + 4
    return avif[:at] + struct.pack(">HH", primaries, transfer) + avif[at + 4 :]


def test_colour_description_of_an_avif(avif: bytes) -> None:
    assert (read(with_codes(avif, 1, 13)).icc, read(with_codes(avif, 2, 2)).icc) == (None, None)
    picture = read(with_codes(avif, 12, 13))
    assert picture.icc is not None
    assert icc_colour_space(picture.icc) == "RGB"
    stated = "AVIF colour description (nclx 12/13)"
    assert picture.notes == (f"{stated} kept as an ICC profile",)
    (note,) = read(with_codes(avif, 9, 16)).notes
    assert "nclx 9/16" in note
    assert "PQ left out" in note


def test_a_profile_comes_before_a_colour_description(avif: bytes) -> None:
    image = Image.new("RGB", (32, 16), (200, 100, 80))
    data = with_codes(saved(image, "AVIF", icc_profile=RGB_PROFILE), 12, 16)
    assert (read(data).icc, read(data).notes) == (RGB_PROFILE, ())


@pytest.mark.parametrize("part", [0.1, 0.2, 0.5, 0.9])
def test_cut_avif(avif: bytes, part: float) -> None:
    if part < 0.5:
        refused(avif[: int(len(avif) * part)], "an AVIF file that is damaged or cut short")
    refused(avif[: int(len(avif) * part)], "damaged or cut short")


def test_more_bits_of_an_avif(avif: bytes) -> None:
    imagecodecs = pytest.importorskip("imagecodecs")
    assert read(avif).notes == ()
    for bits in (10, 12):
        full = np.full((16, 16, 3), 2**bits - 1, np.uint16)
        picture = read(imagecodecs.avif_encode(full, level=100, bitspersample=bits))
        assert picture.pixels.min() >= 254
        assert f"{bits}-bit samples reduced to 8" in picture.notes


def test_gain_map_of_an_avif(avif: bytes) -> None:
    with Image.open(io.BytesIO(avif)) as image:
        stream = io.BytesIO(avif.replace(b"MA1B", b"tmap", 1))
        assert examine_avif(image, stream, "").notes == ("HDR gain map left out",)
        assert examine_avif(image, io.BytesIO(avif), "").notes == ()


# Files of other kinds


@pytest.mark.parametrize(
    ("head", "part"),
    [
        (b"\x89PNG\r\n\x1a\n\0", "a PNG file that is damaged or cut short"),
        (b"RIFF\x10\0\0\0WEBPJUNK", "a WebP file that is damaged or cut short"),
        (b"BM\x10\0\0\0\0\0\0\0", "a BMP file that is damaged or cut short"),
        (b"\0\0\0\x1cftypheic\0\0\0\0mif1heic", "a HEIC file, which licodec does not read"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", "a HEIC file, which licodec does not read"),
        (b"\0\0\0\x18ftypcrx \0\0\0\1crx isom", "a camera raw file, which licodec does not read"),
        (b"FUJIFILMCCD-RAW 0201", "a camera raw file, which licodec does not read"),
        (b"\xff\x0a\x11\x22", "a JPEG XL file"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "a JPEG 2000 file"),
        (b"8BPS\0\1", "a Photoshop file"),
        (b"\0\0\1\0\1\0", "an icon (ICO) file"),
        (b"PF\n2 2\n-1.0\n", "a floating-point PFM file"),
        (b"P7\nWIDTH 1\n", "a PAM file"),
        (b"\0\0\2\0\0\0\0\0\0\0\0\0\2\0\2\0\x18\0" + bytes(12), "not a picture that licodec reads"),
    ],
)
def test_files_of_other_kinds(head: bytes, part: str) -> None:
    refused(head.ljust(80, b"\0"), part)
    if "damaged" not in part:
        refused(head, "it reads " + INPUT_FORMATS_TEXT)
