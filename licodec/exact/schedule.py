"""The coding schedule: in what order a pack's programs and streams make latents and pixels.

Data in the pack, normative in format/SPEC.md, "Coding schedule".
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

from licodec.errors import CorruptFileError
from licodec.exact.program import is_name

PREVIOUS = "previous"  # the port at which a slice reads the latents decoded before it
LATENTS = "latents"  # that at which a step by phases reads all latents, 0 where not yet decoded
NEIGHBOURS = "neighbours"  # and at which a wavefront reads those around each position
PHASES = 4  # of a 2x2 grid of positions, row by row
LARGEST_REACH = 7
LARGEST_D = 2**16 - 1  # in its units
MOST_KNOTS = 64

DEFAULT_FEATURES = ("features",)


@dataclass(frozen=True)
class SliceStep:
    """One step of the latents: channels [start, stop), all positions at once.

    `parameters` names the program that gives mean, scale and context (its three outputs,
    in this order); its input ports are any of the schedule's features, by name, and then,
    after the first slice, "previous" (the latents decoded so far). `residual` names the
    latent residual prediction, with input ports "context" and "decoded"; without one there is no
    context either.
    """

    start: int
    stop: int
    parameters: str
    residual: str | None = None


@dataclass(frozen=True)
class PhaseStep:
    """One step of the latents: at each phase p channels [phases[p], phases[p] + count).

    `parameters` names the program that gives mean and scale, of PHASES * count channels at half
    the rate, phase by phase, and context; its input ports are any of the schedule's features, by
    name, and then "latents", all of them.
    """

    phases: tuple[int, ...]
    count: int
    parameters: str


@dataclass(frozen=True)
class WavefrontStep:
    """All channels [0, stop) of the latents, position by position: the one step of a schedule.

    `parameters` names the program that gives mean and scale of single positions (its two
    outputs, in this order); its input ports are any of the schedule's features, by name, and
    then "neighbours". `reach` is how many rows and columns away the neighbours are, see
    licodec.entropy.wavefronts.
    """

    start: int
    stop: int
    parameters: str
    reach: int

    @property
    def neighbours(self) -> int:
        """How many a position has."""
        return 2 * self.reach * (self.reach + 1)


Step = SliceStep | PhaseStep | WavefrontStep


@dataclass(frozen=True)
class Schedule:
    """Everything about decoding that is not inside a program.

    alignment             pictures are padded right and bottom to a multiple of this
    latent_stride         pixels per latent position, each way
    hyper_stride          pixels per hyper-latent position, each way
    latent_fraction_bits  g: latents, means and steps count in units of 2^-g
    scale_fraction_bits   scales and thresholds count in units of 2^-this
    d_low, d_high         legal range of d, in its units
    hyper_synthesis       program, port "hyper_latents" -> features
    features              names of its outputs, the ports at which steps read them
    synthesis             program, port "latents" -> pixels in [0, 255]
    steps                 the slices, in coding order, and steps by phases behind them, or one
                          wavefront step
    residual              program, ports "context" of the last step and "latents" -> correction of
                          all latents, after all steps
    d_fraction_bits       d counts in units of 2^-this
    knots                 d at which conditions are stored; none where nothing depends on d but
                          AQVR's steps
    hyper_bands           d at which the hyper-latents' tables change
    """

    alignment: int
    latent_stride: int
    hyper_stride: int
    latent_fraction_bits: int
    scale_fraction_bits: int
    d_low: int
    d_high: int
    hyper_synthesis: str
    features: tuple[str, ...]
    synthesis: str
    steps: tuple[Step, ...]
    residual: str | None = None
    d_fraction_bits: int | None = None
    knots: tuple[int, ...] = ()
    hyper_bands: tuple[int, ...] = ()

    @property
    def latent_channels(self) -> int:
        return max(
            max(step.phases) + step.count if isinstance(step, PhaseStep) else step.stop
            for step in self.steps
        )

    @property
    def slices(self) -> tuple[SliceStep, ...]:
        return tuple(step for step in self.steps if isinstance(step, SliceStep))

    @property
    def d_bits(self) -> int:
        """d counts in units of 2^-this."""
        return self.latent_fraction_bits if self.d_fraction_bits is None else self.d_fraction_bits

    @property
    def d_unit(self) -> int:
        """The integer that stands for d = 1."""
        return 1 << self.d_bits

    @property
    def program_order(self) -> tuple[str, ...]:
        """Names of the decoder's programs in the order in which they first run."""
        middle = [name for step in self.steps for name in _programs_of(step)]
        last = () if self.residual is None else (self.residual,)
        return (self.hyper_synthesis, *middle, *last, self.synthesis)

    def band_of(self, d: int) -> int:
        """Which of the hyper-latents' families of tables codes them at `d`."""
        return sum(threshold <= d for threshold in self.hyper_bands)


def _programs_of(step: Step) -> tuple[str, ...]:
    residual = getattr(step, "residual", None)
    return (step.parameters,) if residual is None else (step.parameters, residual)


def schedule_to_json(schedule: Schedule) -> dict[str, Any]:
    """The schedule as a pack holds it; what equals its default is left out."""
    data = {k: v for k, v in asdict(schedule).items() if v is not None}
    data["steps"] = [_step_to_json(step) for step in schedule.steps]
    defaults = {"features": DEFAULT_FEATURES, "knots": (), "hyper_bands": ()}
    for key, default in defaults.items():
        if data[key] == default:
            del data[key]
        else:
            data[key] = list(data[key])
    if schedule.d_fraction_bits == schedule.latent_fraction_bits:
        del data["d_fraction_bits"]
    return data


def _step_to_json(step: Step) -> dict[str, Any]:
    listed = {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(step).items()}
    return {k: v for k, v in listed.items() if v is not None}


