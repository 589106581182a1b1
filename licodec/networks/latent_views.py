"""How networks see latents: coefficients whose sizes differ by orders of magnitude.

A mean is about linear in the latents around it and the logarithm of a scale about linear
in the logarithms of their magnitudes, so context networks are given both, each of about
unit size. That alone makes them learn several times faster than from the bare latents.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from licodec.networks.compiled_leaves import ChannelGain


class LogMagnitude(nn.Module):
    """ln(1 + |x|): what context networks predict scales from. In the exact form a table."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.log1p(x.abs())


def normalizing_gain(deviation: Tensor) -> ChannelGain:
    """The gain that brings channels of standard deviation `deviation` (C,) to about 1.

    Channels that are mostly zero are left small: 5 times is the most.
    """
    return ChannelGain(1 / deviation.clamp_min(0.2))
