"""Window attention on planes (N, C, H, W), after Liu et al., "Swin transformer" (ICCV 2021).

All tensors between modules are planes, and the linear layers work on planes: only
:class:`WindowAttention`, a leaf for the compiler, sees windows. Sides are multiples of the
window, which the alignment of pictures provides.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from licodec.networks.layers import PointwiseLinear


class WindowAttention(nn.Module):
    """Every position attends to its window: the attention itself, without linear layers.

    forward(x (N, 3C, H, W), bias (heads, 2 size - 1, 2 size - 1)) -> (N, C, H, W)

    Channels of x are (query, key, value; head; channel of the head). `bias` is added to the
    score of a query and a key by their offset, query minus key plus size - 1. With a shift,
    windows start `shift` positions further down and right, and the border of the plane cuts
    the outer ones: rolled together, as they are computed here, they do not see each other.
    """

    def __init__(self, channels: int, heads: int, size: int, shift: int) -> None:
        super().__init__()
        self.heads, self.size, self.shift = heads, size, shift
        self.scale = (channels // heads) ** -0.5

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        if self.shift:
            x = x.roll((-self.shift, -self.shift), (2, 3))
        query, key, value = self.windows(x)  # each (N, heads, h, w, T, c)
        scores = (query * self.scale) @ key.transpose(-2, -1)
        scores = scores + bias.flatten(1)[:, self.offsets(x.device)][:, None, None]
        if self.shift:
            rows, columns = scores.shape[2:4]
            scores = scores.masked_fill(self.apart(rows, columns, x.device), float("-inf"))
        y = self.planes(scores.softmax(-1) @ value)
        return y.roll((self.shift, self.shift), (2, 3)) if self.shift else y

    def windows(self, x: Tensor) -> Tensor:
        """(N, 3C, H, W) -> (3, N, heads, h, w, T, c), T = size^2 positions in raster order."""
        count, channels, height, width = x.shape
        size = self.size
        head = channels // (3 * self.heads)
        x = x.reshape(count, 3, self.heads, head, height // size, size, width // size, size)
        return x.permute(1, 0, 2, 4, 6, 5, 7, 3).flatten(5, 6)

    def planes(self, x: Tensor) -> Tensor:
        """(N, heads, h, w, T, c) -> (N, C, H, W)."""
        count, heads, rows, columns, _, head = x.shape
        size = self.size
        x = x.reshape(count, heads, rows, columns, size, size, head)
        x = x.permute(0, 2, 4, 3, 5, 1, 6)  # (N, h, size, w, size, heads, c)
        return x.reshape(count, rows * size, columns * size, heads * head).permute(0, 3, 1, 2)

    def offsets(self, device: torch.device) -> Tensor:
        """For each query and key, the index into a flattened bias of a head, (T, T)."""
        size = self.size
        side = torch.arange(size, device=device)
        offset = side[:, None] - side[None, :] + size - 1  # (query, key) along one side
        index = offset[:, None, :, None] * (2 * size - 1) + offset[None, :, None, :]
        return index.reshape(size**2, size**2)

    def apart(self, rows: int, columns: int, device: torch.device) -> Tensor:
        """Which queries and keys of rolled windows are not neighbours, (h, w, T, T)."""
        row, column = self._regions(rows, device), self._regions(columns, device)
        region = row[:, None, :, None] * 3 + column[None, :, None, :]
        region = region.reshape(rows, columns, self.size**2)
        return region[..., :, None] != region[..., None, :]

    def _regions(self, windows: int, device: torch.device) -> Tensor:
        """The part of the plane that each position along one side comes from, (h, size)."""
        region = torch.zeros(windows * self.size, dtype=torch.int32, device=device)
        region[-self.size :] = 1
        region[-self.shift :] = 2
        return region.reshape(windows, self.size)


class TableAsGrid(nn.Module):
    """Swin's table of biases ((2 size - 1)^2, heads) -> (heads, 2 size - 1, 2 size - 1)."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, table: Tensor) -> Tensor:
        return torch.unflatten(table.T, 1, (2 * self.size - 1, 2 * self.size - 1))


class SwinAttention(nn.Module):
    """Window attention between linear layers, with the Swin transformer's parameter names."""

    def __init__(self, channels: int, heads: int, size: int, shift: int) -> None:
        super().__init__()
        table = 0.02 * torch.randn((2 * size - 1) ** 2, heads)
        self.relative_position_bias_table = nn.Parameter(table)
        self.grid = TableAsGrid(size)
        self.qkv = PointwiseLinear(channels, 3 * channels)
        self.attention = WindowAttention(channels, heads, size, shift)
        self.proj = PointwiseLinear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        bias = self.grid(self.relative_position_bias_table)
        return self.proj(self.attention(self.qkv(x), bias))


class GridAttention(nn.Module):
    """The same with TCM's parameter names."""

    def __init__(self, channels: int, heads: int, size: int, shift: int) -> None:
        super().__init__()
        grid = 0.02 * torch.randn(heads, 2 * size - 1, 2 * size - 1)
        self.relative_position_params = nn.Parameter(grid)
        self.embedding_layer = PointwiseLinear(channels, 3 * channels)
        self.attention = WindowAttention(channels, heads, size, shift)
        self.linear = PointwiseLinear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(self.attention(self.embedding_layer(x), self.relative_position_params))
