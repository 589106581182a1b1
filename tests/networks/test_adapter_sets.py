"""Adapters: placing, scaling, freezing and folding them."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from licodec.errors import UsageError
from licodec.networks.adapter_branches import Adapted, LowRankBranch
from licodec.networks.adapter_sets import (
    PRESETS,
    AdapterSet,
    adapted_layers,
    adapter_parameters,
    attach,
    freeze_all_but,
    gains,
    merge,
)
from licodec.networks.cheng_attn import ChengConfig, ChengNetwork
from licodec.networks.layers import PointwiseLinear, subpixel_convolution
from licodec.networks.stf import StfNetwork
from tests.networks.vectors import vectors


class Layers(nn.Module):
    """One layer of every kind that takes an adapter."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Conv2d(6, 8, 3, 2, padding=1)
        self.odd = nn.Conv2d(8, 7, 1, bias=False)
        self.mix = nn.Sequential(PointwiseLinear(7, 5), nn.Linear(4, 4))
        self.up = subpixel_convolution(5, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.up(self.mix(self.odd(self.head(x))))


EVERYTHING = ("head", "odd", "mix.*", "up")


def with_adapters(*modes: str) -> Layers:
    torch.manual_seed(6)
    network = Layers().double()
    for mode in modes:
        attach(network, AdapterSet(mode, 2, 3.0, EVERYTHING))
    network.double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(0.3 * torch.randn_like(parameter))
    return network


def set_gains(network: nn.Module, **values: float) -> None:
    for gain in gains(network):
        gain.value = values.get(gain.mode, 0.0)


@pytest.mark.parametrize("modes", [("alpha",), ("alpha", "beta")])
def test_merging_gives_the_network_at_its_largest_gains(modes: tuple[str, ...]) -> None:
    network = with_adapters(*modes)
    x = torch.randn(2, 6, 8, 8, dtype=torch.float64)
    set_gains(network, alpha=1, beta=1)
    expected = network(x)
    merge(network)
    assert not list(adapted_layers(network))
    assert network.state_dict().keys() == Layers().state_dict().keys()
    assert torch.allclose(network(x), expected, atol=1e-9)


def test_a_gain_of_zero_is_the_plain_network() -> None:
    network = with_adapters("alpha")
    x = torch.randn(1, 6, 8, 8, dtype=torch.float64)
    plain = Layers().double()
    plain.load_state_dict(
        {
            key.replace(".linear.", ".")
            .replace("head.conv", "head")
            .replace("odd.conv", "odd")
            .replace("subpel_conv.", ""): value
            for key, value in network.state_dict().items()
            if ".lora." not in key and ".adapter." not in key
        }
    )
    assert torch.allclose(network(x), plain(x))
    set_gains(network, alpha=0.5)
    assert not torch.allclose(network(x), plain(x))


def test_a_second_set_stands_around_the_first() -> None:
    network = with_adapters("alpha", "beta")
    outer = network.mix[0]
    assert isinstance(outer, Adapted) and isinstance(outer.lora, LowRankBranch)
    assert outer.branch.gain.mode == "beta"
    assert isinstance(outer.linear_with_lora, Adapted)
    assert outer.linear_with_lora.branch.gain.mode == "alpha"
    set_gains(network, alpha=0.5)
    assert outer.branch.gain.factor == 0
    assert outer.linear_with_lora.branch.gain.factor == 1.5


def test_freezing_leaves_one_set_to_learn() -> None:
    network = with_adapters("alpha", "beta")
    freeze_all_but(network, "beta")
    learned = {id(p) for p in network.parameters() if p.requires_grad}
    assert learned == {id(p) for p in adapter_parameters(network, "beta")}
    assert learned


def test_a_set_for_another_network_is_refused() -> None:
    with pytest.raises(UsageError, match=r"none of layers\.\S+, \S+ is a layer of this network"):
        attach(Layers(), PRESETS["stf_8_8_all"])


def test_published_sets_give_the_published_layouts() -> None:
    with torch.device("meta"):
        stf, cheng = StfNetwork(), ChengNetwork(config=ChengConfig(192))
        attach(stf, PRESETS["stf_8_8_all"])
        attach(cheng, PRESETS["cheng_8_1_all"])
        for network, name in ((stf, "stf"), (cheng, "cheng")):
            shapes = {key: list(value.shape) for key, value in network.state_dict().items()}
            assert shapes == vectors(name)["parameters"]
        attach(stf, PRESETS["adapt_stf_8_8_all"])
        shapes = {key: list(value.shape) for key, value in stf.state_dict().items()}
        assert shapes == vectors("stf-beta")["parameters"]
