"""The probability models of the published networks, and the tables their streams are coded with.

The tables are built as CompressAI builds them, so that streams are as long as published
ones; a pack has tables of its own (``licodec.entropy.tables``).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import torch
from torch import Tensor, nn

from licodec.backbones.entropy_models import (
    LIKELIHOOD_FLOOR,
    SCALE_FLOOR,
    EntropyBottleneck,
    gaussian_mass,
)
from licodec.backbones.layers import lower_bound
from licodec.backbones.lite import straight_through_round
from licodec.backbones.published_coder import coder
from licodec.entropy.tables import PRECISION, TOTAL

TAIL_MASS = 1e-9  # what a table leaves to its escape
SCALE_COUNT = 64
LARGEST_SCALE = 256.0
LARGEST_SYMBOL = 2**30  # the coder's own escape holds 32 bits, the sign included


class FactorizedPrior(EntropyBottleneck):
    """The prior of hyper-latents: an :class:`EntropyBottleneck` with stored quantiles.

    `quantiles` (channels, 1, 3) are the lower tail, the median and the upper tail. Values
    are rounded around the median, and tables span from tail to tail. A loss of its own,
    which no other parameter sees, trains them.
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

    def auxiliary_loss(self) -> Tensor:
        """How far the cumulative at the quantiles is from the tails' mass and one half, summed."""
        tail = math.log(2 / TAIL_MASS - 1)
        target = self.quantiles.new_tensor([-tail, 0, tail])
        learned = [p for p in self.parameters() if p is not self.quantiles and p.requires_grad]
        for parameter in learned:  # only the quantiles learn from this loss
            parameter.requires_grad_(False)
        try:
            return (self.logits_cumulative(self.quantiles) - target).abs().sum()
        finally:
            for parameter in learned:
                parameter.requires_grad_(True)

    @torch.no_grad()
    def tables(self) -> CodingTables:
        """One table per channel, around its median."""
        quantiles = self.quantiles[:, 0]  # (channels, 3)
        medians = quantiles[:, 1]
        below = torch.ceil(medians - quantiles[:, 0]).int().clamp_min(0)
        above = torch.ceil(quantiles[:, 2] - medians).int().clamp_min(0)
        count = int((below + above).max()) + 1
        samples = torch.arange(count, device=medians.device) + (medians - below)[:, None, None]
        lower = self.logits_cumulative(samples - 0.5)[:, 0]  # (channels, count)
        upper = self.logits_cumulative(samples + 0.5)[:, 0]
        mass = (torch.sigmoid(upper) - torch.sigmoid(lower)).cpu().numpy()
        rest = (torch.sigmoid(lower[:, 0]) + torch.sigmoid(-upper[:, -1])).cpu().numpy()
        lengths = (below + above + 1).tolist()
        masses = [np.append(m[:n], r) for m, n, r in zip(mass, lengths, rest, strict=True)]
        return CodingTables.of_masses(masses, (-below).tolist())


def gaussian_likelihood(value: Tensor, scale: Tensor) -> Tensor:
    """Mass of the unit interval around `value` under a zero-mean Gaussian, elementwise.

    `value` and `scale` are in quantization steps. Scales below the floor still learn.
    """
    mass = gaussian_mass(value.abs(), lower_bound(scale, SCALE_FLOOR))
    return lower_bound(mass, LIKELIHOOD_FLOOR)


def scale_table() -> Tensor:
    """The scales that latents' tables stand for, evenly spaced in the logarithm, (64,)."""
    return torch.exp(torch.linspace(math.log(SCALE_FLOOR), math.log(LARGEST_SCALE), SCALE_COUNT))


def scale_indexes(scale: Tensor) -> Tensor:
    """Index of the first table whose scale is not smaller, or of the last table."""
    return torch.bucketize(scale.contiguous(), scale_table()[:-1].to(scale.device))


def gaussian_tables() -> CodingTables:
    """One table per entry of :func:`scale_table`."""
    scales = scale_table()
    reaches = torch.ceil(scales * -NormalDist().inv_cdf(TAIL_MASS / 2)).int().tolist()
    masses = []
    for scale, reach in zip(scales, reaches, strict=True):
        values = torch.arange(-reach, reach + 1).abs().float()
        outside = torch.erfc((reach + 0.5) / scale * (1 / math.sqrt(2)))
        masses.append(np.append(gaussian_mass(values, scale).numpy(), outside.numpy()))
    return CodingTables.of_masses(masses, [-reach for reach in reaches])


def quantized_frequencies(masses: np.ndarray) -> np.ndarray:
    """Positive integers that sum to 2^16 for masses (n,) that sum to about 1.

    Every mass is rounded, the last one, the escape's, takes what is left over, and a symbol
    without a share gets one from the rarest symbol that has more than one.
    """
    rounded = np.floor(masses.astype(np.float64) * TOTAL + 0.5).astype(np.int64)
    frequencies = (rounded << PRECISION) // int(rounded.sum())
    frequencies[-1] += TOTAL - int(frequencies.sum())
    for empty in np.flatnonzero(frequencies == 0):
        giver = np.where(frequencies > 1, frequencies, TOTAL + 1).argmin()
        frequencies[giver] -= 1
        frequencies[empty] += 1
    return frequencies


@dataclass(frozen=True)
class CodingTables:
    """Cumulative frequencies in the form CompressAI's coder takes, one list per table.

    Table i codes the integers from offsets[i] on; its last symbol escapes to the coder's
    own code for anything else.
    """

    cumulatives: list[list[int]]
    sizes: list[int]
    offsets: list[int]

    @classmethod
    def of_masses(cls, masses: Iterable[np.ndarray], offsets: Sequence[int]) -> CodingTables:
        """From each table's probability masses, the escape's last."""
        cumulatives = [[0, *np.cumsum(quantized_frequencies(values)).tolist()] for values in masses]
        return cls(cumulatives, [len(c) for c in cumulatives], list(offsets))

    def encode(self, symbols: Tensor, indexes: Tensor) -> bytes:
        """One stream of `symbols` (n,), n >= 2, with the tables `indexes` (n,)."""
        return (
            coder()
            .RansEncoder()
            .encode_with_indexes(
                symbols.clamp(-LARGEST_SYMBOL, LARGEST_SYMBOL).int().tolist(),
                indexes.tolist(),
                self.cumulatives,
                self.sizes,
                self.offsets,
            )
        )


class SymbolReader:
    """Reads back what :meth:`CodingTables.encode` wrote, in as many parts as one likes."""

    def __init__(self, tables: CodingTables, stream: bytes, count: int) -> None:
        """`count` is the number of symbols in the stream."""
        self._tables = tables
        self._decoder = coder().RansDecoder()
        # The coder does not know where its stream ends: at most a word per symbol, and 15
        # half-bytes for each half-byte of an escape's length.
        self._decoder.set_stream(stream + bytes(8 + 4 * count + 15 * len(stream)))

    def read(self, indexes: Tensor) -> Tensor:
        """The next symbols, as float32 of the shape and on the device of `indexes`."""
        tables = self._tables
        symbols = self._decoder.decode_stream(
            indexes.reshape(-1).tolist(), tables.cumulatives, tables.sizes, tables.offsets
        )
        values = torch.tensor(symbols, dtype=torch.float32, device=indexes.device)
        return values.reshape(indexes.shape)
