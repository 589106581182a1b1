"""The evaluation's results as text, in Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from tables import table

from evaluation.curves import BUTTERAUGLI, MS_SSIM, PSNR, Curve, Saving
from evaluation.samples import Sample
from licodec.compare.measures import MS_SSIM_SMALLEST_SIDE, SSIMULACRA2, ms_ssim_in_decibels

DIGITS = {PSNR: 3, MS_SSIM: 4, SSIMULACRA2: 2, BUTTERAUGLI: 3}
Pictures = Mapping[str, Mapping[float, Sample]]  # by name and value


def results(pictures: Pictures, curves: Sequence[Curve], savings: Sequence[Saving]) -> str:
    """What the first curve is of each of `pictures`, every curve, and what separates them."""
    parts = [_pictures(curves[0], pictures), *map(_curve, curves)]
    parts += [_savings(savings)] if savings else []
    small = [n for n, s in pictures.items() if any(x.ms_ssim is None for x in s.values())]
    if small:
        parts.append(
            f"MS-SSIM leaves out {len(small)} of {len(pictures)} pictures, too small for it "
            f"(a side under {MS_SSIM_SMALLEST_SIDE} pixels): {', '.join(small)}"
        )
    return "\n\n".join(parts) + "\n"


def _pictures(curve: Curve, pictures: Pictures) -> str:
    headings = ["picture", *(f"{value:g}" for value in curve.values)]
    rows = (
        (name, *(f"{own[v].bpp:.3f} {own[v].psnr:5.2f}" for v in curve.values))
        for name, own in pictures.items()
    )
    title = f"### {curve.name}: bits per pixel and PSNR, by picture and {curve.parameter}"
    falling = sum(_falls_strictly([own[v].bpp for v in curve.values]) for own in pictures.values())
    told = f"Bits fall strictly on {falling} of {len(pictures)} pictures."
    return f"{title}\n\n{table(headings, rows)}\n\n{told}"


def _falls_strictly(numbers: Sequence[float]) -> bool:
    return all(a > b for a, b in pairwise(numbers))


def _curve(curve: Curve) -> str:
    columns = {
        curve.parameter: [f"{value:g}" for value in curve.values],
        "bpp": [f"{rate:.4f}" for rate in curve.rates[PSNR]],
    }
    for measure, means in curve.means.items():
        columns[measure] = [f"{mean:.{DIGITS[measure]}f}" for mean in means]
        if measure == MS_SSIM:
            columns["MS-SSIM in dB"] = [f"{ms_ssim_in_decibels(mean):.2f}" for mean in means]
    return f"### {curve.name}\n\n{table(list(columns), zip(*columns.values(), strict=True))}"


def _savings(savings: Sequence[Saving]) -> str:
    headings = ("of", "against", "by", "rates", "BD-rate", "over", "of the first's range")
    rows = []
    for saving in savings:
        found = ("", "no overlap", "")
        if saving.percent is not None:
            over = f"{saving.low:.2f} to {saving.high:.2f}"
            found = (f"{saving.percent:+.2f} %", over, f"{saving.covered:.0%}")
        rates = "all" if saving.below is None else f"below {saving.below:g} bpp"
        of = f"mean of {saving.pictures} pictures" if saving.pictures else rates
        rows.append((saving.test, saving.anchor, saving.measure, of, *found))
    return f"### BD-rate (pchip) over mean bits per pixel\n\n{table(headings, rows)}"
