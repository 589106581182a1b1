"""What must hold of a pack before it is used: every program is proved, and they fit together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from licodec.errors import CorruptFileError, UsageError
from licodec.exact.bounds import CheckedProgram, most_alive
from licodec.exact.schedule import (
    LATENTS,
    NEIGHBOURS,
    PHASES,
    PREVIOUS,
    PhaseStep,
    SliceStep,
    WavefrontStep,
)
from licodec.exact.values import ALIVE_LIMIT, EXPANSION_LIMIT, ValueInfo
from licodec.packs.data import ANALYSIS, HYPER_ANALYSIS, Pack, PackAdapters
from licodec.rate.conditions import HYPER_STEPS, PREFIX, STEPS, check_table, roles_of
from licodec.rate.gains import BETA, GAIN_ONE, MODES

COLORS = 3
PIXEL_RANGE = (-255, 255)  # of 2 * pixel - 255, what an analysis takes
LATENT_RANGE = (-(2**15), 2**15 - 1)


def check(pack: Pack) -> None:
    """Raise CorruptFileError unless every program is proved and fits the schedule."""
    check_decoder(pack)
    for adapters in pack.adapters:
        _check_adapters(pack, adapters)
    _check_programs(pack, pack.programs)


def check_decoder(pack: Pack) -> None:
    """Raise CorruptFileError unless what decodes without adapters is proved and fits the
    schedule."""
    order = dict.fromkeys(pack.schedule.program_order)
    _require_programs(pack, order)
    _ = pack.tables  # they are legal
    _check_conditions(pack)
    _check_programs(pack, order)
    _check_interfaces(pack, {})


def _require_programs(pack: Pack, names: Iterable[str]) -> None:
    for name in names:
        if name not in pack.programs:
            raise CorruptFileError(f"program {name} is missing")


def _check_programs(pack: Pack, names: Iterable[str]) -> None:
    """Programs are proved, weights have widths, and every conditioned multiplier has one number for
    each channel."""
    for name in names:
        values = pack.checked[name].values
        for operation in pack.programs[name].operations:
            if operation.weight is not None and operation.weight not in pack.widths:
                raise CorruptFileError(f"program {name}: a weight has no stated width")
            for tensor in operation.tensors.values():
                table = pack.tensors.get(PREFIX + tensor)
                if table is not None and table.shape[1] != values[operation.output].channels:
                    raise CorruptFileError(f"condition {tensor}: its channels")


def require_adapters(pack: Pack, adapters: PackAdapters) -> None:
    """Raise CorruptFileError unless an adapter set is proved, fits the pack and has the id that the
    pack's file states."""
    try:
        _check_adapters(pack, adapters)
        check_adapter_id(pack, adapters)
    except CorruptFileError as error:
        raise CorruptFileError(f"the pack {pack.title}: {error}") from None


def check_adapter_id(pack: Pack, adapters: PackAdapters) -> None:
    """Raise CorruptFileError unless the id that a pack's file states of a set is the set's own."""
    if adapters.stated_id not in (None, pack.adapter_ids[adapters.objective]):
        raise CorruptFileError("an adapter set of the weights pack does not match its id")


def _check_adapters(pack: Pack, adapters: PackAdapters) -> None:
    """Stand-ins fit where the programs stood, and alpha or beta scales one of a decoder."""
    _require_programs(pack, adapters.programs.values())
    _check_programs(pack, adapters.programs.values())
    modes = pack.gain_modes(adapters)
    if not modes:
        raise CorruptFileError(f"the adapter set {adapters.objective} has neither alpha nor beta")
    if not pack.schedule.d_low <= adapters.d <= pack.schedule.d_high:
        raise CorruptFileError(f"the adapter set {adapters.objective} has a d out of range")
    slices = 0 if pack.schedule.knots else len(pack.schedule.slices)
    if any(len(shares) != slices for shares in adapters.stated_steps.values()):
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


