"""PNG: colour spaces in chunks, profiles in text, checksums."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms, PngImagePlugin

from licodec.images import read_image
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
        (coded(2, 2),),
        (png_chunk(b"sRGB", b"\0"), gamma(45455), chromaticities(*D65, *REC_709)),
        (coded(1, 13), gamma(100000)),
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


def test_srgb_comes_before_numbers() -> None:
    srgb = png_chunk(b"sRGB", b"\0")
    for chunk, what in ((gamma(100000), "gamma 1"), (chromaticities(*D65, *P3), "chromaticities")):
        picture = read(with_chunks(png(), srgb, chunk))
        assert picture.icc is None
        assert picture.notes == (f"PNG {what} left out, as the sRGB chunk goes before it",)


def profile_chunk(profile: bytes = RGB_PROFILE) -> bytes:
    return png_chunk(b"iCCP", b"name\0\0" + zlib.compress(profile))


def test_code_points_come_before_a_profile() -> None:
    data = with_chunks(png(), coded(12, 13), profile_chunk(), png_chunk(b"sRGB", b"\0"))
    assert np.abs(np.subtract(in_srgb(data), (215, 93, 73))).max() <= 2
    what = "PNG colour description (cICP 12/13)"
    assert read(data).notes == (
        f"ICC profile left out, as the {what} goes before it",
        f"{what} kept as an ICC profile",
    )
    picture = read(with_chunks(png(), profile_chunk(), coded(1, 13)))  # which is sRGB
    assert picture.icc is None
    (note,) = picture.notes
    assert note.startswith("ICC profile left out, as the PNG colour description (cICP 1/13)")


@pytest.mark.parametrize("body", [bytes((9, 16, 0, 1)), bytes((1, 13, 0, 0)), bytes((1, 13, 1, 1))])
def test_code_points_that_are_not_kept_make_way_for_a_profile(body: bytes) -> None:
    picture = read(with_chunks(png(), png_chunk(b"cICP", body), profile_chunk()))
    assert picture.icc == RGB_PROFILE
    (note,) = picture.notes
    assert f"cICP {body[0]}/{body[1]}" in note
    assert "left out" in note
    picture = read(with_chunks(png(), png_chunk(b"cICP", body), gamma(100000)))
    assert len(picture.notes) == 2
    assert picture.notes[0] == "PNG gamma 1 kept as an ICC profile"


def test_code_points_that_say_nothing() -> None:
    picture = read(with_chunks(png(), coded(2, 2), profile_chunk()))
    assert (picture.icc, picture.notes) == (RGB_PROFILE, ())


@pytest.mark.parametrize(
    "chunk", [coded(12, 13), gamma(100000), chromaticities(*D65, *P3), profile_chunk()]
)
def test_colour_chunks_out_of_place(chunk: bytes) -> None:
    whole = png()
    data = whole[:-12] + chunk + whole[-12:]
    picture = read(data)
    assert picture.icc is None
    assert len(picture.notes) == 1
    assert "chunk that is not valid left out" in picture.notes[0]
    # Of two the first counts.
    first = {b"cICP": coded(1, 13), b"gAMA": gamma(45455)}.get(chunk[4:8])
    if first is not None:
        picture = read(with_chunks(whole, first, chunk))
        assert picture.icc is None
        assert "chunk that is not valid left out" in picture.notes[0]


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


# Structure

SIGNATURE = b"\x89PNG\r\n\x1a\n"
END = png_chunk(b"IEND", b"")
TEXT = png_chunk(b"tEXt", b"Title\0text")


def header(
    colour: int = 2, bits: int = 8, size: tuple[int, int] = (8, 8), methods: bytes = bytes(3)
) -> bytes:
    return png_chunk(b"IHDR", struct.pack(">IIBB", *size, bits, colour) + methods)


def rows_of(pixels: np.ndarray, bits: int = 8) -> bytes:
    words = pixels.astype(">u2" if bits == 16 else "u1")
    return b"".join(b"\0" + row.tobytes() for row in words)


RGB = samples(8, 8, 3)
DATA = png_chunk(b"IDAT", zlib.compress(rows_of(RGB)))
INDEX = samples(8, 8, 1, bits=1)
INDICES = png_chunk(b"IDAT", zlib.compress(rows_of(INDEX)))
PALETTE = png_chunk(b"PLTE", bytes((1, 2, 3, 200, 100, 50)))


def file(*chunks: bytes) -> bytes:
    return SIGNATURE + b"".join(chunks)


def with_wrong_checksum(chunk: bytes) -> bytes:
    return chunk[:-1] + bytes((chunk[-1] ^ 1,))


@pytest.mark.parametrize(
    ("data", "part"),
    [
        (file(header(), png_chunk(b"ABCD", b"xx"), DATA, END), "not known (ABCD)"),
        (file(header(), DATA, png_chunk(b"ABCD", b"xx"), END), "not known (ABCD)"),
        (file(png_chunk(b"CgBI", bytes(4)), header(), DATA, END), "not known (CgBI)"),
        (file(header(), header(), DATA, END), "two headers"),
        (file(TEXT, header(), DATA, END), "its header is missing"),
        (file(DATA, END), "its header is missing"),
        (file(header(), END), "no data for its pixels"),
        (file(header()), "no data for its pixels"),
        (file(with_wrong_checksum(header()), DATA, END), "the checksum of its IHDR"),
        (file(header(methods=b"\1\0\0"), DATA, END), "methods 1, 0 and 0"),
        (file(header(methods=b"\0\1\0"), DATA, END), "methods 0, 1 and 0"),
        (file(header(methods=b"\0\0\2"), DATA, END), "methods 0, 0 and 2"),
        (file(header(bits=3), DATA, END), "of 3 bits"),
        (file(header(colour=5), DATA, END), "colour type 5"),
        (file(header(size=(0, 8)), DATA, END), "0x8 pixels"),
        (file(header(3), INDICES, END), "no palette in front of its pixels"),
        (file(header(3), INDICES, PALETTE, END), "no palette in front of its pixels"),
        (file(header(3), png_chunk(b"PLTE", bytes(7)), INDICES, END), "its palette has 7 bytes"),
        (file(header(3), png_chunk(b"PLTE", b""), INDICES, END), "its palette has 0 bytes"),
        (file(header(3), PALETTE, PALETTE, INDICES, END), "two palettes"),
        (file(header(3), with_wrong_checksum(PALETTE), INDICES, END), "the checksum of its PLTE"),
        (
            file(header(), png_chunk(b"IDAT", zlib.compress(rows_of(RGB))[:-4]), END),
            "cut short behind the pixels",
        ),
        (
            file(
                header(),
                png_chunk(b"IDAT", zlib.compress(rows_of(RGB))[:99]),
                TEXT,
                png_chunk(b"IDAT", zlib.compress(rows_of(RGB))[99:]),
                END,
            ),
            "a part of its pixels only",
        ),
        (file(header(), b"\0\0\0\1tE\0t", DATA, END), "no valid type"),
    ],
)
def test_structure_that_no_png_has(data: bytes, part: str) -> None:
    refused(data, part)


ALPHA = png_chunk(b"tRNS", bytes((0, 255)))
KEY = png_chunk(b"tRNS", RGB[3, 3].astype(">u2").tobytes())


@pytest.mark.parametrize(
    ("data", "note"),
    [
        (file(header(), with_wrong_checksum(TEXT), DATA, END), "damaged tEXt chunk left out"),
        (file(header(), DATA, with_wrong_checksum(TEXT), END), "damaged tEXt chunk left out"),
        (file(header(), with_wrong_checksum(KEY), DATA, END), "damaged tRNS chunk left out"),
        (file(header(), DATA, KEY, END), "tRNS chunk that is not valid left out"),
        (
            file(header(), png_chunk(b"tRNS", bytes(5)), DATA, END),
            "tRNS chunk that is not valid left out",
        ),
        (
            file(header(3), ALPHA, PALETTE, INDICES, END),
            "tRNS chunk that is not valid left out",
        ),
        (
            file(header(3), PALETTE, png_chunk(b"tRNS", bytes(3)), INDICES, END),
            "tRNS chunk that is not valid left out",
        ),
        *(
            (
                file(header(), png_chunk(kind, body), DATA, END),
                f"{kind.decode()} chunk that is not valid left out",
            )
            for kind, body in (
                (b"iCCP", b"name\0\7" + zlib.compress(RGB_PROFILE)),
                (b"iCCP", b"name"),
                (b"zTXt", b"name\0\7" + zlib.compress(b"text")),
                (b"gAMA", bytes(3)),
                (b"cHRM", bytes(31)),
                (b"sRGB", b""),
                (b"cICP", bytes(3)),
                (b"pHYs", bytes(8)),
                (b"acTL", bytes(7)),
                (b"fcTL", bytes(25)),
                (b"fcTL", struct.pack(">IIIIIHHBB", 0, 9, 8, 0, 0, 1, 1, 0, 0)),
            )
        ),
        (file(header(), png_chunk(b"PLTE", bytes(7)), DATA, END), "suggested palette"),
        (file(header(), DATA, TEXT, DATA, END), "pixels' data apart from the rest left out"),
        (file(header(), DATA), "its end chunk is missing"),
        (file(header(), DATA, with_wrong_checksum(END)), "its end chunk is damaged"),
        (file(header(), DATA, TEXT[:-2]), "its tEXt chunk is cut short"),
        (file(header(), DATA, b"\0\0\0\1t\0Xt", TEXT, END), "a chunk of no valid type"),
    ],
)
def test_what_is_damaged_beside_the_pixels(data: bytes, note: str) -> None:
    picture = read(data)
    colours = np.array([[1, 2, 3], [200, 100, 50]])
    wanted = colours[INDEX[:, :, 0]] if PALETTE in data else RGB
    assert np.array_equal(picture.pixels, wanted)
    assert picture.alpha is None
    assert len(picture.notes) == 1
    assert note in picture.notes[0]


def test_what_is_damaged_costs_nothing_else() -> None:
    exif = png_chunk(b"eXIf", exif_block(6, sides=(8, 8)))
    data = file(header(), with_wrong_checksum(TEXT), exif, DATA, with_wrong_checksum(TEXT), END)
    picture = read(data)
    assert picture.exif == exif_block(1, sides=(8, 8))
    assert np.array_equal(picture.pixels, np.rot90(RGB, -1))
    assert picture.notes == ("damaged tEXt chunk left out",)


def test_blocks_behind_the_frames_of_an_animation() -> None:
    image = Image.fromarray(RGB)
    other = Image.fromarray(255 - RGB)
    data = saved(image, "PNG", save_all=True, append_images=[other], duration=100)
    xmp = png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP)
    picture = read(data[: -len(END)] + xmp + END)
    assert picture.xmp == XMP
    assert np.array_equal(picture.pixels, RGB)
    assert picture.notes == ("only the first of the 2 frames of the animation taken",)


@pytest.mark.parametrize("interlaced", [False, True])
def test_a_transparent_colour_of_16_bits(interlaced: bool) -> None:
    """Pixels that differ from it in the low bytes alone stay opaque."""
    pixels = samples(8, 8, 3, bits=16).astype(int)
    key = pixels[3, 4].copy()
    pixels[0, 0] = key
    for at, change in (((1, 1), (1, 0, 0)), ((2, 2), (0, 0, 128)), ((5, 5), (256, 0, 0))):
        pixels[at] = key ^ change
    data = rows_of(pixels, 16)
    if interlaced:
        starts = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4))
        starts += ((0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
        data = b"".join(rows_of(pixels[y::down, x::right], 16) for x, y, right, down in starts)
    chunks = (
        header(bits=16, methods=bytes((0, 0, interlaced))),
        png_chunk(b"tRNS", key.astype(">u2").tobytes()),
        png_chunk(b"IDAT", zlib.compress(data)),
        END,
    )
    opened = Image.open(io.BytesIO(file(*chunks)))
    for picture in (read(file(*chunks)), read_image(opened, "in.pic")):
        assert picture.alpha is not None
        assert np.array_equal(picture.alpha, np.where((pixels == key).all(axis=2), 0, 255))
        assert np.array_equal(picture.pixels, pixels >> 8)
        assert picture.notes == ("16-bit samples reduced to 8 (their high bytes)",)


def test_pixels_of_colours_beyond_the_palette() -> None:
    pixels = zlib.compress(bytes((0, 0, 1, 9)))
    head = struct.pack(">IIBBBBB", 3, 1, 8, 3, 0, 0, 0)
    for entries, notes in ((2, ("pixels of colours beyond the palette taken as black",)), (10, ())):
        data = b"\x89PNG\r\n\x1a\n" + b"".join(
            (
                png_chunk(b"IHDR", head),
                png_chunk(b"PLTE", bytes((9, 8, 7, 1, 2, 3)) + bytes(3 * (entries - 2))),
                png_chunk(b"IDAT", pixels),
                png_chunk(b"IEND", b""),
            )
        )
        picture = read(data)
        assert picture.pixels.tolist() == [[[9, 8, 7], [1, 2, 3], [0, 0, 0]]]
        assert picture.notes == notes


def test_what_follows_the_picture() -> None:
    assert read(png() + b"video!").notes == ("6 bytes behind the end of the picture left out",)
    assert read(png() + bytes(100)).notes == ()
    (note,) = read(with_chunks(png(), png_chunk(b"caBX", b"c2pa"))).notes
    assert note == "JUMBF data (content credentials or such) left out"


def test_names_of_chunks_and_colour_spaces_are_shown_on_one_line() -> None:
    data = saved(Image.fromarray(samples(3, 4, 3)), "PNG")
    refused(data[:12] + b"I\n\x04G" + data[16:], r"is not known ('I\n\x04G')")
    profile = RGB_PROFILE[:16] + b"A\n\x04B" + RGB_PROFILE[20:]
    (note,) = read(saved(Image.fromarray(samples(3, 4, 3)), "PNG", icc_profile=profile)).notes
    assert r"ICC profile for 'A\n\x04B' samples" in note
