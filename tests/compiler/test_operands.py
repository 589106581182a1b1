"""What the operands of layers count in."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from licodec.compiler.forms import Grid, Output, Source
from licodec.compiler.graphs import trace
from licodec.compiler.operands import read_operands
from licodec.compiler.ranges import RANGE_MARGIN, RangeRecorder

BITS = 12  # of activations
INPUT = Grid(1 / 64, -(2**11), 2**11 - 1)
OUTPUT = Grid(1 / 256, -(2**15), 2**15 - 1)


class Concatenated(nn.Module):
    """Values of different ranges, concatenated and convolved."""

    def __init__(self) -> None:
        super().__init__()
        self.small, self.large = nn.Conv2d(2, 3, 1), nn.Conv2d(2, 4, 3, padding=1)
        self.relu = nn.ReLU()
        self.last = nn.Conv2d(7, 5, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(torch.cat([self.relu(self.small(x)), self.large(x)], 1))


def test_steps_of_concatenated_operands() -> None:
    torch.manual_seed(0)
    traced = trace(Concatenated().eval(), ())
    recorder = RangeRecorder(traced)
    recorder.run(torch.randint(-900, 900, (1, 2, 9, 11)) / 64)
    source = Source("small", {"x": INPUT}, {"x": 2}, {"y": Output(OUTPUT)})
    read = read_operands(source, traced, recorder.ranges, BITS, {})
    assert {layer: len(steps) for layer, steps in read.steps.items()} == {
        "small": 2, "large": 2, "last": 7,
    }  # fmt: skip
    assert np.all(read.steps["small"] == INPUT.step)
    relu = recorder.ranges["relu"][1] * RANGE_MARGIN / (2**BITS - 1)
    large = max(map(abs, recorder.ranges["large"])) * RANGE_MARGIN / (2 ** (BITS - 1) - 1)
    np.testing.assert_allclose(read.steps["last"], [relu] * 3 + [large] * 4)
    assert read.compiled.output_grids == {"y": OUTPUT}
    assert not any("weight" in name for name in read.compiled.tensors)
