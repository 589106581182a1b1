"""The streams of a picture whose planes are cut into bands: one for each band of each group.

Normative counterpart: format/SPEC.md, "Bands".
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from licodec.container.bands import Bands
from licodec.container.file import Stream
from licodec.container.limits import MAX_BAND_SYMBOLS, MAX_STREAMS
from licodec.entropy.coder_tables import CoderTables, Decoder
from licodec.entropy.forms import fastest
from licodec.entropy.model import EntropyModel, Extremes
from licodec.entropy.parts import group_count, group_of
from licodec.entropy.rans import require_legal
from licodec.errors import CorruptFileError, LimitError
from licodec.exact.schedule import PHASES, PhaseStep, SliceStep, WavefrontStep

Shape = tuple[int, int, int]

BAND_POSITIONS = 16  # latent rows of a band, as long as there are not too many streams


class BandWriter:
    """Encodes a stream of each band, which are written in coding order."""

    def __init__(self, tables: CoderTables) -> None:
        self._coder = fastest().coder(tables)
        self._streams: list[Stream] = []

    def write(self, values: np.ndarray, indexes: np.ndarray) -> None:
        """A band's `values` (n,), coded with the tables `indexes` (n,)."""
        self._streams.append(self._coder.encode(values, indexes))

    def finish(self) -> tuple[Stream, ...]:
        return tuple(self._streams)


class BandReader:
    """The streams of a picture by group and band; `shapes` are those of the groups' planes.

    Raises CorruptFileError where there are more or fewer, or one cannot be so long, and LimitError
    where a band is too large.
    """

    def __init__(
        self,
        tables: CoderTables,
        bands: Bands,
        shapes: Sequence[Shape],
        streams: tuple[Stream, ...],
    ) -> None:
        self._coder = fastest().coder(tables)
        self._streams: dict[tuple[int, int], Stream] = {}  # by group and where the band begins
        counted = _band_count(bands, shapes)
        if len(streams) != counted:
            raise CorruptFileError(
                f"payload: {len(streams)} streams where the picture has {counted}"
            )
        left = iter(streams)
        for group, shape in enumerate(shapes):
            size = shape[bands.axis]
            for start, stop in bands.cuts(group, size):
                stream, symbols = next(left), math.prod(shape) // size * (stop - start)
                if symbols > MAX_BAND_SYMBOLS:
                    raise LimitError(
                        f"chunk BAND: a band of {symbols} symbols is over the limit of "
                        f"{MAX_BAND_SYMBOLS}"
                    )
                require_legal(stream, symbols)
                self._streams[group, start] = stream
        self._waiting = iter(streams)

    def read(self, indexes: np.ndarray) -> np.ndarray:
        """All integers of the next band, int32 (n,), for table indexes (n,)."""
        decoder = self._coder.decoder(next(self._waiting))
        values = decoder.read(indexes)
        decoder.require_end()
        return values

    def open(self, group: int, start: int) -> Decoder:
        """The stream of the band that begins at `start`."""
        return self._coder.decoder(self._streams[group, start])


def _band_count(bands: Bands, shapes: Sequence[Shape]) -> int:
    """Without a list of them, as long as that is not known to be short."""
    return sum(
        -(-(shape[bands.axis] + less) // length)
        for (length, less), shape in zip(bands.groups, shapes, strict=True)
    )


def require_bands(model: EntropyModel, bands: Bands) -> None:
    """Raise CorruptFileError unless `bands` are of planes that the pack has."""
    schedule = model.schedule
    scales = schedule.latent_channels if model.adapts else 0
    fit = len(bands.groups) == group_count(schedule) and len(bands.extremes) == scales
    if not fit or isinstance(schedule.steps[0], WavefrontStep):
        raise CorruptFileError("chunk BAND: its groups or scales are not those of the file's pack")


def extremes_in(bands: Bands, channels: slice) -> Extremes:
    """What a file states of the scales of some channels."""
    least, largest = np.array(bands.extremes[channels], np.int64).reshape(-1, 2).T
    return least, largest


def choose_bands(model: EntropyModel, hyper_shape: tuple[int, int]) -> Bands | None:
    """Bands across the longer side, such that what a band needs of earlier steps begins where
    their bands begin; None where latents are coded position by position, or bands are too large."""
    schedule = model.schedule
    if isinstance(schedule.steps[0], WavefrontStep):
        return None
    columns = hyper_shape[1] > hyper_shape[0]
    shapes = model.group_shapes(hyper_shape)
    pitch = math.lcm(schedule.hyper_stride // schedule.latent_stride, 2)
    length = -(-BAND_POSITIONS // pitch) * pitch
    while _band_count(bands := Bands(columns, _staggered(model, length)), shapes) > MAX_STREAMS:
        length *= 2
    fits = all(
        math.prod(shape) // shape[bands.axis] * own <= MAX_BAND_SYMBOLS
        for shape, (own, _) in zip(shapes, bands.groups, strict=True)
    )
    return bands if fits else None


def _staggered(model: EntropyModel, length: int) -> tuple[tuple[int, int], ...]:
    """Lengths and offsets of the groups' bands, for bands of `length` latent rows."""
    schedule, runners = model.schedule, model.runners
    finer = schedule.hyper_stride // schedule.latent_stride
    groups = [(0, 0)] * group_count(schedule)
    start = 0  # of a band of the step, less than 0 where it begins before the last step's
    for index, step in reversed(list(enumerate(schedule.steps))):
        if isinstance(step, PhaseStep):
            start -= start % 2
            for phase in range(PHASES):
                half = length // 2
                groups[group_of(schedule, index, phase)] = half, -(start // 2) % half
        elif isinstance(step, SliceStep):
            groups[group_of(schedule, index)] = length, -start % length
        start = runners[step.parameters].geometry.reached(start)
        before = schedule.steps[index - 1] if index else None
        if isinstance(before, SliceStep) and before.residual is not None:
            start = runners[before.residual].geometry.reached(start)
    start = runners[schedule.hyper_synthesis].geometry.reached(start // finer)
    groups[0] = length // finer, -start % (length // finer)
    return tuple(groups)
