#!/usr/bin/env python3
"""Show what a search for a precision plan measured and found, as a table and a plot.

    licodec quantize run.pt --size 12.5% --state run.search.json -o small.safetensors
    scripts/fmpq_report.py run.search.json --pack small.safetensors -o plan.png

The table lists each layer's weights, zeta as it was measured at each width, and the bits that
each pack gives it; then each pack's size and its predicted and measured change of RD-loss.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt

from licodec.errors import BadInputError, LicodecError
from licodec.fmpq.allocation import Plan, float_bits, plan_bits
from licodec.fmpq.curves import falling
from licodec.fmpq.state import Sensitivities, read_state
from licodec.packs.plans import search_figures

MISSING = "-"


@dataclass(frozen=True)
class Searched:
    """A pack: its name, its plan by layer, and the card's figures."""

    name: str
    plan: Plan
    figures: Mapping[str, object]


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("state", type=Path, help="state file of `licodec quantize --state`")
    parser.add_argument(
        "--pack", type=Path, action="append", default=[], help="a pack of that search; repeatable"
    )
    parser.add_argument("-o", "--output", type=Path, help="plot to write (png, svg, pdf)")
    return parser.parse_args(argv)


def read_searched(path: Path, state: Sensitivities) -> Searched:
    """The plan in a pack's card. Raises BadInputError where it is not one of this search."""
    figures = search_figures(path)
    if set(figures["plan"]) != {layer.name for layer in state.layers}:
        raise BadInputError(f"{path}: no pack of this search")
    return Searched(path.stem, figures["plan"], figures)


def table(state: Sensitivities, packs: Sequence[Searched]) -> list[str]:
    """One line a layer, after one of headings; columns parted by two spaces."""
    widths = sorted({b for layer in state.layers for b in layer.choices})
    rows = [("layer", "weights", *(f"zeta({b})" for b in widths), *(p.name for p in packs))]
    for layer in state.layers:
        values = [state.values.get((layer.name, b)) for b in widths]
        zeta = [MISSING if value is None else f"{value:.5f}" for value in values]
        bits = [str(pack.plan[layer.name]) for pack in packs]
        rows.append((layer.name, f"{layer.weights:,}", *zeta, *bits))
    columns = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return [
        "  ".join([row[0].ljust(columns[0]), *map(str.rjust, row[1:], columns[1:])]) for row in rows
    ]


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
    figure, (above, below) = plt.subplots(2, 1, figsize=(12, 9), layout="constrained")
    places = range(len(state.layers))
    for pack in packs:
        bits = [pack.plan[layer.name] for layer in state.layers]
        above.step(places, bits, where="mid", label=pack.name)
    above.set(ylabel="bits", xlim=(-0.5, len(state.layers) - 0.5))
    names = [layer.name for layer in state.layers]
    above.set_xticks(places, names, rotation=90, fontsize=5)
    if packs:
        above.legend()
    programs = list(dict.fromkeys(name.split(".")[0] for name in names))
    labelled = set()
    for layer in state.layers:
        program = layer.name.split(".")[0]
        known = [
            (b, state.values[layer.name, b])
            for b in layer.choices
            if (layer.name, b) in state.values
        ]
        if not known:
            continue
        widths, values = zip(*known, strict=True)
        label = None if program in labelled else program
        labelled.add(program)
        colour = f"C{programs.index(program)}"
        smoothed = falling(list(values))
        below.plot(
            widths, smoothed, color=colour, alpha=0.6, linewidth=0.8, marker=".", label=label
        )
    below.set(xlabel="bits", ylabel="zeta")
    below.set_yscale("symlog", linthresh=1e-4)
    below.legend(fontsize=7)
    figure.savefig(path, dpi=130)
    plt.close(figure)


def main(argv: list[str] | None = None) -> None:
    arguments = parse_arguments(argv)
    try:
        state = read_state(arguments.state)
        packs = [read_searched(path, state) for path in arguments.pack]
    except LicodecError as error:
        sys.exit(f"error: {error}")
    print("\n".join(table(state, packs)))
    print(f"\nloss in float {state.float_loss:.4f}; {len(state.values)} values measured")
    for pack in packs:
        print(summary(state, pack))
    if arguments.output is not None:
        draw(state, packs, arguments.output)


if __name__ == "__main__":
    main()
