"""The coding schedule at work: hyper-latents, then the slices of the latents in turn.

Encoder and decoder are the same walk; they differ in whether a slice's integers are
computed from the latents and written, or read. Normative counterpart: format/SPEC.md,
"Coding schedule".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from licodec.container.file import Stream
from licodec.entropy.adaptive import (
    LATENT_HIGH,
    LATENT_LOW,
    divide_half_even,
    even_step,
    step_range,
)
from licodec.entropy.coder_tables import CoderTables
from licodec.entropy.escapes import LARGEST_MAGNITUDE
from licodec.entropy.forms import fastest
from licodec.entropy.quantization import SymbolCosts
from licodec.entropy.rans import StreamReader, StreamWriter
from licodec.entropy.tables import EntropyTables
from licodec.entropy.wavefronts import NeighbourPlanes, longest_wavefront, wavefronts
from licodec.errors import CorruptFileError
from licodec.exact.planes import PlaneRunner
from licodec.exact.schedule import (
    LATENTS,
    NEIGHBOURS,
    PREVIOUS,
    PhaseStep,
    Schedule,
    WavefrontStep,
)

BLOCK_SYMBOLS = 1 << 20  # symbols whose 64-bit intermediates are alive at a time


@dataclass(frozen=True)
class EntropyModel:
    """What coding latents takes: the schedule, its bound programs, and the tables.

    `distortion_weight` is the encoder's, see ``thrifty_symbols``; None codes the nearest symbol.
    `step_shares` are an adapter set's, one for each slice; without any, steps are AQVR's, or those
    by channel: `steps` int64 (M,) and, of the hyper-latents, `hyper_steps` (Z,), where the pack has
    conditions. `band` is the one of the hyper-latents' tables. All three are of one d.
    """

    schedule: Schedule
    runners: Mapping[str, PlaneRunner]
    tables: EntropyTables
    distortion_weight: int | None = None
    step_shares: tuple[int, ...] = ()
    steps: np.ndarray | None = None
    hyper_steps: np.ndarray | None = None
    band: int = 0

    def hyper_indexes(self, shape: tuple[int, int, int]) -> np.ndarray:
        """Table index of every hyper-latent in coding order, by channel and band."""
        first = self.band * len(self.tables.medians)
        tables = np.arange(first, first + shape[0], dtype=np.int32)
        return np.repeat(tables, shape[1] * shape[2])

    @property
    def first_latent_table(self) -> int:
        """The latents' tables stand behind the hyper-latents'."""
        return len(self.tables.hyper.frequencies)

    def step_range(self, d: int, index: int) -> tuple[int, int]:
        """(lo, hi): the least and largest step of slice `index`, in units."""
        unit = 1 << self.schedule.latent_fraction_bits
        if self.step_shares:
            return (even_step(d, unit, self.step_shares[index]),) * 2
        return step_range(d, unit, index, len(self.schedule.steps))

    @cached_property
    def latent_costs(self) -> SymbolCosts:
        return SymbolCosts.of_tables(self.tables.latent)

    def coder_tables(self) -> CoderTables:
        return CoderTables.join(self.tables.hyper, self.tables.latent)

    def symbol_count(self, hyper_rows: int, hyper_columns: int) -> int:
        """Symbols of a picture whose hyper-latent plane has this size."""
        schedule = self.schedule
        finer = schedule.hyper_stride // schedule.latent_stride
        per_position = len(self.tables.medians) + schedule.latent_channels * finer**2
        return per_position * hyper_rows * hyper_columns


# An index of latents (M, h, w) that gives (C, H, W): which ones are coded.
Where = slice | tuple[slice, slice | np.ndarray, slice | np.ndarray]

# Takes (mean, step, table indexes), each (C, H, W) but for a step that is one number,
# (1, 1, 1), and what of the latents they belong to;
# returns the coded integers, (C, H, W).
Exchange = Callable[[np.ndarray, np.ndarray, np.ndarray, Where], np.ndarray]

# Takes coded integers and their table indexes, each (n,), in coding order.
Consume = Callable[[np.ndarray, np.ndarray], None]


def encode_latents(
    model: EntropyModel, latents: np.ndarray, hyper_latents: np.ndarray, d: int
) -> tuple[tuple[Stream, ...], np.ndarray]:
    """Code latents (M, h, w) int16 in units of 2^-g, and hyper-latents (Z, H, W) integers.

    Returns the streams and the decoded latents, int16 (M, h, w).
    """
    symbols, hyper_latents = _quantized_hyper_latents(model, hyper_latents)
    writer = StreamWriter(model.coder_tables(), symbols.size + latents.size)
    writer.write(symbols.ravel(), model.hyper_indexes(symbols.shape))
    decoded = _walk(model, hyper_latents, d, _coding(model, latents, writer.write))
    return writer.finish(), decoded


def observe_latents(
    model: EntropyModel, latents: np.ndarray, hyper_latents: np.ndarray, d: int, consume: Consume
) -> None:
    """Quantize as :func:`encode_latents` does and hand every latent's integer and its table
    index to `consume` instead of a coder: what fitting the tables takes."""
    _, hyper_latents = _quantized_hyper_latents(model, hyper_latents)
    _walk(model, hyper_latents, d, _coding(model, latents, consume))


def _quantized_hyper_latents(
    model: EntropyModel, hyper_latents: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The symbols of hyper-latents (Z, H, W), and what they decode to, int64 each."""
    port = model.runners[model.schedule.hyper_synthesis].program.inputs[0]
    medians = model.tables.medians[:, None, None].astype(np.int64)
    low, high = port.low - medians, port.high - medians
    symbols = np.clip(hyper_latents.astype(np.int64) - medians, low, high)
    steps = np.int64(1) if model.hyper_steps is None else model.hyper_steps[:, None, None]
    if model.hyper_steps is not None:  # a multiple of the step within the port's range
        symbols = np.clip(divide_half_even(symbols, steps), -(-low // steps), high // steps)
    symbols = np.clip(symbols, -LARGEST_MAGNITUDE, LARGEST_MAGNITUDE)
    return symbols, symbols * steps + medians


def _coding(model: EntropyModel, latents: np.ndarray, consume: Consume) -> Exchange:
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
            coded = form.thrifty_symbols(residual, step, indexes - offset, costs, weight)
        coded = np.clip(coded, -LARGEST_MAGNITUDE, LARGEST_MAGNITUDE)
        consume(coded.ravel(), indexes.ravel())
        return coded

    return exchange


def decode_latents(
    model: EntropyModel, streams: tuple[Stream, ...], hyper_shape: tuple[int, int], d: int
) -> np.ndarray:
    """The inverse of :func:`encode_latents`: int16 (M, h, w). Raises CorruptFileError."""
    rows, columns = hyper_shape
    reader = StreamReader(model.coder_tables(), model.symbol_count(rows, columns), streams)
    shape = (len(model.tables.medians), rows, columns)
    hyper_latents = reader.read(model.hyper_indexes(shape)).reshape(shape)
    if model.hyper_steps is not None:
        hyper_latents = hyper_latents * model.hyper_steps[:, None, None]
    hyper_latents = hyper_latents + model.tables.medians[:, None, None]
    port = model.runners[model.schedule.hyper_synthesis].program.inputs[0]
    if hyper_latents.min() < port.low or hyper_latents.max() > port.high:
        raise CorruptFileError("payload: a hyper-latent is out of range")

    def exchange(
        mean: np.ndarray, step: np.ndarray, indexes: np.ndarray, where: Where
    ) -> np.ndarray:
        return reader.read(indexes.ravel()).reshape(indexes.shape)

    return _walk(model, hyper_latents, d, exchange)


def _walk(model: EntropyModel, hyper_latents: np.ndarray, d: int, exchange: Exchange) -> np.ndarray:
    schedule = model.schedule
    outputs = model.runners[schedule.hyper_synthesis](
        {"hyper_latents": hyper_latents.astype(np.int16)}
    )
    seen = dict(zip(schedule.features, outputs, strict=True))
    if isinstance(schedule.steps[0], WavefrontStep):
        return _walk_wavefronts(model, schedule.steps[0], seen, exchange)
    decoded = np.zeros((schedule.latent_channels, *outputs[0].shape[1:]), np.int16)
    context: np.ndarray | None = None
    for index, step in enumerate(schedule.steps):
        parameters = model.runners[step.parameters]
        if isinstance(step, PhaseStep):
            seen[LATENTS] = decoded
            mean, scale, context = parameters({n: seen[n] for n in parameters.plane_ports})
            _code_phases(model, mean, scale, step, decoded, exchange)
            continue
        seen[PREVIOUS] = decoded[: step.start]
        mean, scale, *contexts = parameters({n: seen[n] for n in parameters.plane_ports})
        own = decoded[step.start : step.stop]
        _code_slice(model, mean, scale, step.start, own, exchange, model.step_range(d, index))
        del mean, scale  # of a large picture they are its largest planes
        if step.residual is not None:
            _correct(own, model.runners[step.residual]({"context": contexts[0], "decoded": own}))
    if schedule.residual is not None:
        _correct(decoded, model.runners[schedule.residual]({"context": context, LATENTS: decoded}))
    return decoded


def _correct(decoded: np.ndarray, predicted: tuple[np.ndarray, ...]) -> None:
    """Add what residual prediction gives to latents (C, H, W) int16, in place."""
    (correction,) = predicted
    for part in _channel_blocks(decoded.shape):
        corrected = decoded[part].astype(np.int32) + correction[part]
        decoded[part] = np.clip(corrected, LATENT_LOW, LATENT_HIGH)


def _walk_wavefronts(
    model: EntropyModel, step: WavefrontStep, features: Mapping[str, np.ndarray], exchange: Exchange
) -> np.ndarray:
    """The same for latents that are coded position by position, int16 (M, h, w)."""
    parameters = model.runners[step.parameters]
    read = [name for name in parameters.plane_ports if name != NEIGHBOURS]
    (rows, columns) = features[read[0]].shape[1:]
    by_position = {  # (positions, channels), so that a position's lie together
        name: np.ascontiguousarray(features[name].reshape(len(features[name]), -1).T)
        for name in read
    }
    decoded = NeighbourPlanes(step.stop, rows, columns, step.reach)
    unit = np.full((1, 1, 1), 1 << model.schedule.latent_fraction_bits, np.int64)
    offset = model.first_latent_table
    form, thresholds = fastest(), model.tables.thresholds
    most = longest_wavefront(rows, columns, step.reach)
    for row, column in wavefronts(rows, columns, step.reach):
        # Planes of one size for all: preparing a kernel for another takes longer than running it.
        repeated = (0, most - len(row))
        all_rows, all_columns = (np.pad(n, repeated, mode="edge") for n in (row, column))
        places = all_rows * columns + all_columns
        seen = {name: planes[places].T[:, None] for name, planes in by_position.items()}
        outputs = parameters({**seen, NEIGHBOURS: decoded.neighbours(all_rows, all_columns)})
        mean, scale = (output[:, :, : len(row)] for output in outputs)
        indexes = form.scale_indexes(scale, unit, int(unit[0, 0, 0]), thresholds) + offset
        coded = exchange(mean, unit, indexes, (slice(None), row[None], column[None]))
        decoded.put(row, column, form.dequantize(coded, unit, mean))
    return decoded.latents()


def _channel_blocks(shape: tuple[int, ...]) -> Iterator[slice]:
    """Slices of the channels of (C, H, W), each of about BLOCK_SYMBOLS values."""
    block = max(1, BLOCK_SYMBOLS // (shape[1] * shape[2]))
    for start in range(0, shape[0], block):
        yield slice(start, start + block)


def _code_slice(
    model: EntropyModel,
    mean: np.ndarray,
    scale: np.ndarray,
    first: int,
    decoded: np.ndarray,
    exchange: Exchange,
    steps: tuple[int, int],
) -> None:
    """Code one slice channel block by channel block, into `decoded` (C, H, W) int16.

    `steps` are AQVR's least and largest, for packs without steps by channel.
    """
    for part in _channel_blocks(scale.shape):
        whole = slice(first + part.start, first + part.start + len(scale[part]))
        if model.steps is None:
            least, largest = scale[part].min((1, 2)), scale[part].max((1, 2))
            delta = fastest().adaptive_steps(scale[part], least, largest, steps)
        else:
            delta = model.steps[whole, None, None]
        decoded[part] = _coded(model, mean[part], scale[part], delta, whole, exchange)


def _code_phases(
    model: EntropyModel,
    mean: np.ndarray,
    scale: np.ndarray,
    step: PhaseStep,
    decoded: np.ndarray,
    exchange: Exchange,
) -> None:
    """Code one step by phases, into `decoded` (M, H, W) int16; mean and scale are
    (PHASES * step.count, H / 2, W / 2)."""
    assert model.steps is not None  # as such steps are in schedules with knots alone
    for phase, start in enumerate(step.phases):
        row, column = divmod(phase, 2)
        for part in _channel_blocks((step.count, *scale.shape[1:])):
            rows = slice(phase * step.count + part.start, phase * step.count + part.stop)
            channels = slice(start + part.start, start + min(part.stop, step.count))
            rows = slice(rows.start, rows.start + channels.stop - channels.start)
            where = (channels, slice(row, None, 2), slice(column, None, 2))
            delta = model.steps[channels, None, None]
            decoded[where] = _coded(model, mean[rows], scale[rows], delta, where, exchange)


def _coded(
    model: EntropyModel,
    mean: np.ndarray,
    scale: np.ndarray,
    delta: np.ndarray,
    where: Where,
    exchange: Exchange,
) -> np.ndarray:
    """Code some channels, (C, H, W) each but `delta`, which broadcasts; their latents, int16."""
    form, unit = fastest(), 1 << model.schedule.latent_fraction_bits
    indexes = form.scale_indexes(scale, delta, unit, model.tables.thresholds)
    coded = exchange(mean, delta, indexes + model.first_latent_table, where)
    return form.dequantize(coded, delta, mean)
