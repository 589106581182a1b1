"""How far the exact synthesis is from the float one, before pixels are clamped and rounded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from licodec.exact.bounds import CheckedProgram, check
from licodec.exact.interpreter import choose
from licodec.exact.program import Program
from licodec.networks.published import PublishedNetwork
from licodec.packing.exact_form import LATENTS
from licodec.packing.published import PIXELS
from licodec.packs import Pack
from licodec.rate.gains import GAIN_ONE

FINER = 2**10  # than pixels, so that what rounds them last adds nothing


def unrounded(program: Program, pack: Pack) -> CheckedProgram:
    """The program with its last rounding on a grid FINER times, and without its limits."""
    tensors, operations = dict(pack.tensors), list(program.operations)
    last = max(i for i, o in enumerate(operations) if o.kind == "requantize")
    name = operations[last].tensors["multiplier"]
    # Under a name of its own: programs share tensors.
    tensors["finer"] = pack.tensors[name] * np.float32(FINER)
    operations[last] = replace(
        operations[last],
        tensors={"multiplier": "finer"},
        attributes={"low": 1 - 2**24, "high": 2**24 - 1},
    )
    return check(replace(program, operations=tuple(operations)), tensors)


def decibels(
    pack: Pack, network: PublishedNetwork, gains: Mapping[str, float], latents: Tensor,
    backend: str | None = None,
) -> float:  # fmt: skip
    """Variance of the float synthesis of `latents` (1, M, h, w) over the mean squared error.

    Both transforms see the latents on the pack's grid, and `gains` of the adapters, which the
    network is set to.
    """
    adapted = any(gains.values())
    plain = pack.schedule.synthesis
    name = pack.adapters[0].programs[plain] if adapted else plain
    checked = unrounded(pack.programs[name], pack)
    integers = torch.round(latents / LATENTS.step).clamp(LATENTS.low, LATENTS.high)
    inputs = {"latents": integers[0].numpy().astype(np.int32)}
    if adapted:
        ports = [port.name for port in checked.program.inputs if port.channels is None]
        inputs |= {mode: np.array(round(gains.get(mode, 0.0) * GAIN_ONE)) for mode in ports}
    run = choose(backend, {name: checked}).prepare(name)
    (found,) = run(inputs).values()
    with torch.no_grad():
        expected = network.synthesis(integers * LATENTS.step)[0].numpy()
    error = found * (PIXELS.step / FINER) - expected
    return float(10 * np.log10(expected.var() / np.mean(error**2)))
