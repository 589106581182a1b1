"""scripts/training/soap.py: the optimizer that trains `lite`."""

import copy
from types import ModuleType

import pytest
import torch

from tests.scripts.conftest import script


@pytest.fixture(scope="module")
def soap() -> ModuleType:
    return script("training.soap")


def mixed_problem(memory_format: torch.memory_format) -> tuple[torch.nn.Conv2d, torch.Tensor]:
    """A convolution to be fitted to another on inputs whose channels go together."""
    torch.manual_seed(0)
    mixing = torch.randn(6, 6) + torch.ones(6, 6) * 3
    inputs = torch.einsum("ij,njhw->nihw", mixing, torch.randn(8, 6, 8, 8))
    network = torch.nn.Conv2d(6, 4, 3, padding=1).to(memory_format=memory_format)
    return network, inputs


def losses(optimizer, network, inputs, steps) -> list[float]:
    torch.manual_seed(1)
    target = torch.nn.Conv2d(6, 4, 3, padding=1)(inputs).detach()
    values = []
    for _ in range(steps):
        loss = (network(inputs) - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        values.append(loss.item())
    return values


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_fits_where_channels_go_together_sooner_than_adam(soap, memory_format):
    network, inputs = mixed_problem(memory_format)
    other = copy.deepcopy(network)
    turned = losses(soap.Soap(network.parameters(), lr=5e-3), network, inputs, 150)
    adam = losses(torch.optim.Adam(other.parameters(), lr=5e-3), other, inputs, 150)
    assert turned[-1] < 0.5 * adam[-1] < 0.5 * adam[0]


def test_layouts_give_the_same_updates(soap):
    results = []
    for memory_format in (torch.contiguous_format, torch.channels_last):
        network, inputs = mixed_problem(memory_format)
        results.append(losses(soap.Soap(network.parameters(), lr=1e-3), network, inputs, 30))
    assert results[0] == pytest.approx(results[1], rel=1e-3)


def test_kernels_are_seen_without_a_copy(soap):
    for memory_format in (torch.contiguous_format, torch.channels_last):
        weight = torch.randn(5, 3, 3, 3).contiguous(memory_format=memory_format)
        kernel = soap.as_kernel(weight)
        assert kernel.data_ptr() == weight.data_ptr()
        assert torch.equal(kernel[4, 7], weight[4, :, 2, 1])


def test_turning_there_and_back(soap):
    kernel = torch.randn(5, 9, 7)
    turns = [torch.linalg.qr(torch.randn(side, side))[0] for side in (5, 9, 7)]
    turned = soap.turn(kernel, turns)
    assert torch.allclose(
        turned, torch.einsum("oki,oa,kb,ic->abc", kernel, *turns), rtol=1e-4, atol=1e-5
    )
    assert torch.allclose(soap.turn(turned, [basis.T for basis in turns]), kernel, atol=1e-5)


def test_goes_on_from_its_state(soap):
    network, inputs = mixed_problem(torch.contiguous_format)
    optimizer = soap.Soap(network.parameters(), lr=1e-3)
    losses(optimizer, network, inputs, 25)
    other = copy.deepcopy(network)
    resumed = soap.Soap(other.parameters(), lr=1e-3)
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    assert losses(optimizer, network, inputs, 25) == losses(resumed, other, inputs, 25)


def test_a_side_beyond_the_largest_keeps_its_basis(soap):
    weight = torch.nn.Parameter(torch.randn(4, 12, 1, 1))
    optimizer = soap.Soap([weight], lr=1e-3, largest_side=8)
    weight.grad = torch.randn_like(weight)
    optimizer.step()
    outputs, positions, inputs = optimizer.state[weight]["bases"]
    assert outputs.shape == (4, 4) and positions is None and inputs is None
