#!/usr/bin/env python3
"""Tabulate the validations that scripts/train.py printed, in Markdown.

    scripts/train.py PICTURES --state run.pt | tee run.log
    scripts/validation_table.py run.log --against earlier.log

The last column is the change of rate at equal PSNR, against the last validation in the log
given with --against or else against the first one in the table: the mean distance of log
rates over the PSNR that both curves have, each a second-degree fit through its points.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

Curve = Mapping[float, tuple[float, float]]  # bpp and PSNR in dB by d


def read_validations(lines: Iterable[str]) -> dict[int, dict[float, tuple[float, float]]]:
    """The curve at each step, in the order of the log."""
    found: dict[int, dict[float, tuple[float, float]]] = {}
    for line in lines:
        if line.startswith("{"):
            row = json.loads(line)
            found.setdefault(row["step"], {})[row["d"]] = (row["bpp"], row["psnr"])
    return found


def rate_change(before: Curve, after: Curve) -> float:
    """The change of rate at equal PSNR, as a fraction."""
    curves = [np.array(sorted(curve.values())) for curve in (before, after)]
    low = max(curve[:, 1].min() for curve in curves)
    high = min(curve[:, 1].max() for curve in curves)
    psnr = np.linspace(low, high, 400)
    old, new = (
        np.polyval(np.polyfit(curve[:, 1], np.log(curve[:, 0]), 2), psnr) for curve in curves
    )
    return math.expm1(float(np.mean(new - old)))


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("log", type=Path, help="output of scripts/train.py")
    parser.add_argument("--against", type=Path, metavar="LOG", help="that of an earlier run")
    arguments = parser.parse_args(argv)
    found = read_validations(arguments.log.read_text("utf-8").splitlines())
    earlier = found
    if arguments.against is not None:
        earlier = read_validations(arguments.against.read_text("utf-8").splitlines())
    if not found or not earlier:
        sys.exit("error: no validations in the log; train.py prints them on its standard output")
    before = list(earlier.values())[0 if earlier is found else -1]
    rates = sorted(before)
    print("| steps | " + " | ".join(f"d = {d:g}: bpp, dB" for d in rates) + " | change |")
    print("|---" * (len(rates) + 2) + "|")
    for step, curve in found.items():
        cells = [f"{curve[d][0]:.4f}, {curve[d][1]:.2f}" for d in rates]
        change = f"{100 * rate_change(before, curve):+.1f} %".replace("-", "\N{MINUS SIGN}")
        print(f"| {step:,} | " + " | ".join(cells) + f" | {change} |")


if __name__ == "__main__":
    main()
