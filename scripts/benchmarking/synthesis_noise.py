"""How far the exact synthesis is from the float one, before pixels are clamped and rounded.

Both make pixels of the same decoded latents: those of a picture at each setting that the network
takes, and seeded noise of unit variance.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from licodec.exact.bounds import CheckedProgram, check
from licodec.exact.interpreter import choose
from licodec.exact.program import Program
from licodec.networks.published import PublishedNetwork, padded
from licodec.packing.exact_form import LATENTS
from licodec.packing.published import PIXELS
from licodec.packs import Pack
from licodec.rate.gains import GAIN_ONE

FINER = 2**10  # than pixels, so that what rounds them last adds nothing
SETTINGS: tuple[Mapping[str, float], ...] = (
    {},
    {"d": 8.0},
    {"alpha": 0.5},
    {"alpha": 1.0},
    {"alpha": 0.5, "beta": 1.0},
    {"alpha": 1.0, "beta": 0.5},
)


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


def decoded_latents(network: PublishedNetwork, picture: Tensor) -> Tensor:
    """What the float network decodes of a picture at the rate that it is set to."""
    with torch.no_grad():
        y = network.analysis(padded(picture, network.ALIGNMENT))
        z_hat, _ = network.entropy_bottleneck(network.hyper_analysis(y))
        return network.code_latents(y, z_hat)[0]


def ratios(
    pack: Pack, network: PublishedNetwork, picture: Tensor, backend: str | None = None
) -> Iterator[tuple[str, float, float]]:
    """Of every setting that the network takes: its name, and decibels for the latents of the
    picture, (1, 3, H, W), and for noise."""
    for setting in SETTINGS:
        if not set(setting) <= set(network.rate_modes):
            continue
        network.set_rate(**setting)
        latents = decoded_latents(network, picture)
        noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(1))
        gains = {mode: value for mode, value in setting.items() if mode != "d"}
        found = (decibels(pack, network, gains, x, backend) for x in (latents, noise))
        name = ", ".join(f"{mode} {value:g}" for mode, value in setting.items()) or "anchor"
        yield (name, *found)
