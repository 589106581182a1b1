"""`base` compiled: a calibrated float network to the programs, schedule and tables of a pack.

The pack's own conditions are those for what people see; its adapter set MSE leads them to those
for squared error, by beta.
"""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import Tensor, fx, nn

from licodec.compiler.compilation import Compilation
from licodec.compiler.forms import OWN, ByKnot, Condition, Grid, LayerSteps, Output
from licodec.compiler.grids import Rule
from licodec.compiler.rules import RULES as PUBLISHED_RULES
from licodec.entropy.quantization import COST_UNIT
from licodec.entropy.tables import (
    LARGEST_TABLE,
    EntropyTables,
    FrequencyTables,
    integer_frequencies,
    tables_to_tensors,
)
from licodec.exact.schedule import PhaseStep, Schedule, SliceStep
from licodec.networks.base import DISTORTION_WEIGHT, PHASES, STEP_ORDER, BaseNetwork
from licodec.networks.base_entropy import Phase
from licodec.networks.base_transforms import (
    COLORS,
    PIXEL_UNIT,
    BaseConfig,
    PreciseConvolution,
)
from licodec.networks.conditions import (
    KNOTS,
    Conditioned,
    ConditionedOffset,
    StepSizes,
    knots,
)
from licodec.networks.layers import Halves
from licodec.packing.lite_exact import TABLE_FUNCTIONS
from licodec.packing.parts import TAIL_MASS, Calibrated, latent_tables
from licodec.packing.programs import (
    Packing,
    Part,
    Target,
    Value,
    recorded,
)
from licodec.packs import Pack, PackAdapters
from licodec.rate.conditions import HYPER_STEPS, LARGEST_STEP, PREFIX, STEPS

BACKBONE = "base"
OBJECTIVE, MSE = "visual", "mse"  # of the pack itself, and of its adapter set
KEPT = "float."  # begins names of tensors that decoders ignore: what integers stand for
CONFIG_KEY = "network"  # of the card: the hyper-parameters
LATENT_FRACTION_BITS = 7
SCALE_FRACTION_BITS = 10
D_FRACTION_BITS = 12
HYPER_FRACTION_BITS = 7
HYPER_BANDS = 8
SCALE_COUNT, LARGEST_SCALE = 72, 512.0  # of the latents' tables, in steps
# Where ranges are measured: rates, each for both objectives.
CALIBRATION_DS = (0.25, 0.5, 1.0, 2.0, 4.0, 12.0)

LATENTS = Grid(2.0**-LATENT_FRACTION_BITS, -(2**15), 2**15 - 1)
HYPER_LATENTS = Grid(2.0**-HYPER_FRACTION_BITS, -(2**15), 2**15 - 1)
SCALES = Grid(2.0**-SCALE_FRACTION_BITS, 0, 2**18)
CENTRED_PIXELS = Grid(0.5 / PIXEL_UNIT, -255, 255)  # 2 * pixel - 255
PIXEL_SUM = Grid(1 / (16 * PIXEL_UNIT), -(2**15), 2**15 - 1)
PIXELS = Grid(1 / PIXEL_UNIT, 0, 255)


# Rules


def _by_objective(table: Tensor) -> ByKnot:
    """A table (OBJECTIVES * KNOTS, channels), squared error first, as the pack has it."""
    mse, visual = table.detach().cpu().double().numpy().reshape(2, KNOTS, -1)
    return {OWN: visual, MSE: mse}


def _conditioned(compilation: Compilation, node: fx.Node, module: Conditioned) -> str:
    condition = Condition(_by_objective(module.offset), _by_objective(module.log_gain.exp()))
    return compilation.conditioned_convolution(node, condition)


def _offset(compilation: Compilation, node: fx.Node, module: ConditionedOffset) -> str:
    return compilation.conditioned_convolution(node, Condition(_by_objective(module.offset)))


def _steps(compilation: Compilation, node: fx.Node, module: StepSizes) -> str:
    x, grid = compilation.operand(node), compilation.node_grids[node.name]
    sizes = _by_objective(module.log_steps.exp())
    return compilation.requantize_times(x, compilation.channel_steps[x], grid, grid.low, sizes)


def _phase(compilation: Compilation, node: fx.Node, module: Phase) -> str:
    x = compilation.operand(node)
    place = {"row": module.row, "column": module.column}
    output = compilation.emit("phase", [x], factor=2, **place)
    return compilation.place(output, compilation.grids[x], compilation.channels(x))


RULES: Mapping[type[nn.Module], Rule] = {
    Conditioned: Rule(_conditioned, conditions=True),
    ConditionedOffset: Rule(_offset, conditions=True),
    StepSizes: Rule(_steps),
    Phase: Rule(_phase, keeps_grid=True),
    Halves: PUBLISHED_RULES[Halves],
}
LEAVES = (*RULES, *TABLE_FUNCTIONS, PreciseConvolution)


