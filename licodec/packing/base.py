"""The exact form of `base`.

A pack's own conditions are those for what people see; its adapter set MSE leads them to those for
squared error, by beta.
"""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace

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
)
from licodec.exact.schedule import PhaseStep, Schedule, SliceStep, Step
from licodec.networks.base import DISTORTION_WEIGHT, PHASES, STEP_ORDER, BaseNetwork
from licodec.networks.base_entropy import Phase
from licodec.networks.base_transforms import PIXEL_UNIT, PreciseConvolution
from licodec.networks.conditions import (
    KNOTS,
    Conditioned,
    ConditionedOffset,
    StepSizes,
    knots,
)
from licodec.networks.layers import Halves
from licodec.packing import lite
from licodec.packing.exact_form import (
    COLORS,
    Coded,
    ExactForm,
    Programs,
    Rate,
    Target,
    Value,
    run_by,
    shift_pixels,
)
from licodec.packing.lite import CENTRED_PIXELS, PIXEL_SUM, PIXELS
from licodec.packing.programs import Packing
from licodec.packing.tables import SCALE_FRACTION_BITS, latent_tables, tables_of
from licodec.packs import Pack, PackAdapters
from licodec.rate.conditions import HYPER_STEPS, LARGEST_STEP, PREFIX, STEPS

OBJECTIVE, MSE = "visual", "mse"  # of the pack itself, and of its adapter set
KEPT = "float."  # begins names of tensors that decoders ignore: what integers stand for
CONFIG_KEY = "network"  # of the card: the hyper-parameters
LATENT_FRACTION_BITS = 7
D_FRACTION_BITS = 12
HYPER_FRACTION_BITS = 7
HYPER_BANDS = 8
SCALE_COUNT, LARGEST_SCALE = 72, 512.0  # of the latents' tables, in steps
# Where ranges are measured: rates, each for both objectives.
CALIBRATION_DS = (0.25, 0.5, 1.0, 2.0, 4.0, 12.0)

LATENTS = Grid(2.0**-LATENT_FRACTION_BITS, -(2**15), 2**15 - 1)
HYPER_LATENTS = Grid(2.0**-HYPER_FRACTION_BITS, -(2**15), 2**15 - 1)
SCALES = Grid(2.0**-SCALE_FRACTION_BITS, 0, 2**18)


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
    output = compilation.emit("phase", [x], factor=2, row=module.row, column=module.column)
    return compilation.place(output, compilation.grids[x], compilation.channels(x))


RULES: Mapping[type[nn.Module], Rule] = {
    Conditioned: Rule(_conditioned, conditions=True),
    ConditionedOffset: Rule(_offset, conditions=True),
    StepSizes: Rule(_steps),
    Phase: Rule(_phase, keeps_grid=True),
    Halves: PUBLISHED_RULES[Halves],
}


SHARED: Mapping[str, str] = {  # the steps' units are one set of weights
    f"parameters.{later}": "parameters.1" for later in range(2, 1 + len(STEP_ORDER))
}


