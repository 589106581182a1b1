"""The exact form of the published backbones (`stf`, `tcm`, `icm`, `cheng-attn`): a float network
compiled into a pack's programs and tables.

Hyper-latents are integers around fractional medians. The pack holds the integer nearest to
each median, and the hyper-synthesis begins by adding the rest, so that the zeros of its first
convolution's padding stay zeros. For the same reason the analysis begins by shifting the
centred pixels to [0, 1].

A network with adapters gives a pack whose anchor is compiled without them, so that its id is
what it would be without, and an adapter set: analysis and synthesis once more, with the
branches scaled by the numbers alpha and beta. The trunk's weights are stored once.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import product

import numpy as np
import torch
from torch import Tensor, nn

from licodec.adapters.branches import Adapted
from licodec.adapters.sets import gains
from licodec.backbones.cheng_attn import ChengNetwork
from licodec.backbones.entropy_forms import EntropyForm, SlicedForm, WavefrontForm
from licodec.backbones.exact_packing import Packing, Value
from licodec.backbones.exact_parts import (
    LATENT_FRACTION_BITS,
    LATENTS,
    SCALE_FRACTION_BITS,
    Calibrated,
    hyper_tables,
    integer_medians,
    latent_tables,
)
from licodec.backbones.priors import FactorizedPrior
from licodec.backbones.published import LEAVES, PublishedNetwork, SlicedNetwork
from licodec.entropy.tables import EntropyTables, tables_to_tensors
from licodec.exact.compiler import Grid, Output, RangeRecorder, trace
from licodec.exact.gains import MODES
from licodec.exact.leaves import ChannelOffset
from licodec.exact.schedule import Schedule
from licodec.packs import Pack, PackAdapters

ACTIVATION_BITS = 16
LATENT_STRIDE = 16
COLORS = 3
ADAPTED_ANALYSIS, ADAPTED_SYNTHESIS = "adapted_analysis", "adapted_synthesis"
PLAIN = {ADAPTED_ANALYSIS: "analysis", ADAPTED_SYNTHESIS: "synthesis"}  # what each stands in for

# 2 * pixel - 255, as the encoder gives them, of pixels in [0, 1] less one half.
CENTRED_PIXELS = Grid(1 / 510, -255, 255)
PIXELS = Grid(1 / 255, 0, 255)
LEAST_REACH, MOST_REACH = 2**4, 2**14  # of the hyper-latents' port
REACH_MARGIN = 1.5  # of the port beyond the prior's tails and what calibration saw


def anchor_of(network: PublishedNetwork) -> PublishedNetwork:
    """A copy in evaluation mode, on the CPU, without adapters."""

    def plain(module: nn.Module) -> nn.Module:
        while isinstance(module, Adapted):
            module = module.layer
        for name, child in list(module.named_children()):
            setattr(module, name, plain(child))
        return module

    return plain(copy.deepcopy(network).cpu().eval())


def entropy_form(network: PublishedNetwork) -> EntropyForm:
    """How the latents of a network are coded."""
    match network:
        case SlicedNetwork():
            return SlicedForm(network)
        case ChengNetwork():
            return WavefrontForm(network)
    raise ValueError(f"the coding of {network.backbone} has no exact form")


def adaptable(network: PublishedNetwork) -> tuple[nn.Module, nn.Module]:
    """The parts that may have adapters, which is no other part."""
    return network.analysis, network.synthesis


def shifted_analysis(network: PublishedNetwork) -> nn.Module:
    """The analysis of pixels less one half."""
    return nn.Sequential(ChannelOffset(torch.full((COLORS,), 0.5)), network.analysis)


def parts(network: PublishedNetwork) -> dict[str, nn.Module]:
    """The modules that are compiled, by program, those of the decoder in coding order first."""
    _, rest = integer_medians(network.entropy_bottleneck)
    return {
        "hyper_synthesis": nn.Sequential(ChannelOffset(rest), network.hyper_synthesis),
        **entropy_form(network).parts(),
        "synthesis": network.synthesis,
        "analysis": shifted_analysis(network),
        "hyper_analysis": nn.Sequential(network.hyper_analysis, ChannelOffset(-rest)),
    }


@torch.no_grad()
def calibrate(network: PublishedNetwork, pictures: Iterable[Tensor]) -> dict[str, Calibrated]:
    """Trace every part and record its ranges on `pictures`, each (1, 3, H, W) in [0, 1] with
    sides that are multiples of the network's alignment, over the usual values of d.

    The synthesis also sees noise of unit variance: at 16 bits a range that is too wide costs
    little, and one that is too narrow for another picture's latents much.

    Raises ValueError where a value is not finite.
    """
    form = entropy_form(network)
    recorders = {name: RangeRecorder(trace(m, LEAVES)) for name, m in parts(network).items()}
    for picture in pictures:
        y = recorders["analysis"].run(picture - 0.5)
        z = torch.round(recorders["hyper_analysis"].run(y))
        for y_hat in form.decoded(recorders, y, recorders["hyper_synthesis"].run(z)):
            recorders["synthesis"].run(y_hat)
        noise = torch.randn(y.shape, generator=torch.Generator().manual_seed(0))
        recorders["synthesis"].run(noise)
    return _calibrated(recorders)


def _calibrated(recorders: Mapping[str, RangeRecorder]) -> dict[str, Calibrated]:
    for name, recorder in recorders.items():
        if not np.isfinite(list(recorder.ranges.values())).all():
            raise ValueError(f"values of its {name} are not finite")
    return {name: Calibrated(r.module, r.ranges) for name, r in recorders.items()}


@torch.no_grad()
def calibrate_adapted(
    network: PublishedNetwork, modes: Sequence[str], pictures: Iterable[Tensor]
) -> dict[str, Calibrated]:
    """The same for analysis and synthesis with adapters, with `modes` at their ends and halfway.

    The synthesis sees latents that are rounded as they are, and noise.
    """
    network = copy.deepcopy(network).cpu().eval()
    whole = {ADAPTED_ANALYSIS: shifted_analysis(network), ADAPTED_SYNTHESIS: network.synthesis}
    recorders = {name: RangeRecorder(trace(module, LEAVES)) for name, module in whole.items()}
    settings = [*product((0.0, 1.0), repeat=len(modes)), (0.5,) * len(modes)]
    for picture in pictures:
        for setting in settings:
            network.set_rate(**dict(zip(modes, setting, strict=True)))
            y = recorders[ADAPTED_ANALYSIS].run(picture - 0.5)
            recorders[ADAPTED_SYNTHESIS].run(torch.round(y))
            noise = torch.randn(y.shape, generator=torch.Generator().manual_seed(0))
            recorders[ADAPTED_SYNTHESIS].run(noise)
    return _calibrated(recorders)


def hyper_grid(prior: FactorizedPrior, seen: tuple[float, float]) -> Grid:
    """Integers that hold the prior's tails and what calibration saw of hyper-latents less the
    rests of their medians."""
    tails = float(prior.quantiles.detach().abs().max())
    wanted = REACH_MARGIN * max(tails, -seen[0], seen[1])
    reach = LEAST_REACH
    while reach < min(wanted, MOST_REACH):
        reach *= 2
    return Grid(1.0, -reach, reach - 1)


def compile_published(
    network: PublishedNetwork,
    pictures: Iterable[Tensor],
    *,
    plan_name: str,
    card: Mapping[str, object],
    widths: Callable[[str], int] = lambda layer: 8,
    activation_bits: int = ACTIVATION_BITS,
) -> Pack:
    """Calibrate `network` and compile it, with its adapters if it has any, into a pack.

    `pictures` are as in :func:`calibrate`, `widths` gives the bits of a weight by
    "program.layer" name, `activation_bits` those of every grid that coding does not fix.
    Raises ValueError where its values are not finite or fit no legal operation.
    """
    pictures, with_adapters = list(pictures), network
    modes = tuple(mode for mode in MODES if mode in network.rate_modes)
    if len(list(gains(network))) > sum(len(list(gains(p))) for p in adaptable(network)):
        raise ValueError("it has adapters outside of analysis and synthesis")
    network = anchor_of(network)
    prior = network.entropy_bottleneck
    calibrated = calibrate(network, pictures)
    if modes:
        calibrated |= calibrate_adapted(with_adapters, modes, pictures)
    form = entropy_form(network)
    packing = Packing(calibrated, widths, activation_bits)
    (end,) = (n for n in calibrated["hyper_analysis"].traced.graph.nodes if n.op == "output")
    seen = calibrated["hyper_analysis"].ranges[end.args[0].name]
    hyper = hyper_grid(prior, seen)
    features = packing.add(
        "hyper_synthesis",
        {"hyper_latents": Value.on(hyper, prior.channels)},
        dict.fromkeys(form.features, Output()),
    )
    steps = form.add(packing, features)
    latents = {"latents": Value.on(LATENTS, network.latents)}
    packing.add("synthesis", latents, {"pixels": Output(PIXELS)})
    pixels = {"pixels": Value.on(CENTRED_PIXELS, COLORS)}
    # STF's last sums are the latents: they are taken on a finer grid than they are given out on.
    packing.add("analysis", pixels, {"latents": Output(final=LATENTS)})
    if modes:
        packing.add(ADAPTED_SYNTHESIS, latents, {"pixels": Output(PIXELS)}, modes)
        packing.add(ADAPTED_ANALYSIS, pixels, {"latents": Output(final=LATENTS)}, modes)
        for name, plain in PLAIN.items():
            packing.share(name, plain)
    packing.add("hyper_analysis", latents, {"hyper_latents": Output(hyper)})
    unit = 2**LATENT_FRACTION_BITS
    schedule = Schedule(
        alignment=network.ALIGNMENT,
        latent_stride=LATENT_STRIDE,
        hyper_stride=network.HYPER_STRIDE,
        latent_fraction_bits=LATENT_FRACTION_BITS,
        scale_fraction_bits=SCALE_FRACTION_BITS,
        d_low=round(form.d_range[0] * unit),
        d_high=round(form.d_range[1] * unit),
        hyper_synthesis="hyper_synthesis",
        features=form.features,
        synthesis="synthesis",
        steps=steps,
    )
    latent, thresholds = latent_tables()
    nearest, _ = integer_medians(prior)
    symbols = range(hyper.low, hyper.high + 1)
    tables = EntropyTables(
        hyper_tables(prior, symbols, prior.medians.ravel()),
        nearest.numpy().astype(np.int32),
        latent,
        thresholds,
    )
    return Pack(
        network.backbone,
        plan_name,
        schedule,
        packing.programs,
        {**packing.tensors, **tables_to_tensors(tables)},
        packing.stored_widths,
        dict(card),
        adapters=PackAdapters(ADAPTED_ANALYSIS, ADAPTED_SYNTHESIS) if modes else None,
    )
