"""What making packs must know of a backbone's networks: the one seam between them and the rest.

Each backbone has an :class:`ExactForm` (:mod:`licodec.packing.lite`, ``base``, ``published``); all
else (calibration, compilation, adapter sets, searches) is the same for all of them.
"""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
import torch
from torch import Tensor, fx, nn

from licodec.compiler.forms import Grid, Output
from licodec.compiler.graphs import trace
from licodec.compiler.grids import Rules, Tables
from licodec.compiler.ranges import RangeRecorder
from licodec.entropy.tables import EntropyTables
from licodec.exact.schedule import Schedule, Step
from licodec.networks.adapter_branches import Adapted
from licodec.networks.layers import bias_of
from licodec.packing.tables import SCALE_FRACTION_BITS, hyper_tables, latent_tables
from licodec.packs import Pack

if TYPE_CHECKING:
    from licodec.packing.programs import Packing

LATENT_FRACTION_BITS = 6
LATENT_STRIDE, HYPER_STRIDE = 16, 64  # pixels per latent and hyper-latent, each way
LATENTS = Grid(2.0**-LATENT_FRACTION_BITS, -(2**15), 2**15 - 1)
COLORS = 3
CALIBRATION_DS = (0.5, 1.0, 4.0, 12.0)
BETWEEN = (0.25, 0.5, 0.75)  # values of alpha and beta, for ranges, between their ends

Ranges = Mapping[str, tuple[float, float]]
# What runs each part that is compiled, by program: planes in, planes out.
Programs = Mapping[str, Callable[..., Any]]
Rate = Mapping[str, float]  # the values of a network's rate modes


@dataclass(frozen=True)
class Calibrated:
    """A traced part and the least and largest value of each of its nodes."""

    traced: fx.GraphModule
    ranges: Ranges


@dataclass(frozen=True)
class Value:
    """Planes that go from one program to another: the range, and what each channel counts in."""

    grid: Grid
    steps: np.ndarray

    @classmethod
    def on(cls, grid: Grid, channels: int) -> Value:
        return cls(grid, np.full(channels, grid.step))

    def equals(self, other: Value) -> bool:
        return self.grid == other.grid and np.array_equal(self.steps, other.steps)


class Target(Protocol):
    """What the parts of a network are added to, in coding order."""

    def add(
        self, name: str, inputs: Mapping[str, Value], outputs: Mapping[str, Output]
    ) -> dict[str, Value]:
        """Add one part; its outputs."""


@dataclass(frozen=True)
class Coded:
    """What a network makes of pictures: x_hat (N, 3, H, W) in [0, 1], and the bits of all of them
    together, ()."""

    x_hat: Tensor
    bits: Tensor

    @classmethod
    def of(cls, output: Mapping[str, Any]) -> Coded:
        """From what the network's forward gives."""
        bits = -sum(likelihood.log2().sum() for likelihood in output["likelihoods"].values())
        return cls(output["x_hat"], bits)


