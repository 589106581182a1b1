"""The evaluation's tables and its plot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from evaluation.curves import MEASURES, Curve, Saving
from evaluation.perceptual import NAME
from evaluation.samples import SMALLEST_MS_SSIM_SIDE, Sample, ms_ssim_in_decibels


def print_report(
    console: Console,
    pictures: Mapping[str, Mapping[float, Sample]],
    curves: Sequence[Curve],
    savings: Sequence[Saving],
) -> None:
    """`pictures` are the samples of the first curve by name and value."""
    console.print(_picture_table(curves[0], pictures))
    console.print(_curve_table(curves))
    if savings:
        console.print(_saving_table(savings))
    small = [n for n, s in pictures.items() if any(x.ms_ssim is None for x in s.values())]
    if small:
        console.print(
            f"MS-SSIM leaves out {len(small)} of {len(pictures)} pictures, too small for it "
            f"(a side under {SMALLEST_MS_SSIM_SIDE} pixels): {', '.join(small)}"
        )


def _picture_table(curve: Curve, pictures: Mapping[str, Mapping[float, Sample]]) -> Table:
    at = curve.parameter
    table = Table(title=f"{curve.name}: bits per pixel, PSNR in dB, by picture and {at}")
    table.add_column("picture", no_wrap=True)
    for value in curve.values:
        table.add_column(f"{value:g}", justify="right")
    for name, samples in pictures.items():
        cells = (f"{samples[v].bpp:.3f} {samples[v].psnr:5.2f}" for v in curve.values)
        table.add_row(name, *cells)
    return table


def _curve_table(curves: Sequence[Curve]) -> Table:
    table = Table(title="means over the pictures")
    table.add_column("curve", no_wrap=True)
    for heading in ("at", "bpp", "PSNR", "MS-SSIM", "MS-SSIM in dB", NAME):
        table.add_column(heading, justify="right")
    for curve in curves:
        for i, value in enumerate(curve.values):
            similarity = "" if curve.ms_ssim is None else f"{curve.ms_ssim[i]:.4f}"
            decibels = "" if similarity == "" else f"{ms_ssim_in_decibels(curve.ms_ssim[i]):.2f}"
            table.add_row(
                curve.name,
                f"{curve.parameter} {value:g}",
                f"{curve.bpp[i]:.4f}",
                f"{curve.psnr[i]:.3f}",
                similarity,
                decibels,
                "" if curve.perceptual is None else f"{curve.perceptual[i]:.2f}",
            )
        table.add_section()
    return table


def _saving_table(savings: Sequence[Saving]) -> Table:
    table = Table(title="BD-rate (pchip) over mean bits per pixel")
    table.add_column("of", no_wrap=True)
    table.add_column("against", no_wrap=True)
    headings = ("by", "rates", "BD-rate", "over the range both cover", "of the first's range")
    for heading in headings:
        table.add_column(heading, justify="right")
    for saving in savings:
        rates = "all" if saving.below is None else f"below {saving.below:g}"
        row = (saving.test, saving.anchor, saving.measure, rates)
        if saving.percent is None:
            table.add_row(*row, "", "no overlap", "")
        else:
            table.add_row(
                *row,
                f"{saving.percent:+.2f} %",
                f"{saving.low:.2f} to {saving.high:.2f}",
                f"{saving.covered:.0%}",
            )
    return table


def plot(path: Path, curves: Sequence[Curve], published: Sequence[Curve]) -> None:
    """Each measure against rate, side by side; published curves thin and dashed.

    The range is that of the first curve.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    measures = [m for m in MEASURES if any(curve.points(m) for curve in curves)]
    figure, axes = pyplot.subplots(
        1, len(measures), figsize=(9 * len(measures), 7), squeeze=False, layout="constrained"
    )
    ours = ("black", "tab:blue", "tab:red", "tab:green", "tab:purple")
    faint = pyplot.colormaps["tab20"]
    for ax, measure in zip(axes[0], measures, strict=True):
        for i, curve in enumerate(curves):
            if points := sorted(curve.points(measure)):
                style = {"color": ours[i % len(ours)], "markersize": 3, "zorder": 3}
                ax.plot(*zip(*points, strict=True), "o-", label=curve.name, **style)
        for i, curve in enumerate(published):
            if points := curve.points(measure):
                style = {"color": faint(i % faint.N), "linewidth": 0.9}
                ax.plot(*zip(*points, strict=True), "--", label=curve.name, **style)
        rates = [rate for curve in curves[:1] for rate, _ in curve.points(measure)]
        qualities = [q for curve in curves[:1] for _, q in curve.points(measure)]
        ax.set_xlim(0, max(rates) * 1.25)
        ax.set_ylim(min(qualities) - 3, max(qualities) + 2)
        ax.set_xlabel("bits per pixel")
        ax.set_ylabel(measure if measure == NAME else f"{measure} in dB")
        ax.grid(alpha=0.3)
        ax.legend(fontsize=7, loc="lower right")
    figure.savefig(path, dpi=150)
    pyplot.close(figure)


def plot_perception(path: Path, sets: Sequence[Sequence[Curve]]) -> None:
    """Rate, distortion and perception: PSNR and SSIMULACRA 2 against rate, and against each other,
    with a thin line through the betas of each alpha.

    `sets` are the curves of each adapter set, one for every beta; they have the perceptual measure.
    """
    curves = [curve for own in sets for curve in own]
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (distortion, perception, trade) = pyplot.subplots(
        1, 3, figsize=(21, 6.5), layout="constrained"
    )
    colours = pyplot.colormaps["viridis"]
    for i, curve in enumerate(curves):
        style = {"color": colours(i / max(1, len(curves) - 1)), "markersize": 3}
        distortion.plot(curve.bpp, curve.psnr, "o-", label=curve.name, **style)
        perception.plot(curve.bpp, curve.perceptual, "o-", label=curve.name, **style)
        trade.plot(curve.psnr, curve.perceptual, "o-", label=curve.name, **style)
    for own in sets:
        for i in range(len(own[0].values)):
            across = [(curve.psnr[i], curve.perceptual[i]) for curve in own]
            trade.plot(*zip(*across, strict=True), "-", color="grey", linewidth=0.6, zorder=0)
    axes = (
        (distortion, "bits per pixel", "PSNR in dB"),
        (perception, "bits per pixel", NAME),
        (trade, "PSNR in dB", f"{NAME}; grey: one alpha, all betas"),
    )
    for ax, x, y in axes:
        ax.set_xlabel(x)
        ax.set_ylabel(y)
        ax.grid(alpha=0.3)
        ax.legend(fontsize=7, loc="lower right")
    figure.savefig(path, dpi=150)
    pyplot.close(figure)
