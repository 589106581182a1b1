"""What making packs must know of a backbone's networks: the one seam between them and the rest.

Each backbone has an :class:`ExactForm` (:mod:`licodec.packing.lite`, ``base``, ``published``); all
else (calibration, compilation, adapter sets, searches) is the same for all of them.
"""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, pairwise, product
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from licodec.compiler.forms import Calibrated, Grid, Output, Value
from licodec.compiler.graphs import trace
from licodec.compiler.ranges import RangeRecorder
from licodec.entropy.tables import EntropyTables
from licodec.exact.schedule import PREVIOUS, Schedule, SliceStep, Step
from licodec.networks.adapter_sets import modes_of
from licodec.networks.rate_modes import RateModes
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

# What runs each part that is compiled, by program: planes in, planes out.
Programs = Mapping[str, Callable[..., Any]]
Rate = Mapping[str, float]  # the values of a network's rate modes
Values = Mapping[str, Value]  # by port


class Target(Protocol):
    """What the parts of a network are added to, in coding order."""

    def add(self, name: str, inputs: Values, outputs: Mapping[str, Output]) -> Values:
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

    ACTIVATION_BITS  of the grids that coding does not fix
    LATENTS          what latents are coded on
    FEATURES         names of the hyper-synthesis' results
    CENTRED_PIXELS, PIXELS  what the analysis takes, and the synthesis gives
    SHARED           programs that use the equal tensors of another one
    D_RANGE          least and largest d
    """

    ACTIVATION_BITS: ClassVar[int] = 12
    LATENTS: ClassVar[Grid] = LATENTS
    FEATURES: ClassVar[tuple[str, ...]]
    CENTRED_PIXELS: ClassVar[Grid]
    PIXELS: ClassVar[Output]
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
    def entropy_parts(self) -> dict[str, nn.Module]:
        """The modules between hyper-synthesis and synthesis, by program, in coding order."""

    def parts(self) -> dict[str, nn.Module]:
        """The modules that are compiled, by program, those of the decoder in coding order first."""
        network = self.network
        return {
            "hyper_synthesis": network.hyper_synthesis,
            **self.entropy_parts(),
            "synthesis": network.synthesis,
            "analysis": network.analysis,
            "hyper_analysis": network.hyper_analysis,
        }

    @cached_property
    def same_weights(self) -> Mapping[str, str]:
        """Layers that several parts have in common: by the names that they have in later parts, the
        one in the first, "program.layer" both."""
        first: dict[nn.Module, str] = {}
        found = {}
        for program, part in self.parts().items():
            for path, module in part.named_modules():
                name = f"{program}.{path}"
                if (own := first.setdefault(module, name)) != name:
                    found[name] = own
        return found

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

    @abstractmethod
    def hyper_grid(self, calibrated: Mapping[str, Calibrated]) -> Grid:
        """What hyper-latents are coded on."""

    def analysed(self) -> Output:
        """What the analysis gives."""
        return Output(self.LATENTS)

    def hyper_analysed(self, hyper: Grid) -> Output:
        """What the hyper-analysis gives."""
        return Output(hyper)

    @abstractmethod
    def connect_entropy(self, target: Target, features: Values) -> tuple[Step, ...]:
        """Add :meth:`entropy_parts`; the steps that run them."""

    def connect(self, target: Target, hyper: Grid) -> tuple[Step, ...]:
        """Add every part, in the order of :meth:`parts`, with the grids that coding fixes; the
        steps that latents are decoded in."""
        hyper_latents = {"hyper_latents": Value.on(hyper, self.network.hyper_latents)}
        fixed = {"block_means": Output(self.LATENTS)}
        outputs = {name: fixed.get(name, Output()) for name in self.FEATURES}
        features = target.add("hyper_synthesis", hyper_latents, outputs)
        steps = self.connect_entropy(target, features)
        latents = {"latents": Value.on(self.LATENTS, self.network.latents)}
        target.add("synthesis", latents, {"pixels": self.PIXELS})
        pixels = {"pixels": Value.on(self.CENTRED_PIXELS, COLORS)}
        target.add("analysis", pixels, {"latents": self.analysed()})
        target.add("hyper_analysis", latents, {"hyper_latents": self.hyper_analysed(hyper)})
        return steps

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
def calibrate(form: ExactForm, pictures: Iterable[Tensor]) -> dict[str, Calibrated]:
    """Trace every part and record its ranges on `pictures`, each (N, 3, H, W) in [0, 1] with
    sides that are multiples of the network's alignment, at the form's rates.

    Raises ValueError where a value is not finite.
    """
    traced = {name: trace(part) for name, part in form.parts().items()}
    recorders = {name: RangeRecorder(own) for name, own in traced.items()}
    programs = {name: recorder.run for name, recorder in recorders.items()}
    rates = form.rates()
    for picture in pictures:
        form.run(programs, picture, rates)
    found = {name: Calibrated(traced[name], r.ranges) for name, r in recorders.items()}
    for name, part in found.items():
        if not np.isfinite(list(part.ranges.values())).all():
            raise ValueError(f"values of its {name} are not finite")
    return found


def connect_slices(
    target: Target, slices: Sequence[int], first: Values, later: Values, scales: Grid
) -> tuple[Step, ...]:
    """Add the parameters and the residual prediction of `slices` of so many channels, each given
    those before it; `first` and `later` are the features that the first slice and the others
    read."""
    steps = []
    for i, (start, stop) in enumerate(pairwise(accumulate(slices, initial=0))):
        read = {**later, PREVIOUS: Value.on(LATENTS, start)} if start else first
        names = f"parameters.{i}", f"residual.{i}"
        coded = {"mean": Output(LATENTS), "scale": Output(scales), "context": Output()}
        made = target.add(names[0], read, coded)
        read = {"context": made["context"], "decoded": Value.on(LATENTS, stop - start)}
        target.add(names[1], read, {"correction": Output(LATENTS)})
        steps.append(SliceStep(start, stop, *names))
    return tuple(steps)


def calibration_gains(network: RateModes) -> list[Rate]:
    """Where the ranges of a network with adapters are measured: every end of its modes and three
    places between."""
    modes = modes_of(network)
    if not modes:
        return []
    places = [*product((0.0, 1.0), repeat=len(modes)), *((x,) * len(modes) for x in BETWEEN)]
    return [dict(zip(modes, place, strict=True)) for place in places]
