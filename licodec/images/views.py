"""What of a decoded picture is wanted: a part of it, and box means of that.

Normative in format/SPEC.md, "Parts and reductions". The crop comes first; blocks begin at its
corner.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from numbers import Integral

import numpy as np
from PIL.Image import Resampling

from licodec.errors import UsageError
from licodec.images.picture import Picture

SCALES = (1, 2, 4, 8)  # that divide width and height

_GEOMETRY = re.compile(r"(\d{1,9})x(\d{1,9})\+(\d{1,9})\+(\d{1,9})", re.ASCII)


@dataclass(frozen=True)
class Crop:
    """A part of a picture, in pixels from its top left corner."""

    width: int
    height: int
    left: int
    top: int

    def __str__(self) -> str:
        return f"{self.width}x{self.height}+{self.left}+{self.top}"

    @classmethod
    def of(cls, value: Crop | str | tuple[int, int, int, int]) -> Crop:
        """A crop as callers give it: "WxH+X+Y", or (width, height, left, top).

        Raises UsageError.
        """
        if isinstance(value, Crop):
            return value
        if isinstance(value, str):
            match = _GEOMETRY.fullmatch(value.strip())
            numbers = tuple(map(int, match.groups())) if match else ()
        else:
            numbers = tuple(value) if isinstance(value, Iterable) else ()
        whole = len(numbers) == 4 and all(isinstance(n, Integral) for n in numbers)
        if not whole or min(numbers) < 0 or 0 in numbers[:2]:
            raise UsageError(
                f"crop {value!a}: give WxH+X+Y, the sides, of at least 1, and the left and top "
                "edge, such as 512x512+100+0"
            )
        return cls(*map(int, numbers))

    def cut(self, planes: np.ndarray) -> np.ndarray:
        """What it holds of (H, W, ...); a view of the array."""
        return planes[self.top : self.top + self.height, self.left : self.left + self.width]

    def require_within(self, width: int, height: int) -> None:
        """Raise UsageError unless a picture of these sides has all of it."""
        if self.left + self.width > width or self.top + self.height > height:
            raise UsageError(f"crop {self} is not within the picture of {width}x{height} pixels")

    def is_whole(self, width: int, height: int) -> bool:
        return (self.left, self.top, self.width, self.height) == (0, 0, width, height)


@dataclass(frozen=True)
class View:
    """What of a picture is decoded.

    crop       None: all of it
    scale      width and height are divided by it; one of SCALES
    thumbnail  pixels of the longer side in the end; None: as the scale gives
    """

    crop: Crop | None = None
    scale: int = 1
    thumbnail: int | None = None

    def part(self, width: int, height: int) -> Crop:
        """The crop of a picture of these sides. Raises UsageError where it is not within."""
        if self.crop is None:
            return Crop(width, height, 0, 0)
        self.crop.require_within(width, height)
        return self.crop

    def divisor(self, part: Crop) -> int:
        """What the sides of a part are divided by: for a thumbnail the most that leaves the
        longer side long enough."""
        if self.thumbnail is None:
            return self.scale
        longer = max(part.width, part.height)
        return max(n for n in SCALES if n == 1 or -(-longer // n) >= self.thumbnail)

    def finish(self, picture: Picture, width: int, height: int) -> Picture:
        """The picture that was made of the crop, by `Reduction`, of one of these sides: with its
        thumbnail resized, and metadata that say so."""
        if self.thumbnail is not None:
            picture = _within(picture, self.thumbnail)
        return with_sides(picture, (width, height), cut=self.crop is not None)

    def of(self, picture: Picture) -> Picture:
        """The view of a picture that is decoded whole. Raises UsageError."""
        width, height = picture.width, picture.height
        part = self.part(width, height)
        cut = cropped(picture, part)
        reduction = Reduction(self.divisor(part), cut.alpha)
        pixels, alpha = reduction.of([cut.pixels])
        return self.finish(replace(cut, pixels=pixels, alpha=alpha), width, height)


WHOLE = View()


def make_view(
    crop: Crop | str | tuple[int, int, int, int] | None,
    scale: str | float | None,
    thumbnail: int | None,
) -> View:
    """A view as callers give it; a scale is "1/2" or 0.5, "1/4" or "1/8". Raises UsageError."""
    divisor = next((n for n in SCALES if scale is None or scale in (f"1/{n}", 1 / n)), None)
    if divisor is None:
        raise UsageError(f"scale {scale!a}: give 1/2, 1/4 or 1/8")
    if scale is not None and thumbnail is not None:
        raise UsageError("scale and thumbnail exclude each other; give one of them")
    if thumbnail is not None and not (isinstance(thumbnail, Integral) and thumbnail >= 1):
        raise UsageError(f"thumbnail {thumbnail!a}: give the longer side in pixels, 1 or more")
    return View(
        None if crop is None else Crop.of(crop),
        divisor,
        None if thumbnail is None else int(thumbnail),
    )


def cropped(picture: Picture, crop: Crop) -> Picture:
    """The pixels and alpha of a part, which is within; metadata as they are."""
    alpha = None if picture.alpha is None else crop.cut(picture.alpha)
    return replace(picture, pixels=crop.cut(picture.pixels), alpha=alpha)


@dataclass(frozen=True)
class Reduction:
    """Box means of pixels that come from top to bottom, of which `alpha` is the plane (H, W)."""

    divisor: int
    alpha: np.ndarray | None = None

    def of(self, strips: Iterable[np.ndarray]) -> tuple[np.ndarray, np.ndarray | None]:
        """Pixels (h, w, C) and alpha (h, w) of strips (rows, W, C)."""
        pixels: list[np.ndarray] = []
        planes: list[np.ndarray] = []
        for top, rows in _in_blocks(strips, self.divisor):
            alpha = None if self.alpha is None else self.alpha[top : top + len(rows)]
            small, plane = reduced(rows, alpha, self.divisor)
            pixels.append(small)
            planes += [] if plane is None else [plane]
        return np.concatenate(pixels), np.concatenate(planes) if planes else None


def _in_blocks(strips: Iterable[np.ndarray], divisor: int) -> Iterator[tuple[int, np.ndarray]]:
    """Strips of whole blocks, but for the last, and where each begins."""
    top, left = 0, None
    for strip in strips:
        whole = strip if left is None else np.concatenate([left, strip])
        count = len(whole) - len(whole) % divisor
        left = whole[count:] if count < len(whole) else None
        if count:
            yield top, whole[:count]
            top += count
    if left is not None:
        yield top, left


def reduced(
    pixels: np.ndarray, alpha: np.ndarray | None, divisor: int
) -> tuple[np.ndarray, np.ndarray | None]:
    """Means of blocks of `divisor` rows and columns, those at the right and bottom as far as they
    reach, of pixels (H, W, C), each weighted by its alpha (H, W), and of that.

    A mean of N is rounded to the nearest integer, halves up: (2 * sum + N) // (2 * N).
    """
    if divisor == 1:
        return pixels, alpha
    height, width = pixels.shape[:2]
    rows, columns = (np.minimum(divisor, n - np.arange(0, n, divisor)) for n in (height, width))
    count = np.outer(rows, columns)[:, :, None].astype(np.uint32)
    if alpha is None:
        return _rounded(_block_sums(pixels, divisor), count), None
    plane = alpha[:, :, None]
    weights = _block_sums(plane, divisor)
    weighted = _block_sums(pixels.astype(np.uint32) * plane, divisor)
    # What is transparent all over has colours all the same.
    plain = _rounded(_block_sums(pixels, divisor), count)
    means = np.where(weights > 0, _rounded(weighted, np.maximum(weights, 1)), plain)
    return means, _rounded(weights, count)[:, :, 0]


def _block_sums(samples: np.ndarray, divisor: int) -> np.ndarray:
    """Sums over blocks of (H, W, C), uint32."""
    height, width = samples.shape[:2]
    columns = np.add.reduceat(samples, range(0, width, divisor), axis=1, dtype=np.uint32)
    return np.add.reduceat(columns, range(0, height, divisor), axis=0, dtype=np.uint32)


def _rounded(sums: np.ndarray, count: np.ndarray) -> np.ndarray:
    return ((2 * sums + count) // (2 * count)).astype(np.uint8)


def _within(picture: Picture, longer: int) -> Picture:
    """The picture resized so that its longer side is `longer`, where it is more."""
    width, height = picture.width, picture.height
    if max(width, height) <= longer:
        return picture
    ratio = longer / max(width, height)
    sides = max(1, round(width * ratio)), max(1, round(height * ratio))
    return resized(picture, *sides)


def resized(picture: Picture, width: int, height: int) -> Picture:
    """The picture in other sides, by Pillow's Lanczos filter, colours weighted by alpha; metadata
    as they are."""
    # With alpha Pillow premultiplies, and divides again.
    image = picture.to_image().resize((width, height), Resampling.LANCZOS)
    samples = np.asarray(image).reshape(height, width, -1)
    count = picture.channels
    alpha = None if picture.alpha is None else np.ascontiguousarray(samples[:, :, count])
    return replace(picture, pixels=np.ascontiguousarray(samples[:, :, :count]), alpha=alpha)


def with_sides(picture: Picture, before: tuple[int, int], cut: bool) -> Picture:
    """The picture with Exif for its sides, which were (width, height) `before`; where it was cut,
    without Exif's thumbnail, which was not."""
    sides, exif, notes = (picture.width, picture.height), picture.exif, picture.notes
    if exif is None or sides == before:
        return picture
    from licodec.images.metadata import resized_exif, without_thumbnail

    if cut and (bare := without_thumbnail(exif)) is not None:
        exif, notes = bare, (*notes, "the thumbnail in Exif left out, it shows the whole picture")
    return replace(picture, exif=resized_exif(exif, before, sides), notes=notes)
