"""Planes worked on block by block, in memory that stays in a processor's cache.

On processors most operations wait for memory, and a fresh large tensor costs more than the
arithmetic that fills it. So what lies between two values of a program (parts of operands,
sums, products) exists for a block at a time only, always in the same memory.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

CHUNK_PER_THREAD = 2**17  # numbers of each value that are worked on at a time
SUMS_PER_THREAD = 2**21  # of a convolution: fewer cost more in calls and in reading weights
CHUNK_ON_DEVICE = 2**24


@dataclass(frozen=True)
class Scratch:
    """Memory by name, which one block after the other is worked on in."""

    device: torch.device
    _buffers: dict[tuple[str, torch.dtype], Tensor] = field(default_factory=dict)

    def of(self, name: str, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """A tensor of any content, whose memory is that of earlier ones of its name."""
        count = math.prod(shape)
        buffer = self._buffers.get((name, dtype))
        if buffer is None or len(buffer) < count:
            buffer = torch.empty(count, dtype=dtype, device=self.device)
            self._buffers[name, dtype] = buffer
        return buffer[:count].view(shape)

    def copy(self, name: str, x: Tensor, dtype: torch.dtype) -> Tensor:
        """`x` as `dtype`, contiguous."""
        return self.of(name, tuple(x.shape), dtype).copy_(x)


def chunk_size(device: torch.device, per_thread: int) -> int:
    """Numbers of a block, shared among the threads of a processor."""
    return CHUNK_ON_DEVICE if device.type != "cpu" else per_thread * torch.get_num_threads()


def chunks(device: torch.device, *planes: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """The positions (P, C) of contiguous planes (H, W, C), a chunk of all of them at a time."""
    positions = [x.view(-1, x.shape[2]) for x in planes]
    count = max(1, chunk_size(device, CHUNK_PER_THREAD) // positions[0].shape[1])
    yield from zip(*(torch.split(x, count) for x in positions), strict=True)


def row_blocks(rows: int, row_size: int, limit: int) -> Iterator[tuple[int, int]]:
    """Blocks [top, bottom) of `rows` rows of `row_size` numbers each, about `limit` a block.

    All have equally many rows, so that a kernel meets one shape; where those do not fit, the
    last block begins within the one before.
    """
    most = max(1, limit // max(1, row_size))
    height = -(-rows // -(-rows // most))
    for top in range(0, rows, height):
        bottom = min(top + height, rows)
        yield bottom - height, bottom


@dataclass(frozen=True)
class Window:
    """What a convolution reads for some rows of its result: planes (rows, columns) of the
    operand within a frame (height, width) of padding.

    inside  the operand's rows
    """

    inside: slice
    above: int
    padding: int
    height: int
    width: int

    @classmethod
    def of(
        cls, plane: tuple[int, int], top: int, bottom: int, kernel: int, stride: int, padding: int
    ) -> Window:
        rows, columns = plane
        first, last = top * stride - padding, (bottom - 1) * stride - padding + kernel
        inside = slice(max(0, first), min(rows, last))
        return cls(inside, max(0, -first), padding, last - first, columns + 2 * padding)

    def framed(
        self, name: str, channels: int, border: int, dtype: torch.dtype, scratch: Scratch
    ) -> tuple[Tensor, Tensor]:
        """A frame (height, width, channels) with its border filled, and the part of it where
        the operand's rows go."""
        frame = scratch.of(name, (self.height, self.width, channels), dtype)
        below = self.above + self.inside.stop - self.inside.start
        if self.padding:
            frame[: self.above].fill_(border)
            frame[below:].fill_(border)
            frame[self.above : below, : self.padding].fill_(border)
            frame[self.above : below, -self.padding :].fill_(border)
        columns = slice(self.padding, self.width - self.padding)
        return frame, frame[self.above : below, columns]
