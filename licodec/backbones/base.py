"""The `base` backbone: ours, for every rate and two objectives, made for exact integer execution.

A linear path, a 16x16 transform that starts as a DCT in a grey-and-colour basis, runs beside
residual networks in both directions, as in `lite`. The means of its blocks are coded in two
levels, coarsely in the hyper-latents and then by themselves. The other latents are coded in four
steps, each of which codes one of four channel groups at each of the four phases of a 2x2 grid,
another one at every phase, so that what comes later knows all channels nearby (after Li et al.,
"Neural video compression with diverse contexts", CVPR 2023). Quantization steps are constants by
channel; they and the networks' other conditions depend on d and on the objective
(``licodec.backbones.conditions``).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from licodec.backbones.conditions import (
    KNOTS,
    Conditioned,
    ConditionedOffset,
    PreciselyConditioned,
    StepSizes,
    knot_weights,
    knots,
    set_conditions,
)
from licodec.backbones.entropy_models import LIKELIHOOD_FLOOR, gaussian_likelihood
from licodec.backbones.latent_views import LogMagnitude, normalizing_gain
from licodec.backbones.layers import (
    HalfTanh,
    Halves,
    ResidualUnit,
    ScaleExponential,
    narrow_relu,
)
from licodec.exact.leaves import FirstChannels, Narrowed

BLOCK = 16  # pixels per latent position, each way
COLORS = 3
HYPER_BLOCK = 4  # latent positions per hyper-latent, each way
PHASES = 4  # of a 2x2 grid of latent positions, row by row
GROUPS = 4  # of channels
STEP_ORDER = (0, 3, 2, 1)  # step k codes group p ^ STEP_ORDER[k] at phase p
PIXEL_UNIT = 16.0  # both transforms see (level of 8 bits - 127.5) / PIXEL_UNIT
LATENT_UNIT = 20.0  # levels: a latent of the linear path is a coefficient over this
MEAN_STEP = 6.0  # latents that a hyper-latent of the block means counts in
OTHER_HYPER_DEVIATION = 3.0
HYPER_STEP_EXPONENT = 0.5  # of d, at first
DISTORTION_WEIGHT = 20.0  # bits that an error of one step is worth to the encoder
LEAST_SCALE, LARGEST_SCALE = 0.02, 200.0  # of latents
LOGISTICS = 3  # of the hyper-latents' prior


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


# Fixed bases


def dct_matrix(size: int) -> Tensor:
    """The orthonormal DCT-II of `size` points, (frequency, point), float64."""
    n = torch.arange(size, dtype=torch.float64)
    matrix = torch.cos(math.pi / size * (n[None, :] + 0.5) * n[:, None]) * math.sqrt(2 / size)
    matrix[0] /= math.sqrt(2)
    return matrix


def dct_basis(count: int) -> tuple[Tensor, Tensor]:
    """The `count` strongest functions of a 16x16 DCT of grey, red-blue and green.

    Returns (basis (count, 3, 16, 16), deviation (count,) on photographs in levels of 8 bits):
    first the three block means, then GROUPS groups of about equal deviations.
    """
    dct = dct_matrix(BLOCK)
    n = torch.arange(BLOCK, dtype=torch.float64)
    colors = torch.tensor([[1.0, 1, 1], [1, 0, -1], [-1, 2, -1]], dtype=torch.float64)
    colors /= colors.norm(dim=1, keepdim=True)
    radius = torch.hypot(n[:, None], n[None, :])  # (16, 16)
    # Fitted to photographs: deviation and how it falls with the frequency, by colour.
    falling = ((1144.0, 1.72), (442.0, 2.10), (186.0, 1.89))
    deviation = torch.stack([start / (1 + radius) ** power for start, power in falling])
    deviation[:, 0, 0] = torch.tensor([1745.0, 681.0, 300.0])
    rank = deviation.clone()
    rank[:, 0, 0] += deviation.max()
    order = torch.argsort(rank.flatten(), descending=True, stable=True)[:count]
    rest = order[COLORS:]
    order = torch.cat([order[:COLORS], *(rest[group::GROUPS] for group in range(GROUPS))])
    color, u, v = order // BLOCK**2, order // BLOCK % BLOCK, order % BLOCK
    basis = torch.einsum("kc,ka,kb->kcab", colors[color], dct[u], dct[v])
    return basis.float(), deviation.flatten()[order].float()


def mean_basis(mean_deviation: Tensor) -> tuple[Tensor, Tensor]:
    """The second level of the block means: (basis (48, 48), deviation (48,)) of a 4x4 DCT of
    each colour's, whose deviations are `mean_deviation` (3,)."""
    dct = dct_matrix(HYPER_BLOCK)
    n = torch.arange(HYPER_BLOCK, dtype=torch.float64)
    falling = HYPER_BLOCK * 0.9 / (1 + 2 * torch.hypot(n[:, None], n[None, :])) ** 1.3
    deviation = mean_deviation.double()[:, None] * falling.flatten()
    planes = torch.kron(dct, dct)  # (frequency, position)
    return torch.block_diag(*[planes] * COLORS).float(), deviation.flatten().float()


