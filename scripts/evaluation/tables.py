"""The evaluation's tables as Markdown: a row for each alpha and beta, then what curves save."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from evaluation.curves import Curve, Saving
from evaluation.perceptual import NAME
from evaluation.samples import ms_ssim_in_decibels


def markdown(curves: Sequence[Curve], savings: Sequence[Saving]) -> str:
    """One table for each curve, and one of the savings."""
    return "\n".join(line for curve in curves for line in (*_curve(curve), "")) + "\n".join(
        [*_savings(savings), ""]
    )


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _head(headings: Sequence[str]) -> tuple[str, str]:
    return _row(headings), "|" + "---|" * len(headings)


def _curve(curve: Curve) -> Iterator[str]:
    headings = [curve.parameter, "bpp", "PSNR"]
    headings += ["MS-SSIM", "MS-SSIM in dB"] if curve.ms_ssim else []
    headings += [NAME] if curve.perceptual else []
    yield from (f"### {curve.name}", "", *_head(headings))
    for i, value in enumerate(curve.values):
        cells = [f"{value:g}", f"{curve.bpp[i]:.4f}", f"{curve.psnr[i]:.3f}"]
        if curve.ms_ssim:
            similarity = curve.ms_ssim[i]
            cells += [f"{similarity:.4f}", f"{ms_ssim_in_decibels(similarity):.2f}"]
        if curve.perceptual:
            cells.append(f"{curve.perceptual[i]:.2f}")
        yield _row(cells)


def _savings(savings: Sequence[Saving]) -> Iterator[str]:
    if not savings:
        return
    yield from ("### BD-rate", "")
    yield from _head(("of", "against", "by", "rates", "BD-rate", "over", "of the first's range"))
    for saving in savings:
        rates = "all" if saving.below is None else f"below {saving.below:g} bpp"
        cells = [saving.test, saving.anchor, saving.measure, rates]
        if saving.percent is None:
            yield _row([*cells, "", "no overlap", ""])
        else:
            over = f"{saving.low:.2f} to {saving.high:.2f}"
            yield _row([*cells, f"{saving.percent:+.2f} %", over, f"{saving.covered:.0%}"])
