"""What the published networks have in common: their calling convention and the
slice-wise entropy model of STF and TCM.

Each part that an exact program is compiled from is a module of its own, reached through
``analysis``, ``hyper_analysis``, ``hyper_synthesis``, ``slice_parameters(i)``,
``residual_prediction(i)`` and ``synthesis``; nothing in them depends on values.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from licodec.networks.layers import HalfTanh, alternated
from licodec.networks.lite import adaptive_step, straight_through_round
from licodec.networks.priors import FactorizedPrior, learning_likelihood
from licodec.networks.rate_modes import RateModes


class PublishedNetwork(RateModes, ABC):
    """A published network in the calling convention of CompressAI's.

    forward(x (N, 3, H, W) in [0, 1]) -> {"x_hat", "likelihoods": {"y", "z"}}

    Pictures may have any size: they are padded to multiples of ALIGNMENT by repeating the
    last row and column, and likelihoods are those of the padded picture.
    """

    entropy_bottleneck: FactorizedPrior
    g_a: nn.Module
    g_s: nn.Module
    h_a: nn.Module

    @property
    def analysis(self) -> nn.Module:
        """Pixels (N, 3, H, W) in [0, 1] -> latents (N, M, h, w)."""
        return self.g_a

    @property
    def hyper_latents(self) -> int:  # type: ignore[override]  # its prior has as many
        return self.entropy_bottleneck.channels

    @property
    def hyper_analysis(self) -> nn.Module:
        """Latents -> hyper-latents (N, Z, h / 4, w / 4)."""
        return self.h_a

    @property
    @abstractmethod
    def hyper_synthesis(self) -> nn.Module:
        """Hyper-latents -> features, each (N, F, h, w)."""

    @property
    def synthesis(self) -> nn.Module:
        """Latents -> pixels."""
        return self.g_s

    @abstractmethod
    def code_latents(self, y: Tensor, z_hat: Tensor) -> tuple[Tensor, Tensor]:
        """Latents and decoded hyper-latents -> (decoded latents, likelihoods)."""

    def forward(self, x: Tensor) -> dict:
        y = self.analysis(padded(x, self.ALIGNMENT))
        z_hat, z_likelihoods = self.entropy_bottleneck(self.hyper_analysis(y))
        y_hat, y_likelihoods = self.code_latents(y, z_hat)
        x_hat = self.synthesis(y_hat)[..., : x.shape[2], : x.shape[3]]
        return {"x_hat": x_hat, "likelihoods": {"y": y_likelihoods, "z": z_likelihoods}}


def padded(x: Tensor, alignment: int) -> Tensor:
    """`x` (N, C, H, W) with sides that are multiples of `alignment`: the last row and column are
    repeated."""
    height, width = x.shape[2:]
    right, bottom = -width % alignment, -height % alignment
    return F.pad(x, (0, right, 0, bottom), mode="replicate") if right or bottom else x


class MeansAndScales(nn.Module):
    """h_s of the slice-wise networks: forward(z) -> features for means, features for scales."""

    def __init__(self, means: nn.Module, scales: nn.Module) -> None:
        super().__init__()
        self.means, self.scales = means, scales

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        return self.means(z), self.scales(z)


class FirstSliceParameters(nn.Module):
    """forward(features for means, features for scales) -> (mean, scale, context).

    `context` feeds the slice's residual prediction. The scale is the network's raw output.
    """

    def __init__(
        self,
        mean_context: nn.Module,
        mean: nn.Module,
        scale_context: nn.Module,
        scale: nn.Module,
    ) -> None:
        super().__init__()
        self.mean_context, self.mean = mean_context, mean
        self.scale_context, self.scale = scale_context, scale

    def forward(self, means: Tensor, scales: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        context = self.mean_context(means)
        return self.mean(context), self.scale(self.scale_context(scales)), context


class SliceParameters(FirstSliceParameters):
    """The same for a later slice, which also sees `previous` (N, P, h, w): the slices decoded
    first, at most as many as the network uses."""

    def forward(  # type: ignore[override]  # whoever calls it knows the slice
        self, means: Tensor, scales: Tensor, previous: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        return super().forward(torch.cat([means, previous], 1), torch.cat([scales, previous], 1))


class ResidualPrediction(nn.Module):
    """LRP: forward(context (N, C, h, w), decoded slice (N, S, h, w)) -> correction, within 0.5."""

    def __init__(self, layers: nn.Module) -> None:
        super().__init__()
        self.layers = layers
        self.bound = HalfTanh()

    def forward(self, context: Tensor, decoded: Tensor) -> Tensor:
        return self.bound(self.layers(torch.cat([context, decoded], 1)))


class SlicedNetwork(PublishedNetwork):
    """Latents in slices, each coded given those before it (Minnen & Singh, ICIP 2020).

    Subclasses have the modules `h_a`, `h_mean_s` and `h_scale_s`.
    """

    TAKES_D = True
    h_mean_s: nn.Module
    h_scale_s: nn.Module
    cc_mean_transforms: nn.ModuleList
    cc_scale_transforms: nn.ModuleList
    lrp_transforms: nn.ModuleList

    def __init__(self, backbone: str, latents: int, slices: int, supports: int) -> None:
        """`supports` is how many slices, the first ones, the later ones are coded given."""
        super().__init__(backbone)
        self.latents, self.slices, self.supports = latents, slices, supports

    @property
    def seen(self) -> list[int]:
        """How many channels each slice's networks see: features, and slices decoded before."""
        size = self.latents // self.slices
        return [self.latents + size * min(i, self.supports) for i in range(self.slices)]

    def add_slice_networks(self, widths: Sequence[int]) -> None:
        """Make the networks of all slices, of hidden layers with these channels."""
        size = self.latents // self.slices
        widths, seen = (*widths, size), self.seen
        self.cc_mean_transforms = nn.ModuleList(context_network(n, widths) for n in seen)
        self.cc_scale_transforms = nn.ModuleList(context_network(n, widths) for n in seen)
        self.lrp_transforms = nn.ModuleList(context_network(n + size, widths) for n in seen)

    @property
    def hyper_synthesis(self) -> nn.Module:
        return MeansAndScales(self.h_mean_s, self.h_scale_s)

    def contexts(self, index: int) -> tuple[nn.Module, nn.Module]:
        """What stands before the mean and the scale network of slice `index`."""
        return nn.Identity(), nn.Identity()

    def slice_parameters(self, index: int) -> FirstSliceParameters:
        mean_context, scale_context = self.contexts(index)
        form = SliceParameters if index else FirstSliceParameters
        mean, scale = self.cc_mean_transforms[index], self.cc_scale_transforms[index]
        return form(mean_context, mean, scale_context, scale)

    def residual_prediction(self, index: int) -> ResidualPrediction:
        return ResidualPrediction(self.lrp_transforms[index])

    def code_latents(self, y: Tensor, z_hat: Tensor) -> tuple[Tensor, Tensor]:
        features = self.hyper_synthesis(z_hat)
        decoded: list[Tensor] = []
        likelihoods = []
        for index, own in enumerate(y.chunk(self.slices, 1)):
            seen = decoded[: self.supports]
            previous = (torch.cat(seen, 1),) if seen else ()
            mean, scale, context = self.slice_parameters(index)(*features, *previous)
            step = adaptive_step(scale.detach(), self.d, index, self.slices)
            residual = (own - mean) / step
            rounded = straight_through_round(residual)
            coded = residual + torch.rand_like(residual) - 0.5 if self.training else rounded
            likelihoods.append(learning_likelihood(coded, scale / step))
            y_hat = rounded * step + mean
            decoded.append(y_hat + self.residual_prediction(index)(context, y_hat))
        return torch.cat(decoded, 1), torch.cat(likelihoods, 1)


def context_network(in_channels: int, widths: Sequence[int]) -> nn.Sequential:
    """3x3 convolutions to `widths` in turn with GELU between them."""
    pairs = pairwise((in_channels, *widths))
    return alternated(nn.GELU, *(nn.Conv2d(*pair, 3, padding=1) for pair in pairs))
