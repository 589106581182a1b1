"""Rate-distortion curves as SVG that takes its colours from the page around it.

A codec is told by the shape of its marks and by its dashes, too, not by its colour alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from licodec.compare.figures import Group, Measure

WIDTH, HEIGHT = 360, 270  # of a plot, in units that are pixels where there is room
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 12, 30, 40  # around what is drawn
_TICKS = 6  # on an axis, about

_MARKS = (
    '<circle r="4"/>',
    '<path d="M-3.8-3.8H3.8V3.8H-3.8Z"/>',
    '<path d="M0-4.8 4.6 3.6H-4.6Z"/>',
    '<path d="M0-5.2 4.6 0 0 5.2-4.6 0Z"/>',
    '<path d="M0 4.8 4.6-3.6H-4.6Z"/>',
)
_DASHES = ("", "7 3", "2 3", "9 3 2 3", "4 2")


@dataclass(frozen=True)
class Scale:
    """An axis: values from `low` to `high` at pixels from `start` to `stop`."""

    low: float
    high: float
    start: float
    stop: float

    def at(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return self.start + share * (self.stop - self.start)


def series_styles(codecs: Sequence[str]) -> dict[str, int]:
    """The number of each codec's colour, marks and dashes."""
    return {codec: i % len(_MARKS) for i, codec in enumerate(dict.fromkeys(codecs))}


def swatch(style: int) -> str:
    """A codec's line and mark, for a legend."""
    return (
        f'<svg class="swatch s{style}" viewBox="-14 -7 28 14" width="28" height="14" '
        f'aria-hidden="true"><path class="line" d="M-14 0H14" '
        f'stroke-dasharray="{_DASHES[style]}"/><g class="mark">{_MARKS[style]}</g></svg>'
    )


def plot(groups: Sequence[Group], measure: Measure, styles: Mapping[str, int]) -> str:
    """A measure against the rate, a line for each codec; empty where no point has a number."""
    points = {codec: list(_points(groups, measure, codec)) for codec in styles}
    values = [point for own in points.values() for point in own]
    if not values:
        return ""
    qualities = [quality for _, quality, _ in values]
    across = ticks(0.0, max(rate for rate, _, _ in values))
    up = ticks(min(qualities), max(qualities))
    x = Scale(across[0], across[-1], _LEFT, WIDTH - _RIGHT)
    y = Scale(up[0], up[-1], HEIGHT - _BOTTOM, _TOP)
    curves = "".join(_curve(codec, points[codec], styles[codec], x, y) for codec in styles)
    title = f"{measure.axis} against bits per pixel"
    return (
        f'<svg class="plot" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(title)}">{"".join(_axes(x, y, across, up))}'
        f'<text class="title" x="0" y="14">{escape(measure.axis)}</text>'
        f'<text class="title" x="{(x.start + x.stop) / 2:g}" y="{HEIGHT - 4}" '
        f'text-anchor="middle">bits per pixel</text>{curves}</svg>'
    )


def ticks(low: float, high: float) -> list[float]:
    """Round numbers, evenly spaced, the first at most `low` and the last at least `high`."""
    span = max(high - low, 1e-3 * max(abs(high), 1.0))
    rough = span / _TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = power * next(factor for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [round(n * step, 9) for n in range(first, max(last, first + 1) + 1)]


def _points(
    groups: Sequence[Group], measure: Measure, codec: str
) -> Iterator[tuple[float, float, str]]:
    """Rate, quality and setting of a codec, in the order of the rate."""
    found = [
        (row.bpp, value, row.setting)
        for group in groups
        for row in group.rows
        if row.codec == codec
        and (value := measure.drawn(row.quality)) is not None
        and math.isfinite(value)
    ]
    yield from sorted(found)


def _axes(x: Scale, y: Scale, across: Sequence[float], up: Sequence[float]) -> Iterator[str]:
    for value in up:
        at = f"{y.at(value):g}"
        yield f'<path class="grid" d="M{x.start:g} {at}H{x.stop:g}"/>'
        yield f'<text class="tick" x="{x.start - 6:g}" y="{at}" dy="4" text-anchor="end">'
        yield f"{value:g}</text>".replace("-", "&#8722;")
    for value in across:
        at = f"{x.at(value):g}"
        yield f'<path class="grid" d="M{at} {y.start:g}V{y.stop:g}"/>'
        yield f'<text class="tick" x="{at}" y="{y.start + 15:g}" text-anchor="middle">'
        yield f"{value:g}</text>"


def _curve(
    codec: str, points: Sequence[tuple[float, float, str]], style: int, x: Scale, y: Scale
) -> str:
    places = [(f"{x.at(rate):.1f}", f"{y.at(quality):.1f}") for rate, quality, _ in points]
    line = " ".join(map(",".join, places))
    marks = "".join(
        f'<g class="mark" transform="translate({left} {top})">{_MARKS[style]}'
        f"<title>{escape(f'{codec}, {setting}: {rate:.3f} bpp, {quality:.2f}')}</title></g>"
        for (left, top), (rate, quality, setting) in zip(places, points, strict=True)
    )
    return (
        f'<g class="s{style}"><polyline class="line" points="{line}" '
        f'stroke-dasharray="{_DASHES[style]}"/>{marks}</g>'
    )
