"""The streams of a picture whose planes are cut into tiles: one for each tile of each group.

Normative counterpart: format/SPEC.md, "Tiles".
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from licodec.container.file import Stream
from licodec.container.limits import MAX_STREAMS, MAX_TILE_SYMBOLS
from licodec.container.tiles import Tiles
from licodec.entropy.coder_tables import CoderTables, Decoder
from licodec.entropy.forms import fastest
from licodec.entropy.model import EntropyModel, Extremes
from licodec.entropy.parts import TileOrder, group_count, group_of
from licodec.entropy.rans import require_legal
from licodec.errors import CorruptFileError, LimitError
from licodec.exact.schedule import PHASES, PhaseStep, SliceStep, WavefrontStep

Shape = tuple[int, int, int]

TILE_POSITIONS = 48  # rows and columns of latents of a tile, where there are not too many streams


class TileWriter:
    """Encodes a stream of each tile, which are written in coding order."""

    def __init__(self, tables: CoderTables) -> None:
        self._coder = fastest().coder(tables)
        self._streams: list[Stream] = []

    def write(self, values: np.ndarray, indexes: np.ndarray) -> None:
        """A tile's `values` (n,), coded with the tables `indexes` (n,)."""
        self._streams.append(self._coder.encode(values, indexes))

    def finish(self) -> tuple[Stream, ...]:
        return tuple(self._streams)


class TileReader:
    """The streams of a picture by group and tile; `shapes` are those of the groups' planes.

    Raises CorruptFileError where there are more or fewer, or one cannot be so long, and LimitError
    where a tile is too large.
    """

    def __init__(
        self,
        tables: CoderTables,
        tiles: Tiles,
        shapes: Sequence[Shape],
        streams: tuple[Stream, ...],
    ) -> None:
        self._coder = fastest().coder(tables)
        counted = _tile_count(tiles, shapes)
        if len(streams) != counted:
            raise CorruptFileError(
                f"payload: {len(streams)} streams where the picture has {counted}"
            )
        self._streams: dict[tuple[int, int, int], Stream] = {}  # by group, and a tile's corner
        order, left = TileOrder(tiles), iter(streams)
        for group, shape in enumerate(shapes):
            for part in order.parts(group, shape):
                symbols = math.prod(own.stop - own.start for own in part)
                if symbols > MAX_TILE_SYMBOLS:
                    raise LimitError(
                        f"chunk TILE: a tile of {symbols} symbols is over the limit of "
                        f"{MAX_TILE_SYMBOLS}"
                    )
                _, rows, columns = part
                stream = self._streams[group, rows.start, columns.start] = next(left)
                require_legal(stream, symbols)
        self._waiting = iter(streams)

    def read(self, indexes: np.ndarray) -> np.ndarray:
        """All integers of the next tile, int32 (n,), for table indexes (n,)."""
        decoder = self._coder.decoder(next(self._waiting))
        values = decoder.read(indexes)
        decoder.require_end()
        return values

    def open(self, group: int, top: int, left: int) -> Decoder:
        """The stream of the tile that begins there."""
        return self._coder.decoder(self._streams[group, top, left])


def _tile_count(tiles: Tiles, shapes: Sequence[Shape]) -> int:
    return sum(tiles.count(group, *sides) for group, (_, *sides) in enumerate(shapes))


def require_tiles(model: EntropyModel, tiles: Tiles) -> None:
    """Raise CorruptFileError unless `tiles` are of planes that the pack has."""
    schedule = model.schedule
    scales = schedule.latent_channels if model.adapts else 0
    fit = len(tiles.groups) == group_count(schedule) and len(tiles.extremes) == scales
    if not fit or isinstance(schedule.steps[0], WavefrontStep):
        raise CorruptFileError("chunk TILE: its groups or scales are not those of the file's pack")


def extremes_in(tiles: Tiles, channels: slice) -> Extremes:
    """What a file states of the scales of some channels."""
    least, largest = np.array(tiles.extremes[channels], np.int64).reshape(-1, 2).T
    return least, largest


def choose_tiles(model: EntropyModel, hyper_shape: tuple[int, int]) -> Tiles | None:
    """Tiles such that what one needs of earlier steps begins where their tiles begin; None where
    latents are coded position by position, or tiles are too large."""
    schedule = model.schedule
    if isinstance(schedule.steps[0], WavefrontStep):
        return None
    shapes = model.group_shapes(hyper_shape)
    pitch = math.lcm(schedule.hyper_stride // schedule.latent_stride, 2)
    length = -(-TILE_POSITIONS // pitch) * pitch
    while _tile_count(tiles := Tiles(_staggered(model, length)), shapes) > MAX_STREAMS:
        length += pitch
    fits = all(
        channels * min(own, height) * min(own, width) <= MAX_TILE_SYMBOLS
        for (channels, height, width), (own, _) in zip(shapes, tiles.groups, strict=True)
    )
    return tiles if fits else None


def _staggered(model: EntropyModel, length: int) -> tuple[tuple[int, int], ...]:
    """Lengths and offsets of the groups' tiles, for tiles of `length` latent rows."""
    schedule, runners = model.schedule, model.runners
    finer = schedule.hyper_stride // schedule.latent_stride
    groups = [(0, 0)] * group_count(schedule)
    start = 0  # of a tile of the step, less than 0 where it begins before the last step's
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