def require_encoder(pack: Pack, adapters: PackAdapters | None = None) -> None:
    """Raise UsageError for a pack that decodes alone, and CorruptFileError where its programs of
    encoders, or those of an adapter set, do not fit, or the pack's file is damaged."""
    if ANALYSIS not in pack.programs:
        raise UsageError(
            f"the pack {pack.title} is for decoding alone; 'licodec models' lists the others"
        )
    try:
        pack.require_whole()
        if adapters is None:
            _Interfaces(pack, {}).check_encoder(())
        else:
            _Interfaces(pack, adapters.programs).check_encoder(pack.gain_modes(adapters))
    except CorruptFileError as error:
        raise CorruptFileError(f"the pack {pack.title}: {error}") from None


def _check_interfaces(pack: Pack, stand_ins: Mapping[str, str]) -> None:
    """The programs' inputs and outputs are those that the schedule connects.

    `stand_ins` are of an adapter set, by the names of the programs whose places they take.
    """
    schedule, interfaces = pack.schedule, _Interfaces(pack, stand_ins)
    features = interfaces.check_hyper_synthesis()
    context: ValueInfo | None = None
    for index, step in enumerate(schedule.steps):
        if isinstance(step, WavefrontStep):
            interfaces.check_wavefronts(step, features)
        elif isinstance(step, PhaseStep):
            context = interfaces.check_phases(step, features)
        else:
            interfaces.check_slice(step, index, features)
    if schedule.residual is not None and context is not None:
        corrected = LATENTS, schedule.latent_channels
        interfaces.check_residual(schedule.residual, context, *corrected)
    interfaces.check_synthesis()


