"""icm: parity with AQVR's published network, at every d."""

from __future__ import annotations

import pytest
import torch

from licodec.errors import UsageError
from licodec.networks.published import PublishedNetwork
from licodec.packing import from_checkpoint
from tests.networks.vectors import (
    assert_figures_match,
    assert_forward_matches,
    formula_state,
    picture,
    set_rate_of,
    vectors,
)

VECTORS = vectors("icm")


@pytest.fixture(scope="module")
def network() -> PublishedNetwork:
    state = formula_state(VECTORS["parameters"])
    return from_checkpoint({f"module.{key}": value for key, value in state.items()})


def test_it_is_recognised_by_its_width(network: PublishedNetwork) -> None:
    assert network.backbone == "icm"
    assert network.config.width == 128
    assert network.rate_modes == ("d",)


def test_parity(network: PublishedNetwork) -> None:
    assert_forward_matches(network, "forward", VECTORS["expected"]["forward"])


@pytest.mark.parametrize("setting", [s for s in VECTORS["expected"] if s != "forward"])
def test_rate_and_pictures_are_the_published_streams(
    network: PublishedNetwork, setting: str
) -> None:
    expected = VECTORS["expected"][setting]
    set_rate_of(network, setting)
    with torch.no_grad():
        coded = network(picture())
    for latents, likelihoods in coded["likelihoods"].items():
        found = -torch.log2(likelihoods.double()).sum().item() / 8
        # Far outside a distribution a stream's escape is shorter than the floor of likelihoods.
        assert 0.65 * found < expected[f"bytes_{latents}"] < found + 16, latents
    assert_figures_match(coded["x_hat"].clamp(0, 1), expected, 1e-2)


def test_a_mode_it_lacks_is_named(network: PublishedNetwork) -> None:
    with pytest.raises(UsageError, match="this icm network has no alpha: it has d"):
        network.set_rate(alpha=0.5)
    with pytest.raises(UsageError, match="out of range"):
        network.set_rate(d=0)


def test_one_window_of_latents_is_enough(network: PublishedNetwork) -> None:
    network.set_rate(d=1)
    with torch.no_grad():
        out = network(picture(64, 64))
    assert out["x_hat"].shape == (1, 3, 64, 64)
    assert bool(torch.isfinite(out["x_hat"]).all())
