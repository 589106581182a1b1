"""Running a program strip by strip: the same integers in bounded memory.

All operations are local, so a strip computed with enough of its neighbourhood (the halo)
equals the same rows of the whole plane. The halo follows from the program.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from licodec.exact.bounds import CheckedProgram
from licodec.exact.values import Planes, Run


@dataclass(frozen=True)
class StripGeometry:
    """How a program may be cut into strips of input rows.

    A strip starts at a multiple of `unit` input rows; `halo` input rows, a multiple of
    `unit`, on either side make its outputs those of the whole plane.
    """

    unit: int
    halo: int

    def reached(self, start: int) -> int:
        """The first row that outputs from row `start` on depend on, in a plane without an end."""
        return start - start % self.unit - self.halo


def strip_geometry(checked: CheckedProgram) -> StripGeometry:
    """Walk the program backwards and add up how far each output looks, in input rows."""
    program, values = checked.program, checked.values
    reach: dict[str, Fraction] = dict.fromkeys(program.outputs, Fraction(0))
    grids = [info.rate for info in values.values()]
    for operation in reversed(program.operations):
        kind = operation.form
        if kind.cell is not None:
            grids.append(values[operation.inputs[0]].rate / operation.attributes[kind.cell])
        own = reach.get(operation.output)
        if own is None:
            continue
        rate = values[operation.output].rate
        rows = math.ceil(own * rate)  # they are computed whole
        own = kind.reach(rows, **operation.attributes) / rate
        for name in operation.inputs:
            reach[name] = max(reach.get(name, own), own)
    unit = math.lcm(*(grid.denominator for grid in grids))
    planes = (port for port in program.inputs if port.channels is not None)
    farthest = max(reach.get(port.name, Fraction(0)) for port in planes)
    return StripGeometry(unit, math.ceil(farthest / unit) * unit)


def run_in_strips(
    run: Run, geometry: StripGeometry, inputs: Planes, rows: int
) -> Iterator[dict[str, np.ndarray]]:
    """Yield the outputs of `run` over `inputs` (C, H, W), from top to bottom, `rows` input
    rows at a time (rounded down to the geometry's unit, at least one). Inputs without
    dimensions are numbers, which every strip is given.

    H must be a multiple of the unit. Every yielded dict holds the same number of input
    rows' worth of each output.
    """
    height, _ = plane_size(inputs)
    step = max(1, rows // geometry.unit) * geometry.unit
    if height <= step + geometry.halo:
        yield run(inputs)
        return
    for top in range(0, height, step):
        bottom = min(top + step, height)
        first, last = max(0, top - geometry.halo), min(height, bottom + geometry.halo)
        outputs = run({name: x[:, first:last] if x.ndim else x for name, x in inputs.items()})
        trimmed = {}
        for name, plane in outputs.items():
            rate = Fraction(plane.shape[1], last - first)
            a, b = (top - first) * rate, (bottom - first) * rate
            trimmed[name] = plane[:, int(a) : int(b)]
        yield trimmed


def plane_size(inputs: Planes) -> tuple[int, int]:
    """Rows and columns of the planes (C, H, W) among `inputs`."""
    rows, columns = next(x for x in inputs.values() if x.ndim).shape[1:]
    return rows, columns
