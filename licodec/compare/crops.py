"""The part of a picture that is shown: what was asked for, or where most is to be seen."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from licodec.errors import LimitError, UsageError
from licodec.images.views import Crop

WIDEST, HIGHEST = 768, 512  # pixels of a crop that nobody asked for
SMALLEST = 192, 128
PAGE_PIXELS = 2**24  # of all crops of a page; a pixel takes about 2.5 bytes of it, at most 4
_LOOKED_AT = 2**22  # pixels, about, of a picture's detail


@dataclass(frozen=True)
class CropSize:
    """The most that a crop has of a picture, wherever the picture has most detail."""

    width: int
    height: int


Wanted = Crop | CropSize

_SIZE = re.compile(r"(\d{1,6})x(\d{1,6})", re.ASCII)


def parse_crop(text: str) -> Wanted:
    """The crop that "WxH+X+Y" or "WxH" asks for. Raises UsageError."""
    size = _SIZE.fullmatch(text.strip())
    try:
        found = Crop.of(text) if size is None else CropSize(*map(int, size.groups()))
    except UsageError:
        found = CropSize(0, 0)
    if not found.width or not found.height:
        raise UsageError(
            f"--crop {text!a}: give WIDTHxHEIGHT+LEFT+TOP in pixels, as 400x300+120+80, or "
            "WIDTHxHEIGHT alone for the place with most detail"
        )
    return found


def crop_within(wanted: Wanted | None, count: int) -> Wanted:
    """What was asked for, or else a size, for `count` crops on one page.

    Raises LimitError where they would be too large to be looked at in a browser.
    """
    room = PAGE_PIXELS // count
    if wanted is None:
        width = min(WIDEST, int((room * WIDEST / HIGHEST) ** 0.5))
        size = CropSize(width, width * HIGHEST // WIDEST)
        if size.width >= SMALLEST[0]:
            return size
        raise LimitError(
            f"{count} crops are too many for one page; give fewer pictures, --ds or --codecs"
        )
    if wanted.width * wanted.height > room:
        raise LimitError(
            f"--crop: {count} crops of {wanted.width}x{wanted.height} pixels are too large for one "
            f"page; give at most {room} pixels, or fewer pictures, --ds or --codecs"
        )
    return wanted


def crop_of(crop: Wanted, pixels: np.ndarray) -> Crop:
    """The crop's place in (H, W, C) pixels. Raises UsageError where the picture does not hold it;
    a size alone is cut to the picture's."""
    height, width = pixels.shape[:2]
    if isinstance(crop, CropSize):
        return most_detailed(pixels, min(crop.width, width), min(crop.height, height))
    if crop.left + crop.width > width or crop.top + crop.height > height:
        raise UsageError(f"--crop {crop}: not within the picture's {width}x{height} pixels")
    return crop


def most_detailed(pixels: np.ndarray, width: int, height: int) -> Crop:
    """The crop of this size, no larger than the picture, whose neighbouring samples differ most:
    where codecs have most to keep. Of equal ones it is the nearest to the middle."""
    rows, columns = pixels.shape[:2]
    step = max(1, round((rows * columns / _LOOKED_AT) ** 0.5))
    # A row and a column more, so that a box may end at the picture's edge.
    sums = np.zeros([-(-side // step) + 1 for side in (rows, columns)], np.int64)
    sums[1:, 1:] = _differences(pixels[:, :, pixels.shape[2] // 2], step)
    sums = sums.cumsum(0).cumsum(1)
    high, wide = (max(1, side // step) for side in (height, width))
    found = sums[high:, wide:] - sums[:-high, wide:] - sums[high:, :-wide] + sums[:-high, :-wide]
    places = np.argwhere(found == found.max())
    middle = np.subtract(found.shape, 1) / 2
    top, left = places[np.abs(places - middle).sum(1).argmin()] * step
    return Crop(width, height, min(int(left), columns - width), min(int(top), rows - height))


def _differences(plane: np.ndarray, step: int) -> np.ndarray:
    """How much each `step`-th sample of (H, W) differs from those below and beside it."""
    here = plane[::step, ::step].astype(np.int16)
    found = np.zeros_like(here)
    for below, beside in ((1, 0), (0, 1)):
        other = plane[below::step, beside::step]
        own = here[: other.shape[0], : other.shape[1]]
        found[: own.shape[0], : own.shape[1]] += np.abs(own - other)
    return found
