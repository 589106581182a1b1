"""The entropy model of `base`: what predicts means and scales, and the hyper-latents' prior."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from licodec.networks.base_transforms import GROUPS, BaseConfig, ending, units
from licodec.networks.block_bases import COLORS
from licodec.networks.compiled_leaves import FirstChannels, Narrowed
from licodec.networks.conditions import (
    KNOTS,
    Conditioned,
    PreciselyConditioned,
    StepSizes,
    knot_weights,
)
from licodec.networks.entropy_models import LIKELIHOOD_FLOOR
from licodec.networks.latent_views import LogMagnitude, normalizing_gain
from licodec.networks.layers import (
    HalfTanh,
    Halves,
    ResidualUnit,
    ScaleExponential,
    bias_of,
    narrow_relu,
    shrunk,
)

LEAST_SCALE, LARGEST_SCALE = 0.02, 200.0  # of latents
LOGISTICS = 3  # of the hyper-latents' prior


class Phase(nn.Module):
    """Every other row and column, from (row, column): (N, C, 2h, 2w) -> (N, C, h, w)."""

    def __init__(self, row: int, column: int) -> None:
        super().__init__()
        self.row, self.column = row, column

    def forward(self, x: Tensor) -> Tensor:
        return x[..., self.row :: 2, self.column :: 2]


def phases() -> list[Phase]:
    """The four of a 2x2 grid, row by row."""
    return [Phase(row, column) for row in (0, 1) for column in (0, 1)]


class ContextUnit(ResidualUnit):
    """A residual unit whose convolutions several steps share; each brings its own condition."""

    def forward(  # type: ignore[override]  # whoever calls it has the condition
        self, x: Tensor, condition: Conditioned
    ) -> Tensor:
        hidden = self.activation(condition(self.spatial(self.narrowed(x))))
        return x + self.pointwise(hidden)


def parameter_head(width: int, deviation: Tensor) -> nn.Sequential:
    """Means and log-scales of channels of standard deviation `deviation` (S,): 2S channels."""
    layer = shrunk(nn.Conv2d(width, 2 * len(deviation), 1), 0.1)
    with torch.no_grad():
        bias_of(layer).copy_(torch.cat([0 * deviation, deviation.clamp_min(0.3).log()]))
    return nn.Sequential(layer, PreciselyConditioned(2 * len(deviation)))


class MeansParameters(nn.Module):
    """Of the block means: forward(features (N, F, h, w), block means (N, 3, h, w)) ->
    (mean, scale), (N, 3, h, w) each."""

    WIDTH = 64

    def __init__(self, config: BaseConfig, deviation: Tensor) -> None:
        super().__init__()
        self.enter = nn.Sequential(
            nn.ReLU(),
            nn.Conv2d(config.features, self.WIDTH, 3, padding=1),
            Conditioned(self.WIDTH),
            narrow_relu(),
        )
        self.head = parameter_head(self.WIDTH, deviation)
        self.halves = Halves()
        self.scale = ScaleExponential(LEAST_SCALE, LARGEST_SCALE)

    def forward(self, features: Tensor, block_means: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_scale = self.halves(self.head(self.enter(features)))
        return mean + block_means, self.scale(log_scale)


class StepParameters(nn.Module):
    """Of one of the four steps: forward(features (N, F, h, w), latents (N, M, h, w)) ->
    (mean, scale, context).

    Latents that are not yet decoded are 0. Mean and scale are (N, PHASES * G, h/2, w/2), phase by
    phase, the channels of each those of the group in `groups` (one for each phase, none at
    first where only block means are known); context is (N, W, h, w). `deviation` (M,) is of the
    latents, `trunk` the units that the steps share.
    """

    def __init__(
        self,
        config: BaseConfig,
        groups: tuple[int, ...],
        known: int,
        deviation: Tensor,
        trunk: nn.ModuleList,
    ) -> None:
        super().__init__()
        width = config.context_width
        self.known = FirstChannels(known)
        self.gain, self.magnitude = normalizing_gain(deviation[:known]), LogMagnitude()
        self.enter = nn.Conv2d(config.features + 2 * known, width, 1)
        self.condition = Conditioned(width)
        self.trunk = trunk
        self.trunk_conditions = nn.ModuleList(Conditioned(width) for _ in trunk)
        self.activation = narrow_relu()
        self.phases = nn.ModuleList(phases())
        by_group = deviation[COLORS:].chunk(GROUPS)
        self.heads = nn.ModuleList(parameter_head(width, by_group[group]) for group in groups)
        self.halves = Halves()
        self.scale = ScaleExponential(LEAST_SCALE, LARGEST_SCALE)

    def forward(self, features: Tensor, latents: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        known = self.known(latents)
        x = self.condition(
            self.enter(torch.cat([features, self.gain(known), self.magnitude(known)], 1))
        )
        for unit, condition in zip(self.trunk, self.trunk_conditions, strict=True):
            x = unit(x, condition)
        context = self.activation(x)
        means, scales = [], []
        for phase, head in zip(self.phases, self.heads, strict=True):
            mean, log_scale = self.halves(head(phase(context)))
            means.append(mean)
            scales.append(self.scale(log_scale))
        return torch.cat(means, 1), torch.cat(scales, 1), context


class Correction(nn.Module):
    """Latent residual prediction, once for all: forward(context (N, W, h, w), latents
    (N, M, h, w)) -> correction, within half a quantization step."""

    def __init__(self, config: BaseConfig, deviation: Tensor, steps: StepSizes) -> None:
        super().__init__()
        width = config.context_width
        self.gain = normalizing_gain(deviation)
        self.layers = nn.Sequential(
            nn.Conv2d(width + config.latents, width, 1),
            Conditioned(width),
            *units(width, 1),
            Narrowed(8),  # and no ReLU: one that cuts off everything would end the learning
            ending(nn.Conv2d(width, config.latents, 1), 0.1),
            PreciselyConditioned(config.latents),
            HalfTanh(),
        )
        self.steps = steps

    def forward(self, context: Tensor, latents: Tensor) -> Tensor:
        return self.steps(self.layers(torch.cat([context, self.gain(latents)], 1)))


class HyperPrior(nn.Module):
    """Mixtures of logistics by channel, whose constants are interpolated over d.

    They are of hyper-latents, not of the steps in which those are coded. `deviation` (Z,) is
    about their standard deviation.
    """

    deviation: Tensor

    def __init__(self, deviation: Tensor) -> None:
        super().__init__()
        self.register_buffer("deviation", deviation.clone())
        places = torch.linspace(-0.8, 0.8, LOGISTICS)[:, None].expand(-1, len(deviation))
        zero = torch.zeros_like(places)
        table = torch.stack([zero, places, zero])  # log-weights, places, log-widths
        self.table = nn.Parameter(table.repeat(KNOTS, 1, 1, 1))

    def likelihood(self, z: Tensor, step: Tensor, d: Tensor) -> Tensor:
        """Mass within half a `step` (N, Z, 1, 1) of z (N, Z, h, w), at d (N,)."""
        table = torch.einsum("nk,kpjz->npjz", knot_weights(d), self.table)[..., None, None]
        deviation = self.deviation[:, None, None]
        inverse = 2 / deviation * torch.exp(-table[:, 2].clamp(-6, 6))
        distance = (z[:, None] - table[:, 1] * deviation).abs()
        half = step[:, None] / 2
        upper, lower = (half - distance) * inverse, (-half - distance) * inverse
        mass = torch.sigmoid(upper) - torch.sigmoid(lower)
        return (torch.softmax(table[:, 0], 1) * mass).sum(1).clamp_min(LIKELIHOOD_FLOOR)
