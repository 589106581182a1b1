"""stf: parity with the published network, its adapted layouts, training."""

from __future__ import annotations

import pytest
import torch

from licodec.networks.adapter_sets import PRESETS, adapted_layers, freeze_all_but
from licodec.networks.published import PublishedNetwork
from licodec.packing import from_checkpoint
from tests.networks.vectors import (
    assert_forward_matches,
    assert_traces,
    formula_state,
    picture,
    vectors,
)

VECTORS = vectors("stf")
BETA_VECTORS = vectors("stf-beta")


@pytest.fixture(scope="module")
def network() -> PublishedNetwork:
    return from_checkpoint(formula_state(VECTORS["parameters"]), "stf")


@pytest.fixture(scope="module")
def with_beta() -> PublishedNetwork:
    return from_checkpoint(formula_state(BETA_VECTORS["parameters"]))


@pytest.mark.parametrize("setting", VECTORS["expected"])
def test_parity(network: PublishedNetwork, setting: str) -> None:
    assert_forward_matches(network, setting, VECTORS["expected"][setting])


@pytest.mark.parametrize("setting", BETA_VECTORS["expected"])
def test_parity_with_beta(with_beta: PublishedNetwork, setting: str) -> None:
    assert with_beta.rate_modes == ("d", "alpha", "beta")
    assert_forward_matches(with_beta, setting, BETA_VECTORS["expected"][setting])


def test_the_published_set_has_an_adapter_in_every_block(network: PublishedNetwork) -> None:
    assert len(list(adapted_layers(network))) == 2 * 2 * sum(network.config.depths)
    for _, layer in adapted_layers(network):
        assert layer.branch.gain.largest == PRESETS["stf_8_8_all"].largest


def test_an_odd_size_and_the_rate_at_two_d(network: PublishedNetwork) -> None:
    bits = []
    for d in (3.5, 60):
        network.set_rate(d=d, alpha=0.25)
        with torch.no_grad():
            coded = network(picture(65, 40))
        assert coded["x_hat"].shape == (1, 3, 65, 40)
        bits.append(-sum(torch.log2(v).sum() for v in coded["likelihoods"].values()))
    assert bits[1] < bits[0]


def test_both_transforms_trace_to_leaves(with_beta: PublishedNetwork) -> None:
    with_beta.set_rate(alpha=0.5, beta=0.5)
    assert_traces(with_beta.analysis, (picture(64, 64),))
    assert_traces(with_beta.synthesis, (torch.randn(1, 384, 4, 4),))


def test_gradients_reach_the_adapters_alone(with_beta: PublishedNetwork) -> None:
    freeze_all_but(with_beta, "beta")
    with_beta.train()
    with_beta.set_rate(alpha=0.5, beta=1)
    out = with_beta(picture(64, 64))
    rate = -sum(torch.log2(v).sum() for v in out["likelihoods"].values())
    (rate + out["x_hat"].square().sum()).backward()
    for name, parameter in with_beta.named_parameters():
        outer_branch = ".lora." in name and "linear_with_lora" not in name
        assert (parameter.grad is not None) == outer_branch, name
    with_beta.requires_grad_(True).zero_grad(set_to_none=True)
    with_beta.eval()