# Parts


def parts(network: BaseNetwork) -> list[Part]:
    """The modules that are compiled, those of the decoder in coding order first."""
    steps = (Part(f"parameters.{i + 1}", m) for i, m in enumerate(network.step_parameters))
    return [
        Part("hyper_synthesis", network.hyper_synthesis),
        Part("parameters.0", network.means_parameters),
        *steps,
        Part("residual", network.correction),
        Part("synthesis", network.synthesis),
        Part("analysis", network.analysis),
        Part("hyper_analysis", network.hyper_analysis),
    ]


@dataclass(frozen=True)
class CalibratedBase:
    """A network whose pixels count from 0, and its parts with their ranges."""

    network: BaseNetwork
    parts: Mapping[str, Calibrated]


@torch.no_grad()
def calibrate_base(network: BaseNetwork, pictures: Iterable[Tensor]) -> CalibratedBase:
    """Trace a copy of `network` and record its ranges on `pictures`, each (1, 3, H, W) in levels
    of 8 bits with sides that are multiples of 64, at every rate and for both objectives."""
    network = copy.deepcopy(network).cpu().float().eval()
    layer = next(m for m in network.synthesis.fine if isinstance(m, nn.Conv2d))
    layer.bias += 127.5 / PIXEL_UNIT

    def run() -> None:
        for picture, d, objective in itertools.product(pictures, CALIBRATION_DS, (0.0, 1.0)):
            network.set_conditions(torch.tensor([d]), torch.tensor([objective]))
            network(picture)

    return CalibratedBase(network, recorded(parts(network), LEAVES, run))


def add_parts(target: Target, config: BaseConfig) -> None:
    """Add every part, in the order of :func:`parts`, with the grids that coding fixes."""
    latents, means = Value.on(LATENTS, config.latents), Value.on(LATENTS, COLORS)
    made = target.add(
        "hyper_synthesis",
        {"hyper_latents": Value.on(HYPER_LATENTS, config.hyper_latents)},
        {"features": Output(), "block_means": Output(LATENTS)},
    )
    features = Value.on(made["features"].grid, config.features)
    coded = {"mean": Output(LATENTS), "scale": Output(SCALES)}
    target.add("parameters.0", {"features": features, "block_means": means}, coded)
    for i in range(1, 1 + len(STEP_ORDER)):
        inputs = {"features": features, "latents": latents}
        made = target.add(f"parameters.{i}", inputs, {**coded, "context": Output()})
    context = Value.on(made["context"].grid, config.context_width)
    correction = {"correction": Output(LATENTS)}
    target.add("residual", {"context": context, "latents": latents}, correction)
    target.add("synthesis", {"latents": latents}, {"pixels": Output(PIXEL_SUM, PIXELS)})
    pixels = Value.on(CENTRED_PIXELS, COLORS)
    target.add("analysis", {"pixels": pixels}, {"latents": Output(LATENTS)})
    target.add("hyper_analysis", {"latents": latents}, {"hyper_latents": Output(HYPER_LATENTS)})


def standard_widths(layer: str) -> int:
    """The hand-made plan: 8 bits, and 16 for the linear paths, whose few terms are large."""
    return 16 if ".linear." in layer else 8


def compile_base(
    calibrated: CalibratedBase,
    *,
    plan_name: str,
    card: Mapping[str, object],
    widths: Callable[[str], int] = standard_widths,
    activation_bits: int = 12,
) -> Pack:
    """Compile a network into a pack.

    `widths` gives the bits of a weight by "program.layer" name, `activation_bits` those of every
    grid that the schedule does not fix.
    """
    network, config = calibrated.network, calibrated.network.config
    packing = Packing(calibrated.parts, widths, activation_bits, TABLE_FUNCTIONS, rules=RULES)
    add_parts(packing, config)
    for later in range(2, 1 + len(STEP_ORDER)):  # the steps' units are one set of weights
        packing.share(f"parameters.{later}", "parameters.1")
    schedule = schedule_of(config)
    steps, beside = step_tensors(network)
    conditions = {**packing.conditions.get(MSE, {}), **beside}
    latent, thresholds = latent_tables(SCALE_COUNT, LARGEST_SCALE)
    medians = np.zeros(config.hyper_latents, np.int32)
    tables = EntropyTables(hyper_tables(network, schedule), medians, latent, thresholds)
    kept = recovery_tensors(network, packing.layers)
    tensors = {**packing.tensors, **steps, **kept, **tables_to_tensors(tables)}
    return Pack(
        BACKBONE,
        plan_name,
        schedule,
        packing.programs,
        tensors,
        packing.stored_widths,
        {**card, "objective": OBJECTIVE, CONFIG_KEY: asdict(config)},
        round(DISTORTION_WEIGHT * COST_UNIT),
        (PackAdapters(MSE, {}, schedule.d_unit, conditions=conditions),),
    )


