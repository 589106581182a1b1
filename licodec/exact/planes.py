"""A prepared program over planes of any height, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction

import numpy as np

from licodec.exact.bounds import CheckedProgram
from licodec.exact.program import Program
from licodec.exact.strips import StripGeometry, plane_size, run_in_strips, strip_geometry
from licodec.exact.values import Planes, Run


@dataclass(frozen=True)
class PlaneRunner:
    """One program bound to an interpreter.

    `strip_positions` bounds the input positions (rows times columns) of one strip, the
    halo left aside. Outputs come in the smallest of int16, int32 that holds their range,
    or in uint8 where they are bytes. `numbers` are what the program's number ports are given.
    """

    program: Program
    run: Run
    geometry: StripGeometry
    dtypes: tuple[np.dtype, ...]
    rates: tuple[Fraction, ...]
    strip_positions: int
    numbers: Planes = field(default_factory=dict)

    @classmethod
    def bind(cls, checked: CheckedProgram, run: Run, strip_positions: int) -> PlaneRunner:
        """With the geometry and the types that are proved of a program; `run` may be of other
        tensors that the proof covers."""
        outputs = [checked.values[name] for name in checked.program.outputs]
        return cls(
            checked.program,
            run,
            strip_geometry(checked),
            tuple(info.dtype for info in outputs),
            tuple(info.rate for info in outputs),
            strip_positions,
        )

    @property
    def plane_ports(self) -> tuple[str, ...]:
        """Names of the inputs that are planes, in order."""
        return tuple(port.name for port in self.program.inputs if port.channels is not None)

    def with_numbers(self, numbers: Mapping[str, int]) -> PlaneRunner:
        """The same with those of `numbers` that its number ports take."""
        own = [port.name for port in self.program.inputs if port.channels is None]
        return replace(self, numbers={name: np.array(numbers[name]) for name in own})

    def strips(self, inputs: Planes) -> Iterator[tuple[np.ndarray, ...]]:
        """Outputs in the program's order, from top to bottom, strip by strip."""
        _, columns = plane_size(inputs)
        rows = max(1, self.strip_positions // max(1, columns))
        for outputs in run_in_strips(self.run, self.geometry, {**inputs, **self.numbers}, rows):
            yield tuple(
                outputs[name].astype(dtype, copy=False)
                for name, dtype in zip(self.program.outputs, self.dtypes, strict=True)
            )

    def __call__(self, inputs: Planes) -> tuple[np.ndarray, ...]:
        """Outputs in the program's order, each (C, H * rate, W * rate)."""
        height, width = plane_size(inputs)
        whole: list[np.ndarray] = []
        top = [0] * len(self.rates)
        for strip in self.strips(inputs):
            if not whole:
                if all(p.shape[1] == height * r for p, r in zip(strip, self.rates, strict=True)):
                    return strip
                whole = [
                    np.empty((p.shape[0], int(height * r), int(width * r)), p.dtype)
                    for p, r in zip(strip, self.rates, strict=True)
                ]
            for i, plane in enumerate(strip):
                whole[i][:, top[i] : top[i] + plane.shape[1]] = plane
                top[i] += plane.shape[1]
        return tuple(whole)
