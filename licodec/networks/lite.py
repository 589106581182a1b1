"""The `lite` backbone: ours, small, made for exact integer execution.

Four-fold downsampling to 1/16, a hyperprior at 1/64, uneven channel slices
(He et al., "ELIC", CVPR 2022) each with mean, scale and latent residual
prediction, ReLU and table non-linearities only. A linear path, a 16x16
transform that starts as a DCT in a luma-chroma basis, runs beside the
convolutional one in both directions; the means of its blocks (the DC
coefficients) are coded in two levels: the hyper-latents carry a further 4x4
transform of them, coarsely, and the first slice what that leaves.

Each transform and each slice's networks are compiled into one program
(``licodec.packing.lite``).
"""

from __future__ import annotations

from dataclasses import dataclass

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
    mean_basis,
    strongest,
)
from licodec.networks.compiled_leaves import FirstChannels, Narrowed
from licodec.networks.entropy_models import (
    DISTORTION_WEIGHT,
    EntropyBottleneck,
    gaussian_likelihood,
    rdoq,
)
from licodec.networks.latent_views import LogMagnitude, normalizing_gain
from licodec.networks.layers import (
    HalfTanh,
    ResidualUnit,
    ScaleExponential,
    alternated,
    bias_of,
    downsample,
    named,
    narrow_relu,
    scaled,
    shrunk,
    upsample,
)
from licodec.networks.rate_modes import RateModes


@dataclass(frozen=True)
class LiteConfig:
    """Hyper-parameters of `lite`; the defaults are the shipped network."""

    slices: tuple[int, ...] = (3, 13, 16, 32, 64, 80, 112)  # the block means are the first
    hyper_latents: int = 112
    hyper_features: int = 160
    widths: tuple[int, int, int] = (64, 128, 192)  # channels at 1/4, 1/8 and 1/16
    analysis_units: tuple[int, int, int] = (2, 3, 4)
    synthesis_units: tuple[int, int, int] = (3, 4, 5)
    context_width: int = 128
    context_features: int = 96

    def __post_init__(self) -> None:
        if self.slices[0] != COLORS or self.hyper_latents < COLORS * HYPER_BLOCK**2:
            raise ValueError("the first slice and the hyper-latents must hold the block means")

    @property
    def latents(self) -> int:
        return sum(self.slices)


def dct_basis(count: int) -> tuple[Tensor, Tensor]:
    """The `count` strongest functions of a 16x16 DCT in a luma-chroma basis, the three block
    means first and then by falling deviation.

    Returns (basis, deviation): basis is (count, 3, 16, 16), orthonormal over a
    16x16 RGB block; deviation (count,) is about the standard deviation of each
    coefficient on photographs with values in [0, 255].
    """
    # Chroma falls off about as fast as luma but starts several times lower.
    falling = (1 + frequencies()) ** 1.6
    deviation = torch.stack([start / falling for start in (1500.0, 330.0, 150.0)])
    order = strongest(deviation, count)
    return block_basis(order), deviation.flatten()[order].float()


class Analysis(nn.Module):
    """g_a: centred pixels (N, 3, 16h, 16w) -> latents (N, M, h, w)."""

    def __init__(self, config: LiteConfig, basis: Tensor, step: float) -> None:
        super().__init__()
        a, b, c = config.widths
        na, nb, nc = config.analysis_units
        self.linear = named(
            blocks=nn.PixelUnshuffle(BLOCK),
            transform=linear_transform(basis.flatten(1) * (PIXEL_UNIT / step)),
        )
        self.nonlinear = nn.Sequential(
            nn.PixelUnshuffle(4),
            nn.Conv2d(48, a, 3, padding=1),
            *(ResidualUnit(a) for _ in range(na)),
            downsample(a, b),
            *(ResidualUnit(b) for _ in range(nb)),
            downsample(b, c),
            *(ResidualUnit(c) for _ in range(nc)),
            scaled(nn.Conv2d(c, config.latents, 1), 0.05),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x) + self.nonlinear(x)


