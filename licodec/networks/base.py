"""The `base` backbone: ours, for every rate and two objectives, made for exact integer execution.

A linear path, a 16x16 transform that starts as a DCT in a grey-and-colour basis, runs beside
residual networks in both directions, as in `lite`. The means of its blocks are coded in two
levels, coarsely in the hyper-latents and then by themselves. The other latents are coded in four
steps, each of which codes one of four channel groups at each of the four phases of a 2x2 grid,
another one at every phase, so that what comes later knows all channels nearby (after Li et al.,
"Neural video compression with diverse contexts", CVPR 2023). Quantization steps are constants by
channel; they and the networks' other conditions depend on d and on the objective
(``licodec.networks.conditions``).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from licodec.networks.base_entropy import (
    ContextUnit,
    Correction,
    HyperPrior,
    MeansParameters,
    StepParameters,
    phases,
)
from licodec.networks.base_transforms import (
    GROUPS,
    LATENT_UNIT,
    MEAN_STEP,
    Analysis,
    BaseConfig,
    HyperAnalysis,
    HyperSynthesis,
    Synthesis,
    dct_basis,
)
from licodec.networks.block_bases import COLORS, PIXEL_UNIT, mean_basis
from licodec.networks.conditions import StepSizes, knots, set_conditions
from licodec.networks.entropy_models import DISTORTION_WEIGHT, gaussian_likelihood, rdoq
from licodec.networks.network import Network

PHASES = 4  # of a 2x2 grid of latent positions, row by row
STEP_ORDER = (0, 3, 2, 1)  # step k codes group p ^ STEP_ORDER[k] at phase p
OTHER_HYPER_DEVIATION = 3.0
HYPER_STEP_EXPONENT = 0.5  # of d, at first


def interleaved(planes: list[Tensor]) -> Tensor:
    """The inverse of the four phases: (N, C, h, w) each -> (N, C, 2h, 2w)."""
    n, channels, height, width = planes[0].shape
    stacked = torch.stack(planes, 2).reshape(n, PHASES * channels, height, width)
    return F.pixel_shuffle(stacked, 2)


@dataclass(frozen=True)
class Output:
    """x_hat (N, 3, H, W) in levels of 8 bits; bits (N,) of latents and hyper-latents."""

    x_hat: Tensor
    y_bits: Tensor
    z_bits: Tensor


class BaseNetwork(Network):
    """The float form of `base`."""

    backbone = "base"

    def __init__(self, config: BaseConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or BaseConfig()
        self.latents, self.hyper_latents = config.latents, config.hyper_latents
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
        decoded, y_bits = self.code(z_hat, y)
        x_hat = self.synthesis(decoded) * PIXEL_UNIT + 127.5
        return Output(x_hat, y_bits, z_bits)

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

    def code(self, z_hat: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """The entropy model over latents y (N, M, h, w), given decoded hyper-latents: (decoded
        latents, residual prediction included, and their bits (N,))."""
        features, block_means = self.hyper_synthesis(z_hat)
        steps = self.steps.sizes()
        own_steps = steps[:, COLORS:].chunk(GROUPS, 1)
        mean, scale = self.means_parameters(features, block_means)
        means, bits = self._coded(y[:, :COLORS], mean, scale, steps[:, :COLORS])
        own = [phase(y[:, COLORS:]).chunk(GROUPS, 1) for phase in phases()]
        zero = mean.new_zeros(own[0][0].shape)
        found = [[zero] * GROUPS for _ in range(PHASES)]
        known = means
        for order, parameters in zip(STEP_ORDER, self.step_parameters, strict=True):
            mean, scale, context = parameters(features, known)
            now = torch.cat([own[p][p ^ order] for p in range(PHASES)], 1)
            step = torch.cat([own_steps[p ^ order] for p in range(PHASES)], 1)
            decoded, further = self._coded(now, mean, scale, step)
            bits = bits + further
            for p, plane in enumerate(decoded.chunk(PHASES, 1)):
                found[p][p ^ order] = plane
            rest = interleaved([torch.cat(planes, 1) for planes in found])
            known = torch.cat([means, rest], 1)
        return known + self.correction(context, known), bits

    def _coded(self, y: Tensor, mean: Tensor, scale: Tensor, step: Tensor) -> tuple[Tensor, Tensor]:
        """One step's latents decoded, and their bits (N,)."""
        residual, spread = (y - mean) / step, scale / step
        chosen = rdoq(residual, spread, DISTORTION_WEIGHT)
        if self.training:
            # No gradient to the mean; that to the step is of the error which it makes.
            decoded = y + step * (chosen - residual).detach()
            noisy = residual + torch.rand_like(residual) - 0.5
        else:
            decoded, noisy = mean + step * chosen, chosen
        return decoded, -gaussian_likelihood(noisy, spread).log2().flatten(1).sum(1)
