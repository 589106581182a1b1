"""What the compiler is told of a module, and what it makes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from licodec.exact.program import Program


@dataclass(frozen=True)
class Grid:
    """Integers n in [low, high] standing for n * step."""

    step: float
    low: int
    high: int


@dataclass(frozen=True)
class Output:
    """What the caller fixes of one output: its grid, or None to choose one.

    `final` adds a last requantization from `grid` (the pixels are summed on a finer grid
    than they are given out on).
    """

    grid: Grid | None = None
    final: Grid | None = None


ByKnot = Mapping[str, np.ndarray]
"""Constants (knots, channels) by adapter set, OWN for those of the pack itself."""
OWN = ""


@dataclass(frozen=True)
class Condition:
    """What becomes of a convolution's result x: (x + offset) * gain, by channel. Without a gain
    that is 1."""

    offset: ByKnot
    gain: ByKnot | None = None


@dataclass(frozen=True)
class Source:
    """One float module to compile: what its inputs and outputs are.

    `inputs` and `channels` describe each forward argument in order, by the name of the
    program's port; `outputs` describes each result in order. `steps` (channels,) replaces an
    input's one step where its channels count in different ones. `numbers` are further ports,
    of one integer each, from 0 to what is stated here; rules scale planes by them.
    """

    name: str
    inputs: Mapping[str, Grid]
    channels: Mapping[str, int]
    outputs: Mapping[str, Output]
    steps: Mapping[str, np.ndarray] = field(default_factory=dict)
    numbers: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Compiled:
    """A program, its tensors, the width of each weight tensor, and of its outputs the grids
    and what each channel counts in, (channels,).

    conditions  of adapter sets: the tensors beside those of the pack, by the conditions' names
    layers      what the integers of every convolution count, by its path
    """

    program: Program
    tensors: dict[str, np.ndarray]
    widths: dict[str, int]
    output_grids: dict[str, Grid]
    output_steps: dict[str, np.ndarray]
    conditions: dict[str, dict[str, str]] = field(default_factory=dict)
    layers: dict[str, LayerSteps] = field(default_factory=dict)


@dataclass(frozen=True)
class LayerSteps:
    """What the integers of a convolution stand for, in float: with it weights are read back.

    operand  what it reads, (channels,)
    total    its sums, (outputs,); a weight counts total / operand
    result   what it is requantized to
    """

    operand: np.ndarray
    total: np.ndarray
    result: float
