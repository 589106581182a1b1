"""What of a picture is coded, and in which size: a crop of the upright picture, then resized."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from licodec.container.limits import check_picture_size
from licodec.errors import UsageError
from licodec.images.picture import Picture
from licodec.images.views import Crop, cropped, resized, with_sides

_SIZE = re.compile(
    r"(?P<width>\d{0,9})(?:x(?P<height>\d{0,9}))?|(?P<percent>\d{1,9}(?:\.\d{0,9})?|\.\d{1,9})%",
    re.ASCII,
)


@dataclass(frozen=True)
class Resize:
    """A size in pixels, 0 where the shape gives it; or one by percent of both sides."""

    width: int = 0
    height: int = 0
    percent: float = 0.0

    @classmethod
    def of(cls, value: Resize | str | int | tuple[int, int]) -> Resize:
        """A size as callers give it: "WxH", "W", "xH" or "50%"; a width, or both sides. 0 of W or H
        keeps the shape. Raises UsageError."""
        if isinstance(value, Resize):
            return value
        text = "x".join(map(str, value)) if isinstance(value, tuple) else str(value).strip()
        match = _SIZE.fullmatch(text)
        found = cls()
        if match and match["percent"]:
            found = cls(percent=float(match["percent"]))
        elif match:
            found = cls(int(match["width"] or 0), int(match["height"] or 0))
        if found == cls():
            raise UsageError(f"resize {value!a}: give WxH, W, xH or a percentage, such as 50%")
        return found

    def sides(self, width: int, height: int) -> tuple[int, int]:
        """The size that a picture of these sides gets, of at least one pixel each way."""
        if self.percent:
            across, down = (_nearest(side * self.percent, 100) for side in (width, height))
            return max(1, across), max(1, down)
        across = self.width or max(1, _nearest(self.height * width, height))
        return across, self.height or max(1, _nearest(self.width * height, width))


def _nearest(dividend: float, divisor: int) -> int:
    return math.floor(dividend / divisor + 0.5)


@dataclass(frozen=True)
class Framing:
    """What is coded of a picture: a crop of it, None being all, in another size or its own."""

    crop: Crop | None = None
    resize: Resize | None = None

    def of(self, picture: Picture) -> Picture:
        """The picture as it is coded. Raises UsageError for a crop that is not within, and
        LimitError for a size over the limits."""
        before = picture.width, picture.height
        if self.crop is not None:
            self.crop.require_within(*before)
            picture = cropped(picture, self.crop)
        if self.resize is not None:
            sides = self.resize.sides(picture.width, picture.height)
            check_picture_size(*sides)
            if sides != (picture.width, picture.height):
                picture = resized(picture, *sides)
        return with_sides(picture, before, cut=self.crop is not None)


AS_IT_IS = Framing()


def make_framing(
    crop: Crop | str | tuple[int, int, int, int] | None,
    resize: Resize | str | int | tuple[int, int] | None,
) -> Framing:
    """What is coded, as callers give it. Raises UsageError."""
    return Framing(
        None if crop is None else Crop.of(crop), None if resize is None else Resize.of(resize)
    )