def _step_from_json(data: Any) -> Step:
    if "reach" in data:
        return WavefrontStep(**data)
    if "phases" in data:
        return PhaseStep(**{**data, "phases": _integers(data["phases"])})
    return SliceStep(**data)


def _integers(data: Any) -> tuple[int, ...]:
    """An array of integers. Raises TypeError."""
    if not isinstance(data, list) or any(type(n) is not int for n in data):
        raise TypeError("an array of integers is expected")
    return tuple(data)


def schedule_from_json(data: Any) -> Schedule:
    """Parse a schedule and check what does not depend on the programs.

    Raises CorruptFileError.
    """
    try:
        steps = tuple(map(_step_from_json, data["steps"]))
        features = data.get("features", list(DEFAULT_FEATURES))
        lists = {key: _integers(data.get(key, [])) for key in ("knots", "hyper_bands")}
        schedule = Schedule(**{**data, **lists, "steps": steps, "features": tuple(features)})
        numbers = [getattr(schedule, name) for name in _NUMBERS]
        numbers += [n for step in steps for n in _numbers_of(step)]
        numbers += [schedule.d_bits, *schedule.knots, *schedule.hyper_bands]
        names = (*schedule.program_order, *features)
    except (KeyError, TypeError, IndexError) as error:
        raise CorruptFileError(f"coding schedule: malformed ({error})") from None
    largest_d = LARGEST_D if schedule.knots else 1 << 15
    well_formed = (
        len(steps) > 0
        and all(type(n) is int and 0 <= n < 2**20 for n in numbers)
        and all(is_name(name) for name in names)
        and isinstance(features, list)
        and 0 < len(features) == len({*features} - {PREVIOUS, LATENTS})
        and schedule.latent_stride > 0
        and schedule.hyper_stride > 0
        and schedule.hyper_stride % schedule.latent_stride == 0
        and schedule.alignment % schedule.hyper_stride == 0
        and 0 < schedule.alignment <= 4096
        and schedule.latent_fraction_bits <= 10
        and schedule.scale_fraction_bits <= 12
        and schedule.d_bits <= 15
        and 1 <= schedule.d_low <= schedule.d_unit <= schedule.d_high <= largest_d
    )
    if not well_formed:
        raise CorruptFileError("coding schedule: a number or a name is not legal")
    _check_knots(schedule)
    _check_wavefronts(schedule)
    _check_order(schedule)
    return schedule


_NUMBERS = (
    "alignment",
    "latent_stride",
    "hyper_stride",
    "latent_fraction_bits",
    "scale_fraction_bits",
    "d_low",
    "d_high",
)


def _numbers_of(step: Step) -> tuple[int, ...]:
    if isinstance(step, PhaseStep):
        return (*step.phases, step.count)
    return step.start, step.stop


def _check_knots(schedule: Schedule) -> None:
    """Knots go from the least d to the largest. Raises CorruptFileError."""
    knots, bands = schedule.knots, schedule.hyper_bands
    if not knots:
        if bands or schedule.d_bits != schedule.latent_fraction_bits:
            raise CorruptFileError("coding schedule: bands or a unit of d without knots")
        return
    legal = (
        2 <= len(knots) <= MOST_KNOTS
        and (knots[0], knots[-1]) == (schedule.d_low, schedule.d_high)
        and all(a < b for a, b in pairwise(knots))
        and len(bands) < MOST_KNOTS
        and all(a < b for a, b in pairwise((schedule.d_low, *bands)))
        and (not bands or bands[-1] <= schedule.d_high)
    )
    if not legal:
        raise CorruptFileError("coding schedule: knots or bands that do not fit the range of d")


def _check_wavefronts(schedule: Schedule) -> None:
    """A wavefront step is the only one, and its schedule has no d but the neutral one.

    Raises CorruptFileError.
    """
    found = [step for step in schedule.steps if isinstance(step, WavefrontStep)]
    if not found:
        return
    reach = found[0].reach
    if type(reach) is not int or not 1 <= reach <= LARGEST_REACH or len(schedule.steps) > 1:
        raise CorruptFileError("coding schedule: a wavefront step of another reach, or not alone")
    if schedule.d_low != schedule.d_high:
        raise CorruptFileError("coding schedule: wavefronts have no range of d")


def _check_order(schedule: Schedule) -> None:
    """Slices follow one another, and steps by phases behind them code the rest once at each phase.

    Raises CorruptFileError.
    """
    by_phase = [step for step in schedule.steps if isinstance(step, PhaseStep)]
    first = schedule.steps[: len(schedule.steps) - len(by_phase)]
    start = 0
    for step in first:
        if isinstance(step, PhaseStep) or step.start != start or step.stop <= start:
            raise CorruptFileError("coding schedule: slices do not follow one another")
        start = step.stop
    without = [step.residual is None for step in first if isinstance(step, SliceStep)]
    if (any(without) and not by_phase) or (by_phase and not all(without)):
        raise CorruptFileError("coding schedule: residuals by slices, or none and no phases either")
    if schedule.residual is not None and not by_phase:
        raise CorruptFileError("coding schedule: a residual of all latents without phases")
    if not by_phase:
        return
    if not schedule.knots or schedule.alignment // schedule.latent_stride % 2:
        raise CorruptFileError("coding schedule: phases without knots, or of odd planes")
    if any(len(step.phases) != PHASES or step.count < 1 for step in by_phase):
        raise CorruptFileError("coding schedule: a step by phases that is none")
    everything = list(range(start, schedule.latent_channels))
    for phase in range(PHASES):
        begun = sorted((step.phases[phase], step.count) for step in by_phase)
        if [c for begin, count in begun for c in range(begin, begin + count)] != everything:
            raise CorruptFileError("coding schedule: channels coded twice or not at all")
