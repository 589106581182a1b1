"""The coding schedule: in what order a pack's programs and streams make latents and pixels.

Data in the pack, normative in format/SPEC.md, "Coding schedule".
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from licodec.errors import CorruptFileError
from licodec.exact.program import is_name

PREVIOUS = "previous"  # the port at which a step reads the latents decoded before it
NEIGHBOURS = "neighbours"  # and at which a wavefront reads those around each position
LARGEST_REACH = 7

DEFAULT_FEATURES = ("features",)


@dataclass(frozen=True)
class SliceStep:
    """One step of the latents: channels [start, stop), all positions at once.

    `parameters` names the program that gives mean, scale and context (its three outputs,
    in this order); its input ports are any of the schedule's features, by name, and then,
    after the first slice, "previous" (the latents decoded so far). `residual` names the
    latent residual prediction, with input ports "context" and "decoded".
    """

    start: int
    stop: int
    parameters: str
    residual: str


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


Step = SliceStep | WavefrontStep


@dataclass(frozen=True)
class Schedule:
    """Everything about decoding that is not inside a program.

    alignment             pictures are padded right and bottom to a multiple of this
    latent_stride         pixels per latent position, each way
    hyper_stride          pixels per hyper-latent position, each way
    latent_fraction_bits  g: latents, means and steps count in units of 2^-g
    scale_fraction_bits   scales and thresholds count in units of 2^-this
    d_low, d_high         legal range of d, in units of 2^-g
    hyper_synthesis       program, port "hyper_latents" -> features
    features              names of its outputs, the ports at which steps read them
    synthesis             program, port "latents" -> pixels in [0, 255]
    steps                 the slices, in coding order, or one wavefront step
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

    @property
    def latent_channels(self) -> int:
        return self.steps[-1].stop

    @property
    def program_order(self) -> tuple[str, ...]:
        """Names of the decoder's programs in the order in which they first run."""
        middle = [name for step in self.steps for name in _programs_of(step)]
        return (self.hyper_synthesis, *middle, self.synthesis)


def _programs_of(step: Step) -> tuple[str, ...]:
    if isinstance(step, WavefrontStep):
        return (step.parameters,)
    return step.parameters, step.residual


def schedule_to_json(schedule: Schedule) -> dict[str, Any]:
    data = asdict(schedule)
    data["steps"] = [asdict(step) for step in schedule.steps]
    if schedule.features == DEFAULT_FEATURES:
        del data["features"]
    else:
        data["features"] = list(schedule.features)
    return data


def schedule_from_json(data: Any) -> Schedule:
    """Parse a schedule and check what does not depend on the programs.

    Raises CorruptFileError.
    """
    try:
        steps = tuple(
            WavefrontStep(**step) if "reach" in step else SliceStep(**step)
            for step in data["steps"]
        )
        features = data.get("features", list(DEFAULT_FEATURES))
        schedule = Schedule(**{**data, "steps": steps, "features": tuple(features)})
        numbers = [v for k, v in asdict(schedule).items() if isinstance(v, int)]
        numbers += [n for s in steps for n in (s.start, s.stop)]
        names = (*schedule.program_order, *features)
    except (KeyError, TypeError, IndexError) as error:
        raise CorruptFileError(f"coding schedule: malformed ({error})") from None
    well_formed = (
        len(steps) > 0
        and len(numbers) == 7 + 2 * len(steps)
        and all(type(n) is int and 0 <= n < 2**20 for n in numbers)
        and all(is_name(name) for name in names)
        and isinstance(features, list)
        and 0 < len(features) == len({*features} - {PREVIOUS})
        and schedule.latent_stride > 0
        and schedule.hyper_stride > 0
        and schedule.hyper_stride % schedule.latent_stride == 0
        and schedule.alignment % schedule.hyper_stride == 0
        and 0 < schedule.alignment <= 4096
        and schedule.latent_fraction_bits <= 10
        and schedule.scale_fraction_bits <= 12
        and 1 <= schedule.d_low <= 1 << schedule.latent_fraction_bits <= schedule.d_high
        and schedule.d_high <= 1 << 15
    )
    if not well_formed:
        raise CorruptFileError("coding schedule: a number or a name is not legal")
    _check_wavefronts(schedule)
    start = 0
    for step in steps:
        if step.start != start or step.stop <= start:
            raise CorruptFileError("coding schedule: slices do not follow one another")
        start = step.stop
    return schedule


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
