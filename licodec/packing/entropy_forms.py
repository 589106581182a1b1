"""How the exact forms of the published networks code latents: in slices, or by wavefronts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from licodec.compiler.forms import Grid, Output
from licodec.exact.schedule import NEIGHBOURS, PREVIOUS, SliceStep, Step, WavefrontStep
from licodec.networks.cheng_attn import REACH, ChengNetwork
from licodec.networks.compiled_leaves import FirstChannels
from licodec.networks.lite import adaptive_step
from licodec.networks.priors import gaussian_likelihood
from licodec.networks.published import SlicedNetwork, SliceParameters
from licodec.packing.parts import (
    D_RANGE,
    LATENTS,
    SCALE_FRACTION_BITS,
    Programs,
)
from licodec.packing.programs import Target, Value

SCALES = Grid(2.0**-SCALE_FRACTION_BITS, -(2**18), 2**18)  # raw: they may be negative


class EntropyForm(Protocol):
    """What is particular to one way of coding latents.

    features  names of the hyper-synthesis' results
    d_range   least and largest d
    """

    features: tuple[str, ...]
    d_range: tuple[float, float]

    def parts(self) -> dict[str, nn.Module]:
        """The modules that are compiled, by program, in coding order."""

    def decoded(
        self,
        programs: Programs,
        y: Tensor,
        features: Tensor | tuple[Tensor, ...],
        ds: Sequence[float],
    ) -> Iterator[Tensor]:
        """The decoded latents of `y` at each d; the parts are run on the way."""

    def coded(
        self, programs: Programs, y: Tensor, features: Tensor | tuple[Tensor, ...], d: float
    ) -> tuple[Tensor, Tensor]:
        """Decoded latents and likelihoods as the network's forward gives them at `d`, every part
        run once. Raises ValueError for a d that the network does not take."""

    def add(self, packing: Target, features: Mapping[str, Value]) -> tuple[Step, ...]:
        """Compile the parts; the steps that run them."""


class EarlierSlices(nn.Module):
    """Parameters of a slice that sees only the first of those before it, which are `channels`."""

    def __init__(self, parameters: SliceParameters, channels: int) -> None:
        super().__init__()
        self.seen, self.network = FirstChannels(channels), parameters

    def forward(
        self, means: Tensor, scales: Tensor, previous: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        return self.network(means, scales, self.seen(previous))


class SlicedForm:
    """Slices in turn, each given those before it."""

    features = ("means", "scales")
    d_range = D_RANGE

    def __init__(self, network: SlicedNetwork) -> None:
        self.network = network
        self.size = network.latents // network.slices  # channels of a slice

    def parts(self) -> dict[str, nn.Module]:
        network, found = self.network, {}
        for i in range(network.slices):
            parameters: nn.Module = network.slice_parameters(i)
            if i > network.supports:
                parameters = EarlierSlices(parameters, network.supports * self.size)
            found[f"parameters.{i}"] = parameters
            found[f"residual.{i}"] = network.residual_prediction(i)
        return found

    def decoded(
        self,
        programs: Programs,
        y: Tensor,
        features: tuple[Tensor, Tensor],
        ds: Sequence[float],
    ) -> Iterator[Tensor]:
        for d in ds:
            yield self.coded(programs, y, features, d)[0]

    def coded(
        self, programs: Programs, y: Tensor, features: tuple[Tensor, Tensor], d: float
    ) -> tuple[Tensor, Tensor]:
        decoded: list[Tensor] = []
        likelihoods = []
        for i, own in enumerate(y.chunk(self.network.slices, 1)):
            previous = (torch.cat(decoded, 1),) if i else ()
            mean, scale, context = programs[f"parameters.{i}"](*features, *previous)
            step = adaptive_step(scale, d, i, self.network.slices)
            rounded = torch.round((own - mean) / step)
            likelihoods.append(gaussian_likelihood(rounded, scale / step))
            y_hat = rounded * step + mean
            decoded.append(y_hat + programs[f"residual.{i}"](context, y_hat))
        return torch.cat(decoded, 1), torch.cat(likelihoods, 1)

    def add(self, packing: Target, features: Mapping[str, Value]) -> tuple[Step, ...]:
        size, steps = self.size, []
        for i in range(self.network.slices):
            previous = {PREVIOUS: Value.on(LATENTS, i * size)} if i else {}
            fixed = {"mean": Output(LATENTS), "scale": Output(SCALES), "context": Output()}
            parameters = packing.add(f"parameters.{i}", {**features, **previous}, fixed)
            packing.add(
                f"residual.{i}",
                {"context": parameters["context"], "decoded": Value.on(LATENTS, size)},
                {"correction": Output(LATENTS)},
            )
            steps.append(SliceStep(i * size, (i + 1) * size, f"parameters.{i}", f"residual.{i}"))
        return tuple(steps)


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
        self.context = _pointwise(kernel.transpose(1, 2).flatten(1), convolution.bias)
        *layers, last = network.entropy_parameters
        self.layers = nn.Sequential(*layers)
        weights, biases = last.weight.flatten(1).chunk(2), last.bias.chunk(2)
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


class WavefrontForm:
    """Position by position, each given those before it. There is no d: AQVR needs every scale of
    a plane before its first symbol."""

    features = ("features",)
    d_range = (1.0, 1.0)

    def __init__(self, network: ChengNetwork) -> None:
        self.network = network

    def parts(self) -> dict[str, nn.Module]:
        return {"parameters": NeighbourParameters(self.network).eval()}

    def decoded(
        self, programs: Programs, y: Tensor, features: Tensor, ds: Sequence[float]
    ) -> Iterator[Tensor]:
        y_hat = self.network.decoded_from(y, features)
        # As for the synthesis: a range that is too wide costs little, one too narrow much.
        noise = torch.randn(y.shape, generator=torch.Generator().manual_seed(0))
        for latents in (y_hat, noise):
            programs["parameters"](features, neighbours_of(latents))
        yield y_hat

    def coded(
        self, programs: Programs, y: Tensor, features: Tensor, d: float
    ) -> tuple[Tensor, Tensor]:
        if d != 1:
            raise ValueError(f"{self.network.backbone} has no d")
        # As published: what is estimated rounds y itself, while coding rounds y - mean, which
        # would take one run of the part for every step of the wavefront.
        rounded = torch.round(y)
        mean, scale = programs["parameters"](features, neighbours_of(rounded))
        return rounded, gaussian_likelihood(torch.round(y - mean), scale)

    def add(self, packing: Target, features: Mapping[str, Value]) -> tuple[Step, ...]:
        count = self.network.latents
        step = WavefrontStep(0, count, "parameters", REACH)
        neighbours = {NEIGHBOURS: Value.on(LATENTS, step.neighbours * count)}
        fixed = {"mean": Output(LATENTS), "scale": Output(SCALES)}
        packing.add("parameters", {**features, **neighbours}, fixed)
        return (step,)
