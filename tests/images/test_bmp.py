"""BMP: headers of Windows and OS/2, masks, palettes and run lengths."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from PIL import Image

from licodec.errors import LimitError
from tests.images.builders import RGB_PROFILE, in_eight_bits, packed, read, refused, samples, saved

RAW, RLE8, RLE4, BITFIELDS, ALPHA_BITFIELDS = 0, 1, 2, 3, 6
SRGB = b"BGRs"


def bmp(
    size: tuple[int, int],
    bits: int,
    pixels: bytes,
    *,
    header: int = 40,
    compression: int = RAW,
    masks: tuple[int, ...] = (),
    palette: bytes = b"",
    colours: int = 0,
    space: bytes = SRGB,
    profile: bytes = b"",
) -> bytes:
    """A BMP of rows as they are stored; a negative height is top down."""
    width, height = size
    if header == 12:
        fields = struct.pack("<HHHH", width, height, 1, bits)
    else:
        fields = struct.pack("<iiHHIIiiI", width, height, 1, bits, compression, 0, 0, 0, colours)
        fields += bytes(4)
        given = struct.pack(f"<{len(masks)}I", *masks)
        fields = (fields + given)[: max(header - 4, 36 + len(given))]
        if header >= 108:
            fields = fields.ljust(52, b"\0") + space
        fields = fields.ljust(header - 4, b"\0")
    offset = 14 + 4 + len(fields) + len(palette)
    if profile:
        where = offset - 14 + len(pixels)
        fields = fields[:108] + struct.pack("<II", where, len(profile)) + fields[116:]
    body = struct.pack("<I", header) + fields + palette + pixels + profile
    return b"BM" + struct.pack("<IHHI", 14 + len(body), 0, 0, offset) + body


def stored(rows: list[bytes]) -> bytes:
    """Rows padded to 4 bytes, the last one first."""
    return b"".join(row + bytes(-len(row) % 4) for row in reversed(rows))


def words(values: np.ndarray, bits: int) -> bytes:
    return stored([row.astype(f"<u{bits // 8}").tobytes() for row in values])


MASKS_16 = [
    (0xF800, 0x7E0, 0x1F),
    (0x7C00, 0x3E0, 0x1F),
    (0x1F, 0x7E0, 0xF800),
    (0xF00, 0xF0, 0xF, 0xF000),
    (0x7C00, 0x3E0, 0x1F, 0x8000),
]
MASKS_32 = [
    (0xFF0000, 0xFF00, 0xFF),
    (0xFF, 0xFF00, 0xFF0000),
    (0xFF0000, 0xFF00, 0xFF, 0xFF000000),
    (0xFF000000, 0xFF0000, 0xFF00, 0xFF),
    (0x3FF00000, 0xFFC00, 0x3FF),
    (0x3FF, 0xFFC00, 0x3FF00000, 0xC0000000),
    (0x1C0, 0x38, 0x7),
]


@pytest.mark.parametrize(
    ("bits", "masks"), [(16, m) for m in MASKS_16] + [(32, m) for m in MASKS_32]
)
@pytest.mark.parametrize("header", [40, 52, 56, 108, 124])
def test_masks(bits: int, masks: tuple[int, ...], header: int) -> None:
    if header == 52 and len(masks) == 4:
        pytest.skip("this header has no alpha mask")
    shape = (5, 7)
    channels = [samples(*shape, bits=mask.bit_count()).astype(np.uint32) for mask in masks]
    values = sum(
        channel << ((mask & -mask).bit_length() - 1)
        for channel, mask in zip(channels, masks, strict=True)
    )
    compression = ALPHA_BITFIELDS if header == 40 and len(masks) == 4 else BITFIELDS
    data = bmp(
        (7, 5), bits, words(values, bits), header=header, masks=masks, compression=compression
    )
    picture = read(data)
    for i, mask in enumerate(masks[:3]):
        wanted = in_eight_bits(channels[i], mask.bit_count())
        assert np.array_equal(picture.pixels[:, :, i], wanted)
    assert (picture.alpha is not None) == (len(masks) == 4)
    if picture.alpha is not None:
        assert np.array_equal(picture.alpha, in_eight_bits(channels[3], masks[3].bit_count()))
    wide = any(mask.bit_count() > 8 for mask in masks)
    assert picture.notes == (("10-bit samples reduced to 8",) if wide else ())


def test_a_colour_without_bits() -> None:
    values = samples(3, 5, bits=16)
    data = bmp((5, 3), 16, words(values, 16), masks=(0xFF00, 0xFF, 0), compression=BITFIELDS)
    picture = read(data)
    wanted = np.stack([values >> 8, values & 255, np.zeros_like(values)], axis=2)
    assert np.array_equal(picture.pixels, wanted)


@pytest.mark.parametrize("top_down", [False, True])
@pytest.mark.parametrize("header", [12, 16, 40, 64, 124])
def test_plain_colours(top_down: bool, header: int) -> None:
    if top_down and header == 12:
        pytest.skip("its height has no sign")
    colours = samples(4, 5, 3)
    rows = [row.tobytes() for row in colours[:, :, ::-1]]
    height = -4 if top_down else 4
    data = bmp((5, height), 24, stored(rows[::-1] if top_down else rows), header=header)
    assert np.array_equal(read(data).pixels, colours)


def test_four_bytes_without_masks() -> None:
    colours = samples(4, 5, 4)
    data = bmp((5, 4), 32, stored([row.tobytes() for row in colours[:, :, [2, 1, 0, 3]]]))
    picture = read(data)
    assert np.array_equal(picture.pixels, colours[:, :, :3])
    assert picture.alpha is None
    assert picture.notes == ("samples of unspecified meaning left out",)
    colours[:, :, 3] = 0
    assert read(saved(Image.fromarray(colours[:, :, :3]), "BMP")).notes == ()


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("header", [12, 40, 64])
@pytest.mark.parametrize("kind", ["colours", "grey", "low grey", "few"])
def test_palettes(bits: int, header: int, kind: str) -> None:
    count = 2 if kind == "few" else 1 << bits
    if header == 12 and count != 1 << bits:
        pytest.skip("this header states no count")
    colours = samples(count, 3)
    if kind == "grey":
        colours = np.repeat(samples(count, 1), 3, axis=1)
    elif kind == "low grey":  # which is not 8-bit grey, whatever the palette looks like
        colours = np.repeat(np.arange(count, dtype=np.uint8)[:, None], 3, axis=1)
    elif kind == "few":
        colours = np.array([[0, 0, 0], [255, 255, 255]], np.uint8)
    entry = 3 if header == 12 else 4
    palette = b"".join(bytes(c[::-1]).ljust(entry, b"\0") for c in colours)
    indices = samples(5, 11).astype(int) % count
    rows = [packed(row[None, :, None], bits) for row in indices]
    data = bmp((11, 5), bits, stored(rows), header=header, palette=palette, colours=count)
    picture = read(data)
    assert picture.channels == (3 if kind == "colours" else 1)
    assert np.array_equal(picture.pixels, colours[indices][:, :, : picture.channels])


PALETTE = bytes((0, 0, 255, 0, 0, 255, 0, 0, 9, 8, 7, 0))  # red, green, dark
RED, GREEN, DARK = [255, 0, 0], [0, 255, 0], [7, 8, 9]


def test_run_lengths_of_bytes() -> None:
    codes = (
        bytes((2, 1, 0, 3, 2, 0, 1, 0))  # bottom row: 2 of green, then dark, red, green as they are
        + bytes((0, 0))
        + bytes((0, 2, 1, 1))  # one to the right and one up: the middle row stays red
        + bytes((4, 2, 0, 1))
    )
    data = bmp((5, 3), 8, codes, compression=RLE8, palette=PALETTE, colours=3)
    assert read(data).pixels.tolist() == [
        [RED, DARK, DARK, DARK, DARK],
        [RED] * 5,
        [GREEN, GREEN, DARK, RED, GREEN],
    ]


def test_run_lengths_of_half_bytes() -> None:
    codes = bytes((3, 0x12, 0, 3, 0x20, 0x10, 0, 0)) + bytes((6, 0x22, 0, 1))
    data = bmp((6, 2), 4, codes, compression=RLE4, palette=PALETTE, colours=3)
    assert read(data).pixels.tolist() == [
        [DARK] * 6,
        [GREEN, DARK, GREEN, DARK, RED, GREEN],
    ]


def test_runs_of_black_and_white() -> None:
    palette = bytes((0, 0, 0, 0, 255, 255, 255, 0))
    codes = bytes((3, 1, 2, 0, 0, 1))
    data = bmp((5, 1), 8, codes, compression=RLE8, palette=palette, colours=2)
    assert read(data).pixels.ravel().tolist() == [255, 255, 255, 0, 0]


BEYOND_ROW, BEYOND_LAST = "beyond the end of a row", "beyond the last row"
NO_END, SKIPPED = "have no end marker", "pixels that the BMP's run lengths skip"


@pytest.mark.parametrize(
    ("codes", "indices", "parts"),
    [
        ((3, 1, 0, 0, 3, 2, 0, 1), [[2, 2, 2], [1, 1, 1]], []),
        ((3, 1, 0, 0, 3, 2, 0, 0, 0, 1), [[2, 2, 2], [1, 1, 1]], []),
        ((4, 1, 0, 0, 3, 2, 0, 1), [[2, 2, 2], [1, 1, 1]], [BEYOND_ROW]),
        ((0, 4, 1, 2, 1, 2, 0, 0, 3, 2, 0, 1), [[2, 2, 2], [1, 2, 1]], [BEYOND_ROW]),
        (
            (0, 2, 4, 0, 1, 2, 0, 0, 3, 2, 0, 1),
            [[2, 2, 2], [0, 0, 0]],
            [BEYOND_ROW, "3 " + SKIPPED],
        ),
        ((3, 1, 0, 0, 3, 2, 0, 0, 3, 1, 0, 1), [[2, 2, 2], [1, 1, 1]], [BEYOND_LAST]),
        ((3, 1, 0, 2, 0, 9, 3, 2, 0, 1), [[0, 0, 0], [1, 1, 1]], [BEYOND_LAST, "3 " + SKIPPED]),
        ((3, 1, 0, 0, 3, 2), [[2, 2, 2], [1, 1, 1]], [NO_END]),
        ((3, 1, 0, 0, 3, 2, 0, 0), [[2, 2, 2], [1, 1, 1]], [NO_END]),
        ((3, 1, 0, 0, 1, 2, 0, 1), [[2, 0, 0], [1, 1, 1]], ["2 " + SKIPPED]),
        ((3, 1, 0, 0, 3, 3, 0, 1), [[3, 3, 3], [1, 1, 1]], ["beyond the BMP's palette"]),
    ],
)
def test_run_lengths_that_are_not_as_they_should_be(
    codes: tuple[int, ...], indices: list[list[int]], parts: list[str]
) -> None:
    data = bmp((3, 2), 8, bytes(codes), compression=RLE8, palette=PALETTE, colours=3)
    picture = read(data)
    colours = np.array([RED, GREEN, DARK, [0, 0, 0]])
    assert np.array_equal(picture.pixels, colours[indices])
    assert len(picture.notes) == len(parts)
    assert all(part in note for part, note in zip(parts, picture.notes, strict=True))


@pytest.mark.parametrize("cut", [2, 6, 7, 9])
def test_cut_run_lengths(cut: int) -> None:
    codes = bytes((2, 1, 0, 3, 2, 0, 1, 0, 0, 2, 1, 1))
    data = bmp((5, 3), 8, codes[:cut], compression=RLE8, palette=PALETTE, colours=3)
    refused(data, "BMP", "damaged or cut short")


@pytest.mark.parametrize(
    ("header", "bits", "compression", "part"),
    [
        (40, 24, 4, "JPEG"),
        (40, 24, 5, "PNG"),
        (64, 1, 3, "Huffman"),
        (64, 24, 4, "RLE24"),
        (40, 64, RAW, "64-bit pixels"),
        (40, 8, RLE4, "8-bit pixels"),
        (40, 24, BITFIELDS, "24-bit pixels"),
    ],
)
def test_kinds_that_are_not_read(header: int, bits: int, compression: int, part: str) -> None:
    data = bmp((4, 4), bits, bytes(512), header=header, compression=compression)
    refused(data, part, "not read", "convert it to 24 bits")


@pytest.mark.parametrize("masks", [(0x00F0F0, 0xFF00, 0xFF), (0, 0, 0)])
def test_masks_that_are_none(masks: tuple[int, ...]) -> None:
    refused(bmp((2, 2), 32, bytes(16), masks=masks, compression=BITFIELDS), "mask", "damaged")


def test_sizes() -> None:
    refused(bmp((99999, 4), 24, b""), "99999x4", error=LimitError)
    refused(bmp((0, 4), 24, b""), "0x4")
    refused(bmp((5, 4), 24, bytes(16 * 3 + 14)), "truncated")
    assert read(bmp((5, 4), 24, bytes(16 * 3 + 15))).height == 4  # the last padding is missing
    refused(b"BMW is a car, and this a text of more than thirty bytes", "not a picture")


def test_colour_spaces() -> None:
    pixels = stored([bytes(6)] * 2)
    embedded = bmp((2, 2), 24, pixels, header=124, space=b"DEBM", profile=RGB_PROFILE)
    assert read(embedded).icc == RGB_PROFILE
    linked = bmp((2, 2), 24, pixels, header=124, space=b"KNIL")
    assert read(linked).notes == ("the ICC profile is in another file, and left out",)
    calibrated = bytearray(bmp((2, 2), 24, pixels, header=108, space=bytes(4)))
    assert read(bytes(calibrated)).notes == ()
    calibrated[14 + 60] = 1  # an endpoint
    assert read(bytes(calibrated)).notes == ("BMP colour endpoints and gamma left out",)


def test_pixels_that_begin_in_the_header() -> None:
    data = bytearray(bmp((2, 1), 24, bytes(8)))
    assert read(bytes(data)).pixels.tolist() == [[[0, 0, 0]] * 2]
    struct.pack_into("<I", data, 10, 50)
    refused(bytes(data), "a BMP file that is damaged", "begin in its header")
