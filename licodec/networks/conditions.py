"""Constants by channel that depend on the rate and on the objective.

One network serves every rate and two objectives: a few constants of each channel differ, all
weights are the same. They are stored at knots of d for both objectives and interpolated linearly
in between, in d and in the objective, which integers do exactly (format/SPEC.md).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

D_RANGE = (0.25, 12.0)
KNOTS = 6
OBJECTIVES = 2  # 0: squared error alone, 1: what people see


def knots() -> Tensor:
    """d at the knots, (KNOTS,), evenly spaced in the logarithm over D_RANGE."""
    low, high = map(math.log, D_RANGE)
    return torch.linspace(low, high, KNOTS, dtype=torch.float64).exp().float()


def knot_weights(d: Tensor) -> Tensor:
    """Weights of the knots for each d (N,): (N, KNOTS), at most two of a row not 0."""
    places = knots().to(d)
    index = torch.searchsorted(places, d.contiguous()).clamp(1, KNOTS - 1)
    low, high = places[index - 1], places[index]
    share = ((d - low) / (high - low)).clamp(0, 1)[:, None]
    first = nn.functional.one_hot(index - 1, KNOTS) * (1 - share)
    return first + nn.functional.one_hot(index, KNOTS) * share


def condition_weights(d: Tensor, objective: Tensor) -> Tensor:
    """Weights of every stored constant: d (N,) and objective (N,) in [0, 1] ->
    (N, OBJECTIVES * KNOTS), those for squared error first."""
    by_knot = knot_weights(d)
    objective = objective[:, None]
    return torch.cat([(1 - objective) * by_knot, objective * by_knot], 1)


class Conditioned(nn.Module):
    """(x + offset) * gain by channel of (N, C, H, W), the identity at first.

    `weights` (N, OBJECTIVES * KNOTS) are set from outside before use, by :func:`set_conditions`.
    In the exact form this is no operation: the offset is part of the bias and the gain of the
    multiplier of the convolution before it.
    """

    weights: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.log_gain = nn.Parameter(torch.zeros(OBJECTIVES * KNOTS, channels))
        self.offset = nn.Parameter(torch.zeros(OBJECTIVES * KNOTS, channels))

    def constants(self) -> tuple[Tensor, Tensor]:
        """Gain and offset of each sample, (N, C) each."""
        return self.weights @ self.log_gain.exp(), self.weights @ self.offset

    def forward(self, x: Tensor) -> Tensor:
        gain, offset = self.constants()
        shift = (gain * offset)[:, :, None, None].to(x.dtype)
        return torch.addcmul(shift, x, gain[:, :, None, None].to(x.dtype))


class ConditionedOffset(nn.Module):
    """x + offset by channel, in float32. In the exact form a part of the bias before it."""

    weights: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.offset = nn.Parameter(torch.zeros(OBJECTIVES * KNOTS, channels))

    def forward(self, x: Tensor) -> Tensor:
        return x.float() + (self.weights @ self.offset)[:, :, None, None]


class PreciselyConditioned(Conditioned):
    """The same in float32, whatever the convolution before it gave."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.float())


class StepSizes(nn.Module):
    """Quantization steps by channel; as a layer, x (N, C, H, W) in steps -> in their unit.

    `initial` (KNOTS, C) are the steps to begin with, for both objectives.
    """

    weights: Tensor

    def __init__(self, initial: Tensor) -> None:
        super().__init__()
        self.log_steps = nn.Parameter(initial.log().repeat(OBJECTIVES, 1))

    def sizes(self) -> Tensor:
        """(N, C, 1, 1)."""
        return (self.weights @ self.log_steps.exp())[:, :, None, None]

    def forward(self, x: Tensor) -> Tensor:
        return x * self.sizes()


def set_conditions(network: nn.Module, d: Tensor, objective: Tensor) -> None:
    """Let `network` compute at d (N,) within D_RANGE and objective (N,) in [0, 1]."""
    weights = condition_weights(d, objective)
    for module in network.modules():
        if isinstance(module, Conditioned | ConditionedOffset | StepSizes):
            module.weights = weights
