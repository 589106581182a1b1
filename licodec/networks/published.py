"""What the published networks have in common: CompressAI's calling convention and the
slice-wise entropy model of STF and TCM.

Each part that an exact program is compiled from is a module of its own, reached through
``analysis``, ``hyper_analysis``, ``hyper_synthesis``, ``slice_parameters(i)``,
``residual_prediction(i)`` and ``synthesis``; nothing in them depends on values.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from licodec.errors import BadInputError
from licodec.networks.adapter_branches import Gain, MatrixProduct, PlaneMatrixProduct
from licodec.networks.layers import (
    GDN,
    ChannelNorm,
    HalfTanh,
    Halves,
    MaskedConvolution,
    NeighbourStack,
    PointwiseLinear,
    StochasticDepth,
)
from licodec.networks.lite import adaptive_step, straight_through_round
from licodec.networks.priors import (
    CodingTables,
    FactorizedPrior,
    SymbolReader,
    gaussian_likelihood,
    gaussian_tables,
    scale_indexes,
)
from licodec.networks.rate_modes import RateModes
from licodec.networks.swin import TableAsGrid, WindowAttention

# What tracing a part stops at, beside PyTorch's own modules: all else is made of these,
# concatenations, sums, products and choices of an output.
LEAVES: tuple[type[nn.Module], ...] = (
    PointwiseLinear,
    ChannelNorm,
    GDN,
    MaskedConvolution,
    WindowAttention,
    TableAsGrid,
    NeighbourStack,
    Halves,
    HalfTanh,
    StochasticDepth,
    Gain,
    MatrixProduct,
    PlaneMatrixProduct,
)


class CodedShape(tuple[int, int]):
    """Rows and columns of the hyper-latents, as CompressAI's `shape`; `picture` remembers the
    height and width that were padded to them."""

    picture: tuple[int, int]

    def __new__(cls, rows: int, columns: int, picture: tuple[int, int]) -> CodedShape:
        shape = super().__new__(cls, (rows, columns))
        shape.picture = picture
        return shape

    def __reduce__(self) -> tuple[type[CodedShape], tuple[int, int, tuple[int, int]]]:
        return CodedShape, (self[0], self[1], self.picture)


class PublishedNetwork(RateModes, ABC):
    """A published network in CompressAI's calling convention.

    forward(x (N, 3, H, W) in [0, 1]) -> {"x_hat", "likelihoods": {"y", "z"}}
    compress(x) -> {"strings": [per picture of y, per picture of z], "shape"}
    decompress(strings, shape) -> {"x_hat"}, in [0, 1]

    Pictures may have any size: they are padded to multiples of ALIGNMENT by repeating the
    last row and column, and likelihoods are those of the padded picture. Streams decode on
    the machine that wrote them; only the exact form decodes everywhere.
    """

    ALIGNMENT: ClassVar[int] = 64
    HYPER_STRIDE: ClassVar[int] = 64  # pixels per hyper-latent, each way
    LATENTS_PER_HYPER_LATENT: ClassVar[int] = 4  # each way
    entropy_bottleneck: FactorizedPrior

    def __init__(self, backbone: str) -> None:
        super().__init__(backbone)
        self._tables: tuple[CodingTables, CodingTables] | None = None

    # Parts ---------------------------------------------------------------------------

    @property
    @abstractmethod
    def analysis(self) -> nn.Module:
        """Pixels (N, 3, H, W) in [0, 1] -> latents (N, M, h, w)."""

    @property
    @abstractmethod
    def hyper_analysis(self) -> nn.Module:
        """Latents -> hyper-latents (N, Z, h / 4, w / 4)."""

    @property
    @abstractmethod
    def hyper_synthesis(self) -> nn.Module:
        """Hyper-latents -> features, each (N, F, h, w)."""

    @property
    @abstractmethod
    def synthesis(self) -> nn.Module:
        """Latents -> pixels."""

    # CompressAI's convention ---------------------------------------------------------

    @abstractmethod
    def code_latents(self, y: Tensor, z_hat: Tensor) -> tuple[Tensor, Tensor]:
        """Latents and decoded hyper-latents -> (decoded latents, likelihoods)."""

    @abstractmethod
    def write_latents(self, y: Tensor, z_hat: Tensor) -> tuple[Tensor, Tensor]:
        """Latents and decoded hyper-latents -> (symbols, table indexes), (N, n) in coding order."""

    @abstractmethod
    def read_latents(self, z_hat: Tensor, readers: Sequence[SymbolReader]) -> Tensor:
        """The inverse, with one reader per picture: decoded latents (N, M, h, w)."""

    @property
    @abstractmethod
    def latents(self) -> int:
        """The number of latent channels, M."""

    def forward(self, x: Tensor) -> dict:
        y = self.analysis(self.padded(x))
        z_hat, z_likelihoods = self.entropy_bottleneck(self.hyper_analysis(y))
        y_hat, y_likelihoods = self.code_latents(y, z_hat)
        x_hat = self.synthesis(y_hat)[..., : x.shape[2], : x.shape[3]]
        return {"x_hat": x_hat, "likelihoods": {"y": y_likelihoods, "z": z_likelihoods}}

    def padded(self, x: Tensor) -> Tensor:
        """`x` with sides that are multiples of ALIGNMENT."""
        height, width = x.shape[2:]
        right, bottom = -width % self.ALIGNMENT, -height % self.ALIGNMENT
        return F.pad(x, (0, right, 0, bottom), mode="replicate") if right or bottom else x

    def update(self, force: bool = False) -> bool:
        """Make the coding tables from the parameters as they are; True if there was a need.

        Training drops them, and :meth:`compress` makes them where there are none.
        """
        if self._tables is not None and not force:
            return False
        self._tables = self.entropy_bottleneck.tables(), gaussian_tables()
        return True

    def train(self, mode: bool = True) -> PublishedNetwork:
        if mode:
            self._tables = None
        return super().train(mode)

    def aux_loss(self) -> Tensor:
        """The loss that trains the quantiles of the hyper-latents' prior."""
        return self.entropy_bottleneck.auxiliary_loss()

    @torch.no_grad()
    def compress(self, x: Tensor) -> dict:
        self.update()
        hyper_tables, latent_tables = self._tables
        y = self.analysis(self.padded(x))
        z = self.hyper_analysis(y)
        medians = self.entropy_bottleneck.medians
        z_symbols = torch.round(z - medians)
        z_indexes = _channel_indexes(z_symbols.shape[1:]).reshape(-1)
        symbols, indexes = self.write_latents(y, z_symbols + medians)
        pairs = zip(symbols, indexes, strict=True)
        y_strings = [latent_tables.encode(*pair) for pair in pairs]
        z_strings = [hyper_tables.encode(s.reshape(-1), z_indexes) for s in z_symbols]
        shape = CodedShape(z.shape[2], z.shape[3], (x.shape[2], x.shape[3]))
        return {"strings": [y_strings, z_strings], "shape": shape}

    @torch.no_grad()
    def decompress(self, strings: Sequence[Sequence[bytes]], shape: tuple[int, int]) -> dict:
        """Raises BadInputError where `strings` is not a list of two equally long lists.

        The picture has its own size where `shape` is what :meth:`compress` gave, and else
        the padded one.
        """
        if len(strings) != 2 or len(strings[0]) != len(strings[1]) or not strings[0]:
            raise BadInputError(
                "strings: give the two lists that compress() made, one stream per picture in each"
            )
        self.update()
        hyper_tables, latent_tables = self._tables
        medians = self.entropy_bottleneck.medians
        channels, (rows, columns) = medians.shape[1], shape
        indexes = _channel_indexes((channels, rows, columns)).to(medians.device)
        count = indexes.numel()
        z_symbols = [SymbolReader(hyper_tables, s, count).read(indexes) for s in strings[1]]
        z_hat = torch.stack(z_symbols) + medians
        count = self.latents * rows * columns * self.LATENTS_PER_HYPER_LATENT**2
        readers = [SymbolReader(latent_tables, s, count) for s in strings[0]]
        x_hat = self.synthesis(self.read_latents(z_hat, readers)).clamp(0, 1)
        height, width = getattr(shape, "picture", x_hat.shape[2:])
        return {"x_hat": x_hat[..., :height, :width]}


