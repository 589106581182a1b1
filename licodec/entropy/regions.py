"""Latents of a part of a picture, out of a file whose planes are cut into tiles.

What is needed is found backwards: the latents of a box take those of earlier steps in the larger
box that a step's programs reach, and integers from where tiles begin, in all of their columns. Then
the schedule runs over these boxes alone, some rows at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from licodec.container.file import Stream
from licodec.container.tiles import Tiles
from licodec.entropy.coder_tables import Decoder
from licodec.entropy.forms import fastest
from licodec.entropy.model import EntropyModel
from licodec.entropy.parts import HYPER_GROUP, TileOrder, group_of
from licodec.entropy.slices import correct
from licodec.entropy.tiled import TileReader, extremes_in, require_tiles
from licodec.exact.boxes import Box, Place, Window, input_box, run_over
from licodec.exact.schedule import LATENTS, PREVIOUS, PhaseStep, Schedule, SliceStep, Step

CHUNK_POSITIONS = 1 << 11  # latent positions that a step's programs run over at a time, for memory


# Tiles side by side: their columns, and their streams.
_Row = list[tuple[slice, Decoder]]


@dataclass(frozen=True)
class _Need:
    """What of a step is needed, in latent positions.

    decoded  latents as symbols give them, and context
    coded    mean and scale: tiles from their beginning, down to the last row that is decoded
    final    corrected latents
    """

    decoded: Box
    coded: Box
    final: Box


@dataclass(frozen=True)
class _Groups:
    """The groups of planes that are coded together, by their numbers, and how many positions of
    their finest grid apart the positions of their planes are."""

    numbers: tuple[int, ...]
    pitch: int


def decode_region(
    model: EntropyModel,
    streams: tuple[Stream, ...],
    hyper_shape: tuple[int, int],
    tiles: Tiles,
    box: Box,
) -> Window:
    """The latents int16 (M, h, w) of `box`, in latent positions, as
    :func:`licodec.entropy.slices.decode_latents` gives them. Raises CorruptFileError."""
    require_tiles(model, tiles)
    reader = TileReader(model.coder_tables(), tiles, model.group_shapes(hyper_shape), streams)
    return _Region(model, tiles, reader, hyper_shape).latents(box)


@dataclass(frozen=True)
class _Region:
    model: EntropyModel
    tiles: Tiles
    reader: TileReader
    hyper_shape: tuple[int, int]

    @property
    def whole(self) -> Box:
        _, rows, columns = self.model.latent_shape(self.hyper_shape)
        return Box(0, rows, 0, columns)

    def latents(self, box: Box) -> Window:
        model, schedule, whole = self.model, self.model.schedule, self.whole
        needed = box
        if schedule.residual is not None:
            needed = input_box(model.runners[schedule.residual], box, whole)
        needs, held = self._needs(needed)
        features = self._features(held)
        # What no step decodes is not touched, and takes no memory.
        shape = (schedule.latent_channels, held.height, held.width)
        decoded = Window(np.zeros(shape, np.int16), held)
        context: Window | None = None
        for index, (step, need) in enumerate(zip(schedule.steps, needs, strict=True)):
            context = None  # not two at a time
            context = self._step(index, step, need, features, decoded)
        if schedule.residual is not None and context is not None:
            residual = model.runners[schedule.residual]
            seen = {"context": context, LATENTS: decoded}
            correct(decoded.of(box), run_over(residual, seen, box, whole))
        # A copy, so that all else goes before the synthesis.
        return Window(decoded.of(box).copy(), box)

    def _needs(self, needed: Box) -> tuple[list[_Need], Box]:
        """What is needed of each step, and a box that holds all of it and what programs read."""
        model, held, needs = self.model, needed, []
        for index, step in reversed(list(enumerate(model.schedule.steps))):
            decoded = needed
            if isinstance(step, PhaseStep):
                decoded = needed.spread(0, 2, self.whole)
            elif isinstance(step, SliceStep) and step.residual is not None:
                decoded = input_box(model.runners[step.residual], needed, self.whole)
            coded = self._opened(_groups(model.schedule, index), decoded, self.whole)
            needs.append(_Need(decoded, coded, needed))
            needed = needed.joined(input_box(model.runners[step.parameters], coded, self.whole))
            held = held.joined(decoded).joined(needed)
        return needs[::-1], held.spread(0, 2, self.whole)

    def _opened(self, groups: _Groups, box: Box, whole: Box) -> Box:
        """The box from where tiles of all groups begin, and to where they end on the right."""
        top, _ = self._edges(groups, box.top, box.bottom, whole.bottom)
        left, right = self._edges(groups, box.left, box.right, whole.right)
        return Box(top, box.bottom + -box.bottom % groups.pitch, left, right)

    def _edges(self, groups: _Groups, start: int, stop: int, size: int) -> tuple[int, int]:
        """The last place up to `start` where tiles of all groups begin, the first from `stop` on
        where they end."""
        pitch, before = groups.pitch, None
        while before != (start, stop):
            before = start, stop
            for number in groups.numbers:
                start = pitch * self.tiles.tile_at(number, start // pitch)[0]
                stop = pitch * self.tiles.tile_at(number, (stop - 1) // pitch)[1]
            stop = min(stop, size)
        return start, stop

    def _features(self, box: Box) -> dict[str, Window]:
        """The outputs of the hyper-synthesis, for the latent positions of `box`."""
        model, schedule = self.model, self.model.schedule
        finer = schedule.hyper_stride // schedule.latent_stride
        whole = Box(0, self.hyper_shape[0], 0, self.hyper_shape[1])
        runner = model.runners[schedule.hyper_synthesis]
        own = box.coarser(finer)
        read = input_box(runner, own, whole)
        groups = _Groups((HYPER_GROUP,), 1)
        shape = (len(model.tables.medians), read.height, read.width)
        planes = Window(np.zeros(shape, np.int16), read)
        for part, rows in self._chunks(groups, self._opened(groups, read, whole)):
            indexes = model.hyper_indexes((shape[0], part.height, part.width))
            symbols = self._read(rows[HYPER_GROUP], indexes)
            planes.take(Window(model.hyper_latents(symbols), part), part)
        outputs = run_over(runner, {"hyper_latents": planes}, own, whole)
        windows = (Window(output, own.finer(finer)) for output in outputs)
        return dict(zip(schedule.features, windows, strict=True))

    def _chunks(self, groups: _Groups, coded: Box) -> Iterator[tuple[Box, dict[int, _Row]]]:
        """The coded box in parts, from top to bottom, within which no tile begins below another,
        each with the groups' streams."""
        pitch, top = groups.pitch, coded.top
        most = max(1, CHUNK_POSITIONS // (coded.width * pitch)) * pitch
        rows: dict[int, _Row] = {}
        while top < coded.bottom:
            bottom = min(coded.bottom, top + most)
            for number in groups.numbers:
                begin, next_begin = self.tiles.tile_at(number, top // pitch)
                if begin * pitch == top:
                    rows[number] = self._row(number, begin, coded.coarser(pitch))
                bottom = min(bottom, next_begin * pitch)
            yield Box(top, bottom, coded.left, coded.right), rows
            top = bottom

    def _row(self, group: int, top: int, box: Box) -> _Row:
        """The streams of the tiles that begin at `top`, and which columns of `box` they have."""
        row, left = [], box.left
        while left < box.right:
            right = min(box.right, self.tiles.tile_at(group, left)[1])
            columns = slice(left - box.left, right - box.left)
            row.append((columns, self.reader.open(group, top, left)))
            left = right
        return row

    def _read(self, row: _Row, indexes: np.ndarray) -> np.ndarray:
        order, symbols = TileOrder(self.tiles), np.empty(indexes.shape, np.int32)
        for columns, decoder in row:
            own = indexes[:, :, columns]
            symbols[:, :, columns] = order.planes(decoder.read(order.flat(own)), own.shape)
        return symbols

    def _step(
        self,
        index: int,
        step: Step,
        need: _Need,
        features: Mapping[str, Window],
        decoded: Window,
    ) -> Window | None:
        """Decode one step into `decoded`; returns its context, where it has one that is read."""
        runners, last = self.model.runners, index + 1 == len(self.model.schedule.steps)
        seen = {**features, LATENTS: decoded}
        residual = None
        if isinstance(step, SliceStep):
            residual = step.residual
            seen[PREVIOUS] = Window(decoded.planes[: step.start], decoded.box)
        context: Window | None = None
        found: list[tuple[Window, Box, Place]] = []
        for part, rows in self._chunks(_groups(self.model.schedule, index), need.coded):
            mean, scale, *contexts = run_over(runners[step.parameters], seen, part, self.whole)
            for place, values in self._coded(index, step, rows, mean, scale):
                found.append((Window(values, part), part.cut(need.decoded), place))
            if isinstance(step, SliceStep):
                _put(found, decoded)
            if contexts and (last or residual is not None):
                if context is None:
                    shape = (len(contexts[0]), need.decoded.height, need.decoded.width)
                    context = Window(np.zeros(shape, contexts[0].dtype), need.decoded)
                context.take(Window(contexts[0], part), part.cut(need.decoded))
        _put(found, decoded)  # now: a step by phases is predicted without what it codes itself
        if isinstance(step, SliceStep) and residual is not None and context is not None:
            own = Window(decoded.planes[step.start : step.stop], decoded.box)
            given = {"context": context, "decoded": own}
            correction = run_over(runners[residual], given, need.final, self.whole)
            correct(own.of(need.final), correction)
        return context

    def _coded(
        self,
        index: int,
        step: Step,
        rows: Mapping[int, _Row],
        mean: np.ndarray,
        scale: np.ndarray,
    ) -> Iterator[tuple[Place, np.ndarray]]:
        """What the symbols of a part decode to: for channels and phases, their latents."""
        model, tiles = self.model, self.tiles
        if isinstance(step, PhaseStep):
            assert model.steps is not None  # as such steps are in schedules with knots alone
            for phase, first in enumerate(step.phases):
                own = slice(phase * step.count, (phase + 1) * step.count)
                channels = slice(first, first + step.count)
                row = rows[group_of(model.schedule, index, phase)]
                steps = model.steps[channels, None, None]
                values = self._dequantized(row, mean[own], scale[own], steps)
                yield Place(channels, 2, *divmod(phase, 2)), values
        elif isinstance(step, SliceStep):
            channels = slice(step.start, step.stop)
            extremes = extremes_in(tiles, channels)
            steps = model.steps_of(scale, index, channels, extremes)
            row = rows[group_of(model.schedule, index)]
            yield Place(channels), self._dequantized(row, mean, scale, steps)

    def _dequantized(
        self, row: _Row, mean: np.ndarray, scale: np.ndarray, steps: np.ndarray
    ) -> np.ndarray:
        symbols = self._read(row, self.model.latent_indexes(scale, steps))
        return fastest().dequantize(symbols, steps, mean)


def _put(found: list[tuple[Window, Box, Place]], decoded: Window) -> None:
    """Set what was found, and forget it."""
    for window, box, place in found:
        decoded.take(window, box, place)
    found.clear()


def _groups(schedule: Schedule, index: int) -> _Groups:
    first, next_first = (group_of(schedule, n) for n in (index, index + 1))
    pitch = 2 if isinstance(schedule.steps[index], PhaseStep) else 1
    return _Groups(tuple(range(first, next_first)), pitch)
