"""The coding schedule at work: hyper-latents, then the slices of the latents in turn.

Encoder and decoder are the same walk; they differ in whether a slice's integers are
computed from the latents and written, or read. Normative counterpart: format/SPEC.md,
"Coding schedule".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from licodec.container.file import Stream
from licodec.container.tiles import Tiles
from licodec.entropy.adaptive import LATENT_HIGH, LATENT_LOW, divide_half_even
from licodec.entropy.escapes import LARGEST_MAGNITUDE
from licodec.entropy.forms import fastest
from licodec.entropy.model import EntropyModel, Extremes
from licodec.entropy.parts import (
    CHANNELS,
    HYPER_GROUP,
    Order,
    Part,
    TileOrder,
    channel_blocks,
    group_of,
)
from licodec.entropy.rans import StreamReader, StreamWriter
from licodec.entropy.tiled import TileReader, TileWriter, extremes_in, require_tiles
from licodec.entropy.wavefronts import NeighbourPlanes, longest_wavefront, wavefronts
from licodec.exact.schedule import (
    LATENTS,
    NEIGHBOURS,
    PHASES,
    PREVIOUS,
    PhaseStep,
    SliceStep,
    WavefrontStep,
)

# An index of latents (M, h, w) that gives (C, H, W): which ones are coded.
Where = tuple[slice, slice | np.ndarray, slice | np.ndarray]

# Takes (mean, step, table indexes), each (C, H, W) but for a step that is one number,
# (1, 1, 1), and what of the latents they belong to;
# returns the coded integers, (C, H, W).
Exchange = Callable[[np.ndarray, np.ndarray, np.ndarray, Where], np.ndarray]

# Takes coded integers and their table indexes, each (n,), in coding order.
Consume = Callable[[np.ndarray, np.ndarray], None]

# Takes which of the latents' channels a slice has, and their scales (C, h, w), whole planes.
FindExtremes = Callable[[slice, np.ndarray], Extremes]


def measured(channels: slice, scale: np.ndarray) -> Extremes:
    """The extremes of each channel."""
    return scale.min((1, 2)), scale.max((1, 2))


def _stated(tiles: Tiles) -> FindExtremes:
    """Those that a file states."""
    return lambda channels, scale: extremes_in(tiles, channels)


def encode_latents(
    model: EntropyModel,
    latents: np.ndarray,
    hyper_latents: np.ndarray,
    tiles: Tiles | None = None,
) -> tuple[tuple[Stream, ...], np.ndarray, Tiles | None]:
    """Code latents (M, h, w) int16 in units of 2^-g, and hyper-latents (Z, H, W) integers.

    Returns the streams, the decoded latents, int16 (M, h, w), and `tiles` with the extremes of
    scales, where steps follow from those.
    """
    symbols = _hyper_symbols(model, hyper_latents)
    if tiles is None:
        writer = StreamWriter(model.coder_tables(), hyper_latents.size + latents.size)
        decoded = _encode(model, latents, symbols, writer.write, CHANNELS, measured)
        return writer.finish(), decoded, None
    found: list[tuple[int, int]] = []

    def noted(channels: slice, scale: np.ndarray) -> Extremes:
        extremes = measured(channels, scale)
        found.extend(zip(*(bound.tolist() for bound in extremes), strict=True))
        return extremes

    by_tile = TileWriter(model.coder_tables())
    note = noted if model.adapts else measured
    decoded = _encode(model, latents, symbols, by_tile.write, TileOrder(tiles), note)
    return by_tile.finish(), decoded, replace(tiles, extremes=tuple(found))


def _encode(
    model: EntropyModel,
    latents: np.ndarray,
    symbols: np.ndarray,
    write: Consume,
    order: Order,
    extremes: FindExtremes,
) -> np.ndarray:
    """Write the hyper-latents' integers and code the latents; what those decode to."""
    indexes = model.hyper_indexes(symbols.shape)
    for part in order.parts(HYPER_GROUP, symbols.shape):
        write(order.flat(symbols[part]), order.flat(indexes[part]))
    return Walk(model, _coding(model, latents, write, order), order, extremes).latents(symbols)


def observe_latents(
    model: EntropyModel, latents: np.ndarray, hyper_latents: np.ndarray, consume: Consume
) -> None:
    """Quantize as :func:`encode_latents` does and hand every latent's integer and its table
    index to `consume` instead of a coder: what fitting the tables takes."""
    Walk(model, _coding(model, latents, consume)).latents(_hyper_symbols(model, hyper_latents))


