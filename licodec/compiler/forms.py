"""What the compiler is told of a module, and what it makes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypedDict

import numpy as np
from torch import fx

from licodec.exact.program import Program

Ranges = Mapping[str, tuple[float, float]]
"""The least and the largest value of each node of a traced module."""


@dataclass(frozen=True)
class Grid:
    """Integers n in [low, high] standing for n * step."""

    step: float
    low: int
    high: int

    @property
    def largest(self) -> int:
        """The largest magnitude of the integers."""
        return max(-self.low, self.high)


@dataclass(frozen=True)
class Value:
    """Planes that go into a program or out of one: the range, and what each channel counts in."""

    grid: Grid
    steps: np.ndarray

    @classmethod
    def on(cls, grid: Grid, channels: int) -> Value:
        return cls(grid, np.full(channels, grid.step))

    def equals(self, other: Value) -> bool:
        return self.grid == other.grid and np.array_equal(self.steps, other.steps)


@dataclass(frozen=True)
class Output:
    """What the caller fixes of one output: its grid, or None to choose one.

    `final` adds a last requantization from `grid` (the pixels are summed on a finer grid
    than they are given out on).
    """

    grid: Grid | None = None
    final: Grid | None = None


class Place(TypedDict, total=False):
    """How a convolution's kernel is laid on planes: attributes of conv2d."""

    stride: int
    padding: int
    groups: int


ByKnot = Mapping[str, np.ndarray]
"""Constants (knots, channels) by adapter set, OWN for those of the pack itself."""
OWN, MSE = "", "mse"  # of `base`: what people see, and the set that leads to squared error


@dataclass(frozen=True)
class Condition:
    """What becomes of a convolution's result x: (x + offset) * gain, by channel. Without a gain
    that is 1."""

    offset: ByKnot
    gain: ByKnot | None = None


@dataclass(frozen=True)
class Calibrated:
    """A traced module, and what the grids of its nodes should hold."""

    traced: fx.GraphModule
    ranges: Ranges


@dataclass(frozen=True)
class Source:
    """What the inputs and outputs of a module to compile are.

    `inputs` describes each forward argument in order, by the name of the program's port, and
    `outputs` each result. `numbers` are further ports, of one integer each from 0 to GAIN_ONE;
    rules scale planes by them.
    """

    name: str
    inputs: Mapping[str, Value]
    outputs: Mapping[str, Output]
    numbers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Convolved:
    """What the integers of a convolution stand for, in float: with it weights are read back.

    operation  its number in the program; its requantization is the next one
    operand    steps of what it reads, (channels,)
    total      of its sums, (outputs,); a weight counts total / operand
    result     of what it is requantized to
    condition  the path of the condition that is part of it
    """

    operation: int
    operand: np.ndarray
    total: np.ndarray
    result: float
    condition: str | None


@dataclass(frozen=True)
class Compiled:
    """A program, its tensors, the width of each weight tensor, and its outputs.

    conditions  of adapter sets: the tensors beside those of the pack, by the conditions' names
    layers      every convolution, by its path
    """

    program: Program
    tensors: dict[str, np.ndarray]
    widths: dict[str, int]
    outputs: dict[str, Value]
    conditions: dict[str, dict[str, str]] = field(default_factory=dict)
    layers: dict[str, Convolved] = field(default_factory=dict)