class ExactForm(ABC):
    """The exact form of one float network.

    LEAVES           what tracing its parts stops at
    RULES, TABLES    of the leaves that the compiler does not know by itself
    ACTIVATION_BITS  of the grids that coding does not fix
    FEATURES         names of the hyper-synthesis' results
    HYPER_LATENTS    the grid of hyper-latents, where it is the same for every network
    SHARED           programs that use the equal tensors of another one
    D_RANGE          least and largest d
    """

    LEAVES: ClassVar[tuple[type[nn.Module], ...]]
    RULES: ClassVar[Rules]
    TABLES: ClassVar[Tables]
    ACTIVATION_BITS: ClassVar[int] = 12
    FEATURES: ClassVar[tuple[str, ...]]
    HYPER_LATENTS: ClassVar[Grid]
    SHARED: ClassVar[Mapping[str, str]] = {}
    D_RANGE: ClassVar[tuple[float, float]] = (0.25, 64.0)

    def __init__(self, network: Any) -> None:
        self.network = network

    def check(self) -> None:  # noqa: B027 - most take every network
        """Raise ValueError where the network can have no exact form."""

    def prepare(self) -> None:  # noqa: B027 - most are compiled as they are
        """Change the network, which is a copy for that, to the one that is compiled."""

    def standard_width(self, layer: str) -> int:
        """Bits that the hand-made plan gives the weights of a layer, by its "program.layer" name:
        8, and 16 for linear paths, whose few terms are large."""
        return 16 if ".linear." in layer else 8

    # The float network ---------------------------------------------------------------

    @abstractmethod
    def parts(self) -> dict[str, nn.Module]:
        """The modules that are compiled, by program, those of the decoder in coding order first."""

    @abstractmethod
    def rates(self) -> Sequence[Rate]:
        """Where ranges are measured."""

    @abstractmethod
    def run(self, programs: Programs, pixels: Tensor, rates: Sequence[Rate]) -> None:
        """Let `programs` see what the parts see of `pixels` (N, 3, H, W) in [0, 1] at `rates`."""

    @abstractmethod
    def coded(self, programs: Programs, pixels: Tensor, d: float) -> Coded:
        """What the network gives of `pixels` at d, every part run by `programs`. Raises ValueError
        for a d that it does not take."""

    # The pack ------------------------------------------------------------------------

    def hyper_grid(self, calibrated: Mapping[str, Calibrated]) -> Grid:
        """What hyper-latents are coded on."""
        return self.HYPER_LATENTS

    @abstractmethod
    def connect(self, target: Target, hyper: Grid) -> tuple[Step, ...]:
        """Add every part, in the order of :meth:`parts`, with the grids that coding fixes; the
        steps that latents are decoded in."""

    def schedule(self, steps: tuple[Step, ...]) -> Schedule:
        low, high = (round(d * 2**LATENT_FRACTION_BITS) for d in self.D_RANGE)
        return Schedule(
            alignment=self.network.ALIGNMENT,
            latent_stride=LATENT_STRIDE,
            hyper_stride=HYPER_STRIDE,
            latent_fraction_bits=LATENT_FRACTION_BITS,
            scale_fraction_bits=SCALE_FRACTION_BITS,
            d_low=low,
            d_high=high,
            hyper_synthesis="hyper_synthesis",
            features=self.FEATURES,
            synthesis="synthesis",
            steps=steps,
        )

    def tables(self, hyper: Grid) -> EntropyTables:
        prior = self.network.entropy_bottleneck
        latent, thresholds = latent_tables()
        medians = torch.round(prior.medians.ravel()).numpy().astype(np.int32)
        learned = hyper_tables(prior, range(hyper.low, hyper.high + 1))
        return EntropyTables(learned, medians, latent, thresholds)

    def completed(self, pack: Pack, packing: Packing) -> Pack:
        """`pack`, compiled by `packing`, with what else this backbone's packs have."""
        return pack


@contextlib.contextmanager
def run_by(parts: Mapping[str, nn.Module], programs: Programs) -> Iterator[None]:
    """Let `programs` stand in for the forward passes of `parts`, which their network calls."""
    for name, module in parts.items():
        module.forward = programs[name]
    try:
        yield
    finally:
        for module in parts.values():
            del module.forward


@torch.no_grad()
def calibrate(
    form: ExactForm, pictures: Iterable[Tensor], rates: Sequence[Rate] | None = None
) -> dict[str, Calibrated]:
    """Trace every part and record its ranges on `pictures`, each (N, 3, H, W) in [0, 1] with
    sides that are multiples of the network's alignment, at `rates`, by default the form's.

    Raises ValueError where a value is not finite.
    """
    traced = {name: trace(part, form.LEAVES) for name, part in form.parts().items()}
    recorders = {name: RangeRecorder(own) for name, own in traced.items()}
    programs = {name: recorder.run for name, recorder in recorders.items()}
    rates = form.rates() if rates is None else rates
    for picture in pictures:
        form.run(programs, picture, rates)
    found = {name: Calibrated(traced[name], r.ranges) for name, r in recorders.items()}
    for name, part in found.items():
        if not np.isfinite(list(part.ranges.values())).all():
            raise ValueError(f"values of its {name} are not finite")
    return found


def with_ranges(form: ExactForm, ranges: Mapping[str, Ranges]) -> dict[str, Calibrated]:
    """Every part traced, with ranges that were recorded before."""
    parts = form.parts().items()
    return {name: Calibrated(trace(part, form.LEAVES), ranges[name]) for name, part in parts}


def calibration_gains(modes: Sequence[str]) -> list[Rate]:
    """Where the ranges of adapted parts are measured: every end of `modes` and three places
    between."""
    if not modes:
        return []
    places = [*product((0.0, 1.0), repeat=len(modes)), *((x,) * len(modes) for x in BETWEEN)]
    return [dict(zip(modes, place, strict=True)) for place in places]


@torch.no_grad()
def shift_pixels(synthesis: nn.Module, by: float) -> None:
    """Add `by` to what the last convolution of a synthesis of `lite` or `base` gives, in place.

    Their pixels are centred in float and count from 0 in packs.
    """
    for layer in synthesis.get_submodule("fine").children():
        while isinstance(layer, Adapted):
            layer = layer.layer
        if isinstance(layer, nn.Conv2d):
            bias_of(layer).add_(by)
