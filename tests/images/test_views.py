"""Crops, reductions and sizes of pictures in memory."""

from __future__ import annotations

import itertools
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from licodec.errors import LimitError, UsageError
from licodec.images import Picture
from licodec.images.resizing import Resize, make_framing
from licodec.images.views import SCALES, Crop, Reduction, make_view, reduced


def random_picture(height: int, width: int, channels: int, alpha: bool, seed: int = 0) -> Picture:
    random = np.random.default_rng(seed)
    pixels = random.integers(0, 256, (height, width, channels), np.uint8)
    plane = random.choice([0, 1, 128, 255], (height, width)).astype(np.uint8) if alpha else None
    return Picture(pixels, plane)


def by_the_formula(picture: Picture, n: int) -> tuple[np.ndarray, np.ndarray | None]:
    """SPEC.md, "Parts and reductions", pixel by pixel."""
    height, width = -(-picture.height // n), -(-picture.width // n)
    pixels = np.empty((height, width, picture.channels), np.uint8)
    alpha = np.empty((height, width), np.uint8)
    for r, c in itertools.product(range(height), range(width)):
        block = picture.pixels[r * n : r * n + n, c * n : c * n + n].astype(object)
        count = block.shape[0] * block.shape[1]
        weights = np.ones(block.shape[:2], object)
        if picture.alpha is not None:
            plane = picture.alpha[r * n : r * n + n, c * n : c * n + n].astype(object)
            alpha[r, c] = (2 * plane.sum() + count) // (2 * count)
            weights = plane if plane.sum() else weights
        total = weights.sum()
        for channel in range(picture.channels):
            weighted = (weights * block[:, :, channel]).sum()
            pixels[r, c, channel] = (2 * weighted + total) // (2 * total)
    return pixels, None if picture.alpha is None else alpha


@pytest.mark.parametrize("n", SCALES[1:])
@pytest.mark.parametrize("alpha", [False, True])
def test_every_small_size(n: int, alpha: bool) -> None:
    for height, width in itertools.product((1, 2, 7, 8, 9, 17), repeat=2):
        picture = random_picture(height, width, 3 if width % 2 else 1, alpha, height)
        pixels, plane = reduced(picture.pixels, picture.alpha, n)
        expected = by_the_formula(picture, n)
        np.testing.assert_array_equal(pixels, expected[0])
        if alpha:
            np.testing.assert_array_equal(plane, expected[1])


@pytest.mark.parametrize("value", [0, 1, 254, 255])
def test_flat_stays_flat(value: int) -> None:
    flat = np.full((17, 9, 3), value, np.uint8)
    assert np.all(reduced(flat, None, 8)[0] == value)
    assert np.all(reduced(flat, np.full((17, 9), 7, np.uint8), 8)[0] == value)


def test_what_is_transparent_lends_no_colour() -> None:
    pixels = np.array([[[200], [10]]], np.uint8)
    shown, alpha = reduced(pixels, np.array([[255, 0]], np.uint8), 2)
    assert (shown.item(), alpha.item()) == (200, 128)


@given(st.lists(st.integers(1, 20), min_size=1, max_size=6), st.sampled_from(SCALES), st.booleans())
@settings(max_examples=40)
def test_strips_of_any_height(heights: list[int], n: int, alpha: bool) -> None:
    picture = random_picture(sum(heights), 5, 3, alpha)
    strips = np.split(picture.pixels, np.cumsum(heights)[:-1])
    pixels, plane = Reduction(n, picture.alpha).of(strips)
    expected = reduced(picture.pixels, picture.alpha, n)
    np.testing.assert_array_equal(pixels, expected[0])
    if alpha:
        np.testing.assert_array_equal(plane, expected[1])


@pytest.mark.parametrize(
    ("thumbnail", "divisor", "sides"),
    [
        (100, 1, (100, 60)),
        (300, 1, (100, 60)),
        (99, 1, (99, 59)),
        (51, 1, (51, 31)),
        (50, 2, (50, 30)),
        (26, 2, (26, 16)),
        (25, 4, (25, 15)),
        (13, 8, (13, 8)),
        (1, 8, (1, 1)),
    ],
)
def test_thumbnails(thumbnail: int, divisor: int, sides: tuple[int, int]) -> None:
    view, picture = make_view(None, None, thumbnail), random_picture(60, 100, 3, True)
    assert view.divisor(view.part(100, 60)) == divisor
    found = view.of(picture)
    assert (found.width, found.height) == sides
    if thumbnail == 50:  # a scale as it is
        expected = reduced(picture.pixels, picture.alpha, 2)
        np.testing.assert_array_equal(found.pixels, expected[0])


def test_a_crop_comes_first() -> None:
    picture = random_picture(33, 41, 3, True)
    found = make_view("9x7+3+5", "1/4", None).of(picture)
    expected = reduced(picture.pixels[5:12, 3:12], picture.alpha[5:12, 3:12], 4)
    np.testing.assert_array_equal(found.pixels, expected[0])
    np.testing.assert_array_equal(found.alpha, expected[1])


@pytest.mark.parametrize("value", ["3x4+5+6", " 3x4+5+6 ", (3, 4, 5, 6), Crop(3, 4, 5, 6)])
def test_crops(value: object) -> None:
    assert Crop.of(value) == Crop(3, 4, 5, 6)
    assert str(Crop.of(value)) == "3x4+5+6"


@pytest.mark.parametrize(
    "value",
    [
        *("", "3x4", "0x4+5+6", "3x0+5+6", "3x4-5+6", "3x4+5", "a", "\uff13x4+5+6", "3.5x4+5+6"),
        *("9" * 5000 + "x1+0+0", (3, 4, 5), (3, 4, -1, 0), (0, 1, 0, 0), (3.5, 1, 0, 0)),
    ],
)
def test_what_is_no_crop(value: object) -> None:
    with pytest.raises(UsageError, match=r"crop .* give WxH\+X\+Y"):
        Crop.of(value)


@pytest.mark.parametrize("scale", ["1/3", "2", 3, 0, "half"])
def test_what_is_no_scale(scale: object) -> None:
    with pytest.raises(UsageError, match="give 1/2, 1/4 or 1/8"):
        make_view(None, scale, None)


@pytest.mark.parametrize("thumbnail", [0, -1, 1.5])
def test_what_is_no_thumbnail(thumbnail: object) -> None:
    with pytest.raises(UsageError, match="in pixels, 1 or more"):
        make_view(None, None, thumbnail)
    with pytest.raises(UsageError, match="exclude each other"):
        make_view(None, "1/2", 5)


@pytest.mark.parametrize(
    ("value", "sides"),
    [  # of 100x60, as cwebp -resize counts
        ("50x20", (50, 20)),
        ("50", (50, 30)),
        ("50x", (50, 30)),
        ("50x0", (50, 30)),
        ("x30", (50, 30)),
        ("0x30", (50, 30)),
        ("50%", (50, 30)),
        ("12.5%", (13, 8)),
        ("200%", (200, 120)),
        ("0.1%", (1, 1)),
        ("1", (1, 1)),
        (50, (50, 30)),
        ((50, 0), (50, 30)),
        ((7, 9), (7, 9)),
    ],
)
def test_sizes(value: object, sides: tuple[int, int]) -> None:
    assert Resize.of(value).sides(100, 60) == sides
    found = make_framing(None, value).of(random_picture(60, 100, 1, True))
    assert (found.width, found.height) == sides
    assert found.pixels.shape[:2] == found.alpha.shape


@pytest.mark.parametrize(
    "value", ["", "0", "0x0", "0%", "x", "-5", "5x-5", "a", "\uff15", "9" * 5000, (0, 0)]
)
def test_what_is_no_size(value: object) -> None:
    with pytest.raises(UsageError, match="give WxH, W, xH or a percentage"):
        Resize.of(value)


@pytest.mark.parametrize("value", ["65536x1", "999999999%", "65535x65535"])
def test_sizes_over_the_limits(value: str) -> None:
    with pytest.raises(LimitError, match="is over the limit"):
        make_framing(None, value).of(random_picture(3, 3, 1, False))


def test_resizing_weighs_colours_by_alpha() -> None:
    pixels = np.zeros((16, 16, 3), np.uint8)
    pixels[:, :8] = 200
    alpha = np.zeros((16, 16), np.uint8)
    alpha[:, :8] = 255
    found = make_framing(None, "4x4").of(Picture(pixels, alpha))
    assert np.all(found.pixels[found.alpha > 40] >= 198)


def exif_of(width: int, height: int) -> bytes:
    """Sides in the Exif directory and, behind it, a thumbnail's directory."""
    entry = struct.Struct("<HHII").pack
    first = struct.pack("<H", 1) + entry(0x8769, 4, 1, 26) + struct.pack("<I", 56)
    sides = struct.pack("<H", 2) + entry(0xA002, 4, 1, width) + entry(0xA003, 4, 1, height)
    thumbnail = struct.pack("<H", 2) + entry(0x201, 4, 1, 86) + entry(0x202, 4, 1, 4)
    return b"II*\0\x08\0\0\0" + first + sides + bytes(4) + thumbnail + bytes(4) + b"jpeg"


def test_exif_follows() -> None:
    picture = random_picture(60, 100, 3, False)
    picture = Picture(picture.pixels, exif=exif_of(100, 60))
    smaller = make_framing(None, "50%").of(picture)
    assert smaller.exif == exif_of(50, 30)
    assert smaller.notes == ()
    cut = make_framing("50x20+1+2", None).of(picture)
    assert cut.exif is not None and struct.pack("<I", 50) in cut.exif and b"jpeg" not in cut.exif
    assert cut.notes == ("the thumbnail in Exif left out, it shows the whole picture",)
    assert make_framing(None, "100%").of(picture).exif == exif_of(100, 60)
    assert make_view("50x20+1+2", "1/2", None).of(picture).exif == (
        make_framing("50x20+1+2", "50%").of(picture).exif
    )
    other = Picture(picture.pixels, exif=exif_of(99, 60))  # says something else of its own
    assert make_framing(None, "50%").of(other).exif == exif_of(99, 60)