class Synthesis(nn.Module):
    """g_s: latents (N, M, h, w) -> centred pixels (N, 3, 16h, 16w).

    The last stage sees what the linear path makes beside what the latents say, so it can
    mend across the borders of blocks.
    """

    def __init__(self, config: LiteConfig, basis: Tensor, step: float, deviation: Tensor) -> None:
        super().__init__()
        a, b, c = config.widths
        na, nb, nc = config.synthesis_units
        self.linear = named(
            transform=linear_transform(basis.flatten(1).T * (step / PIXEL_UNIT)),
            blocks=nn.PixelShuffle(BLOCK),
        )
        self.coarse = nn.Sequential(
            normalizing_gain(deviation),
            nn.Conv2d(config.latents, c, 1),
            *(ResidualUnit(c) for _ in range(nc)),
            upsample(c, b),
            *(ResidualUnit(b) for _ in range(nb)),
            upsample(b, a),
        )
        self.seen = nn.Sequential(
            nn.Sequential(Narrowed(8), nn.PixelUnshuffle(4)),
            shrunk(nn.Conv2d(48, a, 3, padding=1), 0.1),
        )
        self.fine = nn.Sequential(
            *(ResidualUnit(a) for _ in range(na)),
            scaled(nn.Conv2d(a, 48, 3, padding=1), 0.1),
            nn.PixelShuffle(4),
        )

    def forward(self, y: Tensor) -> Tensor:
        blocks = self.linear(y)
        return blocks + self.fine(self.coarse(y) + self.seen(blocks))


class HyperAnalysis(nn.Module):
    """h_a: latents (N, M, h, w) -> hyper-latents (N, Z, h/4, w/4)."""

    def __init__(self, config: LiteConfig, deviation: Tensor, basis: Tensor, step: float) -> None:
        super().__init__()
        width = config.context_width
        self.gain, self.magnitude = normalizing_gain(deviation), LogMagnitude()
        self.layers = alternated(
            narrow_relu,
            nn.Conv2d(2 * config.latents, width, 1),
            nn.Conv2d(width, width, 3, padding=1),
            downsample(width, width),
            nn.Conv2d(width, width, 3, padding=1),
            downsample(width, config.hyper_latents),
        )
        # The block means' second level.
        whole = F.pad(basis / step, (0, 0, 0, config.hyper_latents - len(basis)))
        self.linear = named(
            means=FirstChannels(COLORS),
            blocks=nn.PixelUnshuffle(HYPER_BLOCK),
            transform=linear_transform(whole, bias=False),
        )

    def forward(self, y: Tensor) -> Tensor:
        return self.linear(y) + self.layers(torch.cat([self.gain(y), self.magnitude(y)], 1))


class HyperSynthesis(nn.Module):
    """h_s: hyper-latents (N, Z, h/4, w/4) -> (features (N, F, h, w), block means (N, 3, h, w)).

    `deviation` (Z,) is about the standard deviation of the hyper-latents.
    """

    def __init__(self, config: LiteConfig, deviation: Tensor, basis: Tensor, step: float) -> None:
        super().__init__()
        width = config.context_width
        self.gain = normalizing_gain(deviation)
        self.layers = alternated(
            narrow_relu,
            nn.Conv2d(config.hyper_latents, width, 3, padding=1),
            upsample(width, width),
            nn.Conv2d(width, width, 3, padding=1),
            upsample(width, config.hyper_features),
            nn.Conv2d(config.hyper_features, config.hyper_features, 3, padding=1),
        )
        # The inverse of that of the hyper-analysis, which may look at neighbours.
        whole = F.pad(basis.T * step, (0, config.hyper_latents - len(basis)))
        self.linear = named(
            transform=linear_transform(whole, bias=False, side=3),
            blocks=nn.PixelShuffle(HYPER_BLOCK),
        )

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        return self.layers(self.gain(z)), self.linear(z)


