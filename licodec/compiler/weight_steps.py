"""The steps that weights are stored in: chosen by the compiler, simulated in training.

Every output channel has one step. Where the channels of what a convolution reads count in
steps of their own, these become part of the weights before they are rounded.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

CANDIDATES = 24  # steps tried for a channel
FINE = 16  # bits at which the largest weight is never worth clipping


def largest_integer(width: int) -> int:
    """Of a weight of `width` bits; the least is its negative."""
    return 2 ** (width - 1) - 1


def least_error_steps(rows: Tensor, width: int) -> Tensor:
    """The step of each row of `rows` (O, n) that rounds it with the least squared error, (O,).

    One of 24: the one that just reaches the largest weight, and shorter ones that clip it.
    """
    largest = largest_integer(width)
    peak = rows.abs().amax(1).clamp_min(1e-12)
    best, best_error = peak / largest, torch.full_like(peak, torch.inf)
    for shrink in np.linspace(1.0, 0.5 if width <= 4 else 0.9, CANDIDATES):
        step = peak * shrink / largest
        error = (rounded(rows, step[:, None], width) - rows).square_().sum(1)
        better = error < best_error
        best, best_error = torch.where(better, step, best), torch.where(better, error, best_error)
    return best


def rounded(rows: Tensor, steps: Tensor, width: int) -> Tensor:
    """`rows` as `width` bits hold them in `steps`, which broadcasts."""
    largest = largest_integer(width)
    return (rows / steps).round_().clamp_(-largest, largest).mul_(steps)


def quantize_weight(
    weight: np.ndarray, width: int, least: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Symmetric quantization of weight (O, ...) with one step per output channel.

    The step is the one with the least squared error, or `least` (O,) where that is larger;
    returns (integers as int8 or int16, steps (O,) float64).
    """
    largest = largest_integer(width)
    rows = weight.reshape(len(weight), -1).astype(np.float64)
    steps = least_error_steps(torch.from_numpy(rows), width).numpy()
    if least is not None:
        steps = np.maximum(steps, least)
    integers = np.clip(np.rint(rows / steps[:, None]), -largest, largest)
    return integers.reshape(weight.shape).astype(np.int8 if width <= 8 else np.int16), steps


def stored_weight(weight: Tensor, width: int, operand_steps: Tensor | None = None) -> Tensor:
    """`weight` (O, I, kh, kw) as it is stored in `width` bits, in float and without a gradient.

    `operand_steps` (I,) are those of the operand's channels, None where they are all equal.
    """
    weight = weight.detach()
    scaled = weight
    if operand_steps is not None:
        relative = (operand_steps / operand_steps.max()).to(weight.dtype)[:, None, None]
        scaled = weight * relative
    rows = scaled.flatten(1)
    if width < FINE:
        steps = least_error_steps(rows, width)
    else:
        steps = rows.abs().amax(1).clamp_min(1e-12) / largest_integer(width)
    stored = rounded(rows, steps[:, None], width).view_as(scaled)
    return stored if operand_steps is None else stored / relative
