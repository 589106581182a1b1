"""The probability models of the published networks."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from licodec.networks.entropy_models import (
    LIKELIHOOD_FLOOR,
    EntropyBottleneck,
    gaussian_likelihood,
)
from licodec.networks.layers import lower_bound
from licodec.networks.lite import straight_through_round


class FactorizedPrior(EntropyBottleneck):
    """The prior of hyper-latents: an :class:`EntropyBottleneck` with stored quantiles.

    `quantiles` (channels, 1, 3) are the lower tail, the median and the upper tail. Values
    are rounded around the median.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.quantiles = nn.Parameter(torch.tensor([-10.0, 0, 10]).repeat(channels, 1, 1))

    @property
    def medians(self) -> Tensor:
        """(1, channels, 1, 1), without a gradient."""
        return self.quantiles.detach()[None, :, :, 1:2]

    def mass(self, z: Tensor) -> Tensor:
        """Probability mass of the unit interval around each value, (N, channels, H, W).

        The plain difference, as published: far above the median it saturates earlier than
        the one that it overrides, and published rates are those of this form.
        """
        x = z.transpose(0, 1).reshape(self.channels, 1, -1)  # (C, 1, N*H*W)
        lower, upper = self.logits_cumulative(x - 0.5), self.logits_cumulative(x + 0.5)
        mass = torch.sigmoid(upper) - torch.sigmoid(lower)
        return mass.reshape(self.channels, z.shape[0], *z.shape[2:]).transpose(0, 1)

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Hyper-latents (N, channels, H, W) -> (decoded ones, their likelihoods)."""
        decoded = straight_through_round(z - self.medians) + self.medians
        coded = z + torch.rand_like(z) - 0.5 if self.training else decoded
        return decoded, lower_bound(self.mass(coded), LIKELIHOOD_FLOOR)


def learning_likelihood(value: Tensor, scale: Tensor) -> Tensor:
    """:func:`gaussian_likelihood`, with which scales below the floor still learn."""
    return gaussian_likelihood(value, scale, lower_bound)