def decode_latents(
    model: EntropyModel,
    streams: tuple[Stream, ...],
    hyper_shape: tuple[int, int],
    tiles: Tiles | None = None,
) -> np.ndarray:
    """The inverse of :func:`encode_latents`: int16 (M, h, w). Raises CorruptFileError."""
    tables = model.coder_tables()
    reader: StreamReader | TileReader
    if tiles is None:
        reader = StreamReader(tables, model.symbol_count(hyper_shape), streams)
        order: Order = CHANNELS
    else:
        require_tiles(model, tiles)
        reader = TileReader(tables, tiles, model.group_shapes(hyper_shape), streams)
        order = TileOrder(tiles)
    extremes: FindExtremes = measured
    if tiles is not None and model.adapts:
        extremes = _stated(tiles)

    def read(indexes: np.ndarray) -> np.ndarray:
        return order.planes(reader.read(order.flat(indexes)), indexes.shape)

    symbols = np.empty((len(model.tables.medians), *hyper_shape), np.int32)
    indexes = model.hyper_indexes(symbols.shape)
    for part in order.parts(HYPER_GROUP, symbols.shape):
        symbols[part] = read(indexes[part])
    walk = Walk(model, lambda mean, step, indexes, where: read(indexes), order, extremes)
    return walk.latents(symbols)


