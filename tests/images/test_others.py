"""GIF, PPM and AVIF beyond their pixels, and files of other kinds by their names."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from PIL import Image

from licodec.images import INPUT_FORMATS, INPUT_FORMATS_TEXT, read_image
from licodec.images.avif import examine_avif
from licodec.images.boxes import boxes
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


def gif_blocks(data: bytes) -> bytes:
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
            b"\x21\xff\x0bICCRGBG1012" + gif_blocks(RGB_PROFILE),
            b"\x21\xfe" + gif_blocks(b"a comment"),
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


@pytest.mark.parametrize(("maximum", "kind"), [(100, "u1"), (1000, ">u2")])
def test_samples_above_the_stated_maximum(maximum: int, kind: str) -> None:
    head = b"P5 2 1 %d\n" % maximum
    whole = read(head + np.array([maximum // 2, maximum], kind).tobytes())
    assert not any("maximum" in note for note in whole.notes)
    picture = read(head + np.array([maximum // 2, maximum + 1], kind).tobytes())
    assert picture.pixels.ravel()[1] == 255
    note = f"samples above the stated maximum of {maximum} taken as that"
    assert picture.notes == (*whole.notes, note)


@pytest.mark.parametrize("maximum", [1, 5, 100, 254, 255, 256, 1023, 4095, 65535])
@pytest.mark.parametrize("magic", [b"P5", b"P6", b"P2", b"P3"])
def test_any_maximum(maximum: int, magic: bytes) -> None:
    channels = 3 if magic in (b"P6", b"P3") else 1
    values = samples(2, 4, channels, bits=16).astype(int) % (maximum + 1)
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


def box(kind: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I4s", 8 + len(body), kind) + body


def with_property(avif: bytes, added: bytes, before: bytes | None = None) -> bytes:
    """An AVIF of one item with one more property, or with one in the place of another."""
    start = avif.index(b"meta") - 4
    (length,) = struct.unpack_from(">I", avif, start)
    meta = avif[start + 12 : start + length]
    out = b""
    for kind, body in boxes(meta):
        if kind == b"iprp":
            body = b"".join(box(*changed(each, added, before)) for each in boxes(body))
        out += box(kind, body)
    longer = len(out) - len(meta)
    # The one extent's offset into the file, in an iloc of 4 bytes each.
    at = out.index(b"iloc") + 4
    place = out.index(struct.pack(">I", avif.index(b"mdat") + 4), at)
    offset = struct.pack(">I", avif.index(b"mdat") + 4 + longer)
    out = out[:place] + offset + out[place + 4 :]
    return avif[:start] + box(b"meta", bytes(4), out) + avif[start + length :]


def changed(each: tuple[bytes, bytes], added: bytes, before: bytes | None) -> tuple[bytes, bytes]:
    kind, body = each[0], bytes(each[1])
    properties = [k for k, _ in boxes(body)] if kind == b"ipco" else []
    if kind == b"ipco" and before is not None:
        at = properties.index(before)
        return kind, b"".join(added if i == at else box(*p) for i, p in enumerate(boxes(body)))
    if kind == b"ipco":
        return kind, body + added
    if before is None:  # one association more, of the one item: essential, the last property
        number = 0x80 | (body[10] + 1)
        return kind, body[:10] + bytes((body[10] + 1,)) + body[11:] + bytes((number,))
    return kind, body


def clap(*values: int) -> bytes:
    return box(b"clap", struct.pack(">IIIIiIiI", *values))


def test_clean_aperture_of_an_avif() -> None:
    if "AVIF" not in INPUT_FORMATS:
        pytest.skip("this Pillow was built without it")
    image = Image.fromarray(samples(24, 32, 3))
    data = saved(image, "AVIF", quality=90, subsampling="4:4:4")
    whole = read(data).pixels
    left_out = "pixels outside of the clean aperture (clap) left out"
    # Ten by six, its middle three to the right of the picture's and two above it.
    picture = read(with_property(data, clap(10, 1, 6, 1, 3, 1, -2, 1)))
    assert np.array_equal(picture.pixels, whole[7:13, 14:24])
    assert picture.notes == (left_out,)
    picture = read(with_property(data, clap(11, 1, 7, 1, -1, 2, 3, 2)))
    assert np.array_equal(picture.pixels, whole[10:17, 10:21])
    picture = read(with_property(data, clap(11, 1, 6, 1, 3, 1, -2, 1)))  # from 13 1/2 on
    assert np.array_equal(picture.pixels, whole[7:13, 14:25])
    picture = read(with_property(data, clap(32, 1, 24, 1, 0, 1, 0, 1)))
    assert np.array_equal(picture.pixels, whole)
    assert picture.notes == ()
    opened = read_image(
        Image.open(io.BytesIO(with_property(data, clap(10, 1, 6, 1, 3, 1, -2, 1)))), "in.pic"
    )
    assert np.array_equal(opened.pixels, whole[7:13, 14:24])


@pytest.mark.parametrize(
    "values",
    [
        (21, 2, 6, 1, 0, 1, 0, 1),
        (33, 1, 6, 1, 1, 2, 0, 1),
        (10, 1, 6, 1, 100, 1, 0, 1),
        (0, 1, 6, 1, 0, 1, 0, 1),
        (10, 0, 6, 1, 0, 1, 0, 1),
    ],
)
def test_clean_apertures_that_are_not_valid(avif: bytes, values: tuple[int, ...]) -> None:
    picture = read(with_property(avif, clap(*values)))
    assert picture.pixels.shape == (16, 32, 3)
    assert picture.notes == ("a clean aperture (clap) that is not valid left out",)


@pytest.mark.parametrize("bits", [10, 12])
def test_more_bits_that_only_the_configuration_states(bits: int) -> None:
    imagecodecs = pytest.importorskip("imagecodecs")
    full = np.full((16, 16, 3), 2**bits - 1, np.uint16)
    data = imagecodecs.avif_encode(full, level=100, bitspersample=bits)
    picture = read(with_property(data, box(b"free", bytes(8)), before=b"pixi"))
    assert f"{bits}-bit samples reduced to 8" in picture.notes


def test_bits_of_a_sequence() -> None:
    imagecodecs = pytest.importorskip("imagecodecs")
    full = np.full((2, 16, 16, 3), 1023, np.uint16)
    data = imagecodecs.avif_encode(full, level=100, bitspersample=10)
    assert data[8:12] == b"avis"
    assert "10-bit samples reduced to 8" in read(data).notes


def test_an_avif_that_libavif_does_not_accept(avif: bytes) -> None:
    data = avif.replace(b"ispe", b"free", 1)
    refused(data, "damaged or cut short, or departs from its standard")


def test_gain_map_of_an_avif(avif: bytes) -> None:
    with Image.open(io.BytesIO(avif)) as image:
        stream = io.BytesIO(avif.replace(b"MA1B", b"tmap", 1))
        assert examine_avif(image, stream).notes == ("HDR gain map left out",)
        assert examine_avif(image, io.BytesIO(avif)).notes == ()


# Files of other kinds


@pytest.mark.parametrize(
    ("head", "part"),
    [
        (b"\x89PNG\r\n\x1a\n\0", "a PNG file that is damaged or cut short"),
        (b"\x89PNG\n\x1a\n\0", "a PNG file that is damaged or cut short"),
        (b"\x09PNG\r\n\x1a\n\0", "a PNG file that is damaged or cut short"),
        (b"RIFF\x10\0\0\0WEBPJUNK", "a WebP file that is damaged or cut short"),
        (b"BM\x10\0\0\0\0\0\0\0", "a BMP file that is damaged or cut short"),
        (b"\0\0\0\x18ftypcrx \0\0\0\1crx isom", "a camera raw file, which licodec does not read"),
        (b"FUJIFILMCCD-RAW 0201", "a camera raw file, which licodec does not read"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "a JPEG 2000 file that is damaged or cut short"),
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
