"""What a search for a precision plan measured and found, as a table and a plot.

The table lists each layer's weights, zeta as it was measured at each width, and the bits that
each pack gives it; then each pack's size and its predicted and measured change of RD-loss.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tables import table

from evaluation.plots import drawing
from licodec.errors import BadInputError
from licodec.fmpq.allocation import Plan, float_bits, plan_bits
from licodec.fmpq.curves import falling
from licodec.fmpq.state import Sensitivities, read_state
from licodec.packs.plans import search_figures


@dataclass(frozen=True)
class Searched:
    """A pack: its name, its plan by layer, and the card's figures."""

    name: str
    plan: Plan
    figures: Mapping[str, object]


def read_searched(path: Path, state: Sensitivities) -> Searched:
    """The plan in a pack's card. Raises BadInputError where it is not one of this search."""
    figures = search_figures(path)
    if set(figures["plan"]) != {layer.name for layer in state.layers}:
        raise BadInputError(f"{path}: no pack of this search")
    return Searched(path.stem, figures["plan"], figures)


def zetas(state: Sensitivities, packs: Sequence[Searched]) -> str:
    """A table with one row a layer."""
    widths = sorted({b for layer in state.layers for b in layer.choices})
    headings = ("layer", "weights", *(f"zeta({b})" for b in widths), *(p.name for p in packs))
    rows = []
    for layer in state.layers:
        values = [state.values.get((layer.name, b)) for b in widths]
        known = ["-" if value is None else f"{value:.5f}" for value in values]
        bits = [pack.plan[layer.name] for pack in packs]
        rows.append((layer.name, f"{layer.weights:,}", *known, *bits))
    return table(headings, rows)


def summary(state: Sensitivities, pack: Searched) -> str:
    """Size, rule, and predicted and measured change of loss of one pack."""
    bits, whole = plan_bits(state.layers, pack.plan), float_bits(state.layers)
    figures = pack.figures
    told = (
        f"{pack.name}: {figures['rule']}, {(bits + 7) // 8:,} bytes of weights "
        f"({100 * bits / whole:.2f} % of float32, {32 * bits / whole:.2f} bits a weight), "
        f"loss {100 * figures['measured_loss']:+.2f} %"
    )
    if "evaluations" not in figures:  # a plan that was made by hand
        return told
    return (
        f"{told} (predicted {100 * figures['predicted_loss']:+.2f} %), "
        f"{figures['evaluations']} evaluations (naive search: {figures['naive_evaluations']:,})"
    )


def draw(state: Sensitivities, packs: Sequence[Searched], path: Path) -> None:
    """Above the bits by layer, below the smoothed zeta curves, one for each program's layers."""
    pyplot = drawing()
    figure, (above, below) = pyplot.subplots(2, 1, figsize=(12, 9), layout="constrained")
    names = [layer.name for layer in state.layers]
    for pack in packs:
        bits = [pack.plan[name] for name in names]
        above.step(range(len(names)), bits, where="mid", label=pack.name)
    above.set(ylabel="bits", xlim=(-0.5, len(names) - 0.5))
    above.set_xticks(range(len(names)), names, rotation=90, fontsize=5)
    if packs:
        above.legend()
    programs: dict[str, str] = {}
    for layer in state.layers:
        widths = [b for b in layer.choices if (layer.name, b) in state.values]
        if not widths:
            continue
        program = layer.name.split(".")[0]
        label = None if program in programs else program
        colour = programs.setdefault(program, f"C{len(programs)}")
        smoothed = falling([state.values[layer.name, b] for b in widths])
        style = {"color": colour, "alpha": 0.6, "linewidth": 0.8}
        below.plot(widths, smoothed, marker=".", label=label, **style)
    below.set(xlabel="bits", ylabel="zeta")
    below.set_yscale("symlog", linthresh=1e-4)
    below.legend(fontsize=7)
    figure.savefig(path, dpi=130)
    pyplot.close(figure)


def report(search: Path, packs: Sequence[Path], plot: Path | None) -> None:
    """Print the table and what is said of each pack, and draw both. Raises LicodecError."""
    state = read_state(search)
    searched = [read_searched(path, state) for path in packs]
    print(zetas(state, searched))
    print(f"\nloss in float {state.float_loss:.4f}; {len(state.values)} values measured")
    for pack in searched:
        print(summary(state, pack))
    if plot is not None:
        draw(state, searched, plot)
