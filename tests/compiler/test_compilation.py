"""The exact form against the float network it was compiled from."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from licodec.compiler.compilation import compile_module
from licodec.compiler.forms import Calibrated, Grid, Output, Source, Value
from licodec.compiler.graphs import trace
from licodec.compiler.ranges import RANGE_MARGIN, RangeRecorder
from licodec.compiler.weight_steps import quantize_weight
from licodec.exact.backends import reference
from licodec.exact.bounds import analyse, check
from licodec.networks.block_bases import PIXEL_UNIT
from licodec.networks.compiled_leaves import Narrowed
from tests import tiny


def compile_small(module: nn.Module, x: torch.Tensor, widths: int = 8) -> tuple:
    grid = Grid(1 / 64, -(2**15), 2**15 - 1)
    traced = trace(module)
    recorder = RangeRecorder(traced)
    recorder.run(x)
    source = Source("small", {"x": Value.on(grid, x.shape[1])}, {"y": Output(grid)})
    calibrated = Calibrated(traced, recorder.ranges)
    compiled = compile_module(source, calibrated, lambda layer: widths, 12)
    return compiled, reference.prepare(check(compiled.program, compiled.tensors))


@pytest.mark.parametrize("width", [2, 3, 4, 8, 16])
def test_weights_keep_within_their_width(width: int) -> None:
    weight = np.random.default_rng(1).normal(size=(5, 3, 3, 3))
    integers, steps = quantize_weight(weight, width)
    assert np.abs(integers).max() <= 2 ** (width - 1) - 1
    error = np.abs(integers * steps[:, None, None, None] - weight)
    # Clipping may cost the largest weights some steps; the others are within half a step.
    assert np.median(error / steps[:, None, None, None]) <= 0.5


def test_more_bits_follow_the_float_module_more_closely() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 4, 1)).eval()
    x = torch.randint(-900, 900, (1, 3, 9, 11)) / 64
    with torch.no_grad():
        expected = module(x)[0].numpy()
    errors = []
    for width in (3, 5, 8):
        compiled, run = compile_small(module, x, width)
        (name,) = compiled.program.outputs
        y = run({"x": (x[0] * 64).numpy().astype(np.int32)})[name] / 64
        errors.append(np.sqrt(np.mean((y - expected) ** 2)))
    assert errors[0] > 2 * errors[1] > 4 * errors[2]
    assert errors[2] < 0.01 * expected.std()


def test_a_bias_far_beyond_the_products_is_kept() -> None:
    """Weights of 16 bits and their fine steps would leave it no room in 32 bits."""
    module = nn.Sequential(nn.Conv2d(2, 2, 1))
    with torch.no_grad():
        module[0].weight.copy_(1e-9 * torch.ones(2, 2, 1, 1))
        module[0].bias.copy_(torch.tensor([3.0, -7.0]))
    _, run = compile_small(module, torch.zeros(1, 2, 1, 1), 16)
    (y,) = run({"x": np.zeros((2, 1, 1), np.int32)}).values()
    np.testing.assert_array_equal(y.ravel(), [192, -448])


class NarrowedSum(nn.Module):
    """A sum that is given out and, narrowed, convolved."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(2, 4, 1), nn.Conv2d(4, 4, 1)
        self.narrowed = Narrowed(8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        total = self.first(x)
        return total + self.second(self.narrowed(total))


def test_what_is_only_read_narrowed_is_made_with_8_bits() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(2, 4, 1), nn.ReLU(), Narrowed(8), nn.Conv2d(4, 2, 1))
    compiled, _ = compile_small(module, torch.randn(1, 2, 8, 8))
    kinds = [operation.kind for operation in compiled.program.operations]
    assert kinds == ["conv2d", "requantize", "conv2d", "requantize"]
    attributes = compiled.program.operations[1].attributes
    assert (attributes["low"], attributes["high"]) == (0, 255)


def test_what_is_read_otherwise_too_keeps_its_bits() -> None:
    torch.manual_seed(0)
    module, x = NarrowedSum().eval(), torch.randint(-300, 300, (1, 2, 8, 8)) / 64
    compiled, run = compile_small(module, x)
    values = analyse(compiled.program, compiled.tensors)
    read = [values[o.inputs[0]] for o in compiled.program.operations if o.kind == "conv2d"]
    assert (read[1].low, read[1].high) == (-128, 127)
    (y,) = run({"x": (x[0] * 64).numpy().astype(np.int32)}).values()
    with torch.no_grad():
        error = y / 64 - module(x)[0].numpy()
    assert np.abs(error).max() < 0.1  # steps of 1/64, and of the narrow grid 1/12


