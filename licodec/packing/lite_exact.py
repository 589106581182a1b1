"""The exact form of `lite`: its modules compiled into a pack's programs and tables."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from licodec.compiler.forms import Grid, Output
from licodec.compiler.graphs import trace
from licodec.entropy.adaptive import SHARE_ONE
from licodec.entropy.tables import EntropyTables, tables_to_tensors
from licodec.errors import BadInputError
from licodec.exact.schedule import Schedule, SliceStep
from licodec.networks.adapter_branches import Adapted, Gain
from licodec.networks.adapter_sets import gains
from licodec.networks.latent_views import LogMagnitude
from licodec.networks.layers import HalfTanh, ScaleExponential
from licodec.networks.lite import COLORS, PIXEL_UNIT, LiteConfig, LiteNetwork
from licodec.packing.parts import (
    CALIBRATION_DS,
    D_RANGE,
    LATENT_FRACTION_BITS,
    LATENTS,
    SCALE_FRACTION_BITS,
    Calibrated,
    Ranges,
    calibration_gains,
    hyper_tables,
    latent_tables,
)
from licodec.packing.programs import (
    OperandSteps,
    Packing,
    Part,
    StandIns,
    Target,
    Value,
    recorded,
)
from licodec.packs import Pack, PackAdapters
from licodec.rate.gains import ALPHA, BETA, MODES

PIXEL_FRACTION = 16  # the two paths of the synthesis are summed on a grid of 1/16 level

SCALES = Grid(2.0**-SCALE_FRACTION_BITS, 0, 2**17)
HYPER_LATENTS = Grid(1.0, -(2**7), 2**7 - 1)
# The two paths of the hyper-analysis are summed on a finer grid than they are given out on.
HYPER_SUM = Grid(2.0**-7, -(2**15), 2**15 - 1)
# 2 * pixel - 255: the centre of the 8-bit range falls between two pixels.
CENTRED_PIXELS = Grid(0.5 / PIXEL_UNIT, -255, 255)
PIXEL_SUM = Grid(1 / (PIXEL_FRACTION * PIXEL_UNIT), -(2**15), 2**15 - 1)
PIXELS = Grid(1 / PIXEL_UNIT, 0, 255)

TABLE_FUNCTIONS: Mapping[type[nn.Module], Callable[[nn.Module, np.ndarray], np.ndarray]] = {
    HalfTanh: lambda module, x: 0.5 * np.tanh(x),
    LogMagnitude: lambda module, x: np.log1p(np.abs(x)),
    ScaleExponential: lambda module, x: np.exp(
        np.clip(x, math.log(module.lowest), math.log(module.highest))
    ),
}


LEAVES = (*TABLE_FUNCTIONS, Gain)
# Where ranges are measured: of the anchor, and with adapters, whose alpha brings its d.
ANCHOR_RATES = tuple({"d": d} for d in CALIBRATION_DS)


def parts(network: LiteNetwork) -> list[Part]:
    """The modules that are compiled, those of the decoder in coding order first."""
    middle = []
    for i, (parameters, residual) in enumerate(
        zip(network.slice_parameters, network.residual_predictions, strict=True)
    ):
        middle += [Part(f"parameters.{i}", parameters), Part(f"residual.{i}", residual)]
    return [
        Part("hyper_synthesis", network.hyper_synthesis),
        *middle,
        Part("synthesis", network.synthesis),
        Part("analysis", network.analysis),
        Part("hyper_analysis", network.hyper_analysis),
    ]


def calibrate(
    network: LiteNetwork,
    pictures: Iterable[Tensor],
    rates: Sequence[Mapping[str, float]] = ANCHOR_RATES,
) -> dict[str, Calibrated]:
    """Trace every part and record its ranges on `pictures`, each (1, 3, H, W) in [0, 1] with
    sides that are multiples of 64, at each of `rates`, what ``set_rate`` takes. The network's
    rate is neutral afterwards."""

    def run() -> None:
        for picture, rate in itertools.product(pictures, rates):
            network.set_rate(**rate)
            network(picture)

    training = network.training
    network.eval()
    try:
        return recorded(parts(network), LEAVES, run)
    finally:
        network.train(training)
        network.set_rate()


def with_pixel_offset(network: LiteNetwork) -> LiteNetwork:
    """A copy whose synthesis gives pixels counted from 0, not from the centre of the range."""
    network = copy.deepcopy(network).cpu().eval()
    layer = network.synthesis.fine[-2]
    while isinstance(layer, Adapted):
        layer = layer.layer
    with torch.no_grad():
        layer.bias += 127.5 / PIXEL_UNIT
    return network


def add_parts(target: Target, config: LiteConfig) -> None:
    """Add every part, in the order of :func:`parts`, with the grids that coding fixes."""
    latents, pixels = Value.on(LATENTS, config.latents), Value.on(CENTRED_PIXELS, COLORS)
    made = target.add(
        "hyper_synthesis",
        {"hyper_latents": Value.on(HYPER_LATENTS, config.hyper_latents)},
        {"features": Output(), "block_means": Output(LATENTS)},
    )
    features = Value.on(made["features"].grid, config.hyper_features)
    start = 0
    for i, channels in enumerate(config.slices):
        previous = {"previous": Value.on(LATENTS, start)} if start else {}
        seen = previous or {"block_means": Value.on(LATENTS, COLORS)}
        parameters = target.add(
            f"parameters.{i}",
            {"features": features, **seen},
            {"mean": Output(LATENTS), "scale": Output(SCALES), "context": Output()},
        )
        target.add(
            f"residual.{i}",
            {
                "context": Value.on(parameters["context"].grid, config.context_features),
                "decoded": Value.on(LATENTS, channels),
            },
            {"correction": Output(LATENTS)},
        )
        start += channels
    target.add("synthesis", {"latents": latents}, {"pixels": Output(PIXEL_SUM, PIXELS)})
    target.add("analysis", {"pixels": pixels}, {"latents": Output(LATENTS)})
    hyper = {"hyper_latents": Output(HYPER_SUM, HYPER_LATENTS)}
    target.add("hyper_analysis", {"latents": latents}, hyper)


def operand_steps(
    network: LiteNetwork, calibrated: Mapping[str, Calibrated], activation_bits: int
) -> Mapping[str, np.ndarray]:
    """What the operand of every convolution counts in, (channels,) by "program.layer" name."""
    steps = OperandSteps(calibrated, activation_bits, TABLE_FUNCTIONS)
    add_parts(steps, network.config)
    return steps.found


def standard_widths(layer: str) -> int:
    """The hand-made plan: 8 bits, and 16 for the linear path, whose few terms are large."""
    return 16 if ".linear." in layer else 8


def with_ranges(network: LiteNetwork, ranges: Mapping[str, Ranges]) -> dict[str, Calibrated]:
    """`network` traced anew, with ranges that were recorded before."""
    return {
        part.name: Calibrated(trace(part.module, LEAVES), ranges[part.name])
        for part in parts(network)
    }


@dataclass(frozen=True)
class AdaptedLite:
    """A network with adapters that were trained on the one that is compiled.

    objective  what they were trained for, by which encoders choose them
    """

    objective: str
    network: LiteNetwork


@dataclass(frozen=True)
class CalibratedLite:
    """A network and those with adapters for it, ready to be compiled at any plan.

    network  gives pixels counted from 0
    parts    its own, with their ranges
    adapted  the networks with adapters and their parts
    """

    network: LiteNetwork
    parts: Mapping[str, Calibrated]
    adapted: tuple[tuple[AdaptedLite, Mapping[str, Calibrated]], ...] = ()


def calibrate_lite(network: LiteNetwork, pictures: Iterable[Tensor]) -> CalibratedLite:
    """Trace `network` and record its ranges on `pictures`, as :func:`calibrate` does."""
    network = with_pixel_offset(network)
    return CalibratedLite(network, calibrate(network, pictures))


def calibrate_adapted(
    adapted: Sequence[AdaptedLite], pictures: Sequence[Tensor]
) -> tuple[tuple[AdaptedLite, Mapping[str, Calibrated]], ...]:
    """Each of `adapted`, its pixels counted from 0, and its parts with their ranges."""
    own = [replace(one, network=with_pixel_offset(one.network)) for one in adapted]
    return tuple((one, calibrate(one.network, pictures, _rates(one.network))) for one in own)


def _rates(network: LiteNetwork) -> list[Mapping[str, float]]:
    """Where ranges of a network with adapters are measured."""
    modes = [mode for mode in MODES if mode in network.rate_modes]
    return [*ANCHOR_RATES, *calibration_gains(modes)]


def compile_lite(
    calibrated: CalibratedLite,
    *,
    plan_name: str,
    card: Mapping[str, object],
    widths: Callable[[str], int] = standard_widths,
    activation_bits: int = 12,
) -> Pack:
    """Compile a network into a pack.

    `widths` gives the bits of a weight by "program.layer" name, `activation_bits` those of
    every grid that the schedule does not fix. Each network with adapters becomes an adapter set;
    they change nothing of the rest. Raises BadInputError for adapters that a pack cannot
    describe.
    """
    network, config = calibrated.network, calibrated.network.config
    packing = Packing(calibrated.parts, widths, activation_bits, TABLE_FUNCTIONS)
    add_parts(packing, config)
    sets = tuple(_adapter_set(packing, *one) for one in calibrated.adapted)
    edges = [0, *itertools.accumulate(config.slices)]
    steps = tuple(
        SliceStep(start, stop, f"parameters.{i}", f"residual.{i}")
        for i, (start, stop) in enumerate(itertools.pairwise(edges))
    )
    unit = 2**LATENT_FRACTION_BITS
    schedule = Schedule(
        alignment=network.ALIGNMENT,
        latent_stride=16,
        hyper_stride=64,
        latent_fraction_bits=LATENT_FRACTION_BITS,
        scale_fraction_bits=SCALE_FRACTION_BITS,
        d_low=round(D_RANGE[0] * unit),
        d_high=round(D_RANGE[1] * unit),
        hyper_synthesis="hyper_synthesis",
        features=("features", "block_means"),
        synthesis="synthesis",
        steps=steps,
    )
    latent, thresholds = latent_tables()
    medians = np.zeros(config.hyper_latents, np.int32)
    symbols = range(HYPER_LATENTS.low, HYPER_LATENTS.high + 1)
    hyper = hyper_tables(network.entropy_bottleneck, symbols)
    tables = EntropyTables(hyper, medians, latent, thresholds)
    tensors = {**packing.tensors, **tables_to_tensors(tables)}
    programs, stored_widths = packing.programs, packing.stored_widths
    return Pack(
        "lite", plan_name, schedule, programs, tensors, stored_widths, dict(card), adapters=sets
    )


def _adapter_set(
    packing: Packing, adapted: AdaptedLite, calibrated: Mapping[str, Calibrated]
) -> PackAdapters:
    """Compile the stand-ins of one set beside the anchor's programs."""
    network = adapted.network
    modules = {part.name: part.module for part in parts(network)}
    stand_ins = StandIns(packing, adapted.objective, modules, calibrated)
    add_parts(stand_ins, network.config)
    unit = 2**LATENT_FRACTION_BITS
    shares = [tuple(round(share * SHARE_ONE) for share in own) for own in step_shares_of(network)]
    d = round(step_of(network) * unit)
    return PackAdapters(adapted.objective, stand_ins.programs, d, *shares)


def step_shares_of(network: LiteNetwork) -> list[tuple[float, ...]]:
    """What of d - 1 the steps of each slice take with the adapters for alpha, and at beta = 1;
    none where steps are AQVR's, or alpha's."""
    shares = {gain.mode: gain.step_shares for gain in gains(network)}
    return [shares.get(mode, ()) for mode in MODES]


def step_of(network: LiteNetwork) -> float:
    """The d that goes with alpha = 1. Raises BadInputError where d goes with anything else."""
    steps = {gain.mode: gain.d for gain in gains(network)}
    if steps.get(BETA, 1.0) != 1:
        raise BadInputError("a d goes with its beta; in packs d goes with alpha alone")
    return steps.get(ALPHA, 1.0)


def require_adapters(adapted: AdaptedLite) -> None:
    """Raise BadInputError for a network without any."""
    if not any(gains(adapted.network)):
        raise BadInputError(f"the network for {adapted.objective} has no adapters")