class BaseForm(ExactForm):
    """Block means, then four steps of a group at each phase, then one residual prediction."""

    RULES, TABLES = RULES, lite.TABLES
    LEAVES = (*RULES, *lite.TABLES, PreciseConvolution)
    FEATURES = ("features", "block_means")
    HYPER_LATENTS = HYPER_LATENTS
    SHARED = SHARED
    network: BaseNetwork

    def prepare(self) -> None:
        shift_pixels(self.network.synthesis, 127.5 / PIXEL_UNIT)

    def parts(self) -> dict[str, nn.Module]:
        network = self.network
        steps = {f"parameters.{i}": m for i, m in enumerate(network.step_parameters, 1)}
        return {
            "hyper_synthesis": network.hyper_synthesis,
            "parameters.0": network.means_parameters,
            **steps,
            "residual": network.correction,
            "synthesis": network.synthesis,
            "analysis": network.analysis,
            "hyper_analysis": network.hyper_analysis,
        }

    def rates(self) -> Sequence[Rate]:
        places = itertools.product(CALIBRATION_DS, (0.0, 1.0))
        return [{"d": d, "objective": objective} for d, objective in places]

    def run(self, programs: Programs, pixels: Tensor, rates: Sequence[Rate]) -> None:
        with run_by(self.parts(), programs):
            for rate in rates:
                places = (torch.tensor([rate[name]]) for name in ("d", "objective"))
                self.network.set_conditions(*places)
                self.network(255 * pixels)

    def coded(self, programs: Programs, pixels: Tensor, d: float) -> Coded:
        """With the conditions for squared error."""
        places = torch.full((len(pixels),), d), torch.zeros(len(pixels))
        with run_by(self.parts(), programs):
            self.network.set_conditions(*places)
            output = self.network(255 * pixels)
        return Coded(output.x_hat / 255, (output.y_bits + output.z_bits).sum())

    def connect(self, target: Target, hyper: Grid) -> tuple[Step, ...]:
        config = self.network.config
        latents, means = Value.on(LATENTS, config.latents), Value.on(LATENTS, COLORS)
        made = target.add(
            "hyper_synthesis",
            {"hyper_latents": Value.on(hyper, config.hyper_latents)},
            {"features": Output(), "block_means": Output(LATENTS)},
        )
        features = Value.on(made["features"].grid, config.features)
        coded = {"mean": Output(LATENTS), "scale": Output(SCALES)}
        target.add("parameters.0", {"features": features, "block_means": means}, coded)
        steps: list[Step] = [SliceStep(0, COLORS, "parameters.0")]
        for i, order in enumerate(STEP_ORDER, 1):
            inputs = {"features": features, "latents": latents}
            made = target.add(f"parameters.{i}", inputs, {**coded, "context": Output()})
            starts = tuple(COLORS + (phase ^ order) * config.group for phase in range(PHASES))
            steps.append(PhaseStep(starts, config.group, f"parameters.{i}"))
        context = Value.on(made["context"].grid, config.context_width)
        correction = {"correction": Output(LATENTS)}
        target.add("residual", {"context": context, "latents": latents}, correction)
        target.add("synthesis", {"latents": latents}, {"pixels": Output(PIXEL_SUM, PIXELS)})
        pixels = Value.on(CENTRED_PIXELS, COLORS)
        target.add("analysis", {"pixels": pixels}, {"latents": Output(LATENTS)})
        target.add("hyper_analysis", {"latents": latents}, {"hyper_latents": Output(hyper)})
        return tuple(steps)

    def schedule(self, steps: tuple[Step, ...]) -> Schedule:
        places = [round(d * 2**D_FRACTION_BITS) for d in knots().double().tolist()]
        bands = np.geomspace(places[0], places[-1], HYPER_BANDS + 1)[1:-1]
        return replace(
            super().schedule(steps),
            latent_fraction_bits=LATENT_FRACTION_BITS,
            d_low=places[0],
            d_high=places[-1],
            residual="residual",
            d_fraction_bits=D_FRACTION_BITS,
            knots=tuple(places),
            hyper_bands=tuple(round(float(band)) for band in bands),
        )

    def tables(self, hyper: Grid) -> EntropyTables:
        latent, thresholds = latent_tables(SCALE_COUNT, LARGEST_SCALE)
        medians = np.zeros(self.network.config.hyper_latents, np.int32)
        return EntropyTables(self.hyper_tables(), medians, latent, thresholds)

    @torch.no_grad()
    def hyper_tables(self) -> FrequencyTables:
        """Tables of the symbols of every hyper-latent channel, band by band, from the prior in
        the middle of each band."""
        schedule, prior = self.schedule(()), copy.deepcopy(self.network.prior).double()
        edges = [schedule.d_low, *schedule.hyper_bands, schedule.d_high]
        bands = []
        for low, high in itertools.pairwise(edges):
            d = torch.tensor([math.sqrt(low * high) / schedule.d_unit])
            self.network.set_conditions(d, torch.ones(1))
            step = self.network.hyper_steps.sizes().double()  # (1, Z, 1, 1)
            farthest = -HYPER_LATENTS.low * HYPER_LATENTS.step / step.min().item()
            reach = min(LARGEST_TABLE // 2 - 1, math.floor(farthest))
            symbols = torch.arange(-reach, reach + 1, dtype=torch.float64)
            mass = prior.likelihood(symbols[None, None, None] * step, step, d.double())
            bands.append(tables_of(list(mass[0, :, 0].numpy()), -reach))
        frequencies = tuple(table for band in bands for table in band.frequencies)
        return FrequencyTables(frequencies, np.concatenate([band.offsets for band in bands]))

    def completed(self, pack: Pack, packing: Packing) -> Pack:
        """With the quantization steps, the adapter set MSE and what reading it back takes."""
        steps = dict(self._step_tensors())
        beside = {n.removeprefix(f"{MSE}."): n for n in steps if n.startswith(f"{MSE}.")}
        conditions = {**packing.conditions.get(MSE, {}), **beside}
        adapters = PackAdapters(MSE, {}, pack.schedule.d_unit, conditions=conditions)
        card = {"objective": OBJECTIVE, CONFIG_KEY: asdict(self.network.config)}
        return replace(
            pack,
            tensors={**pack.tensors, **steps, **self._kept(packing.layers)},
            card={**pack.card, **card},
            distortion_weight=round(DISTORTION_WEIGHT * COST_UNIT),
            adapters=(adapters,),
        )

    def _step_tensors(self) -> Iterator[tuple[str, np.ndarray]]:
        """The quantization steps at the knots, by the names of their tensors."""
        for name, module, grid in steps_of(self.network):
            for objective, table in _by_objective(module.log_steps.exp()).items():
                integers = np.clip(np.rint(table / grid.step), 1, LARGEST_STEP)
                stored = f"{objective}.{name}" if objective else PREFIX + name
                yield stored, integers.astype(np.int32)

    def _kept(self, layers: Mapping[str, LayerSteps]) -> dict[str, np.ndarray]:
        """What reading the float network back takes beside the pack's integers, float32; `layers`
        are by "program.layer" name."""
        kept = {f"{KEPT}prior": self.network.prior.table.detach().numpy()}
        for layer, steps in layers.items():
            kept[f"{KEPT}{layer}.operand"] = steps.operand.astype(np.float32)
            kept[f"{KEPT}{layer}.total"] = steps.total.astype(np.float32)
            kept[f"{KEPT}{layer}.result"] = np.array([steps.result], np.float32)
        return kept


def steps_of(network: BaseNetwork) -> tuple[tuple[str, StepSizes, Grid], ...]:
    """Quantization steps of latents and hyper-latents: name in packs, module, and the grid that
    they are counted on."""
    return (
        (STEPS, network.steps, LATENTS),
        (HYPER_STEPS, network.hyper_steps, HYPER_LATENTS),
    )
