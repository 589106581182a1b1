"""What the exact forms of all backbones share: the grids that coding fixes, what calibration
gives, and the entropy tables."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from torch import Tensor, fx

from licodec.compiler.forms import Grid
from licodec.entropy.tables import (
    LARGEST_TABLE,
    FrequencyTables,
    centred_table,
    integer_frequencies,
)
from licodec.networks.entropy_models import SCALE_FLOOR, EntropyBottleneck
from licodec.networks.priors import FactorizedPrior

LATENT_FRACTION_BITS = 6
SCALE_FRACTION_BITS = 10
D_RANGE = (0.25, 64.0)
CALIBRATION_DS = (0.5, 1.0, 4.0, 12.0)
BETWEEN = (0.25, 0.5, 0.75)  # values of alpha and beta, for ranges, between their ends
SCALE_COUNT = 64  # scale indexes, spaced evenly in the logarithm as in CompressAI
LARGEST_SCALE = 256.0
TAIL_MASS = 2.0**-17  # what a table may leave to its escape

LATENTS = Grid(2.0**-LATENT_FRACTION_BITS, -(2**15), 2**15 - 1)

Ranges = Mapping[str, tuple[float, float]]
# What runs each part that is compiled, by program: planes in, planes out.
Programs = Mapping[str, Callable[..., object]]


def calibration_gains(modes: Sequence[str]) -> list[dict[str, float]]:
    """Where the ranges of adapted parts are measured: every end of `modes` and three places
    between."""
    places = [*product((0.0, 1.0), repeat=len(modes)), *((x,) * len(modes) for x in BETWEEN)]
    return [dict(zip(modes, place, strict=True)) for place in places]


@dataclass(frozen=True)
class Calibrated:
    """A traced part and the least and largest value of each of its nodes."""

    traced: fx.GraphModule
    ranges: Ranges


def integer_medians(prior: FactorizedPrior) -> tuple[Tensor, Tensor]:
    """The integer nearest to each channel's median, and the rest: (channels,) each."""
    medians = prior.medians.ravel()
    nearest = torch.round(medians)
    return nearest, medians - nearest


def latent_tables(
    count: int = SCALE_COUNT, largest: float = LARGEST_SCALE
) -> tuple[FrequencyTables, np.ndarray]:
    """Gaussian tables for `count` scales up to `largest`, and the thresholds between them."""
    scales = np.geomspace(SCALE_FLOOR, largest, count)
    frequencies = []
    for scale in scales:
        frequencies.append(centred_table(lambda x, s=scale: gaussian_mass(x, s), reach(scale)))
    offsets = np.array([-((len(f) - 2) // 2) for f in frequencies], np.int32)
    # Between two scales the nearer one in the logarithm codes with the shorter excess.
    between = np.sqrt(scales[1:] * scales[:-1])
    thresholds = np.rint(between * 2**SCALE_FRACTION_BITS).astype(np.int32)
    return FrequencyTables(tuple(frequencies), offsets), thresholds


def reach(scale: float) -> int:
    """The largest magnitude in the table of `scale`: four and a half deviations and some."""
    return min(math.ceil(4.5 * scale) + 4, LARGEST_TABLE // 2 - 1)


def gaussian_mass(values: np.ndarray, scale: float) -> np.ndarray:
    """Mass of the unit interval around each integer under a zero-mean Gaussian."""
    edges = np.append(values - 0.5, values[-1] + 0.5) / (scale * math.sqrt(2))
    cumulative = 0.5 * (1 + np.array([math.erf(e) for e in edges]))
    return np.diff(cumulative)


@torch.no_grad()
def hyper_tables(
    prior: EntropyBottleneck, symbols: range, medians: Tensor | None = None
) -> FrequencyTables:
    """One table per channel, as wide as its learned density, of integers among `symbols`.

    An integer stands for a hyper-latent that is larger by the channel's median (channels,),
    0 where there are none.
    """
    values = torch.arange(symbols.start, symbols.stop, dtype=torch.float64)
    planes = values.repeat(prior.channels, 1)  # (Z, n)
    if medians is not None:
        planes = planes + medians.cpu().double()[:, None]
    exact = copy.deepcopy(prior).cpu().double()
    mass = exact.likelihood(planes[None, :, None, :])[0, :, 0].numpy()
    frequencies, offsets = [], []
    for channel in mass:
        channel = channel / channel.sum()
        inside = np.flatnonzero(
            (np.cumsum(channel) > TAIL_MASS) & (np.cumsum(channel[::-1])[::-1] > TAIL_MASS)
        )
        first, last = int(inside[0]), int(inside[-1])
        last = min(last, first + LARGEST_TABLE - 2)
        rest = max(0.0, 1 - channel[first : last + 1].sum())
        frequencies.append(integer_frequencies(np.append(channel[first : last + 1], rest)))
        offsets.append(symbols.start + first)
    return FrequencyTables(tuple(frequencies), np.array(offsets, np.int32))
