"""What must hold of a pack before it is used: every program is proved, and they fit together."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import numpy as np

from licodec.entropy.tables import tables_from_tensors
from licodec.errors import CorruptFileError, UsageError
from licodec.exact.bounds import ValueInfo, analyse
from licodec.exact.gains import BETA, GAIN_ONE, MODES
from licodec.exact.program import (
    WEIGHTED_KINDS,
    Program,
)
from licodec.exact.schedule import (
    NEIGHBOURS,
    PREVIOUS,
    SliceStep,
    WavefrontStep,
)
from licodec.packs.data import ANALYSIS, HYPER_ANALYSIS, Pack, PackAdapters

COLORS = 3
PIXEL_RANGE = (-255, 255)  # of 2 * pixel - 255, what an analysis takes
LATENT_RANGE = (-(2**15), 2**15 - 1)


def check(pack: Pack) -> None:
    """Raise CorruptFileError unless every program is proved and fits the schedule."""
    further = (name for own in pack.adapters for name in own.programs.values())
    for name in (*pack.schedule.program_order, *further):
        if name not in pack.programs:
            raise CorruptFileError(f"program {name} is missing")
    _ = pack.analysed  # every program is proved
    for program in pack.programs.values():
        for operation in program.operations:
            if operation.kind in WEIGHTED_KINDS and operation.tensors["weight"] not in pack.widths:
                raise CorruptFileError(f"program {program.name}: a weight has no stated width")
    _check_interfaces(pack, {})
    for adapters in pack.adapters:
        _check_adapters(pack, adapters)
    tables_from_tensors(pack.tensors)


def _check_adapters(pack: Pack, adapters: PackAdapters) -> None:
    """Stand-ins fit where the programs stood, and alpha or beta scales one of a decoder."""
    modes = pack.gain_modes(adapters)
    if not modes:
        raise CorruptFileError(f"the adapter set {adapters.objective} has neither alpha nor beta")
    if not pack.schedule.d_low <= adapters.d <= pack.schedule.d_high:
        raise CorruptFileError(f"the adapter set {adapters.objective} has a d out of range")
    sliced = sum(isinstance(step, SliceStep) for step in pack.schedule.steps)
    if any(len(shares) != sliced for shares in adapters.stated_steps.values()):
        raise CorruptFileError(f"the step shares of {adapters.objective} do not fit the slices")
    if adapters.beta_step_shares and (not adapters.step_shares or BETA not in modes):
        raise CorruptFileError(f"the step shares of {adapters.objective} are for a beta it lacks")
    _check_interfaces(pack, adapters.programs)
    decoders = set(pack.schedule.program_order)
    for plain, name in adapters.programs.items():
        if plain in decoders:
            continue
        if plain not in pack.programs:
            raise CorruptFileError(f"program {plain} is missing")
        ports = [port.name for port in pack.programs[plain].inputs]
        own = [port.name for port in pack.programs[name].inputs if port.channels is not None]
        numbers = {port.name for port in pack.programs[name].inputs if port.channels is None}
        if own != ports or not numbers <= set(modes):
            raise CorruptFileError(f"program {name} does not fit the coding schedule")


def require_encoder(pack: Pack) -> None:
    """Raise UsageError for a pack that decodes alone, and CorruptFileError where its programs of
    encoders do not fit."""
    if ANALYSIS not in pack.programs:
        raise UsageError(
            f"the pack {pack.title} is for decoding alone; 'licodec models' lists the others"
        )
    sets = [(own.programs, pack.gain_modes(own)) for own in pack.adapters]
    for stand_ins, modes in ({}, ()), *sets:
        try:
            _check_encoder(pack, stand_ins, modes)
        except CorruptFileError as error:
            raise CorruptFileError(f"the pack {pack.title}: {error}") from None


def _check_encoder(pack: Pack, stand_ins: Mapping[str, str], modes: tuple[str, ...]) -> None:
    """Raise CorruptFileError unless the programs of encoders take pixels and give what is coded.

    `stand_ins` and `modes` are of an adapter set, as in :func:`_check_interfaces`. Reading a pack
    does not check this: decoders have nothing to do with it.
    """
    schedule = pack.schedule
    finer = schedule.hyper_stride // schedule.latent_stride
    pixels = ValueInfo(COLORS, *PIXEL_RANGE, Fraction(1))
    latents = ValueInfo(schedule.latent_channels, *LATENT_RANGE, Fraction(1))
    hyper_latents = len(pack.tables.medians)
    alignment, coarse_alignment = schedule.alignment, schedule.alignment // schedule.latent_stride
    for place, port, value, rows, channels, stride in (
        (ANALYSIS, "pixels", pixels, alignment, latents.channels, schedule.latent_stride),
        (HYPER_ANALYSIS, "latents", latents, coarse_alignment, hyper_latents, finer),
    ):
        if place not in pack.programs:
            raise CorruptFileError(f"program {place} is missing")
        name = stand_ins.get(place, place)
        program, values = pack.programs[name], pack.analysed[name]
        planes = [p.name for p in program.inputs if p.channels is not None]
        numbers = [p.name for p in program.inputs if p.channels is None]
        outputs = [values[output] for output in program.outputs]
        fits = (
            planes == [port]
            and _reads(values[port], value)
            and set(numbers) <= set(modes)
            and all(_is_gain(values[number]) for number in numbers)
            and [(o.channels, o.rate) for o in outputs] == [(channels, Fraction(1, stride))]
            and _fits_latent(outputs[0])
            and all(rows % info.rate.denominator == 0 for info in values.values())
        )
        if not fits:
            raise CorruptFileError(f"program {name} does not take and give what encoding does")


def _check_interfaces(pack: Pack, stand_ins: Mapping[str, str]) -> None:
    """The programs' inputs and outputs are those that the schedule connects.

    `stand_ins` are of an adapter set, by the names of the programs whose places they take.
    """
    schedule = pack.schedule
    programs = {name: pack.programs[stand_ins.get(name, name)] for name in schedule.program_order}

    def require(condition: bool, name: str) -> None:
        if not condition:
            stands_in = stand_ins.get(name, name)
            raise CorruptFileError(f"program {stands_in} does not fit the coding schedule")

    def described(name: str) -> tuple[dict[str, Any], list[Any]]:
        values = pack.analysed[stand_ins.get(name, name)]
        # Planes come in multiples of so many rows, and every value must have whole rows.
        hyper = name == schedule.hyper_synthesis
        stride = schedule.hyper_stride if hyper else schedule.latent_stride
        rows = schedule.alignment // stride
        require(all(rows % info.rate.denominator == 0 for info in values.values()), name)
        inputs = programs[name].inputs
        numbers = [port.name for port in inputs if port.channels is None]
        # Behind the planes, in the order of MODES, and none but in stand-ins.
        require(name in stand_ins or not numbers, name)
        require(numbers == [mode for mode in MODES if mode in numbers], name)
        require([port.name for port in inputs[len(inputs) - len(numbers) :]] == numbers, name)
        require(all(_is_gain(values[number]) for number in numbers), name)
        ports = {port.name: values[port.name] for port in inputs if port.channels is not None}
        return ports, [values[output] for output in programs[name].outputs]

    latent_rate = schedule.hyper_stride // schedule.latent_stride
    ports, outputs = described(schedule.hyper_synthesis)
    shaped = list(ports) == ["hyper_latents"] and len(outputs) == len(schedule.features)
    require(shaped, schedule.hyper_synthesis)
    require(all(output.rate == latent_rate for output in outputs), schedule.hyper_synthesis)
    hyper_latents = ports["hyper_latents"]
    require(hyper_latents.channels == len(pack.tables.medians), schedule.hyper_synthesis)
    require(_fits_latent(hyper_latents), schedule.hyper_synthesis)
    features = dict(zip(schedule.features, outputs, strict=True))

    if isinstance(schedule.steps[0], WavefrontStep):
        (step,) = schedule.steps
        ports, outputs = described(step.parameters)
        read = [name for name in ports if name in features]
        named = list(ports) == [*read, NEIGHBOURS] and len(outputs) == 2
        require(named and len(read) > 0, step.parameters)
        require(all(_reads(ports[name], features[name]) for name in read), step.parameters)
        require(_is_latent(ports[NEIGHBOURS], step.neighbours * step.stop), step.parameters)
        require(_is_pointwise(programs[step.parameters], pack.tensors), step.parameters)
        mean, scale = outputs
        require(mean.channels == scale.channels == step.stop, step.parameters)
        require(_fits_latent(mean), step.parameters)
    slices = [step for step in schedule.steps if isinstance(step, SliceStep)]
    for index, step in enumerate(slices):
        ports, outputs = described(step.parameters)
        read = [name for name in ports if name in features]
        expected = [*read, PREVIOUS] if index else read
        require(read and list(ports) == expected and len(outputs) == 3, step.parameters)
        require(all(_reads(ports[name], features[name]) for name in read), step.parameters)
        if index:
            require(_is_latent(ports[PREVIOUS], step.start), step.parameters)
        mean, scale, context = outputs
        count = step.stop - step.start
        shaped = mean.channels == scale.channels == count and mean.rate == scale.rate == 1
        require(shaped and context.rate == 1, step.parameters)
        require(_fits_latent(mean), step.parameters)
        ports, outputs = described(step.residual)
        require(list(ports) == ["context", "decoded"] and len(outputs) == 1, step.residual)
        require(_reads(ports["context"], context), step.residual)
        require(_is_latent(ports["decoded"], count), step.residual)
        require(outputs[0].channels == count and outputs[0].rate == 1, step.residual)

    ports, outputs = described(schedule.synthesis)
    require(list(ports) == ["latents"] and len(outputs) == 1, schedule.synthesis)
    require(_is_latent(ports["latents"], schedule.latent_channels), schedule.synthesis)
    pixels = outputs[0]
    shaped = pixels.channels == 3 and pixels.rate == schedule.latent_stride
    require(shaped and pixels.low >= 0 and pixels.high <= 255, schedule.synthesis)


def _reads(port: ValueInfo, value: ValueInfo) -> bool:
    return port.channels == value.channels and port.low <= value.low and value.high <= port.high


def _is_gain(port: Any) -> bool:
    return port.number and port.low == 0 and port.high == GAIN_ONE


def _is_pointwise(program: Program, tensors: Mapping[str, np.ndarray]) -> bool:
    """Whether what a program gives for a position depends on that position of its inputs alone."""
    return all(info.rate == 1 for info in analyse(program, tensors).values()) and not any(
        operation.kind == "window_attention"
        or (operation.kind == "conv2d" and tensors[operation.tensors["weight"]].shape[2] > 1)
        for operation in program.operations
    )


def _is_latent(port: Any, channels: int) -> bool:
    return port.channels == channels and (port.low, port.high) == LATENT_RANGE


def _fits_latent(value: Any) -> bool:
    return value.low >= LATENT_RANGE[0] and value.high <= LATENT_RANGE[1]
