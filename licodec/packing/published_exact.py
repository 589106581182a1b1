"""The exact form of the published backbones (`stf`, `tcm`, `icm`, `cheng-attn`): a float network
compiled into a pack's programs and tables.

Hyper-latents are integers around fractional medians. The pack holds the integer nearest to
each median, and the hyper-synthesis begins by adding the rest, so that the zeros of its first
convolution's padding stay zeros. For the same reason the analysis begins by shifting the
centred pixels to [0, 1].

A network with adapters gives a pack whose anchor is compiled without them, so that its id is
what it would be without, and an adapter set: analysis and synthesis once more, with the
branches scaled by the numbers alpha and beta, and what else needs other ranges then. The
trunk's weights are stored once.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import product

import numpy as np
import torch
from torch import Tensor, nn

from licodec.compiler.forms import Grid, Output
from licodec.compiler.graphs import output_nodes, trace
from licodec.compiler.ranges import RangeRecorder
from licodec.entropy.tables import EntropyTables, tables_to_tensors
from licodec.exact.schedule import Schedule, Step
from licodec.networks.adapter_sets import anchor_of, gains
from licodec.networks.cheng_attn import ChengNetwork
from licodec.networks.compiled_leaves import ChannelOffset
from licodec.networks.priors import FactorizedPrior
from licodec.networks.published import LEAVES, PublishedNetwork, SlicedNetwork
from licodec.packing.entropy_forms import EntropyForm, SlicedForm, WavefrontForm
from licodec.packing.parts import (
    CALIBRATION_DS,
    LATENT_FRACTION_BITS,
    LATENTS,
    SCALE_FRACTION_BITS,
    Calibrated,
    Programs,
    calibration_gains,
    hyper_tables,
    integer_medians,
    latent_tables,
)
from licodec.packing.programs import (
    OperandSteps,
    Packing,
    StandIns,
    Target,
    Value,
)
from licodec.packs import Pack, PackAdapters
from licodec.rate.gains import BETA, MODES
from licodec.rate.scale import DEFAULT_OBJECTIVE

ACTIVATION_BITS = 16
LATENT_STRIDE = 16
COLORS = 3
PERCEPTUAL = "perceptual"  # the objective that a checkpoint with adapters of beta is taken for

# 2 * pixel - 255, as the encoder gives them, of pixels in [0, 1] less one half.
CENTRED_PIXELS = Grid(1 / 510, -255, 255)
PIXELS = Grid(1 / 255, 0, 255)
LEAST_REACH, MOST_REACH = 2**4, 2**14  # of the hyper-latents' port
REACH_MARGIN = 1.5  # of the port beyond the prior's tails and what calibration saw


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


def check_adapters(network: PublishedNetwork) -> None:
    """Raise ValueError where parts that may have none have adapters."""
    if len(list(gains(network))) > sum(len(list(gains(p))) for p in adaptable(network)):
        raise ValueError("it has adapters outside of analysis and synthesis")


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
def calibrate(
    network: PublishedNetwork,
    pictures: Iterable[Tensor],
    gains: Sequence[Mapping[str, float]] = ({},),
    ds: Sequence[float] = CALIBRATION_DS,
) -> dict[str, Calibrated]:
    """Trace every part and record its ranges on `pictures`, each (1, 3, H, W) in [0, 1] with
    sides that are multiples of the network's alignment, at each of `gains` and `ds`.

    The synthesis also sees noise of unit variance: at 16 bits a range that is too wide costs
    little, and one that is too narrow for another picture's latents much.

    Raises ValueError where a value is not finite.
    """
    form = entropy_form(network)
    recorders = {name: RangeRecorder(trace(m, LEAVES)) for name, m in parts(network).items()}
    programs = {name: recorder.run for name, recorder in recorders.items()}
    for picture, setting in product(pictures, gains):
        network.set_rate(**setting)
        y = programs["analysis"](picture - 0.5)
        z = torch.round(programs["hyper_analysis"](y))
        for y_hat in form.decoded(programs, y, programs["hyper_synthesis"](z), ds):
            programs["synthesis"](y_hat)
        noise = torch.randn(y.shape, generator=torch.Generator().manual_seed(0))
        programs["synthesis"](noise)
    return _calibrated(recorders)


def _calibrated(recorders: Mapping[str, RangeRecorder]) -> dict[str, Calibrated]:
    for name, recorder in recorders.items():
        if not np.isfinite(list(recorder.ranges.values())).all():
            raise ValueError(f"values of its {name} are not finite")
    return {name: Calibrated(r.module, r.ranges) for name, r in recorders.items()}


def coded(network: PublishedNetwork, programs: Programs, pixels: Tensor, d: float = 1.0) -> dict:
    """What ``network.forward`` gives of `pixels`, whose sides are multiples of its alignment, at
    `d`, with every part run once, by `programs`. A network without d takes 1 alone."""
    prior = network.entropy_bottleneck
    _, rest = integer_medians(prior)
    y = programs["analysis"](pixels - 0.5)
    z = torch.round(programs["hyper_analysis"](y))
    features = programs["hyper_synthesis"](z)
    y_hat, y_likelihoods = entropy_form(network).coded(programs, y, features, d)
    _, z_likelihoods = prior(z + rest[:, None, None])
    likelihoods = {"y": y_likelihoods, "z": z_likelihoods}
    return {"x_hat": programs["synthesis"](y_hat), "likelihoods": likelihoods}


def operand_steps(
    network: PublishedNetwork,
    calibrated: Mapping[str, Calibrated],
    activation_bits: int = ACTIVATION_BITS,
) -> Mapping[str, np.ndarray]:
    """What the operand of every convolution counts in, (channels,) by "program.layer" name."""
    steps = OperandSteps(calibrated, activation_bits)
    _add_parts(steps, network, hyper_grid(network.entropy_bottleneck, calibrated))
    return steps.found


def hyper_grid(prior: FactorizedPrior, calibrated: Mapping[str, Calibrated]) -> Grid:
    """Integers that hold the prior's tails and what calibration saw of hyper-latents less the
    rests of their medians."""
    analysis = calibrated["hyper_analysis"]
    (end,) = output_nodes(analysis.traced)
    seen = analysis.ranges[end.name]
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
    objective: str | None = None,
) -> Pack:
    """Calibrate `network` and compile it, with its adapters if it has any, into a pack.

    `pictures` are as in :func:`calibrate`, `widths` gives the bits of a weight by
    "program.layer" name, `activation_bits` those of every grid that coding does not fix,
    `objective` is what the adapters were trained for: by default PERCEPTUAL where they have beta,
    else DEFAULT_OBJECTIVE.
    Raises ValueError where its values are not finite or fit no legal operation.
    """
    pictures, adapted = list(pictures), copy.deepcopy(network).cpu().eval()
    modes = tuple(mode for mode in MODES if mode in network.rate_modes)
    check_adapters(network)
    network = anchor_of(network)
    prior = network.entropy_bottleneck
    calibrated = calibrate(network, pictures)
    form = entropy_form(network)
    packing = Packing(calibrated, widths, activation_bits)
    hyper = hyper_grid(prior, calibrated)
    steps = _add_parts(packing, network, hyper)
    adapters = ()
    if modes:
        seen = calibrate(adapted, pictures, calibration_gains(modes), (1.0,))
        objective = objective or (PERCEPTUAL if BETA in modes else DEFAULT_OBJECTIVE)
        stand_ins = StandIns(packing, objective, parts(adapted), seen)
        _add_parts(stand_ins, network, hyper)
        neutral = 2**LATENT_FRACTION_BITS
        adapters = (PackAdapters(objective, stand_ins.programs, neutral),)
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
        adapters=adapters,
    )


def _add_parts(target: Target, network: PublishedNetwork, hyper: Grid) -> tuple[Step, ...]:
    """Add the parts of a network, whose hyper-latents are on the grid `hyper`; the steps."""
    form, prior = entropy_form(network), network.entropy_bottleneck
    features = target.add(
        "hyper_synthesis",
        {"hyper_latents": Value.on(hyper, prior.channels)},
        dict.fromkeys(form.features, Output()),
    )
    steps = form.add(target, features)
    latents = {"latents": Value.on(LATENTS, network.latents)}
    target.add("synthesis", latents, {"pixels": Output(PIXELS)})
    pixels = {"pixels": Value.on(CENTRED_PIXELS, COLORS)}
    # STF's last sums are the latents: they are taken on a finer grid than they are given out on.
    target.add("analysis", pixels, {"latents": Output(final=LATENTS)})
    target.add("hyper_analysis", latents, {"hyper_latents": Output(hyper)})
    return steps
