"""tcm: parity with the published network, small planes, the parts that are compiled."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from licodec.networks.adapter_sets import PRESETS, adapted_layers, attach
from licodec.networks.published import PublishedNetwork
from licodec.networks.tcm import TcmConfig, TcmNetwork
from licodec.packing import from_checkpoint
from tests.networks.vectors import (
    assert_forward_matches,
    assert_traces,
    formula_state,
    picture,
    vectors,
)

VECTORS = vectors("tcm")


@pytest.fixture(scope="module")
def network() -> PublishedNetwork:
    return from_checkpoint(formula_state(VECTORS["parameters"]))


@pytest.fixture(scope="module")
def small() -> TcmNetwork:
    torch.manual_seed(2)
    config = TcmConfig(width=32, latents=32, slices=2, blocks=(2, 1, 1))
    network = TcmNetwork(config=config).eval()
    attach(network, PRESETS["tcm_8_1_all"])
    return network


@pytest.mark.parametrize("setting", VECTORS["expected"])
def test_parity(network: PublishedNetwork, setting: str) -> None:
    assert network.backbone == "tcm"
    assert_forward_matches(network, setting, VECTORS["expected"][setting])


def test_the_published_set_adapts_the_same_layers(network: PublishedNetwork) -> None:
    with torch.device("meta"):
        fresh = TcmNetwork()
        attach(fresh, PRESETS["tcm_8_1_all"])
    assert {n for n, _ in adapted_layers(fresh)} == {n for n, _ in adapted_layers(network)}
    shapes = {k: list(v.shape) for k, v in fresh.state_dict().items()}
    assert shapes == VECTORS["parameters"]


@pytest.mark.parametrize("size", [(1, 1), (129, 40)])
def test_pictures_of_any_size(small: TcmNetwork, size: tuple[int, int]) -> None:
    small.set_rate(d=0.6, alpha=0.5)
    pictures = torch.cat([picture(*size), 1 - picture(*size)])
    with torch.no_grad():
        both, alone = small(pictures)["x_hat"], small(pictures[1:])["x_hat"]
    assert both.shape == (2, 3, *size)
    assert torch.allclose(both[1:], alone, atol=1e-4)


def test_every_part_traces_to_leaves(small: TcmNetwork) -> None:
    small.set_rate(alpha=1)
    y, z = torch.randn(1, 32, 8, 8), torch.randn(1, 192, 2, 2)
    features = torch.randn(1, 32, 8, 8)
    cases: list[tuple[nn.Module, tuple[torch.Tensor, ...]]] = [
        (small.analysis, (picture(128, 128),)),
        (small.hyper_analysis, (y,)),
        (small.hyper_synthesis, (z,)),
        (small.slice_parameters(0), (features, features)),
        (small.slice_parameters(1), (features, features, y[:, :16])),
        (small.residual_prediction(1), (torch.randn(1, 48, 8, 8), y[:, 16:])),
        (small.synthesis, (y,)),
    ]
    for module, inputs in cases:
        assert_traces(module, inputs)
