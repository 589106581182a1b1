"""The adapters of `lite`: their share, the anchor at rest, and the rate modes they bring."""

from __future__ import annotations

import copy

import pytest
import torch

from licodec.errors import UsageError
from licodec.networks.adapter_sets import (
    PRESETS,
    adapted_layers,
    adapter_parameters,
    attach,
    freeze_all_but,
    gains,
    merge,
)
from licodec.networks.lite import LiteNetwork
from tests import tiny

ALPHA_SET = PRESETS["lite_8_1_all"]


with_adapters = tiny.adapted_network


def with_even_steps(network: LiteNetwork, y: torch.Tensor, d: float) -> tuple:
    network.step_shares = ALPHA_SET.step_shares
    return LiteNetwork.code(network, y, d)


def outputs(network: LiteNetwork, **rate: float) -> list[torch.Tensor]:
    network.set_rate(**rate)
    with torch.no_grad():
        output = network(tiny.pictures()[1])
    return [output["x_hat"], *output["likelihoods"].values()]


@pytest.mark.parametrize("name", ["lite_8_1_all", "lite_8_1_transforms"])
def test_each_set_is_at_most_a_hundredth_of_the_network(name: str) -> None:
    with torch.device("meta"):
        network = LiteNetwork()
        whole = sum(p.numel() for p in network.parameters())
        for adapters in (PRESETS[name], PRESETS[f"adapt_{name}"]):
            attach(network, adapters)
            own = sum(p.numel() for p in adapter_parameters(network, adapters.mode))
            assert 0.005 * whole < own <= 0.01 * whole


def test_every_part_of_the_network_has_adapters() -> None:
    network = with_adapters("lite_8_1_all")
    parts = {name.partition(".")[0] for name, _ in adapted_layers(network)}
    assert parts == {name for name, _ in network.named_children()} - {"entropy_bottleneck"}
    network = with_adapters("lite_8_1_transforms")
    parts = {name.partition(".")[0] for name, _ in adapted_layers(network)}
    assert parts == {"analysis", "synthesis"}


def test_at_rest_the_anchor_is_untouched() -> None:
    plain = outputs(copy.deepcopy(tiny.network()))
    network = with_adapters("lite_8_1_all", "adapt_lite_8_1_all")
    for found, expected in zip(outputs(network), plain, strict=True):
        assert torch.equal(found, expected)
    changed = outputs(network, alpha=0.25)
    assert all(not torch.equal(a, b) for a, b in zip(changed, plain, strict=True))


def test_a_new_set_starts_from_the_anchor() -> None:
    network = copy.deepcopy(tiny.network())
    attach(network, ALPHA_SET)
    plain = copy.deepcopy(tiny.network())
    found, adaptive = outputs(network, alpha=1, d=3), outputs(plain, d=3)
    assert not torch.equal(found[0], adaptive[0])  # whose steps differ within a slice
    plain.code = lambda y, d: with_even_steps(plain, y, d)
    expected = outputs(plain, d=3)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def test_alpha_brings_its_d() -> None:
    network = with_adapters("lite_8_1_all", "adapt_lite_8_1_all")
    assert network.rate_modes == ("d", "alpha", "beta")
    for alpha, expected in ((0, 1), (0.5, ALPHA_SET.d**0.5), (1, ALPHA_SET.d)):
        network.set_rate(alpha=alpha, beta=0.3)
        assert network.d == pytest.approx(expected)
    network.set_rate(alpha=0.5, d=2)
    assert network.d == 2
    assert {(gain.mode, gain.value) for gain in gains(network)} == {("alpha", 0.5), ("beta", 0)}
    network.set_rate()
    assert network.d == 1


def test_rates_that_the_network_lacks_are_refused() -> None:
    network = copy.deepcopy(tiny.network())
    with pytest.raises(UsageError, match="this lite network has no alpha: it has d"):
        network.set_rate(alpha=0.5)
    with pytest.raises(UsageError, match="beta = 2 is out of range"):
        with_adapters("lite_8_1_all").set_rate(beta=2)


def test_only_adapters_learn() -> None:
    network = with_adapters("lite_8_1_all")
    freeze_all_but(network, "alpha")
    network.train()
    network.set_rate(alpha=0.6)
    output = network(tiny.pictures()[1])
    bits = -sum(likelihood.log2().mean() for likelihood in output["likelihoods"].values())
    (bits + output["x_hat"].square().mean()).backward()
    learned = {id(p) for p in network.parameters() if p.grad is not None}
    assert learned == {id(p) for p in adapter_parameters(network, "alpha")}


def test_adapters_with_a_d_of_their_own_are_not_merged() -> None:
    with pytest.raises(UsageError, match="cannot be merged"):
        merge(with_adapters("lite_8_1_all"))
