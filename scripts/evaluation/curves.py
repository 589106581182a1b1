"""Rate-distortion curves: means over a set of pictures, and Bjontegaard's average saving."""

from __future__ import annotations

import json
import math
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

import numpy as np

from evaluation.butteraugli import NAME as BUTTERAUGLI
from evaluation.samples import Sample
from licodec.compare.measures import SSIMULACRA2, ms_ssim_in_decibels

Points = tuple[tuple[float, float], ...]
"""(bits per pixel, dB) pairs."""


PSNR, MS_SSIM = "PSNR", "MS-SSIM"
MEASURES = {  # names in a Sample
    PSNR: "psnr",
    MS_SSIM: "ms_ssim",
    SSIMULACRA2: "ssimulacra2",
    BUTTERAUGLI: "butteraugli",
}


@dataclass(frozen=True)
class Curve:
    """Means over a set of pictures, by measure: parallel tuples, one entry for each value.

    values     of the parameter; empty for a published curve
    rates      bits per pixel, over the pictures that have the measure
    means      over the same; measures that no picture has are left out
    parameter  what the values are of
    """

    name: str
    values: tuple[float, ...]
    rates: Mapping[str, tuple[float, ...]]
    means: Mapping[str, tuple[float, ...]]
    parameter: str = ""

    def points(self, measure: str) -> Points:
        """Finite points by one of MEASURES, more is better; none where it was not measured."""
        means = self.means.get(measure, ())
        pairs = zip(self.rates.get(measure, ()), map(_SCALES[measure], means), strict=True)
        return tuple((rate, quality) for rate, quality in pairs if math.isfinite(quality))


# MS-SSIM in dB; of Butteraugli less is better.
_SCALES: dict[str, Callable[[float], float]] = {
    PSNR: float,
    MS_SSIM: ms_ssim_in_decibels,
    SSIMULACRA2: float,
    BUTTERAUGLI: operator.neg,
}


def mean_curve(
    name: str,
    values: Sequence[float],
    samples: Mapping[float, Sequence[Sample]],
    parameter: str = "",
) -> Curve:
    """The curve of `samples`: for every value, one sample for each picture."""
    rates, means = {}, {}
    for measure, field in MEASURES.items():
        having = [[s for s in samples[v] if getattr(s, field) is not None] for v in values]
        if all(having):
            rates[measure] = tuple(fmean([s.bpp for s in own]) for own in having)
            means[measure] = tuple(fmean([getattr(s, field) for s in own]) for own in having)
    return Curve(name, tuple(values), rates, means, parameter)


def published_curves(path: Path) -> dict[str, Curve]:
    """Curves of a JSON file by name: name -> {bpp, and psnr, ms_ssim or both}.

    They call themselves "name (published)"; names that start with an underscore are comments. Exits
    with a message where a curve's lists do not match.
    """
    curves = {}
    for name, data in json.loads(path.read_text()).items():
        if name.startswith("_"):
            continue
        given = {PSNR: data.get("psnr"), MS_SSIM: data.get("ms_ssim", data.get("mssim"))}
        means = {measure: tuple(own) for measure, own in given.items() if own is not None}
        if any(len(own) != len(data["bpp"]) for own in means.values()):
            raise SystemExit(f"{path}: {name}: the lists are not of one length")
        rates = dict.fromkeys(means, tuple(data["bpp"]))
        curves[name] = Curve(f"{name} (published)", (), rates, means)
    return curves


@dataclass(frozen=True)
class Saving:
    """The BD-rate of `test` against `anchor`: negative percent is a smaller file.

    low, high  the qualities that both curves cover, over which the saving is averaged
    covered    the share of the test curve's range that this is
    percent    None, and low, high and covered 0, where the curves do not overlap
    below      bits per pixel that either curve is cut off at, None for all of them
    pictures   how many pictures' savings this is the mean of, 0 for the one of mean curves
    """

    test: str
    anchor: str
    measure: str
    percent: float | None
    low: float
    high: float
    covered: float
    below: float | None = None
    pictures: int = 0


Span = tuple[float, float]


def saving(
    test: Curve,
    anchor: Curve,
    measure: str,
    below: float | None = None,
    over: Span | None = None,
) -> Saving | None:
    """None where either curve lacks the measure or has fewer than two usable points. `over` are the
    only qualities that count, if given."""
    test_points, anchor_points = (
        within(cut_off(rising(curve.points(measure)), below), over) for curve in (test, anchor)
    )
    if len(test_points) < 2 or len(anchor_points) < 2:
        return None
    low = max(test_points[0][1], anchor_points[0][1])
    high = min(test_points[-1][1], anchor_points[-1][1])
    if low >= high:
        return Saving(test.name, anchor.name, measure, None, 0.0, 0.0, 0.0, below)
    import bjontegaard

    percent = bjontegaard.bd_rate(
        *np.transpose(anchor_points),
        *np.transpose(test_points),
        method="pchip",
        require_matching_points=False,
        min_overlap=0,  # the overlap is stated beside the figure
    )
    covered = (high - low) / (test_points[-1][1] - test_points[0][1])
    return Saving(test.name, anchor.name, measure, float(percent), low, high, covered, below)


def mean_saving(
    tests: Sequence[Curve], anchors: Sequence[Curve], measure: str, over: Span | None = None
) -> Saving | None:
    """The mean of the savings of single pictures, whose curves these are in one order; None where
    no picture has one."""
    pairs = zip(tests, anchors, strict=True)
    every = [saving(test, anchor, measure, over=over) for test, anchor in pairs]
    found = [own for own in every if own is not None and own.percent is not None]
    if not found:
        return None
    fields = ("percent", "low", "high", "covered")
    means = {name: fmean(getattr(own, name) for own in found) for name in fields}
    return replace(found[0], **means, pictures=len(found))


def within(points: Points, over: Span | None) -> Points:
    """Rising points of some qualities, and those at their ends, interpolated as for BD-rates."""
    if over is None or len(points) < 2:
        return points
    low, high = over
    from scipy.interpolate import PchipInterpolator

    rates, qualities = np.transpose(points)
    log_rate = PchipInterpolator(qualities, np.log(rates))
    ends = [end for end in over if qualities[0] < end < qualities[-1]]
    kept = {quality: rate for rate, quality in points if low <= quality <= high}
    kept |= {end: math.exp(log_rate(end)) for end in ends}
    return tuple((rate, quality) for quality, rate in sorted(kept.items()))


def cut_off(points: Points, rate: float | None) -> Points:
    """Rising points up to a rate, and the one at it, which lies on a line over log(rate)."""
    if rate is None or not points or points[-1][0] <= rate:
        return points
    kept = tuple(point for point in points if point[0] <= rate)
    if not kept or kept[-1][0] == rate:
        return kept
    (low, before), (high, after) = kept[-1], points[len(kept)]
    share = math.log(rate / low) / math.log(high / low)
    return (*kept, (rate, before + share * (after - before)))


def rising(points: Points) -> Points:
    """The points in the order of rate, without those that cost more and give no more."""
    kept: list[tuple[float, float]] = []
    for rate, quality in sorted(points, key=lambda point: (point[0], -point[1])):
        if not kept or quality > kept[-1][1]:
            kept.append((rate, quality))
    return tuple(kept)
