"""`cheng-attn`: CompressAI's cheng2020_attn, after Cheng et al., "Learned image compression
with discretized Gaussian mixture likelihoods and attention modules" (CVPR 2020).

Its context model is autoregressive: a latent's mean and scale depend on the decoded latents
above and to the left of it (Minnen et al., NeurIPS 2018). Coding goes by wavefronts, all
positions whose contexts are complete together, in W + 3 (H - 1) steps instead of W * H.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from licodec.entropy.wavefronts import wavefronts
from licodec.networks.blocks import (
    AttentionBlock,
    ResidualBlock,
    ResidualBlockUpsample,
    ResidualBlockWithStride,
)
from licodec.networks.layers import (
    MaskedConvolution,
    alternated,
    bias_of,
    conv3x3,
    subpixel_convolution,
)
from licodec.networks.lite import straight_through_round
from licodec.networks.priors import FactorizedPrior, learning_likelihood
from licodec.networks.published import PublishedNetwork

REACH = 2  # rows above and columns beside a position that its context holds


@dataclass(frozen=True)
class ChengConfig:
    """Hyper-parameters: `width` is N, 128 for qualities 1 to 3 and 192 for 4 to 6."""

    width: int = 192


class ChengNetwork(PublishedNetwork):
    """The float network; see :class:`~licodec.networks.published.PublishedNetwork`."""

    TAKES_D = False  # AQVR needs every scale of a plane before its first symbol

    def __init__(self, backbone: str = "cheng-attn", config: ChengConfig | None = None) -> None:
        super().__init__(backbone)
        self.config = config = config or ChengConfig()
        n = self.latents = config.width
        self.g_a = nn.Sequential(
            ResidualBlockWithStride(3, n),
            ResidualBlock(n),
            ResidualBlockWithStride(n, n),
            AttentionBlock(n),
            ResidualBlock(n),
            ResidualBlockWithStride(n, n),
            ResidualBlock(n),
            conv3x3(n, n, stride=2),
            AttentionBlock(n),
        )
        self.g_s = nn.Sequential(
            AttentionBlock(n),
            ResidualBlock(n),
            ResidualBlockUpsample(n, n),
            ResidualBlock(n),
            ResidualBlockUpsample(n, n),
            AttentionBlock(n),
            ResidualBlock(n),
            ResidualBlockUpsample(n, n),
            ResidualBlock(n),
            subpixel_convolution(n, 3),
        )
        self.h_a = alternated(
            nn.LeakyReLU,
            conv3x3(n, n),
            conv3x3(n, n),
            conv3x3(n, n, stride=2),
            conv3x3(n, n),
            conv3x3(n, n, stride=2),
        )
        middle = n * 3 // 2
        self.h_s = alternated(
            nn.LeakyReLU,
            conv3x3(n, n),
            subpixel_convolution(n, n),
            conv3x3(n, middle),
            subpixel_convolution(middle, middle),
            conv3x3(middle, 2 * n),
        )
        self.entropy_parameters = alternated(
            nn.LeakyReLU,
            nn.Conv2d(4 * n, n * 10 // 3, 1),
            nn.Conv2d(n * 10 // 3, n * 8 // 3, 1),
            nn.Conv2d(n * 8 // 3, 2 * n, 1),
        )
        self.context_prediction = MaskedConvolution(n, 2 * n, 2 * REACH + 1, padding=REACH)
        self.entropy_bottleneck = FactorizedPrior(n)

    @property
    def hyper_synthesis(self) -> nn.Module:
        return self.h_s

    def context_parameters(self, features: Tensor, decoded: Tensor) -> tuple[Tensor, Tensor]:
        """Means and scales, as the network gives them, of all positions from features
        (N, 2M, h, w) and decoded latents (N, M, h, w)."""
        known = torch.cat([features, self.context_prediction(decoded)], 1)
        scale, mean = self.entropy_parameters(known).chunk(2, 1)
        return mean, scale

    def code_latents(self, y: Tensor, z_hat: Tensor) -> tuple[Tensor, Tensor]:
        # As published: training and estimation round y itself, while coding rounds y - mean.
        rounded = y + torch.rand_like(y) - 0.5 if self.training else straight_through_round(y)
        mean, scale = self.context_parameters(self.h_s(z_hat), rounded)
        residual = y - mean
        if self.training:
            coded = residual + torch.rand_like(y) - 0.5
        else:
            coded = straight_through_round(residual)
        return rounded, learning_likelihood(coded, scale)

    def decoded_from(self, y: Tensor, features: Tensor) -> Tensor:
        """What decoding gives of the latents `y` (N, M, h, w), given h_s's features."""
        height, width = y.shape[2:]
        plane = F.pad(torch.zeros_like(y), (REACH,) * 4)  # so that every context is inside
        convolution = self.context_prediction
        above, beside = torch.nonzero(convolution.visible(), as_tuple=True)
        kernel = convolution.weight[:, :, above, beside].flatten(1)  # (2M, M * visible)
        for places in wavefronts(height, width, REACH):
            rows, columns = (torch.from_numpy(own).to(features.device) for own in places)
            seen = plane[:, :, rows[None] + above[:, None], columns[None] + beside[:, None]]
            context = kernel @ seen.flatten(1, 2) + bias_of(convolution)[:, None]  # (N, 2M, n)
            known = torch.cat([features[:, :, rows, columns], context], 1)
            parameters = self.entropy_parameters(known[..., None])[..., 0]
            _, mean = parameters.chunk(2, 1)
            rounded = torch.round(y[:, :, rows, columns] - mean) + mean
            plane[:, :, rows + REACH, columns + REACH] = rounded
        return F.pad(plane, (-REACH,) * 4)