# Layers


class PreciseConvolution(nn.Conv2d):
    """A convolution in float32 whatever autocast asks for: at fine rates the linear path has to
    hold latents to a thousandth."""

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            return super().forward(x.float())


def linear_transform(matrix: Tensor, bias: bool = True, side: int = 1) -> PreciseConvolution:
    """A convolution that starts as `matrix` (outputs, inputs) at its centre."""
    outputs, inputs = matrix.shape
    layer = PreciseConvolution(inputs, outputs, side, padding=side // 2, bias=bias)
    with torch.no_grad():
        layer.weight.zero_()
        layer.weight[:, :, side // 2, side // 2] = matrix
        if bias:
            layer.bias.zero_()
    return layer


class Phase(nn.Module):
    """Every other row and column, from (row, column): (N, C, 2h, 2w) -> (N, C, h, w)."""

    def __init__(self, row: int, column: int) -> None:
        super().__init__()
        self.row, self.column = row, column

    def forward(self, x: Tensor) -> Tensor:
        return x[..., self.row :: 2, self.column :: 2]


class ContextUnit(nn.Module):
    """A residual unit whose convolutions several steps share; each brings its own condition."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.narrowed = Narrowed(8)
        self.spatial = nn.Conv2d(channels, channels, 3, padding=1)
        self.activation = narrow_relu()
        self.pointwise = nn.Conv2d(channels, channels, 1)
        with torch.no_grad():  # a chain of units starts close to the identity
            self.pointwise.weight.mul_(0.3)

    def forward(self, x: Tensor, condition: Conditioned) -> Tensor:
        hidden = self.activation(condition(self.spatial(self.narrowed(x))))
        return x + self.pointwise(hidden)


def units(channels: int, count: int) -> list[nn.Module]:
    return [ResidualUnit(channels) for _ in range(count)]


def down(inputs: int, outputs: int) -> nn.Sequential:
    """Space-to-depth by 2, a 1x1 convolution and the condition."""
    return nn.Sequential(
        nn.PixelUnshuffle(2), nn.Conv2d(4 * inputs, outputs, 1), Conditioned(outputs)
    )


def up(inputs: int, outputs: int) -> nn.Sequential:
    """A 1x1 convolution, the condition, and depth-to-space by 2."""
    return nn.Sequential(
        nn.Conv2d(inputs, 4 * outputs, 1), Conditioned(4 * outputs), nn.PixelShuffle(2)
    )


def scaled(convolution: nn.Conv2d, factor: float) -> nn.Conv2d:
    """The last convolution of a branch, which begins small."""
    with torch.no_grad():
        convolution.weight.mul_(factor)
        convolution.bias.zero_()
    convolution.ends_branch = True  # for optimizers, which move it slowly
    return convolution


# Transforms


class Analysis(nn.Module):
    """g_a: centred pixels (N, 3, 16h, 16w) -> latents (N, M, h, w)."""

    def __init__(self, config: BaseConfig, basis: Tensor) -> None:
        super().__init__()
        (a, b, c), (na, nb, nc) = config.widths, config.analysis_units
        self.linear = nn.Sequential(
            nn.PixelUnshuffle(BLOCK),
            linear_transform(basis.flatten(1) * (PIXEL_UNIT / LATENT_UNIT)),
        )
        self.nonlinear = nn.Sequential(
            nn.PixelUnshuffle(4),
            nn.Conv2d(48, a, 3, padding=1),
            *units(a, na),
            down(a, b),
            *units(b, nb),
            down(b, c),
            *units(c, nc),
            scaled(nn.Conv2d(c, config.latents, 1), 0.05),
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
            linear_transform(basis.flatten(1).T * (LATENT_UNIT / PIXEL_UNIT)),
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
        self.seen = nn.Sequential(Narrowed(8), nn.PixelUnshuffle(4), nn.Conv2d(48, a, 3, padding=1))
        self.fine = nn.Sequential(
            *units(a, na),
            scaled(nn.Conv2d(a, 48, 3, padding=1), 0.1),
            ConditionedOffset(48),
            nn.PixelShuffle(4),
        )
        with torch.no_grad():
            self.seen[-1].weight.mul_(0.1)

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
        whole = torch.zeros(config.hyper_latents, len(basis))
        whole[: len(basis)] = basis / MEAN_STEP
        self.linear = nn.Sequential(
            FirstChannels(COLORS),
            nn.PixelUnshuffle(HYPER_BLOCK),
            linear_transform(whole, bias=False),
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
        whole = torch.zeros(len(basis), config.hyper_latents)
        whole[:, : len(basis)] = basis.T * MEAN_STEP
        self.linear = nn.Sequential(
            linear_transform(whole, bias=False, side=3), nn.PixelShuffle(HYPER_BLOCK)
        )

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        return self.layers(self.gain(z)), self.linear(z)


# Entropy model


def parameter_head(width: int, deviation: Tensor) -> nn.Sequential:
    """Means and log-scales of channels of standard deviation `deviation` (S,): 2S channels."""
    layer = nn.Conv2d(width, 2 * len(deviation), 1)
    with torch.no_grad():
        layer.weight.mul_(0.1)
        layer.bias.copy_(torch.cat([0 * deviation, deviation.clamp_min(0.3).log()]))
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
        self.phases = nn.ModuleList(Phase(row, column) for row in (0, 1) for column in (0, 1))
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
            narrow_relu(),
            scaled(nn.Conv2d(width, config.latents, 1), 0.1),
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


@torch.no_grad()
def choose_symbols(x: Tensor, scale: Tensor, weight: float = DISTORTION_WEIGHT) -> Tensor:
    """The encoder's choice (RDOQ) for x, in steps: round(x), or the next integer towards zero
    where bits + weight * error^2 is less."""
    nearest = torch.round(x)
    sign = torch.sign(nearest)
    nearer_zero = nearest - sign
    likelier = gaussian_likelihood(nearer_zero, scale) / gaussian_likelihood(nearest, scale)
    growth = 1 + 2 * sign * (x - nearest)
    return torch.where(torch.log2(likelier) > weight * growth, nearer_zero, nearest)


def interleaved(planes: list[Tensor]) -> Tensor:
    """The inverse of the four phases: (N, C, h, w) each -> (N, C, 2h, 2w)."""
    n, channels, height, width = planes[0].shape
    stacked = torch.stack(planes, 2).reshape(n, PHASES * channels, height, width)
    return F.pixel_shuffle(stacked, 2)


@dataclass(frozen=True)
class CodedLatents:
    """What the entropy model makes of latents.

    decoded  (N, M, h, w), residual prediction included
    bits     (N,), of the latents
    symbols  by step, in coding order
    """

    decoded: Tensor
    bits: Tensor
    symbols: tuple[Tensor, ...]


@dataclass(frozen=True)
class Output:
    """x_hat (N, 3, H, W) in levels of 8 bits; bits (N,) of latents and hyper-latents."""

    x_hat: Tensor
    y_bits: Tensor
    z_bits: Tensor


class BaseNetwork(nn.Module):
    """The float form of `base`."""

    ALIGNMENT = 64

    def __init__(self, config: BaseConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or BaseConfig()
        basis, deviation = dct_basis(config.latents)
        deviation = deviation / LATENT_UNIT
        means, mean_deviation = mean_basis(deviation[:COLORS])
        others = torch.full((config.hyper_latents - len(means),), OTHER_HYPER_DEVIATION)
        hyper_deviation = torch.cat([mean_deviation / MEAN_STEP, others])
        d = knots()[:, None]
        self.steps = StepSizes(d.expand(-1, config.latents))
        self.hyper_steps = StepSizes((d**HYPER_STEP_EXPONENT).expand(-1, config.hyper_latents))
        self.analysis = Analysis(config, basis)
        self.synthesis = Synthesis(config, basis, deviation)
        self.hyper_analysis = HyperAnalysis(config, deviation, means)
        self.hyper_synthesis = HyperSynthesis(config, hyper_deviation, means)
        self.prior = HyperPrior(hyper_deviation.clamp_min(0.5))
        self.means_parameters = MeansParameters(config, deviation[:COLORS])
        trunk = nn.ModuleList(
            ContextUnit(config.context_width) for _ in range(config.context_units)
        )
        self.step_parameters = nn.ModuleList(
            StepParameters(
                config,
                tuple(phase ^ order for phase in range(PHASES)),
                config.latents if step else COLORS,
                deviation,
                trunk,
            )
            for step, order in enumerate(STEP_ORDER)
        )
        self.correction = Correction(config, deviation, self.steps)

    def set_conditions(self, d: Tensor, objective: Tensor) -> None:
        """Compute at d (N,) and objective (N,), 0 for squared error and 1 for what people see."""
        self.d = d
        set_conditions(self, d, objective)

    def forward(self, x: Tensor) -> Output:
        """x (N, 3, H, W) in levels of 8 bits, sides multiples of 64, at the conditions set."""
        y = self.analysis((x - 127.5) / PIXEL_UNIT)
        z_hat, z_bits = self.code_hyper(self.hyper_analysis(y))
        coded = self.code(z_hat, y)
        x_hat = self.synthesis(coded.decoded) * PIXEL_UNIT + 127.5
        return Output(x_hat, coded.bits, z_bits)

    def code_hyper(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Hyper-latents (N, Z, h, w) -> (decoded ones, their bits (N,))."""
        step = self.hyper_steps.sizes()
        symbols = torch.round(z / step)
        if self.training:  # noise stands for rounding in the bits (Balle et al., ICLR 2017)
            z_hat = z + step * (symbols - z / step).detach()
            z_coded = z + (torch.rand_like(z) - 0.5) * step
        else:
            z_hat = z_coded = symbols * step
        likelihood = self.prior.likelihood(z_coded, step, self.d)
        return z_hat, -likelihood.log2().flatten(1).sum(1)

    def code(
        self, z_hat: Tensor, y: Tensor | None, symbols: tuple[Tensor, ...] | None = None
    ) -> CodedLatents:
        """The entropy model over latents y (N, M, h, w), given decoded hyper-latents.

        With `symbols` it decodes those, and y is not looked at.
        """
        features, block_means = self.hyper_synthesis(z_hat)
        steps = self.steps.sizes()
        own_steps = steps[:, COLORS:].chunk(GROUPS, 1)
        mean, scale = self.means_parameters(features, block_means)
        of_means = None if y is None else y[:, :COLORS]
        given = iter(symbols or ())
        symbol = next(given, None)
        first = self._coded(of_means, mean, scale, steps[:, :COLORS], symbol)
        coded = [first]
        own = None
        if y is not None:
            by_phase = self.step_parameters[0].phases
            own = [phase(y[:, COLORS:]).chunk(GROUPS, 1) for phase in by_phase]
        n, _, rows, columns = mean.shape
        zero = mean.new_zeros(n, self.config.group, rows // 2, columns // 2)
        found = [[zero] * GROUPS for _ in range(PHASES)]
        known = first.decoded
        for order, parameters in zip(STEP_ORDER, self.step_parameters, strict=True):
            mean, scale, context = parameters(features, known)
            now = None if own is None else torch.cat([own[p][p ^ order] for p in range(PHASES)], 1)
            step = torch.cat([own_steps[p ^ order] for p in range(PHASES)], 1)
            coded.append(self._coded(now, mean, scale, step, next(given, None)))
            for p, plane in enumerate(coded[-1].decoded.chunk(PHASES, 1)):
                found[p][p ^ order] = plane
            rest = interleaved([torch.cat(planes, 1) for planes in found])
            known = torch.cat([first.decoded, rest], 1)
        decoded = known + self.correction(context, known)
        bits = sum(c.bits for c in coded)
        return CodedLatents(decoded, bits, tuple(c.symbols[0] for c in coded))

    def _coded(
        self, y: Tensor | None, mean: Tensor, scale: Tensor, step: Tensor, symbols: Tensor | None
    ) -> CodedLatents:
        """One step's latents, or those that `symbols` stand for."""
        if symbols is not None or y is None:
            return CodedLatents(mean + step * symbols, mean.new_zeros(len(mean)), (symbols,))
        residual, spread = (y - mean) / step, scale / step
        chosen = choose_symbols(residual, spread)
        if self.training:
            # No gradient to the mean; that to the step is of the error which it makes.
            decoded = y + step * (chosen - residual).detach()
            noisy = residual + torch.rand_like(residual) - 0.5
        else:
            decoded, noisy = mean + step * chosen, chosen
        bits = -gaussian_likelihood(noisy, spread).log2().flatten(1).sum(1)
        return CodedLatents(decoded, bits, (chosen,))
