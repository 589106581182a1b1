"""What the entropy coder knows at one setting: programs that predict, tables, and steps."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from licodec.entropy.adaptive import even_step, step_range
from licodec.entropy.coder_tables import CoderTables
from licodec.entropy.forms import fastest
from licodec.entropy.quantization import SymbolCosts
from licodec.entropy.tables import EntropyTables
from licodec.errors import CorruptFileError
from licodec.exact.planes import PlaneRunner
from licodec.exact.program import Port
from licodec.exact.schedule import PHASES, PhaseStep, Schedule

Extremes = tuple[np.ndarray, np.ndarray]  # the least and the largest scale by channel, (C,) each


@dataclass(frozen=True)
class EntropyModel:
    """What coding latents takes at one d: the schedule, its bound programs, and the tables.

    `d` is in its units. `distortion_weight` is the encoder's, see ``rdoq_symbols``; None codes the
    nearest symbol.
    `step_shares` are an adapter set's, one for each slice; without any, steps are AQVR's, or those
    by channel: `steps` int64 (M,) and, of the hyper-latents, `hyper_steps` (Z, 1, 1), where the
    pack has conditions.
    """

    schedule: Schedule
    runners: Mapping[str, PlaneRunner]
    tables: EntropyTables
    d: int
    distortion_weight: int | None = None
    step_shares: tuple[int, ...] = ()
    steps: np.ndarray | None = None
    hyper_steps: np.ndarray = field(default_factory=lambda: np.ones((1, 1, 1), np.int64))

    @property
    def unit(self) -> int:
        """The integer that stands for 1 in latents, means and steps."""
        return 1 << self.schedule.latent_fraction_bits

    @property
    def hyper_port(self) -> Port:
        """What takes the hyper-latents."""
        return self.runners[self.schedule.hyper_synthesis].program.inputs[0]

    @property
    def hyper_medians(self) -> np.ndarray:
        """(Z, 1, 1), int64."""
        return self.tables.medians[:, None, None].astype(np.int64)

    def hyper_indexes(self, shape: tuple[int, ...]) -> np.ndarray:
        """Table index of hyper-latents (Z, H, W), by channel and the band of d."""
        first = self.schedule.band_of(self.d) * len(self.tables.medians)
        tables = np.arange(first, first + shape[0], dtype=np.int32)
        return np.broadcast_to(tables[:, None, None], shape)

    @property
    def first_latent_table(self) -> int:
        """The latents' tables stand behind the hyper-latents'."""
        return len(self.tables.hyper.frequencies)

    def step_range(self, index: int) -> tuple[int, int]:
        """(lo, hi): the least and largest step of slice `index`, in units."""
        if self.step_shares:
            return (even_step(self.d, self.unit, self.step_shares[index]),) * 2
        return step_range(self.d, self.unit, index, len(self.schedule.steps))

    @property
    def adapts(self) -> bool:
        """Whether steps follow from scales."""
        return self.steps is None and not self.step_shares

    def steps_of(
        self, scale: np.ndarray, index: int, channels: slice, extremes: Extremes
    ) -> np.ndarray:
        """The steps of some channels of slice `index`, whose scales are (C, H, W) and lie within
        their `extremes`, as which others count; broadcastable to them."""
        if self.steps is not None:
            return self.steps[channels, None, None]
        lo, hi = self.step_range(index)
        if lo == hi:  # one number: dividing by it is several times faster than by an array
            return np.full((1, 1, 1), lo, np.int64)
        scale = np.clip(scale, *(bound[:, None, None] for bound in extremes))
        return fastest().adaptive_steps(scale, *extremes, (lo, hi))

    def latent_indexes(self, scale: np.ndarray, steps: np.ndarray) -> np.ndarray:
        """Table index of latents whose scales are (C, H, W)."""
        indexes = fastest().scale_indexes(scale, steps, self.unit, self.tables.thresholds)
        return indexes + self.first_latent_table

    def hyper_latents(self, symbols: np.ndarray) -> np.ndarray:
        """The hyper-latents of integers (Z, H, W), int16. Raises CorruptFileError where they are
        out of range."""
        found = symbols * self.hyper_steps + self.hyper_medians
        if found.min() < self.hyper_port.low or found.max() > self.hyper_port.high:
            raise CorruptFileError("payload: a hyper-latent is out of range")
        return found.astype(np.int16)

    @cached_property
    def latent_costs(self) -> SymbolCosts:
        return SymbolCosts.of_tables(self.tables.latent)

    def coder_tables(self) -> CoderTables:
        return CoderTables.join(self.tables.hyper, self.tables.latent)

    def latent_shape(self, hyper_shape: tuple[int, int]) -> tuple[int, int, int]:
        """(M, h, w) of a picture whose hyper-latent planes have this size."""
        finer = self.schedule.hyper_stride // self.schedule.latent_stride
        rows, columns = hyper_shape
        return self.schedule.latent_channels, finer * rows, finer * columns

    def symbol_count(self, hyper_shape: tuple[int, int]) -> int:
        """Symbols of such a picture."""
        hyper = len(self.tables.medians) * math.prod(hyper_shape)
        return hyper + math.prod(self.latent_shape(hyper_shape))

    def group_shapes(self, hyper_shape: tuple[int, int]) -> list[tuple[int, int, int]]:
        """(C, H, W) of the planes of each group of such a picture, see `entropy.parts`."""
        shapes = [(len(self.tables.medians), *hyper_shape)]
        _, rows, columns = self.latent_shape(hyper_shape)
        for step in self.schedule.steps:
            if isinstance(step, PhaseStep):
                shapes += [(step.count, rows // 2, columns // 2)] * PHASES
            else:
                shapes.append((step.stop - step.start, rows, columns))
        return shapes
