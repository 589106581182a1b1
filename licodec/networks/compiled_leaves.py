"""Float modules that exist for the compiler: PyTorch has no such leaf of its own."""

from __future__ import annotations

from torch import Tensor, nn


class FirstChannels(nn.Module):
    """The first `count` channels of (N, C, H, W). In the exact form a split."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count

    def forward(self, x: Tensor) -> Tensor:
        return x[:, : self.count]


class ChannelGain(nn.Module):
    """Each channel of (N, C, H, W) times its own constant; no parameters.

    In the exact form this is one requantization.
    """

    gain: Tensor  # (C, 1, 1)

    def __init__(self, gain: Tensor) -> None:
        super().__init__()
        self.register_buffer("gain", gain.detach().clone().reshape(-1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gain


class ChannelOffset(nn.Module):
    """Each channel of (N, C, H, W) plus its own constant; no parameters.

    Unlike a shifted bias behind it, this leaves the zeros of a convolution's padding alone.
    """

    offset: Tensor  # (C, 1, 1)

    def __init__(self, offset: Tensor) -> None:
        super().__init__()
        self.register_buffer("offset", offset.detach().clone().reshape(-1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.offset


class Narrowed(nn.Module):
    """The same values, (N, C, H, W), held in at most `bits` bits; no parameters.

    What only this reads is made on the narrow grid; anything else is brought to it by one
    requantization. A convolution of 8 bits costs an int8 kernel half of what wider ones do.
    """

    def __init__(self, bits: int) -> None:
        super().__init__()
        self.bits = bits

    def forward(self, x: Tensor) -> Tensor:
        return x
