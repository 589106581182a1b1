"""cheng-attn: parity with the published network, wavefronts."""

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


@torch.no_grad()
def test_wavefronts_see_what_the_whole_plane_would(small: ChengNetwork) -> None:
    y, features = 3 * torch.randn(1, 12, 8, 12), torch.randn(1, 24, 8, 12)
    decoded = small.decoded_from(y, features)
    mean, _ = small.context_parameters(features, decoded)
    assert torch.allclose(decoded, torch.round(y - mean) + mean, atol=1e-4)


def test_pictures_of_any_size(small: ChengNetwork) -> None:
    with torch.no_grad():
        assert small(picture(65, 72))["x_hat"].shape == (1, 3, 65, 72)


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