@dataclass(frozen=True)
class _Interfaces:
    """The programs of a pack, or the stand-ins of an adapter set, in their places."""

    pack: Pack
    stand_ins: Mapping[str, str]

    def require(self, condition: bool, place: str) -> None:
        if not condition:
            name = self.stand_ins.get(place, place)
            raise CorruptFileError(f"program {name} does not fit the coding schedule")

    def described(self, place: str) -> tuple[dict[str, ValueInfo], list[ValueInfo]]:
        """What is known of the ports for planes, by name, and of the outputs, in order."""
        schedule, name = self.pack.schedule, self.stand_ins.get(place, place)
        program, values = self.pack.programs[name], self.pack.checked[name].values
        # Planes come in multiples of so many rows, and every value must have whole rows.
        strides = {schedule.hyper_synthesis: schedule.hyper_stride, ANALYSIS: 1}
        rows = schedule.alignment // strides.get(place, schedule.latent_stride)
        self.require(all(rows % info.rate.denominator == 0 for info in values.values()), place)
        inputs = program.inputs
        numbers = [port.name for port in inputs if port.channels is None]
        # Behind the planes, in the order of MODES, and none but in stand-ins.
        self.require(place in self.stand_ins or not numbers, place)
        self.require(numbers == [mode for mode in MODES if mode in numbers], place)
        self.require([port.name for port in inputs[len(inputs) - len(numbers) :]] == numbers, place)
        self.require(all(_is_gain(values[number]) for number in numbers), place)
        ports = {port.name: values[port.name] for port in inputs if port.channels is not None}
        return ports, [values[output] for output in program.outputs]

    def reads_features(
        self,
        place: str,
        ports: Mapping[str, ValueInfo],
        features: Mapping[str, ValueInfo],
        *behind: str,
    ) -> None:
        """Its ports are one or more of the features, and then those `behind` them."""
        read = [name for name in ports if name in features]
        self.require(bool(read) and list(ports) == [*read, *behind], place)
        self.require(all(_reads(ports[name], features[name]) for name in read), place)

    def gives(
        self, place: str, outputs: Sequence[ValueInfo], channels: int, rate: Fraction
    ) -> None:
        """Its first two outputs are means and scales of so many channels."""
        mean, scale = outputs[:2]
        shapes = {(x.channels, x.rate) for x in (mean, scale)}
        self.require(shapes == {(channels, rate)} and _fits_latent(mean), place)

    def check_hyper_synthesis(self) -> Mapping[str, ValueInfo]:
        """The features, by name."""
        schedule, place = self.pack.schedule, self.pack.schedule.hyper_synthesis
        ports, outputs = self.described(place)
        shaped = list(ports) == ["hyper_latents"] and len(outputs) == len(schedule.features)
        self.require(shaped, place)
        rate = schedule.hyper_stride // schedule.latent_stride
        self.require(all(output.rate == rate for output in outputs), place)
        hyper_latents = ports["hyper_latents"]
        self.require(hyper_latents.channels == len(self.pack.tables.medians), place)
        self.require(_fits_latent(hyper_latents), place)
        return dict(zip(schedule.features, outputs, strict=True))

    def check_wavefronts(self, step: WavefrontStep, features: Mapping[str, ValueInfo]) -> None:
        place = step.parameters
        ports, outputs = self.described(place)
        self.require(len(outputs) == 2, place)
        self.reads_features(place, ports, features, NEIGHBOURS)
        self.require(_is_latent(ports[NEIGHBOURS], step.neighbours * step.stop), place)
        program = self.pack.checked[self.stand_ins.get(place, place)]
        self.require(_is_pointwise(program), place)
        self.gives(place, outputs, step.stop, Fraction(1))

    def check_slice(self, step: SliceStep, index: int, features: Mapping[str, ValueInfo]) -> None:
        place, count = step.parameters, step.stop - step.start
        ports, outputs = self.described(place)
        self.require(len(outputs) == (2 if step.residual is None else 3), place)
        self.reads_features(place, ports, features, *([PREVIOUS] if index else []))
        if index:
            self.require(_is_latent(ports[PREVIOUS], step.start), place)
        self.gives(place, outputs, count, Fraction(1))
        if step.residual is None:
            return
        self.require(outputs[2].rate == 1, step.parameters)
        self.check_residual(step.residual, outputs[2], "decoded", count)

    def check_phases(self, step: PhaseStep, features: Mapping[str, ValueInfo]) -> ValueInfo:
        """What is known of its context."""
        place = step.parameters
        ports, outputs = self.described(place)
        self.require(len(outputs) == 3, place)
        self.reads_features(place, ports, features, LATENTS)
        self.require(_is_latent(ports[LATENTS], self.pack.schedule.latent_channels), place)
        self.gives(place, outputs, PHASES * step.count, Fraction(1, 2))
        context = outputs[2]
        self.require(context.rate == 1, place)
        return context

    def check_residual(self, place: str, context: ValueInfo, port: str, channels: int) -> None:
        """It reads context, and at a port so many channels of latents, which it corrects."""
        ports, outputs = self.described(place)
        self.require(list(ports) == ["context", port] and len(outputs) == 1, place)
        self.require(_reads(ports["context"], context), place)
        self.require(_is_latent(ports[port], channels), place)
        self.require((outputs[0].channels, outputs[0].rate) == (channels, Fraction(1)), place)

    def check_synthesis(self) -> None:
        schedule, place = self.pack.schedule, self.pack.schedule.synthesis
        ports, outputs = self.described(place)
        self.require(list(ports) == [LATENTS] and len(outputs) == 1, place)
        self.require(_is_latent(ports[LATENTS], schedule.latent_channels), place)
        pixels = outputs[0]
        shaped = pixels.channels == COLORS and pixels.rate == schedule.latent_stride
        self.require(shaped and pixels.low >= 0 and pixels.high <= 255, place)

    def check_encoder(self, modes: tuple[str, ...]) -> None:
        """The programs of encoders take pixels, and numbers of these modes, and give what is coded.

        Reading a pack does not check this: decoders have nothing to do with it.
        """
        schedule = self.pack.schedule
        stride, finer = schedule.latent_stride, schedule.hyper_stride // schedule.latent_stride
        pixels = ValueInfo(COLORS, *PIXEL_RANGE, Fraction(1))
        latents = ValueInfo(schedule.latent_channels, *LATENT_RANGE, Fraction(1))
        coded = len(self.pack.tables.medians)
        for place, port, read, channels, rate, positions in (
            (ANALYSIS, "pixels", pixels, latents.channels, Fraction(1, stride), stride**2),
            (HYPER_ANALYSIS, "latents", latents, coded, Fraction(1, finer), 1),
        ):
            _require_programs(self.pack, [place])
            ports, outputs = self.described(place)
            self.require(list(ports) == [port] and _reads(ports[port], read), place)
            shaped = [(output.channels, output.rate) for output in outputs] == [(channels, rate)]
            self.require(shaped and _fits_latent(outputs[0]), place)
            checked = self.pack.checked[self.stand_ins.get(place, place)]
            program, values = checked.program, checked.values
            numbers = {own.name for own in program.inputs if own.channels is None}
            self.require(numbers <= set(modes), place)
            # By positions of the latents, as for the programs of a decoder.
            most = max(info.expansion for info in values.values())
            self.require(most * positions <= EXPANSION_LIMIT, place)
            self.require(most_alive(program, values) * positions <= ALIVE_LIMIT, place)


