"""The exact form of the published backbones (`stf`, `tcm`, `icm`, `cheng-attn`), whose latents are
coded in slices or by wavefronts.

Hyper-latents are integers around fractional medians. The pack holds the integer nearest to
each median, and the hyper-synthesis begins by adding the rest, so that the zeros of its first
convolution's padding stay zeros. For the same reason the analysis begins by shifting the
centred pixels to [0, 1].
"""

from __future__ import annotations

import itertools
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from licodec.compiler.forms import Calibrated, Grid, Output, Value
from licodec.compiler.graphs import output_nodes
from licodec.exact.schedule import NEIGHBOURS, Step, WavefrontStep
from licodec.networks.adapter_sets import gains
from licodec.networks.cheng_attn import REACH, ChengNetwork
from licodec.networks.compiled_leaves import ChannelOffset, FirstChannels
from licodec.networks.layers import bias_of
from licodec.networks.lite import adaptive_step
from licodec.networks.priors import learning_likelihood
from licodec.networks.published import PublishedNetwork, SlicedNetwork
from licodec.packing.exact_form import (
    CALIBRATION_DS,
    COLORS,
    LATENTS,
    Coded,
    ExactForm,
    Programs,
    Rate,
    Target,
    Values,
    calibration_gains,
    connect_slices,
)
from licodec.packing.tables import SCALE_FRACTION_BITS

PIXELS = Grid(1 / 255, 0, 255)
SCALES = Grid(2.0**-SCALE_FRACTION_BITS, -(2**18), 2**18)  # raw: they may be negative
LEAST_REACH, MOST_REACH = 2**4, 2**14  # of the hyper-latents' port
REACH_MARGIN = 1.5  # of the port beyond the prior's tails and what calibration saw

Features = Sequence[Tensor]  # of the hyper-synthesis, (N, F, h, w) each


def _without_d(rate: Rate) -> Rate:
    return {mode: value for mode, value in rate.items() if mode != "d"}


class PublishedForm(ExactForm):
    """What both ways of coding latents have in common."""

    ACTIVATION_BITS = 16
    # 2 * pixel - 255, as the encoder gives them, of pixels in [0, 1] less one half.
    CENTRED_PIXELS = Grid(1 / 510, -255, 255)
    PIXELS = Output(PIXELS)
    network: PublishedNetwork

    def check(self) -> None:
        own = (self.network.analysis, self.network.synthesis)
        if len(list(gains(self.network))) > sum(len(list(gains(part))) for part in own):
            raise ValueError("it has adapters outside of analysis and synthesis")

    def standard_width(self, layer: str) -> int:
        return 8

    @property
    def rests(self) -> Tensor:
        """How far the medians of hyper-latents are from the nearest integers, (channels,)."""
        medians = self.network.entropy_bottleneck.medians.ravel()
        return medians - torch.round(medians)

    def parts(self) -> dict[str, nn.Module]:
        found, rests = super().parts(), self.rests
        half = ChannelOffset(torch.full((COLORS,), 0.5))
        shifted = {
            "hyper_synthesis": nn.Sequential(ChannelOffset(rests), found["hyper_synthesis"]),
            "analysis": nn.Sequential(half, found["analysis"]),
            "hyper_analysis": nn.Sequential(found["hyper_analysis"], ChannelOffset(-rests)),
        }
        return {**found, **shifted}

    def rates(self) -> Sequence[Rate]:
        return calibration_gains(self.network) or [{"d": d} for d in CALIBRATION_DS]

    def run(self, programs: Programs, pixels: Tensor, rates: Sequence[Rate]) -> None:
        """The synthesis also sees noise of unit variance: at 16 bits a range that is too wide
        costs little, and one that is too narrow for another picture's latents much."""
        for adapted, same in itertools.groupby(rates, _without_d):
            self.network.set_rate(**adapted)
            y = programs["analysis"](pixels - 0.5)
            z = torch.round(programs["hyper_analysis"](y))
            features = self.features(programs, z)
            for y_hat in self.decoded(programs, y, features, [rate.get("d", 1.0) for rate in same]):
                programs["synthesis"](y_hat)
            programs["synthesis"](noise(y))

    def coded(self, programs: Programs, pixels: Tensor, d: float) -> Coded:
        y = programs["analysis"](pixels - 0.5)
        z = torch.round(programs["hyper_analysis"](y))
        y_hat, of_y = self.coded_latents(programs, y, self.features(programs, z), d)
        _, of_z = self.network.entropy_bottleneck(z + self.rests[:, None, None])
        x_hat = programs["synthesis"](y_hat)
        return Coded.of({"x_hat": x_hat, "likelihoods": {"y": of_y, "z": of_z}})

    def features(self, programs: Programs, z: Tensor) -> Features:
        found = programs["hyper_synthesis"](z)
        return (found,) if isinstance(found, Tensor) else found

    @abstractmethod
    def decoded(
        self, programs: Programs, y: Tensor, features: Features, ds: Sequence[float]
    ) -> Iterator[Tensor]:
        """The decoded latents of `y` at each d; the parts are run on the way."""

    @abstractmethod
    def coded_latents(
        self, programs: Programs, y: Tensor, features: Features, d: float
    ) -> tuple[Tensor, Tensor]:
        """Decoded latents and likelihoods as the network's forward gives them at `d`, every part
        run once. Raises ValueError for a d that the network does not take."""

    def analysed(self) -> Output:
        # STF's last sums are the latents: they are taken on a finer grid than they are given on.
        return Output(final=LATENTS)

    def hyper_grid(self, calibrated: Mapping[str, Calibrated]) -> Grid:
        """Integers that hold the prior's tails and what calibration saw of hyper-latents less the
        rests of their medians."""
        analysis = calibrated["hyper_analysis"]
        (end,) = output_nodes(analysis.traced)
        seen = analysis.ranges[end.name]
        tails = float(self.network.entropy_bottleneck.quantiles.detach().abs().max())
        wanted = REACH_MARGIN * max(tails, -seen[0], seen[1])
        reach = LEAST_REACH
        while reach < min(wanted, MOST_REACH):
            reach *= 2
        return Grid(1.0, -reach, reach - 1)


