"""The transforms of `base`, their fixed bases, and its hyper-parameters."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from licodec.networks.block_bases import (
    BLOCK,
    COLORS,
    HYPER_BLOCK,
    PIXEL_UNIT,
    block_basis,
    frequencies,
    linear_transform,
    strongest,
)
from licodec.networks.compiled_leaves import FirstChannels, Narrowed
from licodec.networks.conditions import Conditioned, ConditionedOffset, PreciselyConditioned
from licodec.networks.latent_views import LogMagnitude, normalizing_gain
from licodec.networks.layers import ResidualUnit, downsample, narrow_relu, scaled, shrunk, upsample

GROUPS = 4  # of channels
LATENT_UNIT = 20.0  # levels: a latent of the linear path is a coefficient over this
MEAN_STEP = 6.0  # latents that a hyper-latent of the block means counts in


@dataclass(frozen=True)
class BaseConfig:
    """Hyper-parameters of `base`; the defaults are the shipped network."""

    group: int = 128  # channels of one group; three more latents are the block means
    hyper_latents: int = 128
    features: int = 192
    widths: tuple[int, int, int] = (64, 192, 256)  # channels at 1/4, 1/8 and 1/16
    analysis_units: tuple[int, int, int] = (3, 5, 5)
    synthesis_units: tuple[int, int, int] = (3, 5, 5)
    context_width: int = 192
    context_units: int = 2

    @property
    def latents(self) -> int:
        return COLORS + GROUPS * self.group


def dct_basis(count: int) -> tuple[Tensor, Tensor]:
    """The `count` strongest functions of a 16x16 DCT of grey, red-blue and green.

    Returns (basis (count, 3, 16, 16), deviation (count,) on photographs in levels of 8 bits):
    first the three block means, then GROUPS groups of about equal deviations.
    """
    # Fitted to photographs: deviation and how it falls with the frequency, by colour.
    falling = ((1144.0, 1.72), (442.0, 2.10), (186.0, 1.89))
    deviation = torch.stack([start / (1 + frequencies()) ** power for start, power in falling])
    deviation[:, 0, 0] = torch.tensor([1745.0, 681.0, 300.0])
    order = strongest(deviation, count)
    rest = order[COLORS:]
    order = torch.cat([order[:COLORS], *(rest[group::GROUPS] for group in range(GROUPS))])
    return block_basis(order), deviation.flatten()[order].float()


class PreciseConvolution(nn.Conv2d):
    """A convolution in float32 whatever autocast asks for: at fine rates the linear path has to
    hold latents to a thousandth."""

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            return super().forward(x.float())


precise_transform = partial(linear_transform, kind=PreciseConvolution)


def units(channels: int, count: int) -> list[nn.Module]:
    return [ResidualUnit(channels) for _ in range(count)]


def down(inputs: int, outputs: int) -> nn.Sequential:
    """Space-to-depth by 2, a 1x1 convolution and the condition."""
    return nn.Sequential(*downsample(inputs, outputs), Conditioned(outputs))


def up(inputs: int, outputs: int) -> nn.Sequential:
    """A 1x1 convolution, the condition, and depth-to-space by 2."""
    convolution, shuffle = upsample(inputs, outputs)
    return nn.Sequential(convolution, Conditioned(4 * outputs), shuffle)


def ending(convolution: nn.Conv2d, factor: float) -> nn.Conv2d:
    """The last convolution of a branch, which begins small; optimizers move it slowly."""
    convolution.ends_branch = True  # type: ignore[assignment]  # modules take any attribute
    return scaled(convolution, factor)


class Analysis(nn.Module):
    """g_a: centred pixels (N, 3, 16h, 16w) -> latents (N, M, h, w)."""

    def __init__(self, config: BaseConfig, basis: Tensor) -> None:
        super().__init__()
        (a, b, c), (na, nb, nc) = config.widths, config.analysis_units
        self.linear = nn.Sequential(
            nn.PixelUnshuffle(BLOCK),
            precise_transform(basis.flatten(1) * (PIXEL_UNIT / LATENT_UNIT)),
        )
        self.nonlinear = nn.Sequential(
            nn.PixelUnshuffle(4),
            nn.Conv2d(48, a, 3, padding=1),
            *units(a, na),
            down(a, b),
            *units(b, nb),
            down(b, c),
            *units(c, nc),
            ending(nn.Conv2d(c, config.latents, 1), 0.05),
            PreciselyConditioned(config.latents),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x) + self.nonlinear(x)


class Synthesis(nn.Module):
    """g_s: latents (N, M, h, w) -> centred pixels (N, 3, 16h, 16w).

    The last stage sees what the linear path makes beside what the latents say, so it can mend
    across the borders of blocks.
    """

    def __init__(self, config: BaseConfig, basis: Tensor, deviation: Tensor) -> None:
        super().__init__()
        (a, b, c), (na, nb, nc) = config.widths, config.synthesis_units
        self.linear = nn.Sequential(
            precise_transform(basis.flatten(1).T * (LATENT_UNIT / PIXEL_UNIT)),
            nn.PixelShuffle(BLOCK),
        )
        self.coarse = nn.Sequential(
            normalizing_gain(deviation),
            nn.Conv2d(config.latents, c, 1),
            Conditioned(c),
            *units(c, nc),
            up(c, b),
            *units(b, nb),
            up(b, a),
        )
        self.seen = nn.Sequential(
            Narrowed(8), nn.PixelUnshuffle(4), shrunk(nn.Conv2d(48, a, 3, padding=1), 0.1)
        )
        self.fine = nn.Sequential(
            *units(a, na),
            ending(nn.Conv2d(a, 48, 3, padding=1), 0.1),
            ConditionedOffset(48),
            nn.PixelShuffle(4),
        )

    def forward(self, y: Tensor) -> Tensor:
        blocks = self.linear(y)
        return blocks + self.fine(self.coarse(y) + self.seen(blocks))


class HyperAnalysis(nn.Module):
    """h_a: latents (N, M, h, w) -> hyper-latents (N, Z, h/4, w/4)."""

    def __init__(self, config: BaseConfig, deviation: Tensor, basis: Tensor) -> None:
        super().__init__()
        f = config.features
        self.gain, self.magnitude = normalizing_gain(deviation), LogMagnitude()
        self.layers = nn.Sequential(
            nn.Conv2d(2 * config.latents, f, 1),
            Conditioned(f),
            narrow_relu(),
            nn.Conv2d(f, f, 3, padding=1),
            narrow_relu(),
            down(f, f),
            narrow_relu(),
            nn.Conv2d(f, f, 3, padding=1),
            narrow_relu(),
            nn.PixelUnshuffle(2),
            nn.Conv2d(4 * f, config.hyper_latents, 1),
            PreciselyConditioned(config.hyper_latents),
        )
        whole = F.pad(basis / MEAN_STEP, (0, 0, 0, config.hyper_latents - len(basis)))
        self.linear = nn.Sequential(
            FirstChannels(COLORS),
            nn.PixelUnshuffle(HYPER_BLOCK),
            precise_transform(whole, bias=False),
        )

    def forward(self, y: Tensor) -> Tensor:
        return self.linear(y) + self.layers(torch.cat([self.gain(y), self.magnitude(y)], 1))


class HyperSynthesis(nn.Module):
    """h_s: hyper-latents (N, Z, h/4, w/4) -> (features (N, F, h, w), block means (N, 3, h, w)).

    `deviation` (Z,) is about the standard deviation of the hyper-latents.
    """

    def __init__(self, config: BaseConfig, deviation: Tensor, basis: Tensor) -> None:
        super().__init__()
        f = config.features
        self.gain = normalizing_gain(deviation)
        self.layers = nn.Sequential(
            nn.Conv2d(config.hyper_latents, f, 3, padding=1),
            Conditioned(f),
            narrow_relu(),
            up(f, f),
            narrow_relu(),
            nn.Conv2d(f, f, 3, padding=1),
            Conditioned(f),
            narrow_relu(),
            up(f, f),
            narrow_relu(),
            nn.Conv2d(f, f, 3, padding=1),
        )
        whole = F.pad(basis.T * MEAN_STEP, (0, config.hyper_latents - len(basis)))
        self.linear = nn.Sequential(
            precise_transform(whole, bias=False, side=3), nn.PixelShuffle(HYPER_BLOCK)
        )

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        return self.layers(self.gain(z)), self.linear(z)
