"""The exact form of `base`.

A pack's own conditions are those for what people see; its adapter set MSE leads them to those for
squared error, by beta.
"""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from licodec.compiler.forms import MSE, Grid, Output, Value
from licodec.compiler.leaves import by_objective
from licodec.entropy.tables import LARGEST_TABLE, EntropyTables, FrequencyTables
from licodec.exact.schedule import PhaseStep, Schedule, SliceStep, Step
from licodec.networks.base import PHASES, STEP_ORDER, BaseNetwork
from licodec.networks.conditions import StepSizes, knots
from licodec.packing.exact_form import COLORS, Coded, Programs, Rate, Target, Values, run_by
from licodec.packing.kept import KeptForm, conditions
from licodec.packing.programs import Packing
from licodec.packing.tables import SCALE_FRACTION_BITS, latent_tables, tables_of
from licodec.packs import Pack, PackAdapters
from licodec.rate.conditions import HYPER_STEPS, LARGEST_STEP, PREFIX, STEPS

OBJECTIVE = "visual"  # of the pack itself
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


SHARED: Mapping[str, str] = {  # the steps' units are one set of weights
    f"parameters.{later}": "parameters.1" for later in range(2, 1 + len(STEP_ORDER))
}


class BaseForm(KeptForm):
    """Block means, then four steps of a group at each phase, then one residual prediction."""

    LATENTS = LATENTS
    HYPER_LATENTS = HYPER_LATENTS
    SHARED = SHARED
    network: BaseNetwork

    @property
    def prior(self) -> nn.Module:
        return self.network.prior

    def entropy_parts(self) -> dict[str, nn.Module]:
        network = self.network
        steps = {f"parameters.{i}": m for i, m in enumerate(network.step_parameters, 1)}
        return {"parameters.0": network.means_parameters, **steps, "residual": network.correction}

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

    def connect_entropy(self, target: Target, features: Values) -> tuple[Step, ...]:
        config = self.network.config
        latents = Value.on(LATENTS, config.latents)
        coded = {"mean": Output(LATENTS), "scale": Output(SCALES)}
        target.add("parameters.0", features, coded)
        steps: list[Step] = [SliceStep(0, COLORS, "parameters.0")]
        for i, order in enumerate(STEP_ORDER, 1):
            inputs = {"features": features["features"], "latents": latents}
            made = target.add(f"parameters.{i}", inputs, {**coded, "context": Output()})
            starts = tuple(COLORS + (phase ^ order) * config.group for phase in range(PHASES))
            steps.append(PhaseStep(starts, config.group, f"parameters.{i}"))
        correction = {"correction": Output(LATENTS)}
        target.add("residual", {"context": made["context"], "latents": latents}, correction)
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
        """With the quantization steps and the adapter set MSE, too."""
        pack, steps = super().completed(pack, packing), dict(self._step_tensors())
        beside = {n.removeprefix(f"{MSE}."): n for n in steps if n.startswith(f"{MSE}.")}
        conditions = {**packing.conditions.get(MSE, {}), **beside}
        adapters = PackAdapters(MSE, {}, pack.schedule.d_unit, conditions=conditions)
        card = {**pack.card, "objective": OBJECTIVE}
        tensors = {**pack.tensors, **steps}
        return replace(pack, tensors=tensors, card=card, adapters=(adapters,))

    def read_rest(self, pack: Pack) -> None:
        for name, module, grid in self._steps():
            sizes = conditions(name, pack.tensors) * grid.step
            module.log_steps.copy_(torch.from_numpy(sizes).log())

    def _step_tensors(self) -> Iterator[tuple[str, np.ndarray]]:
        """The quantization steps at the knots, by the names of their tensors."""
        for name, module, grid in self._steps():
            for objective, table in by_objective(module.log_steps.exp()).items():
                integers = np.clip(np.rint(table / grid.step), 1, LARGEST_STEP)
                stored = f"{objective}.{name}" if objective else PREFIX + name
                yield stored, integers.astype(np.int32)

    def _steps(self) -> tuple[tuple[str, StepSizes, Grid], ...]:
        """Quantization steps of latents and hyper-latents: name in packs, module, and the grid that
        they are counted on."""
        network = self.network
        return (STEPS, network.steps, LATENTS), (HYPER_STEPS, network.hyper_steps, HYPER_LATENTS)
