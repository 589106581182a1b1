"""The exact form of `lite`: its modules compiled into a pack's programs and tables."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from licodec.backbones.exact_parts import (
    CALIBRATION_DS,
    D_RANGE,
    LATENT_FRACTION_BITS,
    LATENTS,
    SCALE_FRACTION_BITS,
    Calibrated,
    Ranges,
    hyper_tables,
    latent_tables,
)
from licodec.backbones.latent_views import LogMagnitude
from licodec.backbones.layers import HalfTanh, ScaleExponential
from licodec.backbones.lite import COLORS, PIXEL_UNIT, LiteNetwork
from licodec.entropy.tables import EntropyTables, tables_to_tensors
from licodec.exact.compiler import (
    Grid,
    Output,
    RangeRecorder,
    Source,
    compile_module,
    node_grids,
    trace,
)
from licodec.exact.fake_quantization import FakeQuantized, RoundedForm
from licodec.exact.schedule import Schedule, SliceStep
from licodec.packs import Pack

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


@dataclass(frozen=True)
class Part:
    """One module of the network that becomes one program."""

    name: str
    module: nn.Module


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


def _recording(recorder: RangeRecorder) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
    def hook(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        recorder.run(*inputs)

    return hook


@torch.no_grad()
def calibrate(network: LiteNetwork, pictures: Iterable[Tensor]) -> dict[str, Calibrated]:
    """Trace every part and record its ranges on `pictures`, each (1, 3, H, W) in [0, 1] with
    sides that are multiples of 64, over the usual values of d."""
    training = network.training
    network.eval()
    recorders = {}
    handles = []
    for part in parts(network):
        recorder = RangeRecorder(trace(part.module, tuple(TABLE_FUNCTIONS)))
        recorders[part.name] = recorder
        handles.append(part.module.register_forward_pre_hook(_recording(recorder)))
    try:
        for picture in pictures:
            for d in CALIBRATION_DS:
                network(picture, d)
    finally:
        for handle in handles:
            handle.remove()
        network.train(training)
    return {name: Calibrated(r.module, r.ranges) for name, r in recorders.items()}


def with_pixel_offset(network: LiteNetwork) -> LiteNetwork:
    """A copy whose synthesis gives pixels counted from 0, not from the centre of the range."""
    network = copy.deepcopy(network).cpu().eval()
    with torch.no_grad():
        network.synthesis.fine[-2].bias += 127.5 / PIXEL_UNIT
    return network


def sources(
    network: LiteNetwork,
    calibrated: Mapping[str, Calibrated],
    activation_bits: int,
) -> Iterator[tuple[str, Source]]:
    """What the compiler must know of every part, in the order of :func:`parts`."""
    config = network.config

    def grid_of(name: str, source: Source, output: int) -> Grid:
        part = calibrated[name]
        grids = node_grids(source, part.traced, part.ranges, activation_bits)
        (end,) = (n for n in part.traced.graph.nodes if n.op == "output")
        nodes = end.args[0] if isinstance(end.args[0], tuple) else (end.args[0],)
        return grids[nodes[output].name]

    def source(name: str, inputs: Mapping[str, tuple[Grid, int]], **outputs: Output) -> Source:
        grids = {port: grid for port, (grid, _) in inputs.items()}
        channels = {port: count for port, (_, count) in inputs.items()}
        return Source(name, grids, channels, outputs)

    hyper = source(
        "hyper_synthesis",
        {"hyper_latents": (HYPER_LATENTS, config.hyper_latents)},
        features=Output(),
        block_means=Output(LATENTS),
    )
    yield "hyper_synthesis", hyper
    features = (grid_of("hyper_synthesis", hyper, 0), config.hyper_features)
    start = 0
    for i, channels in enumerate(config.slices):
        inputs = {"features": features}
        inputs |= {"previous": (LATENTS, start)} if start else {"block_means": (LATENTS, COLORS)}
        parameters = source(
            f"parameters.{i}",
            inputs,
            mean=Output(LATENTS),
            scale=Output(SCALES),
            context=Output(),
        )
        yield parameters.name, parameters
        context = (grid_of(parameters.name, parameters, 2), config.context_features)
        residual = source(
            f"residual.{i}",
            {"context": context, "decoded": (LATENTS, channels)},
            correction=Output(LATENTS),
        )
        yield residual.name, residual
        start += channels
    latents = {"latents": (LATENTS, config.latents)}
    yield "synthesis", source("synthesis", latents, pixels=Output(PIXEL_SUM, PIXELS))
    yield "analysis", source("analysis", {"pixels": (CENTRED_PIXELS, 3)}, latents=Output(LATENTS))
    yield (
        "hyper_analysis",
        source("hyper_analysis", latents, hyper_latents=Output(HYPER_SUM, HYPER_LATENTS)),
    )


def standard_widths(layer: str) -> int:
    """The hand-made plan: 8 bits, and 16 for the linear path, whose few terms are large."""
    return 16 if ".linear." in layer else 8


def with_ranges(network: LiteNetwork, ranges: Mapping[str, Ranges]) -> dict[str, Calibrated]:
    """`network` traced anew, with ranges that were recorded before."""
    return {
        part.name: Calibrated(trace(part.module, tuple(TABLE_FUNCTIONS)), ranges[part.name])
        for part in parts(network)
    }


def _within(program: str, widths: Callable[[str], int]) -> Callable[[str], int]:
    """`widths` by the names that the layers have within their program."""
    return lambda layer: widths(f"{program}.{layer}")


def quantization_aware(
    network: LiteNetwork,
    calibrated: Mapping[str, Calibrated],
    widths: Callable[[str], int] = standard_widths,
    activation_bits: int = 12,
) -> LiteNetwork:
    """A network that computes as the exact form would and shares `network`'s parameters.

    `calibrated` comes from :func:`calibrate` or :func:`with_ranges`; `widths` and
    `activation_bits` are those of :func:`compile_lite`.
    """
    aware = copy.copy(network)
    aware._modules = dict(network._modules)
    wrapped = {}
    for name, source in sources(network, calibrated, activation_bits):
        part = calibrated[name]
        grids = node_grids(source, part.traced, part.ranges, activation_bits)
        form = RoundedForm(grids, part.ranges, _within(name, widths), activation_bits)
        wrapped[name] = FakeQuantized(part.traced, form)
    for name in ("hyper_synthesis", "synthesis", "analysis"):
        setattr(aware, name, wrapped[name])
    # h_a ends on integers, where training adds noise instead: its last rounding stays out.
    count = len(network.config.slices)
    aware.slice_parameters = nn.ModuleList(wrapped[f"parameters.{i}"] for i in range(count))
    aware.residual_predictions = nn.ModuleList(wrapped[f"residual.{i}"] for i in range(count))
    return aware


def compile_lite(
    network: LiteNetwork,
    pictures: Iterable[Tensor],
    *,
    plan_name: str,
    card: Mapping[str, object],
    widths: Callable[[str], int] = standard_widths,
    activation_bits: int = 12,
) -> Pack:
    """Calibrate `network` on `pictures` and compile it into a pack.

    `widths` gives the bits of a weight by "program.layer" name, `activation_bits` those of
    every grid that the schedule does not fix.
    """
    network = with_pixel_offset(network)
    calibrated = calibrate(network, pictures)
    config = network.config
    programs, tensors, stored_widths = {}, {}, {}
    for name, source in sources(network, calibrated, activation_bits):
        part = calibrated[name]
        compiled = compile_module(
            source, part.traced, part.ranges, widths, activation_bits, TABLE_FUNCTIONS
        )
        programs[name] = compiled.program
        tensors.update(compiled.tensors)
        stored_widths.update(compiled.widths)
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
    tensors.update(tables_to_tensors(tables))
    return Pack("lite", plan_name, schedule, programs, tensors, stored_widths, dict(card))