def schedule_of(config: BaseConfig) -> Schedule:
    places = [round(d * 2**D_FRACTION_BITS) for d in knots().double().tolist()]
    bands = np.geomspace(places[0], places[-1], HYPER_BANDS + 1)[1:-1]
    starts = [
        [COLORS + (phase ^ order) * config.group for phase in range(PHASES)] for order in STEP_ORDER
    ]
    return Schedule(
        alignment=BaseNetwork.ALIGNMENT,
        latent_stride=16,
        hyper_stride=64,
        latent_fraction_bits=LATENT_FRACTION_BITS,
        scale_fraction_bits=SCALE_FRACTION_BITS,
        d_low=places[0],
        d_high=places[-1],
        hyper_synthesis="hyper_synthesis",
        features=("features", "block_means"),
        synthesis="synthesis",
        steps=(
            SliceStep(0, COLORS, "parameters.0"),
            *(
                PhaseStep(tuple(phases), config.group, f"parameters.{i + 1}")
                for i, phases in enumerate(starts)
            ),
        ),
        residual="residual",
        d_fraction_bits=D_FRACTION_BITS,
        knots=tuple(places),
        hyper_bands=tuple(round(float(band)) for band in bands),
    )


def step_tensors(network: BaseNetwork) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The quantization steps at the knots: tensors, and those of the adapter set by condition."""
    tensors, beside = {}, {}
    for name, module, grid in (
        (STEPS, network.steps, LATENTS),
        (HYPER_STEPS, network.hyper_steps, HYPER_LATENTS),
    ):
        for objective, table in _by_objective(module.log_steps.exp()).items():
            stored = f"{objective}.{name}" if objective else PREFIX + name
            integers = np.clip(np.rint(table / grid.step), 1, LARGEST_STEP)
            tensors[stored] = integers.astype(np.int32)
            if objective:
                beside[name] = stored
    return tensors, beside


def recovery_tensors(
    network: BaseNetwork, layers: Mapping[str, LayerSteps]
) -> dict[str, np.ndarray]:
    """What reading the float network back takes beside the pack's integers, float32.

    `layers` are by "program.layer" name.
    """
    kept = {f"{KEPT}prior": network.prior.table.detach().numpy()}
    for layer, steps in layers.items():
        kept[f"{KEPT}{layer}.operand"] = steps.operand.astype(np.float32)
        kept[f"{KEPT}{layer}.total"] = steps.total.astype(np.float32)
        kept[f"{KEPT}{layer}.result"] = np.array([steps.result], np.float32)
    return kept


@torch.no_grad()
def hyper_tables(network: BaseNetwork, schedule: Schedule) -> FrequencyTables:
    """Tables of the symbols of every hyper-latent channel, band by band, from the prior in the
    middle of each band."""
    edges = [schedule.d_low, *schedule.hyper_bands, schedule.d_high]
    frequencies, offsets = [], []
    prior = copy.deepcopy(network.prior).double()
    for low, high in itertools.pairwise(edges):
        d = torch.tensor([math.sqrt(low * high) / schedule.d_unit])
        network.set_conditions(d, torch.ones(1))
        step = network.hyper_steps.sizes().double()  # (1, Z, 1, 1)
        farthest = -HYPER_LATENTS.low * HYPER_LATENTS.step / step.min().item()
        reach = min(LARGEST_TABLE // 2 - 1, math.floor(farthest))
        symbols = torch.arange(-reach, reach + 1, dtype=torch.float64)
        mass = prior.likelihood(symbols[None, None, None] * step, step, d.double())
        for channel in mass[0, :, 0].numpy():  # (Z, n)
            first, last = _body(channel)
            body = channel[first : last + 1]
            rest = max(0.0, 1 - body.sum())
            frequencies.append(integer_frequencies(np.append(body, rest)))
            offsets.append(first - reach)
    return FrequencyTables(tuple(frequencies), np.array(offsets, np.int32))


def _body(mass: np.ndarray) -> tuple[int, int]:
    """The first and last place that are worth an entry of a table."""
    share = mass / mass.sum()
    inside = np.flatnonzero(
        (np.cumsum(share) > TAIL_MASS) & (np.cumsum(share[::-1])[::-1] > TAIL_MASS)
    )
    first = int(inside[0])
    return first, min(int(inside[-1]), first + LARGEST_TABLE - 2)


def as_levels(pixels: Sequence[np.ndarray]) -> list[Tensor]:
    """Pictures (H, W, 3) uint8 as :func:`calibrate_base` takes them."""
    return [torch.from_numpy(p.copy()).permute(2, 0, 1)[None].float() for p in pixels]

