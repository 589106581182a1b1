"""The fixed bases from which the linear paths of `lite` and `base` start."""

from __future__ import annotations

import math

import torch
from torch import Tensor

BLOCK = 16  # pixels per latent position, each way
COLORS = 3
HYPER_BLOCK = 4  # latent positions per hyper-latent, each way


def dct_matrix(size: int) -> Tensor:
    """The orthonormal DCT-II of `size` points, (frequency, point), float64."""
    n = torch.arange(size, dtype=torch.float64)
    matrix = torch.cos(math.pi / size * (n[None, :] + 0.5) * n[:, None]) * math.sqrt(2 / size)
    matrix[0] /= math.sqrt(2)
    return matrix


def mean_basis(mean_deviation: Tensor) -> tuple[Tensor, Tensor]:
    """The second level of the block means: (basis, deviation) of a 4x4 DCT of each colour's.

    basis is (48, 48), from the unshuffled planes (colour, row, column) to (colour, frequency);
    deviation (48,) is about the standard deviation of each coefficient on photographs where
    the means have `mean_deviation` (3,).
    """
    dct = dct_matrix(HYPER_BLOCK)
    planes = torch.kron(dct, dct)  # (frequency, position)
    n = torch.arange(HYPER_BLOCK, dtype=torch.float64)
    falling = HYPER_BLOCK * 0.9 / (1 + 2 * torch.hypot(n[:, None], n[None, :])) ** 1.3
    deviation = mean_deviation.double()[:, None] * falling.flatten()
    whole = torch.block_diag(*[planes] * COLORS)  # type: ignore[no-untyped-call]  # as torch has it
    return whole.float(), deviation.flatten().float()
