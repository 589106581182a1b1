"""The fixed bases from which the linear paths of `lite` and `base` start."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from licodec.networks.layers import bias_of

BLOCK = 16  # pixels per latent position, each way
COLORS = 3
# Both transforms see (pixel - 127.5) / PIXEL_UNIT in levels of 8 bits: about the size of a
# quantization step, so that one learning rate suits the weights on either side of the latents.
PIXEL_UNIT = 16.0
HYPER_BLOCK = 4  # latent positions per hyper-latent, each way


def dct_matrix(size: int) -> Tensor:
    """The orthonormal DCT-II of `size` points, (frequency, point), float64."""
    n = torch.arange(size, dtype=torch.float64)
    matrix = torch.cos(math.pi / size * (n[None, :] + 0.5) * n[:, None]) * math.sqrt(2 / size)
    matrix[0] /= math.sqrt(2)
    return matrix


def frequencies() -> Tensor:
    """The distance of each function of a block's DCT from the mean, (BLOCK, BLOCK), float64."""
    n = torch.arange(BLOCK, dtype=torch.float64)
    return torch.hypot(n[:, None], n[None, :])


def strongest(deviation: Tensor, count: int) -> Tensor:
    """The indexes of the `count` functions of a block's DCT with the largest `deviation`
    (COLORS, BLOCK, BLOCK), the means of the colours before all others."""
    rank = deviation.clone()
    rank[:, 0, 0] += deviation.max()
    return torch.argsort(rank.flatten(), descending=True, stable=True)[:count]


def block_basis(order: Tensor) -> Tensor:
    """The functions of those indexes (count,), (count, 3, BLOCK, BLOCK), orthonormal over an RGB
    block: a DCT of grey, red-blue and green."""
    dct = dct_matrix(BLOCK)
    colors = torch.tensor([[1.0, 1, 1], [1, 0, -1], [-1, 2, -1]], dtype=torch.float64)
    colors /= colors.norm(dim=1, keepdim=True)
    color, u, v = order // BLOCK**2, order // BLOCK % BLOCK, order % BLOCK
    return torch.einsum("kc,ka,kb->kcab", colors[color], dct[u], dct[v]).float()


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


def linear_transform(
    matrix: Tensor, bias: bool = True, side: int = 1, kind: type[nn.Conv2d] = nn.Conv2d
) -> nn.Conv2d:
    """A convolution that starts as `matrix` (outputs, inputs) at its centre."""
    outputs, inputs = matrix.shape
    layer = kind(inputs, outputs, side, padding=side // 2, bias=bias)
    with torch.no_grad():
        layer.weight.zero_()
        layer.weight[:, :, side // 2, side // 2] = matrix
        if bias:
            bias_of(layer).zero_()
    return layer
