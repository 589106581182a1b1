"""The probability models of the published networks."""

from __future__ import annotations

import torch

from licodec.networks.priors import learning_likelihood


def test_floors_let_gradients_out_again() -> None:
    scale = torch.tensor([-0.5], requires_grad=True)
    (-learning_likelihood(torch.tensor([2.0]), scale).log()).backward()
    assert scale.grad.item() < 0  # descending makes the scale larger
