"""Training's simulation of the exact form against the exact form."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from licodec.compiler.compilation import (
    Grid,
    Output,
    Source,
    compile_module,
    node_grids,
    trace,
)
from licodec.compiler.fake_quantization import FakeQuantized, RoundedForm
from licodec.compiler.ranges import RangeRecorder
from licodec.exact.backends import reference
from licodec.exact.bounds import check

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
        with torch.no_grad():
            self.small.weight.mul_(0.5)
            self.small.bias.zero_()
            self.large.weight.mul_(2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(torch.cat([self.relu(self.small(x)), self.large(x)], 1))


@pytest.mark.parametrize("width", [2, 3, 4, 8])
def test_computes_what_the_program_computes(width: int) -> None:
    torch.manual_seed(0)
    module = Concatenated().eval()
    x = torch.randint(-900, 900, (1, 2, 9, 11)) / 64
    traced = trace(module, ())
    recorder = RangeRecorder(traced)
    recorder.run(x)
    source = Source("small", {"x": INPUT}, {"x": 2}, {"y": Output(OUTPUT)})
    compiled = compile_module(source, traced, recorder.ranges, lambda layer: width, BITS, {})
    (name,) = compiled.program.outputs
    run = reference.prepare(check(compiled.program, compiled.tensors))
    exact = run({"x": (x[0] / INPUT.step).numpy().astype(np.int32)})[name] * OUTPUT.step
    grids = node_grids(source, traced, recorder.ranges, BITS)
    form = RoundedForm(grids, recorder.ranges, lambda layer: width, BITS)
    with torch.no_grad():
        simulated = FakeQuantized(traced, form)(x)[0].numpy()
        plain = module(x)[0].numpy()
    # Sums are rounded in float here and there, so that some values fall on the next integer.
    assert np.abs(simulated - exact).max() < 0.02 * np.abs(plain - exact).max() + 0.02
    assert np.abs(simulated - exact).mean() < 2 * OUTPUT.step


def test_gradients_pass_the_roundings() -> None:
    module = Concatenated()
    x = torch.randint(-900, 900, (1, 2, 9, 11)) / 64
    traced = trace(module, ())
    recorder = RangeRecorder(traced)
    recorder.run(x)
    source = Source("small", {"x": INPUT}, {"x": 2}, {"y": Output(OUTPUT)})
    grids = node_grids(source, traced, recorder.ranges, BITS)
    form = RoundedForm(grids, recorder.ranges, lambda layer: 8, BITS)
    FakeQuantized(traced, form)(x).square().mean().backward()
    for layer in (module.small, module.large, module.last):
        assert layer.weight.grad.abs().sum() > 0 and layer.bias.grad.abs().sum() > 0
