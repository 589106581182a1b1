"""The float network: its start, its rate mode, and its quantization-aware twin."""

from __future__ import annotations

import pytest
import torch

from licodec.networks.entropy_models import EntropyBottleneck, gaussian_likelihood, rdoq
from licodec.networks.lite import (
    COLORS,
    DISTORTION_WEIGHT,
    LiteConfig,
    LiteNetwork,
    adaptive_step,
    dct_basis,
    symbol_likelihood,
)


def test_the_linear_path_starts_as_an_orthonormal_transform() -> None:
    basis, deviation = dct_basis(320)
    gram = basis.flatten(1) @ basis.flatten(1).T
    assert torch.allclose(gram, torch.eye(320), atol=1e-5)
    assert torch.all(deviation[COLORS:-1] >= deviation[COLORS + 1 :])
    block = torch.tensor([40.0, -3.0, 11.0])[:, None, None].expand(COLORS, 16, 16)
    coefficients = basis.flatten(1) @ block.flatten()
    assert coefficients[COLORS:].abs().max() < 1e-3 < coefficients[:COLORS].abs().min()


@torch.no_grad()
def test_hyper_latents_start_with_a_coarse_picture_of_the_block_means() -> None:
    network = LiteNetwork().eval()
    means = 40 * torch.randn(1, COLORS, 8, 12)
    y = torch.cat([means, torch.zeros(1, network.config.latents - COLORS, 8, 12)], 1)
    z = torch.round(network.hyper_analysis.linear(y))
    block_means = network.hyper_synthesis.linear(z)
    step = network.INITIAL_MEAN_STEP
    errors = block_means - means
    assert errors.std() == pytest.approx(step / 12**0.5, rel=0.1)
    assert step < means.std()


def test_shipped_size_is_within_its_budget() -> None:
    network = LiteNetwork()
    assert sum(p.numel() for p in network.parameters()) < 12e6
    multiplications = 0

    def count(module: torch.nn.Conv2d, inputs: tuple, output: torch.Tensor) -> None:
        nonlocal multiplications
        multiplications += module.weight.numel() * output.shape[2] * output.shape[3]

    decoder = [network.synthesis, network.hyper_synthesis]
    decoder += [network.slice_parameters, network.residual_predictions]
    for part in decoder:
        for module in part.modules():
            if isinstance(module, torch.nn.Conv2d):
                module.register_forward_hook(count)
    with torch.no_grad():
        network.eval()(torch.rand(1, 3, 64, 64))
    assert multiplications / 64**2 < 60e3


@pytest.mark.parametrize("config", [{"slices": (4, 60)}, {"hyper_latents": 47}])
def test_a_form_without_room_for_the_block_means_is_refused(config: dict) -> None:
    with pytest.raises(ValueError, match="block means"):
        LiteConfig(**config)


def test_symbols_of_zero_draw_what_learns_towards_them() -> None:
    """Their bits are the symbols', but a residual of 0.4 costs more than one of 0.1: it is nearer
    to becoming a 1."""
    torch.manual_seed(0)
    x = torch.tensor([-0.4, -0.1, 0.1, 0.4]).repeat(4096, 1).requires_grad_()
    scale = torch.full_like(x, 0.5).requires_grad_()
    rounded = torch.round(x).detach()
    likelihood = symbol_likelihood(x, scale, rounded)
    assert torch.equal(likelihood, gaussian_likelihood(rounded, scale))
    (-likelihood.log()).sum().backward()
    pull = x.grad.mean(0)
    assert pull[0] < pull[1] < 0 < pull[2] < pull[3]
    plain = torch.full_like(x, 0.5).requires_grad_()
    (-gaussian_likelihood(rounded, plain).log()).sum().backward()
    assert torch.equal(scale.grad, plain.grad)


def test_rdoq_prefers_what_is_cheap() -> None:
    x = torch.tensor([0.3, 0.52, -0.52, 0.9, 1.52, 40.51])
    narrow = rdoq(x, torch.full_like(x, 0.12), DISTORTION_WEIGHT)
    wide = rdoq(x, torch.full_like(x, 60.0), DISTORTION_WEIGHT)
    assert narrow.tolist() == [0, 0, 0, 1, 1, 41]  # far out all symbols are at the floor
    assert wide.tolist() == torch.round(x).tolist()


def test_likelihoods_are_masses() -> None:
    values = torch.arange(-300.0, 301)
    for scale in (0.05, 1.0, 30.0):
        total = gaussian_likelihood(values, torch.tensor(scale)).sum()
        assert total == pytest.approx(1, abs=1e-4)
    prior = EntropyBottleneck(3)
    planes = values.repeat(3, 1)[None, :, None]
    assert prior.likelihood(planes).sum((0, 2, 3)).tolist() == pytest.approx([1] * 3, abs=1e-3)


@pytest.mark.parametrize("d", [0.5, 1.0, 6.0])
def test_steps_lie_between_one_and_d(d: float) -> None:
    scale = torch.rand(1, 4, 5, 6) + 0.1
    for index in range(3):
        step = torch.as_tensor(adaptive_step(scale, d, index, 3))
        assert step.min() >= min(1, d) - 1e-5
        assert step.max() <= max(1, d) + 1e-5
