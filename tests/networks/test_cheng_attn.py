"""cheng-attn: parity with the published network, wavefronts, round trips."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from licodec.errors import UsageError
from licodec.networks.cheng_attn import ChengConfig, ChengNetwork, wavefronts
from licodec.networks.published import PublishedNetwork
from licodec.packing import from_checkpoint
from tests.networks.vectors import (
    assert_forward_matches,
    assert_traces,
    formula_state,
    picture,
    vectors,
)

VECTORS = vectors("cheng")


@pytest.fixture(scope="module")
def network() -> PublishedNetwork:
    return from_checkpoint(formula_state(VECTORS["parameters"]))


@pytest.fixture(scope="module")
def small() -> ChengNetwork:
    torch.manual_seed(1)
    return ChengNetwork(config=ChengConfig(12)).eval()


@pytest.mark.parametrize("setting", VECTORS["expected"])
def test_parity(network: PublishedNetwork, setting: str) -> None:
    assert_forward_matches(network, setting, VECTORS["expected"][setting])


def test_it_has_no_d(network: PublishedNetwork) -> None:
    with pytest.raises(UsageError, match="has no d: it has alpha"):
        network.set_rate(d=2)


def test_wavefronts_code_every_position_after_its_context() -> None:
    height, width = 5, 9
    steps = wavefronts(height, width)
    assert len(steps) == width + 3 * (height - 1)
    when = torch.full((height, width), -1)
    for step, (rows, columns) in enumerate(steps):
        assert torch.all(when[rows, columns] == -1)
        when[rows, columns] = step
    for row in range(height):
        for column in range(width):
            above = when[max(0, row - 2) : row, max(0, column - 2) : column + 3]
            beside = when[row, max(0, column - 2) : column]
            assert torch.all(above < when[row, column])
            assert torch.all(beside < when[row, column])


def test_wavefronts_see_what_the_whole_plane_would(small: ChengNetwork) -> None:
    y, z_hat = 3 * torch.randn(1, 12, 8, 12), torch.round(2 * torch.randn(1, 12, 2, 3))
    with torch.no_grad():
        symbols, _ = small.write_latents(y, z_hat)
        means = []

        def replay(
            rows: torch.Tensor, columns: torch.Tensor, mean: torch.Tensor, scale: torch.Tensor
        ) -> torch.Tensor:
            means.append((rows, columns, mean))
            return torch.round(y[:, :, rows, columns] - mean)

        decoded = small._decoded(small.h_s(z_hat), replay)
        expected, _ = small.context_parameters(small.h_s(z_hat), decoded)
    for rows, columns, mean in means:
        assert torch.allclose(mean, expected[:, :, rows, columns], atol=1e-4)
    assert symbols.shape == (1, 12 * 8 * 12)


def test_round_trip_of_any_size(small: ChengNetwork) -> None:
    pictures = torch.cat([picture(65, 72), picture(65, 72).flip(3)])
    coded = small.compress(pictures)
    assert coded["shape"] == (2, 2)
    decoded = small.decompress(coded["strings"], coded["shape"])["x_hat"]
    assert decoded.shape == pictures.shape
    with torch.no_grad():
        y = small.analysis(small.padded(pictures))
        medians = small.entropy_bottleneck.medians
        z_hat = torch.round(small.h_a(y) - medians) + medians
        y_hat = small.decoded_from(y, small.h_s(z_hat))
        expected = small.synthesis(y_hat).clamp(0, 1)[..., :65, :72]
    assert torch.allclose(decoded, expected, atol=1e-5)


def test_every_part_traces_to_leaves(small: ChengNetwork) -> None:
    y, z = torch.randn(1, 12, 4, 4), torch.randn(1, 12, 1, 1)
    assert_traces(small.analysis, (picture(64, 64),))
    assert_traces(small.hyper_analysis, (y,))
    assert_traces(small.hyper_synthesis, (z,))
    assert_traces(small.context_parameters, (torch.randn(1, 24, 4, 4), y))
    assert_traces(small.synthesis, (y,))


def test_masked_convolution_learns_only_what_it_sees(small: ChengNetwork) -> None:
    convolution = small.context_prediction
    y = torch.randn(1, 12, 6, 6)
    convolution(y).sum().backward()
    assert torch.all(convolution.weight.grad[:, :, 2, 2:] == 0)
    assert torch.all(convolution.weight.grad[:, :, 3:] == 0)
    later = F.pad(torch.randn(1, 12, 1, 6), (0, 0, 5, 0))  # only the last row differs
    with torch.no_grad():
        assert torch.equal(convolution(y)[:, :, :5], convolution(y + later)[:, :, :5])
    convolution.zero_grad()
