"""The exact form of `lite`."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
from torch import Tensor, nn

from licodec.compiler.forms import Grid, Output
from licodec.compiler.grids import Tables
from licodec.compiler.rules import RULES
from licodec.exact.schedule import PREVIOUS, SliceStep, Step
from licodec.networks.adapter_branches import Gain
from licodec.networks.latent_views import LogMagnitude
from licodec.networks.layers import HalfTanh, ScaleExponential
from licodec.networks.lite import PIXEL_UNIT, LiteNetwork
from licodec.packing.exact_form import (
    CALIBRATION_DS,
    COLORS,
    LATENTS,
    Coded,
    ExactForm,
    Programs,
    Rate,
    Target,
    Value,
    calibration_gains,
    run_by,
    shift_pixels,
)
from licodec.packing.tables import SCALE_FRACTION_BITS
from licodec.rate.gains import MODES

SCALES = Grid(2.0**-SCALE_FRACTION_BITS, 0, 2**17)
HYPER_LATENTS = Grid(1.0, -(2**7), 2**7 - 1)
# The two paths of the hyper-analysis are summed on a finer grid than they are given out on.
HYPER_SUM = Grid(2.0**-7, -(2**15), 2**15 - 1)
# 2 * pixel - 255: the centre of the 8-bit range falls between two pixels.
CENTRED_PIXELS = Grid(0.5 / PIXEL_UNIT, -255, 255)
# The two paths of the synthesis are summed on a grid of 1/16 level.
PIXEL_SUM = Grid(1 / (16 * PIXEL_UNIT), -(2**15), 2**15 - 1)
PIXELS = Grid(1 / PIXEL_UNIT, 0, 255)

TABLES: Tables = {
    HalfTanh: lambda module, x: 0.5 * np.tanh(x),
    LogMagnitude: lambda module, x: np.log1p(np.abs(x)),
    ScaleExponential: lambda module, x: np.exp(
        np.clip(x, math.log(module.lowest), math.log(module.highest))
    ),
}


class LiteForm(ExactForm):
    """Slices in turn, each with residual prediction."""

    RULES, TABLES = RULES, TABLES
    LEAVES = (*TABLES, Gain)
    FEATURES = ("features", "block_means")
    HYPER_LATENTS = HYPER_LATENTS
    network: LiteNetwork

    def prepare(self) -> None:
        shift_pixels(self.network.synthesis, 127.5 / PIXEL_UNIT)

    def parts(self) -> dict[str, nn.Module]:
        network = self.network
        slices: dict[str, nn.Module] = {}
        pairs = zip(network.slice_parameters, network.residual_predictions, strict=True)
        for i, (parameters, residual) in enumerate(pairs):
            slices |= {f"parameters.{i}": parameters, f"residual.{i}": residual}
        return {
            "hyper_synthesis": network.hyper_synthesis,
            **slices,
            "synthesis": network.synthesis,
            "analysis": network.analysis,
            "hyper_analysis": network.hyper_analysis,
        }

    def rates(self) -> Sequence[Rate]:
        modes = [mode for mode in MODES if mode in self.network.rate_modes]
        return [*({"d": d} for d in CALIBRATION_DS), *calibration_gains(modes)]

    def run(self, programs: Programs, pixels: Tensor, rates: Sequence[Rate]) -> None:
        with run_by(self.parts(), programs):
            for rate in rates:
                self.network.set_rate(**rate)
                self.network(pixels)
        self.network.set_rate()

    def coded(self, programs: Programs, pixels: Tensor, d: float) -> Coded:
        with run_by(self.parts(), programs):
            return Coded.of(self.network(pixels, d))

    def connect(self, target: Target, hyper: Grid) -> tuple[Step, ...]:
        config = self.network.config
        latents, pixels = Value.on(LATENTS, config.latents), Value.on(CENTRED_PIXELS, COLORS)
        made = target.add(
            "hyper_synthesis",
            {"hyper_latents": Value.on(hyper, config.hyper_latents)},
            {"features": Output(), "block_means": Output(LATENTS)},
        )
        features = Value.on(made["features"].grid, config.hyper_features)
        steps = []
        for i, (start, stop) in enumerate(
            itertools.pairwise(itertools.accumulate(config.slices, initial=0))
        ):
            previous = {PREVIOUS: Value.on(LATENTS, start)} if start else {}
            seen = previous or {"block_means": Value.on(LATENTS, COLORS)}
            coded = {"mean": Output(LATENTS), "scale": Output(SCALES), "context": Output()}
            parameters = target.add(f"parameters.{i}", {"features": features, **seen}, coded)
            context = Value.on(parameters["context"].grid, config.context_features)
            target.add(
                f"residual.{i}",
                {"context": context, "decoded": Value.on(LATENTS, stop - start)},
                {"correction": Output(LATENTS)},
            )
            steps.append(SliceStep(start, stop, f"parameters.{i}", f"residual.{i}"))
        target.add("synthesis", {"latents": latents}, {"pixels": Output(PIXEL_SUM, PIXELS)})
        target.add("analysis", {"pixels": pixels}, {"latents": Output(LATENTS)})
        hyper_latents = {"hyper_latents": Output(HYPER_SUM, hyper)}
        target.add("hyper_analysis", {"latents": latents}, hyper_latents)
        return tuple(steps)