def _hyper_symbols(model: EntropyModel, hyper_latents: np.ndarray) -> np.ndarray:
    """What codes hyper-latents (Z, H, W), int64: each a multiple of the step around the median,
    within the port's range."""
    port, medians, steps = model.hyper_port, model.hyper_medians, model.hyper_steps
    low, high = port.low - medians, port.high - medians
    residual = np.clip(hyper_latents - medians, low, high)
    symbols = np.clip(divide_half_even(residual, steps), -(-low // steps), high // steps)
    return np.clip(symbols, -LARGEST_MAGNITUDE, LARGEST_MAGNITUDE)


def _coding(
    model: EntropyModel, latents: np.ndarray, consume: Consume, order: Order = CHANNELS
) -> Exchange:
    """The encoder's side of the walk: quantize `latents` (M, h, w), hand on what is coded."""
    offset, weight, form = model.first_latent_table, model.distortion_weight, fastest()

    def exchange(
        mean: np.ndarray, step: np.ndarray, indexes: np.ndarray, where: Where
    ) -> np.ndarray:
        residual = latents[where].astype(np.int32) - mean
        if weight is None:
            coded = form.nearest_symbols(residual, step)
        else:
            costs = model.latent_costs
            coded = form.rdoq_symbols(residual, step, indexes - offset, costs, weight)
        coded = np.clip(coded, -LARGEST_MAGNITUDE, LARGEST_MAGNITUDE)
        consume(order.flat(coded), order.flat(indexes))
        return coded

    return exchange


@dataclass(frozen=True)
class Walk:
    """One walk through the schedule; `exchange` codes integers, or reads them, of the parts that
    `order` cuts planes into."""

    model: EntropyModel
    exchange: Exchange
    order: Order = CHANNELS
    extremes: FindExtremes = measured

    def latents(self, symbols: np.ndarray) -> np.ndarray:
        """The decoded latents, int16 (M, h, w), behind the hyper-latents' integers (Z, H, W).

        Raises CorruptFileError where those are out of range.
        """
        model, schedule = self.model, self.model.schedule
        outputs = model.runners[schedule.hyper_synthesis](
            {"hyper_latents": model.hyper_latents(symbols)}
        )
        features = dict(zip(schedule.features, outputs, strict=True))
        (first, *_) = schedule.steps
        if isinstance(first, WavefrontStep):
            return self._wavefronts(first, features)
        decoded = np.zeros((schedule.latent_channels, *outputs[0].shape[1:]), np.int16)
        context: np.ndarray | None = None
        for index, step in enumerate(schedule.steps):
            if isinstance(step, PhaseStep):
                context = None  # not two at a time: of a large picture such planes are large
                context = self._phases(step, index, features, decoded)
            elif isinstance(step, SliceStep):
                self._slice(step, index, features, decoded)
        del outputs, features
        if schedule.residual is not None and context is not None:  # which phases give
            residual = model.runners[schedule.residual]
            correct(decoded, residual({"context": context, LATENTS: decoded}))
        return decoded

    def _parameters(
        self, step: SliceStep | PhaseStep, seen: Mapping[str, np.ndarray]
    ) -> tuple[np.ndarray, ...]:
        """Mean, scale, and context where there is one."""
        runner = self.model.runners[step.parameters]
        return runner({name: seen[name] for name in runner.plane_ports})

    def _slice(
        self,
        step: SliceStep,
        index: int,
        features: Mapping[str, np.ndarray],
        decoded: np.ndarray,
    ) -> None:
        """Code one slice into its channels of `decoded` (M, h, w), and correct it."""
        seen = {**features, PREVIOUS: decoded[: step.start]}
        mean, scale, *contexts = self._parameters(step, seen)
        self.code_slice(step, index, mean, scale, decoded)
        del mean, scale  # of a large picture they are its largest planes
        if step.residual is not None:
            own = decoded[step.start : step.stop]
            residual = self.model.runners[step.residual]
            correct(own, residual({"context": contexts[0], "decoded": own}))

    def code_slice(
        self,
        step: SliceStep,
        index: int,
        mean: np.ndarray,
        scale: np.ndarray,
        decoded: np.ndarray,
    ) -> None:
        """Code one slice of which mean and scale (C, h, w) are known, part by part."""
        least, largest = self.extremes(slice(step.start, step.stop), scale)
        for part in self.order.parts(group_of(self.model.schedule, index), scale.shape):
            own = part[0]
            where = (slice(step.start + own.start, step.start + own.stop), *part[1:])
            scales = scale[part]
            steps = self.model.steps_of(scales, index, where[0], (least[own], largest[own]))
            decoded[where] = self._coded(mean[part], scales, steps, where)

    def _phases(
        self, step: PhaseStep, index: int, features: Mapping[str, np.ndarray], decoded: np.ndarray
    ) -> np.ndarray:
        """Code one step by phases into `decoded` (M, h, w); returns its context."""
        mean, scale, context = self._parameters(step, {**features, LATENTS: decoded})
        assert self.model.steps is not None  # as such steps are in schedules with knots alone
        shape = (step.count, *scale.shape[1:])
        for phase in range(PHASES):
            for part in self.order.parts(group_of(self.model.schedule, index, phase), shape):
                first = phase * step.count
                own = (slice(first + part[0].start, first + part[0].stop), *part[1:])
                where = places(step, phase, part)
                steps = self.model.steps[where[0], None, None]
                decoded[where] = self._coded(mean[own], scale[own], steps, where)
        return context

    def _wavefronts(self, step: WavefrontStep, features: Mapping[str, np.ndarray]) -> np.ndarray:
        """The same for latents that are coded position by position, int16 (M, h, w)."""
        parameters = self.model.runners[step.parameters]
        read = [name for name in parameters.plane_ports if name != NEIGHBOURS]
        (rows, columns) = features[read[0]].shape[1:]
        by_position = {  # (positions, channels), so that a position's lie together
            name: np.ascontiguousarray(features[name].reshape(len(features[name]), -1).T)
            for name in read
        }
        decoded = NeighbourPlanes(step.stop, rows, columns, step.reach)
        unit = np.full((1, 1, 1), self.model.unit, np.int64)
        most = longest_wavefront(rows, columns, step.reach)
        for row, column in wavefronts(rows, columns, step.reach):
            # Planes of one size for all: preparing a kernel for another takes longer than running
            # it.
            repeated = (0, most - len(row))
            all_rows, all_columns = (np.pad(n, repeated, mode="edge") for n in (row, column))
            places = all_rows * columns + all_columns
            seen = {name: planes[places].T[:, None] for name, planes in by_position.items()}
            outputs = parameters({**seen, NEIGHBOURS: decoded.neighbours(all_rows, all_columns)})
            mean, scale = (output[:, :, : len(row)] for output in outputs)
            where = (slice(None), row[None], column[None])
            decoded.put(row, column, self._coded(mean, scale, unit, where))
        return decoded.latents()

    def _coded(
        self, mean: np.ndarray, scale: np.ndarray, steps: np.ndarray, where: Where
    ) -> np.ndarray:
        """Code some latents, (C, H, W) each but `steps`, which broadcasts; what they decode to."""
        indexes = self.model.latent_indexes(scale, steps)
        coded = self.exchange(mean, steps, indexes, where)
        return fastest().dequantize(coded, steps, mean)


def places(step: PhaseStep, phase: int, part: Part) -> tuple[slice, slice, slice]:
    """What of the latents a part of the planes (G, h / 2, w / 2) of a phase is."""
    channels, rows, columns = part
    first = step.phases[phase]
    row, column = divmod(phase, 2)
    return (
        slice(first + channels.start, first + channels.stop),
        slice(2 * rows.start + row, 2 * rows.stop, 2),
        slice(2 * columns.start + column, 2 * columns.stop, 2),
    )


def correct(decoded: np.ndarray, predicted: tuple[np.ndarray, ...]) -> None:
    """Add what residual prediction gives to latents (C, H, W) int16, in place."""
    (correction,) = predicted
    for part in channel_blocks(decoded.shape):
        corrected = decoded[part].astype(np.int32) + correction[part]
        decoded[part] = np.clip(corrected, LATENT_LOW, LATENT_HIGH)