class ParameterHead(nn.Module):
    """Mean, scale and context of one slice from the planes that its networks see.

    `deviation` (S,) is about the standard deviation of the slice's channels; `seen` channels
    enter. `context` feeds the slice's residual prediction.
    """

    def __init__(self, config: LiteConfig, seen: int, deviation: Tensor) -> None:
        super().__init__()
        width, context, channels = config.context_width, config.context_features, len(deviation)
        self.features = nn.Sequential(
            nn.Conv2d(seen, width, 3, padding=1),
            narrow_relu(),
            nn.Conv2d(width, context, 3, padding=1),
            nn.ReLU(),
        )
        self.mean = shrunk(nn.Conv2d(context, channels, 1), 0.1)
        self.log_scale = nn.Conv2d(context, channels, 1)
        self.scale = ScaleExponential()
        with torch.no_grad():
            bias_of(self.log_scale).copy_(deviation.clamp_min(0.3).log())

    def forward(self, seen: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        context = self.features(seen)
        return self.mean(context), self.scale(self.log_scale(context)), context


class MeansParameters(nn.Module):
    """The first slice's: forward(features (N, F, h, w), block means (N, 3, h, w)) -> (mean,
    scale, context)."""

    def __init__(self, config: LiteConfig, deviation: Tensor) -> None:
        super().__init__()
        self.head = ParameterHead(config, config.hyper_features, deviation)

    def forward(self, features: Tensor, block_means: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mean, scale, context = self.head(features)
        return mean + block_means, scale, context


class SliceParameters(nn.Module):
    """A later slice's: forward(features, previous (N, P, h, w)), where `previous` are the
    slices decoded before it, of deviations `previous_deviation` (P,)."""

    def __init__(self, config: LiteConfig, deviation: Tensor, previous_deviation: Tensor) -> None:
        super().__init__()
        self.gain, self.magnitude = normalizing_gain(previous_deviation), LogMagnitude()
        seen = config.hyper_features + 2 * len(previous_deviation)
        self.head = ParameterHead(config, seen, deviation)

    def forward(self, features: Tensor, previous: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return self.head(torch.cat([features, self.gain(previous), self.magnitude(previous)], 1))


class ResidualPrediction(nn.Module):
    """LRP: forward(context (N, C, h, w), decoded slice (N, S, h, w)) -> correction, within 0.5."""

    def __init__(self, config: LiteConfig, deviation: Tensor) -> None:
        super().__init__()
        width, channels = config.context_features, len(deviation)
        self.gain = normalizing_gain(deviation)
        self.layers = nn.Sequential(
            nn.Conv2d(width + channels, width, 3, padding=1),
            narrow_relu(),
            scaled(nn.Conv2d(width, channels, 1), 0.1),
            HalfTanh(),
        )

    def forward(self, context: Tensor, decoded: Tensor) -> Tensor:
        return self.layers(torch.cat([context, self.gain(decoded)], 1))


def straight_through(x: Tensor, value: Tensor) -> Tensor:
    """`value` with the gradient of x."""
    return x + (value - x).detach()


def straight_through_round(x: Tensor) -> Tensor:
    """round(x) whose gradient is that of x."""
    return straight_through(x, torch.round(x))


def noisy_likelihood(x: Tensor, scale: Tensor) -> Tensor:
    """Of x and uniform noise, which stands for rounding (Balle et al., ICLR 2017)."""
    return gaussian_likelihood(x + torch.rand_like(x) - 0.5, scale)


def symbol_likelihood(x: Tensor, scale: Tensor, rounded: Tensor) -> Tensor:
    """Of the symbols `rounded`, with a gradient to x as if noise stood for rounding.

    Their own would be 0 at the symbol 0, which most are, so that nothing would ever draw an x
    towards it: what learns would drift to higher rates. The scale has the symbols' gradient.
    """
    likelihood = gaussian_likelihood(rounded.detach(), scale)
    if not (torch.is_grad_enabled() and x.requires_grad):
        return likelihood
    logarithm = noisy_likelihood(x, scale.detach()).log()
    return likelihood * torch.exp(logarithm - logarithm.detach())


def adaptive_step(scale: Tensor, d: float, index: int, count: int) -> Tensor | float:
    """AQVR's quantization step for slice `index` of `count`, in float (section 5's formulas).

    `scale` is (N, S, h, w); the extremes are over the plane of each channel.
    """
    if d == 1:
        return 1.0
    low = scale.amin((2, 3), keepdim=True)
    span = scale.amax((2, 3), keepdim=True) - low + 1e-6
    if d > 1:
        largest = 1 + (d - 1) * (index + 1) / count
        return largest - (scale - low) * (largest - 1) / span
    smallest = d + (1 - d) * index / count
    return 1 - (scale - low) * (1 - smallest) / span


class LiteNetwork(RateModes):
    """The float form of `lite`, in CompressAI's calling convention.

    ``forward(x, d)`` takes pixels (N, 3, H, W) in [0, 1], both sides multiples of
    64, and AQVR's d > 0; it returns ``{"x_hat", "likelihoods": {"y", "z"}}``. Without
    d the rate is the one of ``set_rate``.
    """

    TAKES_D = True
    INITIAL_STEP = 20.0  # of the linear path, in levels of 8 bits: near the optimum at 0.0483
    # Of the block means in the hyper-latents, in steps of the latents: the coarsest that a
    # low rate wants, as the first slice refines them.
    INITIAL_MEAN_STEP = 6.0
    OTHER_HYPER_DEVIATION = 3.0

    def __init__(self, config: LiteConfig | None = None) -> None:
        super().__init__("lite")
        self.config = config = config or LiteConfig()
        self.latents, self.hyper_latents = config.latents, config.hyper_latents
        basis, deviation = dct_basis(config.latents)
        deviation = deviation / self.INITIAL_STEP
        self.analysis = Analysis(config, basis, self.INITIAL_STEP)
        self.synthesis = Synthesis(config, basis, self.INITIAL_STEP, deviation)
        means, hyper_deviation = mean_basis(deviation[:COLORS])
        others = torch.full((config.hyper_latents - len(means),), self.OTHER_HYPER_DEVIATION)
        hyper_deviation = torch.cat([hyper_deviation / self.INITIAL_MEAN_STEP, others])
        level = (means, self.INITIAL_MEAN_STEP)
        self.hyper_analysis = HyperAnalysis(config, deviation, *level)
        self.hyper_synthesis = HyperSynthesis(config, hyper_deviation, *level)
        self.entropy_bottleneck = EntropyBottleneck(
            config.hyper_latents, init_scale=2 * hyper_deviation.clamp_min(1)
        )
        self.slice_parameters = nn.ModuleList()
        self.residual_predictions = nn.ModuleList()
        start = 0
        for channels in config.slices:
            own = deviation[start : start + channels]
            self.slice_parameters.append(
                SliceParameters(config, own, deviation[:start])
                if start
                else MeansParameters(config, own)
            )
            self.residual_predictions.append(ResidualPrediction(config, own))
            start += channels

    def forward(self, x: Tensor, d: float | None = None) -> dict:
        decoded, likelihoods = self.code(self.analyse(x), self.d if d is None else d)
        x_hat = self.synthesis(decoded) * (PIXEL_UNIT / 255) + 0.5
        return {"x_hat": x_hat, "likelihoods": likelihoods}

    def analyse(self, x: Tensor) -> Tensor:
        """Pixels (N, 3, H, W) in [0, 1] -> latents (N, M, H/16, W/16)."""
        return self.analysis((x - 0.5) * (255 / PIXEL_UNIT))

    def code(self, y: Tensor, d: float = 1.0) -> tuple[Tensor, dict[str, Tensor]]:
        """The entropy model over latents (N, M, h, w): (decoded latents, likelihoods by name)."""
        z = self.hyper_analysis(y)
        z_hat = straight_through_round(z)
        z_coded = z + torch.rand_like(z) - 0.5 if self.training else z_hat
        z_likelihood = self.entropy_bottleneck.likelihood(z_coded)
        features, block_means = self.hyper_synthesis(z_hat)

        decoded: list[Tensor] = []
        likelihoods = []
        count = len(self.config.slices)
        for i, y_slice in enumerate(torch.split(y, list(self.config.slices), 1)):
            seen = torch.cat(decoded, 1) if decoded else block_means
            mean, scale, context = self.slice_parameters[i](features, seen)
            if self.step_shares:
                step: Tensor | float = 1 + (d - 1) * self.step_shares[i]
            else:
                step = adaptive_step(scale.detach(), d, i, count)
            residual, spread = (y_slice - mean) / step, scale / step
            rounded = straight_through(residual, rdoq(residual, spread, DISTORTION_WEIGHT))
            likelihoods.append(
                noisy_likelihood(residual, spread)
                if self.training
                else symbol_likelihood(residual, spread, rounded)
            )
            y_hat = rounded * step + mean
            decoded.append(y_hat + self.residual_predictions[i](context, y_hat))
        return torch.cat(decoded, 1), {"y": torch.cat(likelihoods, 1), "z": z_likelihood}