class RectifiedSum(nn.Module):
    """A layer and a branch beside it, rectified together."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.branch = nn.Conv2d(3, 4, 1), nn.Conv2d(3, 4, 1)
        self.activation = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.activation(self.layer(x) + self.branch(x))


@pytest.mark.parametrize("grid", [Grid(1 / 512, 0, 4095), Grid(1 / 64, -(2**15), 2**15 - 1)])
def test_a_rectified_sum_is_given_out_on_the_grid_that_is_stated(grid: Grid) -> None:
    torch.manual_seed(0)
    module, x = RectifiedSum().eval(), torch.randint(-300, 300, (1, 3, 5, 7)) / 64
    traced = trace(module)
    recorder = RangeRecorder(traced)
    expected = recorder.run(x)[0].detach().numpy()
    given = {"x": Value.on(Grid(1 / 64, -(2**15), 2**15 - 1), 3)}
    source = Source("small", given, {"y": Output(grid)})
    compiled = compile_module(source, Calibrated(traced, recorder.ranges), lambda layer: 16, 12)
    assert compiled.outputs["y"].grid == grid
    run = reference.prepare(check(compiled.program, compiled.tensors))
    (y,) = run({"x": (x[0] * 64).numpy().astype(np.int32)}).values()
    assert y.min() == 0
    np.testing.assert_allclose(y * grid.step, expected, atol=0.02)


def test_a_module_without_a_rule_is_named() -> None:
    module = nn.Sequential(nn.Conv2d(3, 3, 1), nn.Tanh())
    with pytest.raises(ValueError, match="no rule for"):
        compile_small(module, torch.zeros(1, 3, 4, 4))


def test_synthesis_of_lite_matches_its_float_form() -> None:
    pack, network = tiny.pack(), tiny.network()
    with torch.no_grad():
        latents = torch.round(network.analysis((tiny.pictures()[1] - 0.5) * 255 / PIXEL_UNIT))
        expected = network.synthesis(latents)[0].numpy() * PIXEL_UNIT + 127.5
    run = reference.prepare(pack.checked["synthesis"])
    (pixels,) = run({"latents": (latents[0] * 64).numpy().astype(np.int32)}).values()
    assert np.abs(pixels - np.clip(expected, 0, 255)).max() < 1.5  # rounding takes half a level


def test_every_program_of_lite_is_proved() -> None:
    pack = tiny.pack()
    for program in pack.programs.values():
        values = analyse(program, pack.tensors)
        assert max(v.high for v in values.values() if v.accumulator) < 2**53


def narrow_reach(x: torch.Tensor) -> tuple[float, float]:
    """Where the grid of a Narrowed that sees `x` ends, and the largest value there is."""
    recorder = RangeRecorder(trace(nn.Sequential(Narrowed(8), nn.Identity())))
    recorder.run(x)
    return RANGE_MARGIN * recorder.ranges["_0"][1], recorder.ranges["_1"][1]


def test_a_narrow_grid_ends_where_rounding_and_clipping_cost_least() -> None:
    torch.manual_seed(0)
    x = torch.randn(1, 2, 512, 512)
    x[0, 0, 0, 0] = 6.0
    reach, largest = narrow_reach(x)

    def squared_error(reach: float) -> float:
        step = reach / 127
        return float((torch.clamp((x / step).round(), -128, 127) * step - x).square().sum())

    assert largest == 6.0
    assert 3.5 < reach < 5
    assert squared_error(reach) < min(squared_error(1.15 * reach), squared_error(0.85 * reach))


def test_a_narrow_grid_reaches_half_of_the_rarest_extreme() -> None:
    torch.manual_seed(0)
    x = torch.randn(1, 2, 512, 512)
    x[0, 0, 0, 0] = 64.0
    reach, largest = narrow_reach(x)
    assert largest == 64.0
    assert 32 <= reach < 33.5  # half, rounded up to a sixteenth of an octave
