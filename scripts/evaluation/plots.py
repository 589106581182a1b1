"""The evaluation's plots."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from evaluation.curves import MEASURES, PSNR, Curve
from licodec.compare.measures import SSIMULACRA2


def drawing() -> Any:
    """pyplot, without a display."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot


def finish(ax: Any, x: str, y: str) -> None:
    ax.set_xlabel(x)
    ax.set_ylabel(y)
    ax.grid(alpha=0.3)
    ax.legend(fontsize=7, loc="lower right")


def plot(path: Path, curves: Sequence[Curve], published: Sequence[Curve]) -> None:
    """Each measure against rate, side by side; published curves thin and dashed.

    The range is that of the first curve.
    """
    pyplot = drawing()
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
        finish(ax, "bits per pixel", measure if measure == SSIMULACRA2 else f"{measure} in dB")
    figure.savefig(path, dpi=150)
    pyplot.close(figure)


def plot_perception(path: Path, sets: Sequence[Sequence[Curve]]) -> None:
    """Rate, distortion and perception: PSNR and SSIMULACRA 2 against rate, and against each other,
    with a thin line through the betas of each alpha.

    `sets` are the curves of each adapter set, one for every beta; they have the perceptual measure.
    """
    curves = [curve for own in sets for curve in own]
    pyplot = drawing()
    figure, (distortion, perception, trade) = pyplot.subplots(
        1, 3, figsize=(21, 6.5), layout="constrained"
    )
    colours = pyplot.colormaps["viridis"]
    for i, curve in enumerate(curves):
        style = {"color": colours(i / max(1, len(curves) - 1)), "markersize": 3}
        fidelity, realism = (curve.means[measure] for measure in (PSNR, SSIMULACRA2))
        for ax, x, y in (
            (distortion, curve.rates[PSNR], fidelity),
            (perception, curve.rates[SSIMULACRA2], realism),
            (trade, fidelity, realism),
        ):
            ax.plot(x, y, "o-", label=curve.name, **style)
    for own in sets:
        for i in range(len(own[0].values)):
            across = [(curve.means[PSNR][i], curve.means[SSIMULACRA2][i]) for curve in own]
            trade.plot(*zip(*across, strict=True), "-", color="grey", linewidth=0.6, zorder=0)
    finish(distortion, "bits per pixel", "PSNR in dB")
    finish(perception, "bits per pixel", SSIMULACRA2)
    finish(trade, "PSNR in dB", f"{SSIMULACRA2}; grey: one alpha, all betas")
    figure.savefig(path, dpi=150)
    pyplot.close(figure)
