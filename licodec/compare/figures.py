"""All measurements as rows: of each picture, as means over several, and as JSON."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

from licodec.compare.comparison import Coding, Compared
from licodec.compare.measures import SSIMULACRA2, Quality


@dataclass(frozen=True)
class Row:
    """A codec at a level, of one picture or as the mean of several.

    setting  in words
    size     bytes
    bpp      bits per pixel
    """

    codec: str
    setting: str
    size: float
    bpp: float
    quality: Quality


@dataclass(frozen=True)
class Group:
    """The rows of a level, licodec's first."""

    d: float
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Measure:
    """A quantity that codecs compare by.

    name    as people write it, with its unit
    value   of a quality; None where it was not measured
    digits  after the point
    axis    what a plot calls what it draws of it
    drawn   that, of a quality
    """

    name: str
    value: Callable[[Quality], float | None]
    digits: int
    axis: str
    drawn: Callable[[Quality], float | None]

    def text(self, quality: Quality) -> str:
        """The value as a person reads it; equal pixels have no PSNR."""
        value = self.value(quality)
        if value is None or math.isnan(value):
            return "-"
        return f"{value:.{self.digits}f}" if math.isfinite(value) else "lossless"


MEASURES = (
    Measure("PSNR (dB)", lambda q: q.psnr, 2, "PSNR (dB)", lambda q: q.psnr),
    Measure("MS-SSIM", lambda q: q.ms_ssim, 4, "MS-SSIM (dB)", lambda q: q.ms_ssim_in_decibels),
    Measure(
        SSIMULACRA2, lambda q: q.ssimulacra2, 1, f"{SSIMULACRA2} (score)", lambda q: q.ssimulacra2
    ),
)


def measured(groups: Sequence[Group]) -> tuple[Measure, ...]:
    """The measures that any row has."""
    found = [row.quality for group in groups for row in group.rows]
    return tuple(m for m in MEASURES if any(m.value(quality) is not None for quality in found))


def groups_of(picture: Compared) -> tuple[Group, ...]:
    """The rows of a picture, level by level."""
    return tuple(
        Group(level.d, tuple(_row(coding, picture.pixels) for coding in level.codings))
        for level in picture.levels
    )


def _row(coding: Coding, pixels: int) -> Row:
    setting, bpp = codings_in_words([coding]), 8 * coding.size / pixels
    return Row(coding.codec, setting, coding.size, bpp, coding.quality)


def codings_in_words(codings: Sequence[Coding]) -> str:
    """Their settings, and how many of them are lossless though their settings are not."""
    words = setting_in_words([coding.setting for coding in codings])
    count = sum(coding.lossless for coding in codings)
    if not count:
        return words
    return f"{words}, " + ("lossless" if count == len(codings) else f"{count} lossless")


def setting_in_words(settings: Sequence[Mapping[str, float]]) -> str:
    """ "d 4", or "quality 40 to 61" of several that differ."""
    words = []
    for name in settings[0]:
        low, high = (end(setting[name] for setting in settings) for end in (min, max))
        words.append(f"{name} {low:g}" if low == high else f"{name} {low:g} to {high:g}")
    return ", ".join(words)


def mean_groups(pictures: Sequence[Compared]) -> tuple[Group, ...]:
    """Means over pictures, level by level, of the codecs that coded all of them."""
    by_level = zip(*(picture.levels for picture in pictures), strict=True)
    pixels = [picture.pixels for picture in pictures]
    return tuple(
        Group(
            levels[0].d,
            tuple(_mean_rows([level.codings for level in levels], pixels)),
        )
        for levels in by_level
    )


def _mean_rows(codings: Sequence[Sequence[Coding]], pixels: Sequence[int]) -> Iterator[Row]:
    for first in codings[0]:
        own = [coding for of_one in codings for coding in of_one if coding.codec == first.codec]
        if len(own) == len(codings):
            qualities = [coding.quality for coding in own]
            yield Row(
                first.codec,
                codings_in_words(own),
                fmean([coding.size for coding in own]),
                fmean([8 * c.size / n for c, n in zip(own, pixels, strict=True)]),
                Quality(
                    _mean_psnr([quality.psnr for quality in qualities]),
                    _mean_of_all([quality.ms_ssim for quality in qualities]),
                    _mean_of_all([quality.ssimulacra2 for quality in qualities]),
                ),
            )


def _mean_psnr(values: Sequence[float]) -> float:
    """Infinite where all are, and no number where some are."""
    infinite = sum(map(math.isinf, values))
    return fmean(values) if infinite in (0, len(values)) else math.nan


def _mean_of_all(values: Sequence[float | None]) -> float | None:
    """None unless all have it."""
    given = [value for value in values if value is not None]
    return fmean(given) if len(given) == len(values) else None


def to_json(picture: Compared) -> dict[str, Any]:
    """A picture's figures in JSON's types; null for what was not measured, and for the infinite
    PSNR of equal pixels."""
    return {
        "width": picture.width,
        "height": picture.height,
        "crop": asdict(picture.box),
        "levels": [
            {"d": level.d, "codings": [_coding_to_json(c, picture) for c in level.codings]}
            for level in picture.levels
        ],
        "notes": list(picture.notes),
    }


def _coding_to_json(coding: Coding, picture: Compared) -> dict[str, Any]:
    quality = {
        name: value if value is not None and math.isfinite(value) else None
        for name, value in asdict(coding.quality).items()
    }
    bpp = 8 * coding.size / picture.pixels
    lossless = {"lossless": True} if coding.lossless else {}
    sizes = {"size": coding.size, "bpp": bpp}
    return {"codec": coding.codec, **coding.setting, **lossless, **sizes, **quality}
