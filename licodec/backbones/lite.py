"""The `lite` backbone: ours, small, made for exact integer execution.

Four-fold downsampling to 1/16, a hyperprior at 1/64, uneven channel slices
(He et al., "ELIC", CVPR 2022) each with mean, scale and latent residual
prediction, ReLU and table non-linearities only. A linear path, a 16x16
transform that starts as a DCT in a luma-chroma basis, runs beside the
convolutional one in both directions.

Each transform and each slice's networks are compiled into one program
(``licodec.backbones.lite_exact``).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from licodec.backbones.entropy_models import EntropyBottleneck, gaussian_likelihood
from licodec.backbones.latent_views import LogMagnitude, normalizing_gain
from licodec.backbones.layers import (
    HalfTanh,
    ResidualUnit,
    ScaleExponential,
    downsample,
    upsample,
)

BLOCK = 16  # pixels per latent position, each way
# Both transforms see (pixel - 127.5) / PIXEL_UNIT in levels of 8 bits: about the size of a
# quantization step, so that one learning rate suits the weights on either side of the latents.
PIXEL_UNIT = 16.0


@dataclass(frozen=True)
class LiteConfig:
    """Hyper-parameters of `lite`; the defaults are the shipped network."""

    slices: tuple[int, ...] = (16, 16, 32, 64, 192)
    hyper_latents: int = 96
    hyper_features: int = 160
    widths: tuple[int, int, int] = (64, 128, 192)  # channels at 1/4, 1/8 and 1/16
    analysis_units: tuple[int, int, int] = (2, 3, 4)
    synthesis_units: tuple[int, int, int] = (3, 4, 5)
    context_width: int = 128
    context_features: int = 96

    @property
    def latents(self) -> int:
        return sum(self.slices)


def dct_basis(count: int) -> tuple[Tensor, Tensor]:
    """The `count` lowest-frequency functions of a 16x16 DCT in a luma-chroma basis.

    Returns (basis, deviation): basis is (count, 3, 16, 16), orthonormal over a
    16x16 RGB block; deviation (count,) is about the standard deviation of each
    coefficient on photographs with values in [0, 255].
    """
    n = torch.arange(BLOCK, dtype=torch.float64)
    dct = torch.cos(math.pi / BLOCK * (n[None, :] + 0.5) * n[:, None]) * math.sqrt(2 / BLOCK)
    dct[0] /= math.sqrt(2)
    colors = torch.tensor([[1.0, 1, 1], [1, 0, -1], [-1, 2, -1]], dtype=torch.float64)
    colors /= colors.norm(dim=1, keepdim=True)
    radius = torch.hypot(n[:, None], n[None, :])  # (16, 16)
    # Chroma falls off about as fast as luma but starts several times lower.
    deviation = torch.stack([g / (1 + radius) ** 1.6 for g in (1500.0, 330.0, 150.0)])
    order = torch.argsort(deviation.flatten(), descending=True, stable=True)[:count]
    color, u, v = order // BLOCK**2, order // BLOCK % BLOCK, order % BLOCK
    basis = torch.einsum("kc,ka,kb->kcab", colors[color], dct[u], dct[v])
    return basis.float(), deviation.flatten()[order].float()


class LinearAnalysis(nn.Module):
    """Block transform of the linear path: space-to-depth by 16, then 1x1."""

    def __init__(self, basis: Tensor, step: float) -> None:
        super().__init__()
        self.blocks = nn.PixelUnshuffle(BLOCK)
        self.transform = nn.Conv2d(3 * BLOCK**2, len(basis), 1)
        with torch.no_grad():
            self.transform.weight.copy_(basis.reshape(len(basis), -1, 1, 1) * (PIXEL_UNIT / step))
            self.transform.bias.zero_()

    def forward(self, x: Tensor) -> Tensor:
        return self.transform(self.blocks(x))


class LinearSynthesis(nn.Module):
    """The transpose of :class:`LinearAnalysis`."""

    def __init__(self, basis: Tensor, step: float) -> None:
        super().__init__()
        self.transform = nn.Conv2d(len(basis), 3 * BLOCK**2, 1)
        self.blocks = nn.PixelShuffle(BLOCK)
        with torch.no_grad():
            weight = basis.reshape(len(basis), -1).T * (step / PIXEL_UNIT)
            self.transform.weight.copy_(weight[:, :, None, None])
            self.transform.bias.zero_()

    def forward(self, y: Tensor) -> Tensor:
        return self.blocks(self.transform(y))


class Analysis(nn.Module):
    """g_a: centred pixels (N, 3, 16h, 16w) -> latents (N, M, h, w)."""

    def __init__(self, config: LiteConfig, basis: Tensor, step: float) -> None:
        super().__init__()
        a, b, c = config.widths
        na, nb, nc = config.analysis_units
        self.linear = LinearAnalysis(basis, step)
        self.nonlinear = nn.Sequential(
            nn.PixelUnshuffle(4),
            nn.Conv2d(48, a, 3, padding=1),
            *(ResidualUnit(a) for _ in range(na)),
            downsample(a, b),
            *(ResidualUnit(b) for _ in range(nb)),
            downsample(b, c),
            *(ResidualUnit(c) for _ in range(nc)),
            nn.Conv2d(c, config.latents, 1),
        )
        with torch.no_grad():
            self.nonlinear[-1].weight.mul_(0.05)
            self.nonlinear[-1].bias.zero_()

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x) + self.nonlinear(x)


class Synthesis(nn.Module):
    """g_s: latents (N, M, h, w) -> centred pixels (N, 3, 16h, 16w)."""

    def __init__(self, config: LiteConfig, basis: Tensor, step: float, deviation: Tensor) -> None:
        super().__init__()
        a, b, c = config.widths
        na, nb, nc = config.synthesis_units
        self.linear = LinearSynthesis(basis, step)
        self.nonlinear = nn.Sequential(
            normalizing_gain(deviation),
            nn.Conv2d(config.latents, c, 1),
            *(ResidualUnit(c) for _ in range(nc)),
            upsample(c, b),
            *(ResidualUnit(b) for _ in range(nb)),
            upsample(b, a),
            *(ResidualUnit(a) for _ in range(na)),
            nn.Conv2d(a, 48, 3, padding=1),
            nn.PixelShuffle(4),
        )
        with torch.no_grad():
            self.nonlinear[-2].weight.mul_(0.1)
            self.nonlinear[-2].bias.zero_()

    def forward(self, y: Tensor) -> Tensor:
        return self.linear(y) + self.nonlinear(y)


class HyperAnalysis(nn.Module):
    """h_a: latents (N, M, h, w) -> hyper-latents (N, Z, h/4, w/4)."""

    def __init__(self, config: LiteConfig, deviation: Tensor) -> None:
        super().__init__()
        width = config.context_width
        self.gain, self.magnitude = normalizing_gain(deviation), LogMagnitude()
        self.layers = nn.Sequential(
            nn.Conv2d(2 * config.latents, width, 1),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1),
            nn.ReLU(),
            downsample(width, width),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1),
            nn.ReLU(),
            downsample(width, config.hyper_latents),
        )

    def forward(self, y: Tensor) -> Tensor:
        return self.layers(torch.cat([self.gain(y), self.magnitude(y)], 1))


class HyperSynthesis(nn.Module):
    """h_s: hyper-latents (N, Z, h/4, w/4) -> features (N, F, h, w)."""

    def __init__(self, config: LiteConfig) -> None:
        super().__init__()
        width = config.context_width
        self.layers = nn.Sequential(
            nn.Conv2d(config.hyper_latents, width, 3, padding=1),
            nn.ReLU(),
            upsample(width, width),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1),
            nn.ReLU(),
            upsample(width, config.hyper_features),
            nn.ReLU(),
            nn.Conv2d(config.hyper_features, config.hyper_features, 3, padding=1),
        )

    def forward(self, z: Tensor) -> Tensor:
        return self.layers(z)


class FirstSliceParameters(nn.Module):
    """Mean and scale of the first slice: forward(features (N, F, h, w)) -> (mean, scale, context).

    `deviation` (S,) is about the standard deviation of the slice's channels; `seen` channels
    enter. `context` feeds the slice's residual prediction.
    """

    def __init__(self, config: LiteConfig, seen: int, deviation: Tensor) -> None:
        super().__init__()
        width, context, channels = config.context_width, config.context_features, len(deviation)
        self.features = nn.Sequential(
            nn.Conv2d(seen, width, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(width, context, 3, padding=1),
            nn.ReLU(),
        )
        self.mean = nn.Conv2d(context, channels, 1)
        self.log_scale = nn.Conv2d(context, channels, 1)
        self.scale = ScaleExponential()
        with torch.no_grad():
            self.mean.weight.mul_(0.1)
            self.log_scale.bias.copy_(deviation.clamp_min(0.3).log())

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        context = self.features(features)
        return self.mean(context), self.scale(self.log_scale(context)), context


class SliceParameters(FirstSliceParameters):
    """The same for a later slice: forward(features, previous (N, P, h, w)), where `previous`
    are the slices decoded before it, of deviations `previous_deviation` (P,)."""

    def __init__(self, config: LiteConfig, deviation: Tensor, previous_deviation: Tensor) -> None:
        super().__init__(config, config.hyper_features + 2 * len(previous_deviation), deviation)
        self.gain, self.magnitude = normalizing_gain(previous_deviation), LogMagnitude()

    def forward(self, features: Tensor, previous: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        seen = torch.cat([features, self.gain(previous), self.magnitude(previous)], 1)
        return super().forward(seen)


class ResidualPrediction(nn.Module):
    """LRP: forward(context (N, C, h, w), decoded slice (N, S, h, w)) -> correction, within 0.5."""

    def __init__(self, config: LiteConfig, deviation: Tensor) -> None:
        super().__init__()
        width, channels = config.context_features, len(deviation)
        self.gain = normalizing_gain(deviation)
        self.layers = nn.Sequential(
            nn.Conv2d(width + channels, width, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(width, channels, 1),
            HalfTanh(),
        )
        with torch.no_grad():
            self.layers[-2].weight.mul_(0.1)
            self.layers[-2].bias.zero_()

    def forward(self, context: Tensor, decoded: Tensor) -> Tensor:
        return self.layers(torch.cat([context, self.gain(decoded)], 1))


def straight_through_round(x: Tensor) -> Tensor:
    """round(x) whose gradient is that of x."""
    return x + (torch.round(x) - x).detach()


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


class LiteNetwork(nn.Module):
    """The float form of `lite`, in CompressAI's calling convention.

    ``forward(x, d)`` takes pixels (N, 3, H, W) in [0, 1], both sides multiples of
    64, and AQVR's d > 0; it returns ``{"x_hat", "likelihoods": {"y", "z"}}``.
    """

    ALIGNMENT = 64
    INITIAL_STEP = 20.0  # of the linear path, in levels of 8 bits: near the optimum at 0.0483

    def __init__(self, config: LiteConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or LiteConfig()
        basis, deviation = dct_basis(config.latents)
        deviation = deviation / self.INITIAL_STEP
        self.analysis = Analysis(config, basis, self.INITIAL_STEP)
        self.synthesis = Synthesis(config, basis, self.INITIAL_STEP, deviation)
        self.hyper_analysis = HyperAnalysis(config, deviation)
        self.hyper_synthesis = HyperSynthesis(config)
        self.entropy_bottleneck = EntropyBottleneck(config.hyper_latents)
        self.slice_parameters = nn.ModuleList()
        self.residual_predictions = nn.ModuleList()
        start = 0
        for channels in config.slices:
            own = deviation[start : start + channels]
            self.slice_parameters.append(
                SliceParameters(config, own, deviation[:start])
                if start
                else FirstSliceParameters(config, config.hyper_features, own)
            )
            self.residual_predictions.append(ResidualPrediction(config, own))
            start += channels

    def forward(self, x: Tensor, d: float = 1.0) -> dict:
        y = self.analysis((x - 0.5) * (255 / PIXEL_UNIT))
        z = self.hyper_analysis(y)
        z_noisy = z + torch.rand_like(z) - 0.5 if self.training else torch.round(z)
        z_likelihood = self.entropy_bottleneck.likelihood(z_noisy)
        features = self.hyper_synthesis(straight_through_round(z))

        decoded: list[Tensor] = []
        likelihoods = []
        count = len(self.config.slices)
        for i, y_slice in enumerate(y.split(self.config.slices, 1)):
            previous = (torch.cat(decoded, 1),) if decoded else ()
            mean, scale, context = self.slice_parameters[i](features, *previous)
            step = adaptive_step(scale.detach(), d, i, count)
            residual = (y_slice - mean) / step
            rounded = straight_through_round(residual)
            coded = residual + torch.rand_like(residual) - 0.5 if self.training else rounded
            likelihoods.append(gaussian_likelihood(coded, scale / step))
            y_hat = rounded * step + mean
            decoded.append(y_hat + self.residual_predictions[i](context, y_hat))
        x_hat = self.synthesis(torch.cat(decoded, 1)) * (PIXEL_UNIT / 255) + 0.5
        return {
            "x_hat": x_hat,
            "likelihoods": {"y": torch.cat(likelihoods, 1), "z": z_likelihood},
        }
