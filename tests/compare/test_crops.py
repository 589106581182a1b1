"""Which part of a picture is shown."""

from __future__ import annotations

import numpy as np
import pytest

from licodec.compare.crops import (
    HIGHEST,
    PAGE_PIXELS,
    WIDEST,
    CropSize,
    crop_of,
    crop_within,
    most_detailed,
    parse_crop,
)
from licodec.errors import LimitError, UsageError
from licodec.images.views import Crop

GREY = np.full((60, 90, 3), 128, np.uint8)


def test_what_is_asked_for() -> None:
    assert parse_crop("40x30+5+0") == Crop(40, 30, 5, 0)
    assert parse_crop(" 40x30 ") == CropSize(40, 30)


@pytest.mark.parametrize(
    "text", ["", "40", "0x30", "40x0+1+1", "40x30+5", "-4x30+1+1", "9999999x1"]
)
def test_what_is_no_crop(text: str) -> None:
    with pytest.raises(UsageError, match=r"--crop .*WIDTHxHEIGHT"):
        parse_crop(text)


def test_a_crop_has_to_be_in_the_picture_and_a_size_is_cut_to_it() -> None:
    assert crop_of(Crop(40, 30, 50, 30), GREY) == Crop(40, 30, 50, 30)
    with pytest.raises(UsageError, match="40x30\\+51\\+30: not within the picture's 90x60"):
        crop_of(Crop(40, 30, 51, 30), GREY)
    assert crop_of(CropSize(400, 20), GREY) == Crop(90, 20, 0, 20)


def test_the_place_with_most_detail() -> None:
    pixels = GREY.copy()
    pixels[33:43, 70:90] += np.random.default_rng(1).integers(0, 90, (10, 20, 3), np.uint8)
    box = most_detailed(pixels, 20, 10)
    assert abs(box.left - 70) <= 1 and abs(box.top - 33) <= 1
    assert box.cut(pixels).shape == (10, 20, 3)
    assert most_detailed(GREY, 20, 10) == Crop(20, 10, 35, 25)  # the middle, where all are alike


def test_the_place_in_a_large_picture() -> None:
    pixels = np.zeros((3000, 4000, 1), np.uint8)
    pixels[2600:2800, 500:800] = np.random.default_rng(1).integers(0, 255, (200, 300, 1))
    box = most_detailed(pixels, 300, 200)
    assert abs(box.left - 500) <= 8 and abs(box.top - 2600) <= 8


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 5000, 3), (7, 2, 3)])
def test_thin_pictures(shape: tuple[int, int, int]) -> None:
    pixels = np.zeros(shape, np.uint8)
    height, width = min(shape[0], 12), min(shape[1], 16)
    assert crop_of(CropSize(16, 12), pixels).cut(pixels).shape == (height, width, shape[2])


def test_crops_get_smaller_the_more_there_are_and_have_a_limit() -> None:
    assert crop_within(None, 21) == CropSize(WIDEST, HIGHEST)
    many = crop_within(None, 400)
    assert many.width * many.height * 400 <= PAGE_PIXELS
    with pytest.raises(LimitError, match="10000 crops are too many"):
        crop_within(None, 10_000)
    assert crop_within(Crop(1000, 1000, 0, 0), 16) == Crop(1000, 1000, 0, 0)
    with pytest.raises(LimitError, match="at most 986895 pixels"):
        crop_within(CropSize(1000, 1000), 17)
