"""The float form of `base`."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from licodec.networks.base import STEP_ORDER, BaseNetwork
from licodec.networks.base_transforms import BaseConfig, dct_basis
from licodec.networks.conditions import D_RANGE, condition_weights, knots
from tests.tiny_base import CONFIG


@pytest.fixture
def network() -> BaseNetwork:
    torch.manual_seed(5)
    network = BaseNetwork(CONFIG).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter) * parameter.abs().mean())
    network.set_conditions(torch.tensor([0.4, 3.0]), torch.tensor([0.0, 0.7]))
    return network


@torch.no_grad()
def test_every_latent_is_decoded_near_itself(network: BaseNetwork) -> None:
    """Each by the step that codes its group at its phase."""
    network.correction.layers[-2].log_gain.fill_(-100)
    network.correction.layers[-2].offset.fill_(0)
    y = network.analysis(torch.randn(2, 3, 64, 128) * 4)
    z_hat, _ = network.code_hyper(network.hyper_analysis(y))
    decoded, bits = network.code(z_hat, y)
    assert bool(((decoded - y).abs() <= network.steps.sizes() * 1.5 + 1e-3).all())
    assert bits.shape == (2,) and bool((bits > 0).all())
    assert {(p, p ^ order) for order in STEP_ORDER for p in range(4)} == {
        (p, group) for p in range(4) for group in range(4)
    }


def test_constants_are_linear_between_knots_and_objectives() -> None:
    places = knots()
    assert places[0] == D_RANGE[0] and abs(places[-1] - D_RANGE[1]) < 1e-5
    middle = (places[1] + places[2])[None] / 2
    weights = condition_weights(middle, torch.tensor([0.25]))[0]
    expected = torch.zeros(12)
    expected[[1, 2]], expected[[7, 8]] = 0.375, 0.125
    torch.testing.assert_close(weights, expected)
    outside = condition_weights(torch.tensor([0.01, 99.0]), torch.zeros(2))
    assert outside[0, 0] == 1 and outside[1, 5] == 1


def test_basis_is_orthonormal_and_begins_with_the_means() -> None:
    basis, deviation = dct_basis(BaseConfig().latents)
    flat = basis.flatten(1)
    torch.testing.assert_close(flat @ flat.T, torch.eye(len(flat)), atol=1e-5, rtol=0)
    assert (basis[:3].std((2, 3)) < 1e-6).all()
    groups = deviation[3:].chunk(4)
    assert all(0.8 < (group.sum() / groups[0].sum()) < 1.25 for group in groups)


def test_a_finer_d_keeps_more(network: BaseNetwork) -> None:
    x = torch.rand(1, 3, 64, 64) * 255
    plain = BaseNetwork(dataclasses.replace(CONFIG, group=128)).eval()
    errors, bits = [], []
    with torch.no_grad():
        for d in (0.3, 1.0, 8.0):
            plain.set_conditions(torch.tensor([d]), torch.zeros(1))
            output = plain(x)
            errors.append((output.x_hat - x).square().mean().item())
            bits.append(output.y_bits.item())
    assert errors == sorted(errors) and bits == sorted(bits, reverse=True)