def _check_conditions(pack: Pack) -> None:
    """Raise CorruptFileError unless conditions have legal tables, and places that take them."""
    knots, tensors = len(pack.schedule.knots), pack.tensors
    stored = [name.removeprefix(PREFIX) for name in tensors if name.startswith(PREFIX)]
    if not knots:
        if stored or any(adapters.conditions for adapters in pack.adapters):
            raise CorruptFileError("conditions without knots")
        return
    if not {STEPS, HYPER_STEPS} <= set(stored):
        raise CorruptFileError("the conditions of the steps are missing")
    roles = roles_of(pack.programs)
    if {STEPS, HYPER_STEPS} & roles.keys():
        raise CorruptFileError("condition of the steps: an operation names them")
    for name in stored:
        check_table(name, tensors[PREFIX + name], knots, tensors, roles)
    for adapters in pack.adapters:
        for name, other in adapters.conditions.items():
            if name not in stored or other not in tensors:
                raise CorruptFileError(f"condition {name} of {adapters.objective} is missing")
            check_table(name, tensors[other], knots, tensors, roles)
            if tensors[other].shape != tensors[PREFIX + name].shape:
                raise CorruptFileError(f"condition {name} of {adapters.objective}: its channels")
    channels = {STEPS: pack.schedule.latent_channels, HYPER_STEPS: len(pack.tables.medians)}
    for name, count in channels.items():
        if tensors[PREFIX + name].shape[1] != count:
            raise CorruptFileError(f"condition {name}: its channels")


def _reads(port: ValueInfo, value: ValueInfo) -> bool:
    return port.channels == value.channels and port.low <= value.low and value.high <= port.high


def _is_gain(port: Any) -> bool:
    return port.number and port.low == 0 and port.high == GAIN_ONE


def _is_pointwise(checked: CheckedProgram) -> bool:
    """Whether what a program gives for a position depends on that position of its inputs alone."""
    # At a rate of 1 kernels of more than one position have padding, and so reach.
    return all(info.rate == 1 for info in checked.values.values()) and not any(
        operation.form.cell is not None or operation.form.reach(0, **operation.attributes)
        for operation in checked.program.operations
    )


def _is_latent(port: Any, channels: int) -> bool:
    return port.channels == channels and (port.low, port.high) == LATENT_RANGE


def _fits_latent(value: Any) -> bool:
    return value.low >= LATENT_RANGE[0] and value.high <= LATENT_RANGE[1]
