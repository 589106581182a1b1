"""What the entropy coder knows at one setting: programs that predict, tables, and steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from licodec.entropy.adaptive import even_step, step_range
from licodec.entropy.coder_tables import CoderTables
from licodec.entropy.forms import fastest
from licodec.entropy.quantization import SymbolCosts
from licodec.entropy.tables import EntropyTables
from licodec.exact.planes import PlaneRunner
from licodec.exact.program import Port
from licodec.exact.schedule import Schedule


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
        """Table index of every hyper-latent in coding order, by channel and the band of d."""
        first = self.schedule.band_of(self.d) * len(self.tables.medians)
        tables = np.arange(first, first + shape[0], dtype=np.int32)
        return np.repeat(tables, shape[1] * shape[2])

    @property
    def first_latent_table(self) -> int:
        """The latents' tables stand behind the hyper-latents'."""
        return len(self.tables.hyper.frequencies)

    def step_range(self, index: int) -> tuple[int, int]:
        """(lo, hi): the least and largest step of slice `index`, in units."""
        if self.step_shares:
            return (even_step(self.d, self.unit, self.step_shares[index]),) * 2
        return step_range(self.d, self.unit, index, len(self.schedule.steps))

    def steps_of(self, scale: np.ndarray, index: int, channels: slice) -> np.ndarray:
        """The steps of some channels of slice `index`, whose scales are (C, H, W), broadcastable
        to them."""
        if self.steps is not None:
            return self.steps[channels, None, None]
        lo, hi = self.step_range(index)
        if lo == hi:  # one number: dividing by it is several times faster than by an array
            return np.full((1, 1, 1), lo, np.int64)
        least, largest = scale.min((1, 2)), scale.max((1, 2))
        return fastest().adaptive_steps(scale, least, largest, (lo, hi))

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