def _channel_indexes(shape: Sequence[int]) -> Tensor:
    """The channel of every element of (C, H, W)."""
    channels, rows, columns = shape
    return torch.arange(channels)[:, None, None].expand(channels, rows, columns)


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

    def forward(
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


# Takes a slice's (index, mean, scale, step) and returns its integers, in float (N, S, h, w).
Exchange = Callable[[int, Tensor, Tensor, Tensor | float], Tensor]


class SlicedNetwork(PublishedNetwork):
    """Latents in slices, each coded given those before it (Minnen & Singh, ICIP 2020).

    Subclasses have the modules `h_a`, `h_mean_s`, `h_scale_s` and, one per slice,
    `cc_mean_transforms`, `cc_scale_transforms` and `lrp_transforms`.
    """

    TAKES_D = True
    h_a: nn.Module
    h_mean_s: nn.Module
    h_scale_s: nn.Module
    cc_mean_transforms: nn.ModuleList
    cc_scale_transforms: nn.ModuleList
    lrp_transforms: nn.ModuleList

    def __init__(self, backbone: str, latents: int, slices: int, supports: int) -> None:
        """`supports` is how many slices, the first ones, the later ones are coded given."""
        super().__init__(backbone)
        self._latents, self.slices, self.supports = latents, slices, supports

    @property
    def latents(self) -> int:
        return self._latents

    @property
    def hyper_analysis(self) -> nn.Module:
        return self.h_a

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

    def _decoded(self, z_hat: Tensor, exchange: Exchange) -> Tensor:
        """The decoded latents, slice by slice with the integers that `exchange` gives."""
        features = self.hyper_synthesis(z_hat)
        decoded: list[Tensor] = []
        for index in range(self.slices):
            seen = decoded[: self.supports]
            previous = (torch.cat(seen, 1),) if seen else ()
            mean, scale, context = self.slice_parameters(index)(*features, *previous)
            step = adaptive_step(scale.detach(), self.d, index, self.slices)
            y_hat = exchange(index, mean, scale, step) * step + mean
            decoded.append(y_hat + self.residual_prediction(index)(context, y_hat))
        return torch.cat(decoded, 1)

    def code_latents(self, y: Tensor, z_hat: Tensor) -> tuple[Tensor, Tensor]:
        slices = y.chunk(self.slices, 1)
        likelihoods = []

        def exchange(index: int, mean: Tensor, scale: Tensor, step: Tensor | float) -> Tensor:
            residual = (slices[index] - mean) / step
            rounded = straight_through_round(residual)
            coded = residual + torch.rand_like(residual) - 0.5 if self.training else rounded
            likelihoods.append(gaussian_likelihood(coded, scale / step))
            return rounded

        return self._decoded(z_hat, exchange), torch.cat(likelihoods, 1)

    def write_latents(self, y: Tensor, z_hat: Tensor) -> tuple[Tensor, Tensor]:
        slices = y.chunk(self.slices, 1)
        symbols, indexes = [], []

        def exchange(index: int, mean: Tensor, scale: Tensor, step: Tensor | float) -> Tensor:
            rounded = torch.round((slices[index] - mean) / step)
            symbols.append(rounded.flatten(1))
            indexes.append(scale_indexes(scale / step).flatten(1))
            return rounded

        self._decoded(z_hat, exchange)
        return torch.cat(symbols, 1), torch.cat(indexes, 1)

    def read_latents(self, z_hat: Tensor, readers: Sequence[SymbolReader]) -> Tensor:
        def exchange(index: int, mean: Tensor, scale: Tensor, step: Tensor | float) -> Tensor:
            indexes = scale_indexes(scale / step)
            parts = zip(readers, indexes, strict=True)
            return torch.stack([reader.read(part) for reader, part in parts])

        return self._decoded(z_hat, exchange)


def context_network(in_channels: int, widths: Sequence[int]) -> nn.Sequential:
    """3x3 convolutions to `widths` in turn with GELU between them."""
    layers: list[nn.Module] = []
    for width in widths:
        layers += [nn.Conv2d(in_channels, width, 3, padding=1), nn.GELU()]
        in_channels = width
    return nn.Sequential(*layers[:-1])