def noise(like: Tensor) -> Tensor:
    return torch.randn(like.shape, generator=torch.Generator().manual_seed(0))


class EarlierSlices(nn.Module):
    """Parameters of a slice that sees only the first of those before it, which are `channels`."""

    def __init__(self, parameters: nn.Module, channels: int) -> None:
        super().__init__()
        self.seen, self.network = FirstChannels(channels), parameters

    def forward(
        self, means: Tensor, scales: Tensor, previous: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        return self.network(means, scales, self.seen(previous))


class SlicedForm(PublishedForm):
    """Slices in turn, each given those before it."""

    FEATURES = ("means", "scales")
    network: SlicedNetwork

    @property
    def size(self) -> int:
        """Channels of a slice."""
        return self.network.latents // self.network.slices

    def entropy_parts(self) -> dict[str, nn.Module]:
        network, found = self.network, {}
        for i in range(network.slices):
            parameters: nn.Module = network.slice_parameters(i)
            if i > network.supports:
                parameters = EarlierSlices(parameters, network.supports * self.size)
            found[f"parameters.{i}"] = parameters
            found[f"residual.{i}"] = network.residual_prediction(i)
        return found

    def decoded(
        self, programs: Programs, y: Tensor, features: Features, ds: Sequence[float]
    ) -> Iterator[Tensor]:
        for d in ds:
            yield self.coded_latents(programs, y, features, d)[0]

    def coded_latents(
        self, programs: Programs, y: Tensor, features: Features, d: float
    ) -> tuple[Tensor, Tensor]:
        decoded: list[Tensor] = []
        likelihoods = []
        for i, own in enumerate(y.chunk(self.network.slices, 1)):
            previous = (torch.cat(decoded, 1),) if i else ()
            mean, scale, context = programs[f"parameters.{i}"](*features, *previous)
            step = adaptive_step(scale, d, i, self.network.slices)
            rounded = torch.round((own - mean) / step)
            likelihoods.append(learning_likelihood(rounded, scale / step))
            y_hat = rounded * step + mean
            decoded.append(y_hat + programs[f"residual.{i}"](context, y_hat))
        return torch.cat(decoded, 1), torch.cat(likelihoods, 1)

    def connect_entropy(self, target: Target, features: Values) -> tuple[Step, ...]:
        sizes = [self.size] * self.network.slices
        return connect_slices(target, sizes, features, features, SCALES)


class NeighbourParameters(nn.Module):
    """Context model and entropy parameters of single positions: forward(features (N, 2M, h, w),
    neighbours (N, 12 M, h, w), position by position) -> (mean, scale).

    The context model is a matrix here, of what its kernel lets a position see, and the last
    layer two, so that means and scales have grids of their own. Biases share their memory with
    the network's: what is added to one in place is added to the other.
    """

    def __init__(self, network: ChengNetwork) -> None:
        super().__init__()
        convolution = network.context_prediction
        above, beside = torch.nonzero(convolution.visible(), as_tuple=True)
        kernel = convolution.weight[:, :, above, beside]  # (2M, M, 12)
        self.context = _pointwise(kernel.transpose(1, 2).flatten(1), bias_of(convolution))
        *layers, last = network.entropy_parameters
        self.layers = nn.Sequential(*layers)
        weights = last.get_parameter("weight").flatten(1).chunk(2)
        biases = last.get_parameter("bias").chunk(2)
        self.scale, self.mean = map(_pointwise, weights, biases)

    def forward(self, features: Tensor, neighbours: Tensor) -> tuple[Tensor, Tensor]:
        known = self.layers(torch.cat([features, self.context(neighbours)], 1))
        return self.mean(known), self.scale(known)


def _pointwise(matrix: Tensor, bias: Tensor) -> nn.Conv2d:
    """A 1x1 convolution with the weights `matrix` (O, I)."""
    convolution = nn.Conv2d(matrix.shape[1], matrix.shape[0], 1)
    convolution.weight = nn.Parameter(matrix.detach()[:, :, None, None].contiguous())
    convolution.bias = nn.Parameter(bias.detach())
    return convolution


def neighbours_of(latents: Tensor) -> Tensor:
    """The latents (N, M, h, w) around each position that precede it, (N, 12 M, h, w)."""
    height, width = latents.shape[2:]
    padded = F.pad(latents, (REACH, REACH, REACH, 0))
    side = 2 * REACH + 1
    places = (divmod(i, side) for i in range(REACH * (side + 1)))
    return torch.cat([padded[:, :, r : r + height, c : c + width] for r, c in places], 1)


class WavefrontForm(PublishedForm):
    """Position by position, each given those before it. There is no d: AQVR needs every scale of
    a plane before its first symbol."""

    FEATURES = ("features",)
    D_RANGE = (1.0, 1.0)
    network: ChengNetwork

    def entropy_parts(self) -> dict[str, nn.Module]:
        return {"parameters": NeighbourParameters(self.network).eval()}

    def decoded(
        self, programs: Programs, y: Tensor, features: Features, ds: Sequence[float]
    ) -> Iterator[Tensor]:
        y_hat = self.network.decoded_from(y, *features)
        # As for the synthesis: a range that is too wide costs little, one too narrow much.
        for latents in (y_hat, noise(y)):
            programs["parameters"](*features, neighbours_of(latents))
        yield y_hat

    def coded_latents(
        self, programs: Programs, y: Tensor, features: Features, d: float
    ) -> tuple[Tensor, Tensor]:
        if d != 1:
            raise ValueError(f"{self.network.backbone} has no d")
        # As published: what is estimated rounds y itself, while coding rounds y - mean, which
        # would take one run of the part for every step of the wavefront.
        rounded = torch.round(y)
        mean, scale = programs["parameters"](*features, neighbours_of(rounded))
        return rounded, learning_likelihood(torch.round(y - mean), scale)

    def connect_entropy(self, target: Target, features: Values) -> tuple[Step, ...]:
        count = self.network.latents
        step = WavefrontStep(0, count, "parameters", REACH)
        neighbours = {NEIGHBOURS: Value.on(LATENTS, step.neighbours * count)}
        fixed = {"mean": Output(LATENTS), "scale": Output(SCALES)}
        target.add("parameters", {**features, **neighbours}, fixed)
        return (step,)
