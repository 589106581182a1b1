"""TIFF: right pixels or a truthful refusal, whatever the layout."""

from __future__ import annotations

import builtins
import itertools
import struct

import numpy as np
import pytest
from PIL import Image

from licodec.errors import BadInputError, LimitError
from tests.images.builders import (
    BITS,
    COUNTS,
    DESCRIPTION,
    FORMAT,
    OFFSETS,
    SUBFILE,
    WIDTH,
    Page,
    in_eight_bits,
    page,
    read,
    refused,
    samples,
    saved,
    tiff,
)

GREY, RGB, CMYK = 1, 2, 5
ORDERS = [("<", False), (">", False), ("<", True), (">", True)]
LEFT_OUT = "samples of unspecified meaning left out"


@pytest.fixture(autouse=True)
def extra() -> None:
    pytest.importorskip("imagecodecs")
    pytest.importorskip("tifffile")


def shown(pixels: np.ndarray, photometric: int, bits: int) -> np.ndarray:
    """Colours, (H, W, 1 or 3), that samples of 8 or 16 bits stand for."""
    eight = in_eight_bits(pixels, bits)
    if photometric == 0:
        return 255 - eight[:, :, :1]
    if photometric == CMYK:
        ink, black = eight[:, :, :3], eight[:, :, 3:4]
        return 255 - np.minimum(255, ink * (255 - black) // 255 + black)
    return eight[:, :, : 3 if photometric == RGB else 1]


def close(actual: np.ndarray, wanted: np.ndarray, tolerance: int = 1) -> bool:
    return actual.shape == wanted.shape and abs(actual.astype(int) - wanted).max() <= tolerance


@pytest.mark.parametrize(("order", "big"), ORDERS)
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("compression", [1, 8])
@pytest.mark.parametrize(("photometric", "count"), [(0, 1), (GREY, 1), (RGB, 3), (CMYK, 4)])
def test_colours(
    order: str, big: bool, bits: int, compression: int, photometric: int, count: int
) -> None:
    pixels = samples(9, 13, count, bits=bits)
    planes = [[1]] if count == 1 else [[1], [2]]
    for plane in planes:
        stated = page(
            pixels, photometric, bits, PLANAR=plane, COMPRESSION=[compression], order=order
        )
        picture = read(tiff(stated, order=order, big=big))
        # Pillow takes the high bytes of several 16-bit inks, before it mixes them.
        tolerance = 3 if photometric == CMYK else 1
        assert close(picture.pixels, shown(pixels, photometric, bits), tolerance)
        assert picture.alpha is None
        assert any("16-bit samples reduced to 8" in note for note in picture.notes) == (bits == 16)
        assert ("CMYK converted to RGB" in picture.notes) == (photometric == CMYK)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("planar", [1, 2])
@pytest.mark.parametrize(
    ("photometric", "extra", "alpha"),
    [
        (GREY, [2], 1),
        (GREY, [0], None),
        (GREY, [0, 2], 2),
        (RGB, [2], 3),
        (RGB, [0], None),
        (RGB, [2, 0], 3),  # five channels
        (RGB, [0, 2], 4),
        (RGB, [0, 0, 0, 0], None),
        (CMYK, [0], None),
        (CMYK, [2], 4),
    ],
)
def test_more_samples_than_colours(
    bits: int, planar: int, photometric: int, extra: list[int], alpha: int | None
) -> None:
    colours = {GREY: 1, RGB: 3, CMYK: 4}[photometric]
    pixels = samples(9, 13, colours + len(extra), bits=bits)
    picture = read(tiff(page(pixels, photometric, bits, PLANAR=[planar], EXTRA=extra)))
    assert close(picture.pixels, shown(pixels, photometric, bits), 3)
    assert (picture.alpha is not None) == (alpha is not None)
    if picture.alpha is not None and alpha is not None:
        assert close(picture.alpha, in_eight_bits(pixels[:, :, alpha], bits))
    assert (LEFT_OUT in picture.notes) == (0 in extra)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("planar", [1, 2])
@pytest.mark.parametrize("colours", [1, 3])
def test_premultiplied_alpha(bits: int, planar: int, colours: int) -> None:
    full = 2**bits - 1
    pixels = np.zeros((2, 3, colours + 1), np.uint8 if bits == 8 else np.uint16)
    pixels[..., :colours] = full // 5
    pixels[..., colours] = full // 2
    data = tiff(page(pixels, GREY if colours == 1 else RGB, bits, PLANAR=[planar], EXTRA=[1]))
    picture = read(data)
    assert close(picture.pixels, np.full((2, 3, colours), 102), 2)
    assert picture.alpha is not None
    assert close(picture.alpha, np.full((2, 3), 127))
    assert "premultiplied alpha divided out of the colours" in picture.notes


@pytest.mark.parametrize("bits", [1, 2, 4, 6, 10, 12, 14])
@pytest.mark.parametrize(("photometric", "count"), [(0, 1), (GREY, 1), (RGB, 3), (RGB, 4)])
@pytest.mark.parametrize("order", ["<", ">"])
def test_any_bits(bits: int, photometric: int, count: int, order: str) -> None:
    pixels = samples(5, 11, count, bits=bits)
    picture = read(tiff(page(pixels, photometric, bits, order=order), order=order))
    assert close(picture.pixels, shown(pixels, photometric, bits), 0)
    if count == 4:
        assert picture.alpha is not None
        assert close(picture.alpha, in_eight_bits(pixels[:, :, 3], bits), 0)


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("order", ["<", ">"])
def test_palette(order: str, big: bool) -> None:
    colours = samples(3, 256, bits=16)
    indices = samples(5, 7, 1)
    stated = page(indices, 3, 8, COLOUR_MAP=colours.ravel().tolist(), order=order)
    picture = read(tiff(stated, order=order, big=big))
    assert np.array_equal(picture.pixels, (colours >> 8).T[indices[:, :, 0]])


@pytest.mark.parametrize("bits", [1, 2, 4, 7, 8, 10, 12, 16])
@pytest.mark.parametrize("compression", [1, 8])
def test_palettes_of_any_bits(bits: int, compression: int) -> None:
    colours = samples(3, 2**bits, bits=16)
    indices = samples(5, 7, 1, bits=bits)
    colour_map = colours.ravel().tolist()
    picture = read(tiff(page(indices, 3, bits, COLOUR_MAP=colour_map, COMPRESSION=[compression])))
    assert np.array_equal(picture.pixels, (colours >> 8).T[indices[:, :, 0]])
    assert picture.notes == ()


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("planar", [1, 2])
def test_palette_with_alpha(bits: int, planar: int) -> None:
    colours = samples(3, 2**bits, bits=16)
    pixels = samples(5, 7, 2, bits=bits)
    stated = page(pixels, 3, bits, COLOUR_MAP=colours.ravel().tolist(), EXTRA=[2], PLANAR=[planar])
    picture = read(tiff(stated))
    assert np.array_equal(picture.pixels, (colours >> 8).T[pixels[:, :, 0]])
    assert picture.alpha is not None
    assert close(picture.alpha, in_eight_bits(pixels[:, :, 1], bits))


@pytest.mark.parametrize("bits", [8, 16])
def test_colour_map_of_8_bits(bits: int) -> None:
    colours = samples(3, 2**bits)
    indices = samples(5, 7, 1, bits=bits)
    picture = read(tiff(page(indices, 3, bits, COLOUR_MAP=colours.ravel().tolist())))
    assert np.array_equal(picture.pixels, colours.T[indices[:, :, 0]])


@pytest.mark.parametrize("compression", ["lzw", "zlib", "zstd", "lzma"])
@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("tile", [None, (16, 32)])
def test_predictors(compression: str, planar: str, tile: tuple[int, int] | None) -> None:
    import tifffile

    for photometric, count, bits in (("rgb", 3, 16), ("separated", 4, 8), ("rgb", 4, 8)):
        pixels = samples(21, 35, count, bits=bits)
        stored = pixels if planar == "contig" else pixels.transpose(2, 0, 1)
        data = tiff_of(
            tifffile,
            stored,
            photometric=photometric,
            planarconfig=planar,
            compression=compression,
            predictor=True,
            tile=tile,
            extrasamples=["unassalpha"] if count == 4 and photometric == "rgb" else None,
        )
        number = RGB if photometric == "rgb" else CMYK
        assert close(read(data).pixels, shown(pixels, number, bits), 1 if number == RGB else 3)


def tiff_of(tifffile, pixels: np.ndarray, **options) -> bytes:
    import io

    stream = io.BytesIO()
    tifffile.imwrite(stream, np.ascontiguousarray(pixels), metadata=None, **options)
    return stream.getvalue()


@pytest.mark.parametrize("compression", ["jpeg2000", "jpegxl", "png", "webp", "lerc"])
def test_compressions_that_pillow_lacks(compression: str) -> None:
    import tifffile

    pixels = np.full((16, 24, 3), (200, 100, 50), np.uint8)
    try:
        data = tiff_of(tifffile, pixels, photometric="rgb", compression=compression)
    except Exception:
        pytest.skip("this imagecodecs was built without it")
    assert close(read(data).pixels, pixels, 8)


def test_subsampled_ycbcr_without_compression() -> None:
    # Units of 2x2 luma samples and one Cb, Cr: two units, black and white with a red cast.
    units = bytes((0, 0, 0, 0, 128, 128, 255, 255, 255, 255, 128, 128))
    stated = page(np.zeros((2, 4, 3), np.uint8), 6, 8, SUBSAMPLING=[2, 2])
    stated.strips = [units]
    picture = read(tiff(stated))
    assert picture.pixels[:, 0].max() <= 2
    assert picture.pixels[:, 3].min() >= 253


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_of_samples_that_pillow_does_not_decode(orientation: int) -> None:
    pixels = samples(5, 7, 2, bits=16)
    stated = page(pixels, GREY, 16, EXTRA=[2], ORIENTATION=[orientation])
    picture = read(tiff(stated))
    plain = page(pixels[:, :, :1], GREY, 16, ORIENTATION=[orientation])
    assert close(picture.pixels, read(tiff(plain)).pixels)
    assert picture.alpha is not None
    assert picture.alpha.shape == picture.pixels.shape[:2]


# Refusals


@pytest.mark.parametrize(
    ("bits", "format", "word"),
    [
        (8, 2, "signed"),
        (16, 2, "signed"),
        (32, 2, "signed"),
        (16, 3, "floating-point"),
        (32, 3, "floating-point"),
        (64, 3, "floating-point"),
        (32, 1, "32-bit"),
        (24, 1, "24-bit"),
        (16, 4, "undefined"),
        (32, 6, "complex"),
    ],
)
@pytest.mark.parametrize("count", [1, 3])
def test_samples_without_a_stated_range(bits: int, format: int, word: str, count: int) -> None:
    stated = page(np.zeros((2, 2, count), np.uint8), GREY if count == 1 else RGB, 8)
    stated.tags |= {BITS: [bits] * count, FORMAT: [format] * count}
    stated.strips = [bytes(4 * count * bits // 8)]
    refused(tiff(stated), word, "no stated range", "convert the picture to 8 or 16 bits")


@pytest.mark.parametrize(("photometric", "word"), [(8, "CIELAB"), (9, "ICCLAB"), (32845, "LogLuv")])
def test_other_colour_spaces(photometric: int, word: str) -> None:
    refused(tiff(page(samples(2, 2, 3), photometric, 8)), word, "convert it to RGB")


def test_unequal_bits() -> None:
    stated = page(samples(2, 2, 3), RGB, 8)
    stated.tags[BITS] = [5, 6, 5]
    refused(tiff(stated), "unequal bits (5, 6, 5)")


def test_inks_that_are_not_cmyk() -> None:
    stated = page(samples(2, 2, 4), CMYK, 8)
    stated.tags[332] = [2]
    refused(tiff(stated), "inks that are not CMYK")


def test_without_the_extra_a_whole_file_is_not_called_damaged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = builtins.__import__

    def without(name: str, *arguments, **options):
        if name in ("imagecodecs", "tifffile"):
            raise ImportError(name)
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(Exception) as caught:
        read(tiff(page(samples(2, 2, 2, bits=16), GREY, 16, EXTRA=[2])))
    assert "2 samples of 16 bits" in str(caught.value)
    assert "licodec[tiff]" in str(caught.value)
    assert "damaged" not in str(caught.value)


def test_cut_and_damaged_files() -> None:
    data = tiff(page(samples(20, 20, 2, bits=16), GREY, 16, EXTRA=[2], COMPRESSION=[8]))
    refused(data[:12], "damaged or cut short")
    refused(data[:-100], "damaged")
    refused(tiff(Page({WIDTH: [3]})), "states no size")
    refused(tiff(page(samples(2, 2, 1), RGB, 8)), "fewer samples than colours")


def test_sizes_are_checked_before_anything_is_decoded() -> None:
    stated = page(samples(2, 2, 2, bits=16), GREY, 16, EXTRA=[2])
    stated.tags[WIDTH] = [65535]
    stated.tags[257] = [65535]
    refused(tiff(stated), "65535x65535", error=LimitError)
    stated = page(samples(2, 2, 2, bits=16), GREY, 16, EXTRA=[2])
    stated.tags |= {322: [65520], 323: [65520]}
    refused(tiff(stated), "65520x65520", error=LimitError)


# Which directory is the picture


def test_a_camera_s_raw_file() -> None:
    preview = page(samples(3, 4, 3), RGB, 8)
    preview.tags[SUBFILE] = [1]
    preview.inner = [page(samples(12, 16, 1, bits=16), 32803, 16)]
    refused(tiff(preview), "camera's raw file", "convert it to TIFF or JPEG")
    refused(tiff(preview, order=">"), "camera's raw file")
    linear = page(samples(3, 4, 3, bits=16), 34892, 16)
    refused(tiff(linear), "camera's raw file")
    dng = page(samples(3, 4, 3), RGB, 8)
    dng.tags[50706] = b"\1\4\0\0"
    refused(tiff(dng), "camera's raw file")
    # Canon's, whose first directory is a plain JPEG or RGB picture.
    canon = tiff(page(samples(3, 4, 3), RGB, 8))
    refused(canon[:4] + b"\x10\0\0\0CR\2\0" + bytes(4) + canon[8:], "camera's raw file")


@pytest.mark.parametrize("planar", [1, 2])
@pytest.mark.parametrize("compression", [1, 8])
def test_strips_that_are_missing(planar: int, compression: int) -> None:
    whole = page(samples(6, 4, 3), RGB, 8, PLANAR=[planar], COMPRESSION=[compression])
    assert read(tiff(whole)).pixels.shape == (6, 4, 3)
    whole.tags[257] = [12]
    refused(tiff(whole), "damaged", "data for a part of its pixels only")
    refused(tiff(Page({**whole.tags, 257: [6]})), "data for a part of its pixels only")


def test_a_transfer_function_alone() -> None:
    stated = page(samples(3, 4, 3), RGB, 8)
    stated.tags[301] = [1, 2, 3, 4]
    assert read(tiff(stated)).notes == ("TIFF transfer function left out",)


def test_letters_of_canon_s_raw_files_among_the_samples() -> None:
    pixels = np.frombuffer(b"CR\2\0" + bytes(range(12)), np.uint8).reshape(4, 4, 1)
    whole = page(pixels, GREY, 8)
    whole.tags |= {OFFSETS: [8], COUNTS: [16]}
    whole.strips = []
    directory = tiff(whole)[8:]  # which refers to nothing behind it
    data = b"II*\0" + struct.pack("<I", 24) + pixels.tobytes() + directory
    assert np.array_equal(read(data).pixels, pixels)


def test_a_raw_picture_behind_others() -> None:
    raw = page(samples(12, 16, 1, bits=16), 32803, 16)
    refused(tiff(page(samples(3, 4, 3), RGB, 8), raw), "directory 2 is a camera's raw picture")


@pytest.mark.parametrize("tag", [32997, 32998])
@pytest.mark.parametrize("kind", [1, 3])
def test_volumes(tag: int, kind: int) -> None:
    volume = page(samples(4, 4, 1), GREY, 8, FORMAT=[kind])
    volume.tags[tag] = [2]
    refused(tiff(volume), "a volume")


@pytest.mark.parametrize(
    "description",
    [b"ImageJ=1.11a\nimages=3\nslices=3\n", b'{"shape": [3, 4, 5], "truncated": true}'],
)
def test_stacks_in_one_directory(description: bytes) -> None:
    pixels = samples(4, 5, 1)
    stack = page(pixels, GREY, 8)
    stack.tags[DESCRIPTION] = description + b"\0"
    refused(tiff(stack) + bytes(3 * 4 * 5), "a stack of 3 pictures", "split it first")
    # A page that was taken out of a stack may still have its description.
    assert np.array_equal(read(tiff(stack)).pixels, pixels)


def test_a_preview_alone_is_not_taken_for_the_picture() -> None:
    preview = page(samples(3, 4, 3), RGB, 8)
    preview.tags[SUBFILE] = [1]
    preview.inner = [page(samples(12, 16, 3), RGB, 8)]
    refused(tiff(preview), "previews of a picture elsewhere")


@pytest.mark.parametrize("first", [True, False])
def test_the_picture_beside_its_preview_and_mask_is_taken(first: bool) -> None:
    for bits in (8, 16):
        pixels = samples(12, 16, 2, bits=bits)
        full = page(pixels, GREY, bits, EXTRA=[2])
        preview = page(samples(3, 4, 1), GREY, 8)
        preview.tags[SUBFILE] = [1]
        mask = page(samples(12, 16, 1, bits=1), 4, 1)
        mask.tags[SUBFILE] = [4]
        pages = [full, preview, mask] if first else [preview, full, mask]
        picture = read(tiff(*pages))
        assert close(picture.pixels, in_eight_bits(pixels[:, :, :1], bits))
        assert "2 previews or masks beside the picture left out" in picture.notes


def test_a_pyramid_is_one_picture() -> None:
    pixels = samples(12, 16, 3)
    full = page(pixels, RGB, 8)
    reduced = page(samples(6, 8, 3), RGB, 8)
    reduced.tags[SUBFILE] = [1]
    full.inner = [reduced]
    picture = read(tiff(full))
    assert np.array_equal(picture.pixels, pixels)
    assert picture.notes == ()


def test_pages() -> None:
    pages = [page(samples(2, 3, 1), GREY, 8) for _ in range(4)]
    refused(tiff(*pages), "4 pages", "split it first")


def test_a_smaller_page_that_is_not_said_to_be_a_preview() -> None:
    refused(tiff(*(page(samples(n, n, 3), RGB, 8) for n in (12, 6))), "2 pages", "split it first")


def test_a_chain_without_an_end() -> None:
    data = bytearray(tiff(page(samples(2, 3, 1), GREY, 8)))
    entries = int.from_bytes(data[8:10], "little")
    data[10 + 12 * entries : 14 + 12 * entries] = (8).to_bytes(4, "little")  # itself
    assert read(bytes(data)).pixels.shape == (2, 3, 1)


def test_metadata_of_samples_that_pillow_does_not_decode() -> None:
    stated = page(samples(2, 2, 2, bits=16), GREY, 16, EXTRA=[2])
    xmp = b'<x tiff:Orientation="6"/>'
    stated.tags |= {271: b"Lic\0", 700: xmp, 33723: b"iptc", 37724: b"layers"}
    picture = read(tiff(stated))
    assert picture.xmp == xmp.replace(b"6", b"1")
    assert picture.exif is not None
    assert {"IPTC left out", "Photoshop's layers left out"} <= set(picture.notes)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("count", [1, 2])
def test_orientation_in_xmp_follows(bits: int, count: int) -> None:
    pixels = samples(2, 3, count, bits=bits)
    stated = page(pixels, GREY, bits, ORIENTATION=[6], **({"EXTRA": [2]} if count == 2 else {}))
    stated.tags[700] = b'<x tiff:Orientation="6"/>'
    picture = read(tiff(stated))
    assert picture.pixels.shape == (3, 2, 1)
    assert picture.xmp == b'<x tiff:Orientation="1"/>'


def test_stated_primaries_become_a_profile() -> None:
    image = Image.new("RGB", (2, 2))
    points = (0.64, 0.33, 0.21, 0.71, 0.15, 0.06)  # Adobe RGB
    plain = read(saved(image, "TIFF"))
    assert plain.icc is None
    picture = read(saved(image, "TIFF", tiffinfo={318: (0.3127, 0.329), 319: points}))
    assert picture.icc is not None
    assert picture.notes == ("TIFF primaries kept as an ICC profile",)
    assert read(saved(image, "TIFF", tiffinfo={319: points[:4]})).icc is None  # without blue


@pytest.mark.filterwarnings("ignore")
def test_hostile_bytes_give_a_picture_or_one_of_our_errors() -> None:
    data = tiff(page(samples(8, 8, 2, bits=16), GREY, 16, EXTRA=[2], COMPRESSION=[8]))
    random = np.random.default_rng(5)
    for _, position in itertools.product(range(2), range(0, len(data), 3)):
        damaged = bytearray(data)
        damaged[position] = random.integers(256)
        try:
            read(bytes(damaged))
        except (BadInputError, LimitError) as error:
            assert "\n" not in str(error)


def test_coefficients_that_state_no_conversion() -> None:
    data = saved(Image.new("YCbCr", (8, 8), (100, 120, 140)), "TIFF", tiffinfo={529: (1, 0, 0)})
    refused(data, "YCbCr", "state no conversion")
