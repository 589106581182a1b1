"""The coding schedule at work: hyper-latents, then the slices of the latents in turn.

Encoder and decoder are the same walk; they differ in whether a slice's integers are
computed from the latents and written, or read. Normative counterpart: format/SPEC.md,
"Coding schedule".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from licodec.container.file import Stream
from licodec.entropy.adaptive import LATENT_HIGH, LATENT_LOW, divide_half_even
from licodec.entropy.escapes import LARGEST_MAGNITUDE
from licodec.entropy.forms import fastest
from licodec.entropy.model import EntropyModel
from licodec.entropy.rans import StreamReader, StreamWriter
from licodec.entropy.wavefronts import NeighbourPlanes, longest_wavefront, wavefronts
from licodec.errors import CorruptFileError
from licodec.exact.schedule import (
    LATENTS,
    NEIGHBOURS,
    PREVIOUS,
    PhaseStep,
    SliceStep,
    WavefrontStep,
)

BLOCK_SYMBOLS = 1 << 20  # symbols whose 64-bit intermediates are alive at a time

# An index of latents (M, h, w) that gives (C, H, W): which ones are coded.
Where = slice | tuple[slice, slice | np.ndarray, slice | np.ndarray]

# Takes (mean, step, table indexes), each (C, H, W) but for a step that is one number,
# (1, 1, 1), and what of the latents they belong to;
# returns the coded integers, (C, H, W).
Exchange = Callable[[np.ndarray, np.ndarray, np.ndarray, Where], np.ndarray]

# Takes coded integers and their table indexes, each (n,), in coding order.
Consume = Callable[[np.ndarray, np.ndarray], None]


def encode_latents(
    model: EntropyModel, latents: np.ndarray, hyper_latents: np.ndarray
) -> tuple[tuple[Stream, ...], np.ndarray]:
    """Code latents (M, h, w) int16 in units of 2^-g, and hyper-latents (Z, H, W) integers.

    Returns the streams and the decoded latents, int16 (M, h, w).
    """
    writer = StreamWriter(model.coder_tables(), hyper_latents.size + latents.size)
    symbols = _hyper_symbols(model, hyper_latents)
    writer.write(symbols.ravel(), model.hyper_indexes(symbols.shape))
    decoded = Walk(model, _coding(model, latents, writer.write)).latents(symbols)
    return writer.finish(), decoded


def observe_latents(
    model: EntropyModel, latents: np.ndarray, hyper_latents: np.ndarray, consume: Consume
) -> None:
    """Quantize as :func:`encode_latents` does and hand every latent's integer and its table
    index to `consume` instead of a coder: what fitting the tables takes."""
    Walk(model, _coding(model, latents, consume)).latents(_hyper_symbols(model, hyper_latents))


def decode_latents(
    model: EntropyModel, streams: tuple[Stream, ...], hyper_shape: tuple[int, int]
) -> np.ndarray:
    """The inverse of :func:`encode_latents`: int16 (M, h, w). Raises CorruptFileError."""
    reader = StreamReader(model.coder_tables(), model.symbol_count(*hyper_shape), streams)
    shape = (len(model.tables.medians), *hyper_shape)
    symbols = reader.read(model.hyper_indexes(shape)).reshape(shape)

    def exchange(
        mean: np.ndarray, step: np.ndarray, indexes: np.ndarray, where: Where
    ) -> np.ndarray:
        return reader.read(indexes.ravel()).reshape(indexes.shape)

    return Walk(model, exchange).latents(symbols)


def _hyper_symbols(model: EntropyModel, hyper_latents: np.ndarray) -> np.ndarray:
    """What codes hyper-latents (Z, H, W), int64: each a multiple of the step around the median,
    within the port's range."""
    port, medians, steps = model.hyper_port, model.hyper_medians, model.hyper_steps
    low, high = port.low - medians, port.high - medians
    residual = np.clip(hyper_latents - medians, low, high)
    symbols = np.clip(divide_half_even(residual, steps), -(-low // steps), high // steps)
    return np.clip(symbols, -LARGEST_MAGNITUDE, LARGEST_MAGNITUDE)


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
            coded = form.rdoq_symbols(residual, step, indexes - offset, costs, weight)
        coded = np.clip(coded, -LARGEST_MAGNITUDE, LARGEST_MAGNITUDE)
        consume(coded.ravel(), indexes.ravel())
        return coded

    return exchange


@dataclass(frozen=True)
class Walk:
    """One walk through the schedule; `exchange` codes integers, or reads them."""

    model: EntropyModel
    exchange: Exchange

    def latents(self, symbols: np.ndarray) -> np.ndarray:
        """The decoded latents, int16 (M, h, w), behind the hyper-latents' integers (Z, H, W).

        Raises CorruptFileError where those are out of range.
        """
        model, schedule = self.model, self.model.schedule
        hyper_latents = symbols * model.hyper_steps + model.hyper_medians
        if (
            hyper_latents.min() < model.hyper_port.low
            or hyper_latents.max() > model.hyper_port.high
        ):
            raise CorruptFileError("payload: a hyper-latent is out of range")
        outputs = model.runners[schedule.hyper_synthesis](
            {"hyper_latents": hyper_latents.astype(np.int16)}
        )
        features = dict(zip(schedule.features, outputs, strict=True))
        (first, *_) = schedule.steps
        if isinstance(first, WavefrontStep):
            return self._wavefronts(first, features)
        decoded = np.zeros((schedule.latent_channels, *outputs[0].shape[1:]), np.int16)
        context: np.ndarray | None = None
        for index, step in enumerate(schedule.steps):
            if isinstance(step, PhaseStep):
                context = self._phases(step, features, decoded)
            elif isinstance(step, SliceStep):
                self._slice(step, index, features, decoded)
        if schedule.residual is not None and context is not None:  # which phases give
            residual = model.runners[schedule.residual]
            _correct(decoded, residual({"context": context, LATENTS: decoded}))
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
            _correct(own, residual({"context": contexts[0], "decoded": own}))

    def code_slice(
        self,
        step: SliceStep,
        index: int,
        mean: np.ndarray,
        scale: np.ndarray,
        decoded: np.ndarray,
    ) -> None:
        """Code one slice of which mean and scale (C, h, w) are known, channel block by channel
        block."""
        for part in _channel_blocks(scale.shape):
            where = slice(step.start + part.start, step.start + part.stop)
            steps = self.model.steps_of(scale[part], index, where)
            decoded[where] = self._coded(mean[part], scale[part], steps, where)

    def _phases(
        self, step: PhaseStep, features: Mapping[str, np.ndarray], decoded: np.ndarray
    ) -> np.ndarray:
        """Code one step by phases into `decoded` (M, h, w); returns its context."""
        mean, scale, context = self._parameters(step, {**features, LATENTS: decoded})
        assert self.model.steps is not None  # as such steps are in schedules with knots alone
        for phase, start in enumerate(step.phases):
            row, column = divmod(phase, 2)
            for part in _channel_blocks((step.count, *scale.shape[1:])):
                own = slice(phase * step.count + part.start, phase * step.count + part.stop)
                channels = slice(start + part.start, start + part.stop)
                where = (channels, slice(row, None, 2), slice(column, None, 2))
                steps = self.model.steps[channels, None, None]
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
        model, form = self.model, fastest()
        indexes = form.scale_indexes(scale, steps, model.unit, model.tables.thresholds)
        coded = self.exchange(mean, steps, indexes + model.first_latent_table, where)
        return form.dequantize(coded, steps, mean)


def _correct(decoded: np.ndarray, predicted: tuple[np.ndarray, ...]) -> None:
    """Add what residual prediction gives to latents (C, H, W) int16, in place."""
    (correction,) = predicted
    for part in _channel_blocks(decoded.shape):
        corrected = decoded[part].astype(np.int32) + correction[part]
        decoded[part] = np.clip(corrected, LATENT_LOW, LATENT_HIGH)


def _channel_blocks(shape: tuple[int, ...]) -> Iterator[slice]:
    """Slices of the channels of (C, H, W), each of about BLOCK_SYMBOLS values."""
    block = max(1, BLOCK_SYMBOLS // (shape[1] * shape[2]))
    for start in range(0, shape[0], block):
        yield slice(start, min(start + block, shape[0]))
