"""Float probability models used in training and to make the stored integer tables."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Floor = Callable[[Tensor, float], Tensor]

LIKELIHOOD_FLOOR = 1e-9
SCALE_FLOOR = 0.11  # the published lower bound on a Gaussian's scale, in quantization steps
DISTORTION_WEIGHT = 20.0  # bits that an error of one quantization step is worth to the encoder


class EntropyBottleneck(nn.Module):
    """The factorized prior of Balle et al., "Variational image compression with a scale
    hyperprior" (ICLR 2018, appendix 6.1), one learned cumulative per channel.

    Parameters carry the state-dict names of CompressAI 1.2.4 (``_matrix0`` ...).
    `init_scale`, for all channels or for each (channels,), is about how far the first densities
    reach.
    """

    _matrix0: nn.Parameter

    def __init__(self, channels: int, init_scale: float | Tensor = 10.0) -> None:
        super().__init__()
        self.channels = channels
        widths = (1, 3, 3, 3, 3, 1)
        self.depth = len(widths) - 1
        scale = torch.as_tensor(init_scale).expand(channels) ** (1 / self.depth)
        for i in range(self.depth):
            value = torch.log(torch.expm1(1 / scale / widths[i + 1]))[:, None, None]
            matrix = value.expand(channels, widths[i + 1], widths[i]).clone()
            self.register_parameter(f"_matrix{i}", nn.Parameter(matrix))
            bias = torch.empty(channels, widths[i + 1], 1).uniform_(-0.5, 0.5)
            self.register_parameter(f"_bias{i}", nn.Parameter(bias))
            if i < self.depth - 1:
                factor = torch.zeros(channels, widths[i + 1], 1)
                self.register_parameter(f"_factor{i}", nn.Parameter(factor))

    @property
    def medians(self) -> Tensor:
        """(1, channels, 1, 1): values are rounded to integers directly."""
        return torch.zeros(1, self.channels, 1, 1)

    def logits_cumulative(self, x: Tensor) -> Tensor:
        """Logits of the cumulative at x, (channels, 1, n) -> (channels, 1, n)."""
        for i in range(self.depth):
            matrix, bias = getattr(self, f"_matrix{i}"), getattr(self, f"_bias{i}")
            x = F.softplus(matrix) @ x + bias
            if i < self.depth - 1:
                x = x + torch.tanh(getattr(self, f"_factor{i}")) * torch.tanh(x)
        return x

    def likelihood(self, z: Tensor) -> Tensor:
        """Probability mass of the unit interval around each value, (N, channels, H, W)."""
        x = z.transpose(0, 1).reshape(self.channels, 1, -1).to(self._matrix0.dtype)  # (C, 1, N*H*W)
        lower, upper = self.logits_cumulative(x - 0.5), self.logits_cumulative(x + 0.5)
        # Work on the side of the median where the sigmoids do not saturate.
        sign = -torch.sign(lower + upper).detach()
        mass = torch.abs(torch.sigmoid(sign * upper) - torch.sigmoid(sign * lower))
        shape = (self.channels, z.shape[0], *z.shape[2:])
        return mass.reshape(shape).transpose(0, 1).clamp_min(LIKELIHOOD_FLOOR)


def gaussian_likelihood(value: Tensor, scale: Tensor, floored: Floor = torch.clamp_min) -> Tensor:
    """Mass of the unit interval around `value` under a zero-mean Gaussian, elementwise.

    `value` and `scale` are in quantization steps; the scale and the mass are `floored`, at
    SCALE_FLOOR and at LIKELIHOOD_FLOOR.
    """
    value, scale = value.abs(), floored(scale, SCALE_FLOOR)
    upper = 0.5 * torch.erfc((value - 0.5) / scale * (1 / math.sqrt(2)))
    lower = 0.5 * torch.erfc((value + 0.5) / scale * (1 / math.sqrt(2)))
    return floored(upper - lower, LIKELIHOOD_FLOOR)


@torch.no_grad()
def rdoq(x: Tensor, scale: Tensor, weight: float) -> Tensor:
    """The encoder's choice of symbols (RDOQ, ``licodec.entropy.quantization``), in float.

    x and scale count quantization steps: round(x), or the next integer towards zero where
    bits + weight * error^2 is less under a Gaussian of that scale.
    """
    nearest = torch.round(x)
    sign = torch.sign(nearest)
    nearer_zero = nearest - sign
    likelier = gaussian_likelihood(nearer_zero, scale) / gaussian_likelihood(nearest, scale)
    growth = 1 + 2 * sign * (x - nearest)
    return torch.where(torch.log2(likelier) > weight * growth, nearer_zero, nearest)
