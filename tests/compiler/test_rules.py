"""The published networks' leaves: each one's program against its float form."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from licodec.compiler.compilation import compile_module
from licodec.compiler.forms import Calibrated, Compiled, Grid, Output, Source, Value
from licodec.compiler.graphs import trace
from licodec.compiler.ranges import RangeRecorder
from licodec.exact.backends import float32, reference
from licodec.exact.bounds import check
from licodec.networks.adapter_branches import Gain, adapted
from licodec.networks.adapter_sets import gains
from licodec.networks.blocks import AttentionBlock, ResidualBlockUpsample, ResidualBlockWithStride
from licodec.networks.compiled_leaves import ChannelOffset
from licodec.networks.layers import ChannelNorm, MaskedConvolution, PointwiseLinear
from licodec.networks.published import SliceParameters
from licodec.networks.stf import SwinBlock, patch_embedding, patch_merging, patch_split
from licodec.networks.tcm import MixedBlock
from licodec.rate.gains import GAIN_ONE


def prepared(module: nn.Module) -> nn.Module:
    """`module` in evaluation mode with parameters that no initialization gives: norms with
    gains and biases, attention that differs between positions."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if name.endswith(("gamma", "beta")):
                parameter += 0.05 * torch.rand(parameter.shape, generator=generator)
            else:
                parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
    return module.eval()


def compiled_with(module: nn.Module, x: Tensor, grid: Grid, width: int, bits: int = 16) -> Compiled:
    traced = trace(module)
    recorder = RangeRecorder(traced)
    with torch.no_grad():
        recorder.run(x)
    numbers = tuple(dict.fromkeys(gain.mode for gain in gains(module)))
    source = Source("part", {"x": Value.on(grid, x.shape[1])}, {"y": Output()}, numbers)
    return compile_module(source, Calibrated(traced, recorder.ranges), lambda _: width, bits)


def decibels(module: nn.Module, x: Tensor, width: int, bits: int = 16) -> float:
    """Signal-to-noise ratio of the exact form of `module` at x (1, C, H, W); float32's bits
    are those of the reference."""
    grid = Grid(float(x.abs().max()) / 2**15, -(2**15), 2**15 - 1)
    compiled = compiled_with(module, x, grid, width, bits)
    checked = check(compiled.program, compiled.tensors)
    planes = {"x": np.rint(x[0].numpy() / grid.step).clip(grid.low, grid.high).astype(np.int32)}
    planes |= {gain.mode: np.array(round(gain.value * GAIN_ONE)) for gain in gains(module)}
    (found,) = reference.prepare(checked)(planes).values()
    (same,) = float32.prepare(checked)(planes).values()
    np.testing.assert_array_equal(found, same)
    with torch.no_grad():
        expected = module(torch.from_numpy(planes["x"])[None] * grid.step)[0].numpy()
    error = found * compiled.outputs["y"].steps[:, None, None] - expected
    return float(10 * np.log10(expected.var() / np.mean(error**2)))


def strong(mode: str = "alpha") -> Gain:
    gain = Gain(mode, 8.0)
    gain.value = 0.4
    return gain


def adapted_linear() -> nn.Module:
    return adapted(PointwiseLinear(16, 24), 4, strong())


class GatedSum(nn.Module):
    """An attention block in a sum with what it reads."""

    def __init__(self) -> None:
        super().__init__()
        self.block = AttentionBlock(16)

    def forward(self, x: Tensor) -> Tensor:
        return self.block(x) + x


CASES = {
    "linear": lambda: PointwiseLinear(16, 24),
    "norm": lambda: ChannelNorm(16),
    "GELU": nn.GELU,
    "sigmoid": nn.Sigmoid,
    "LeakyReLU behind a convolution": lambda: nn.Sequential(nn.Conv2d(16, 8, 3, 1, 1),
                                                            nn.LeakyReLU()),
    "LeakyReLU alone": nn.LeakyReLU,
    "masked convolution": lambda: MaskedConvolution(16, 8, 5, padding=2),
    "offset": lambda: nn.Sequential(ChannelOffset(torch.linspace(-9, 9, 16)),
                                    nn.Conv2d(16, 8, 3, 1, 1)),
    "offset far beyond what it is added to": lambda: ChannelOffset(torch.linspace(-4e3, 4e3, 16)),
    "LoRA": adapted_linear,
    "two LoRA": lambda: adapted(adapted_linear(), 4, strong("beta")),
    "convolution with adapter": lambda: adapted(nn.Conv2d(16, 16, 3, 1, 1), 8, strong()),
    "Swin block": lambda: SwinBlock(16, 2, 2, 0.1),
    "patch merging": lambda: patch_merging(16),
    "patch split": lambda: patch_split(16),
    "patch embedding": lambda: nn.Sequential(nn.Conv2d(16, 3, 1), patch_embedding(8)),
    "mixed block": lambda: MixedBlock(8, 4, 4, 2),
    "attention block": GatedSum,
    "residual block with stride": lambda: ResidualBlockWithStride(16, 12),
    "residual block, upsampling": lambda: ResidualBlockUpsample(16, 8),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(("width", "least"), [(8, 32), (16, 60)])
def test_every_leaf_follows_its_float_form(case: str, width: int, least: float) -> None:
    torch.manual_seed(1)
    module = nn.Sequential(prepared(CASES[case]()))
    x = 1.5 * torch.randn((1, 16, 16, 8), generator=torch.Generator().manual_seed(2))
    assert decibels(module, x, width) > least


def test_fewer_bits_of_activations_are_worse() -> None:
    torch.manual_seed(1)
    module = prepared(SwinBlock(16, 2, 2, 0.0))
    x = torch.randn((1, 16, 8, 8))
    fine, coarse = (decibels(module, x, 16, bits) for bits in (16, 10))
    assert fine > coarse + 20


def test_context_is_given_out_as_it_is() -> None:
    """A concatenation with a grid by channel, and a port that is an output."""
    module = SliceParameters(nn.Identity(), nn.Conv2d(12, 4, 1), nn.Identity(), nn.Conv2d(12, 4, 1))
    planes = [torch.randn(1, 8, 4, 4), torch.randn(1, 8, 4, 4), 9 * torch.randn(1, 4, 4, 4)]
    traced = trace(module.eval())
    recorder = RangeRecorder(traced)
    with torch.no_grad():
        recorder.run(*planes)
    grids = {"means": Grid(2.0**-12, -(2**15), 2**15 - 1), "scales": Grid(2.0**-10, 0, 2**14)}
    grids["previous"] = Grid(2.0**-6, -(2**15), 2**15 - 1)
    outputs = {"mean": Output(grids["previous"]), "scale": Output(), "context": Output()}
    channels = {"means": 8, "scales": 8, "previous": 4}
    inputs = {port: Value.on(grid, channels[port]) for port, grid in grids.items()}
    source = Source("part", inputs, outputs)
    compiled = compile_module(source, Calibrated(traced, recorder.ranges), lambda _: 8, 16)
    steps = np.repeat([2.0**-12, 2.0**-6], [8, 4])
    np.testing.assert_array_equal(compiled.outputs["context"].steps, steps)


def test_a_convolution_of_neighbours_in_another_order_only() -> None:
    class Sum(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.merging = patch_merging(4)

        def forward(self, x: Tensor) -> Tensor:
            return torch.mul(self.merging.stack(x), self.merging.stack(x))

    grid = Grid(2.0**-10, -(2**15), 2**15 - 1)
    with pytest.raises(ValueError, match="another order"):
        compiled_with(Sum().eval(), torch.randn(1, 4, 4, 4), grid, 8)
