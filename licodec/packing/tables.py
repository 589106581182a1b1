"""The entropy tables of packs: integers for learned and for Gaussian distributions."""

from __future__ import annotations

import copy
import math
from functools import partial

import numpy as np
import torch

from licodec.entropy.tables import (
    LARGEST_TABLE,
    FrequencyTables,
    centred_table,
    integer_frequencies,
)
from licodec.networks.entropy_models import SCALE_FLOOR, EntropyBottleneck

SCALE_FRACTION_BITS = 10
SCALE_COUNT = 64  # scale indexes, spaced evenly in the logarithm as in CompressAI
LARGEST_SCALE = 256.0
TAIL_MASS = 2.0**-17  # what a table may leave to its escape


def latent_tables(
    count: int = SCALE_COUNT, largest: float = LARGEST_SCALE
) -> tuple[FrequencyTables, np.ndarray]:
    """Gaussian tables for `count` scales up to `largest`, and the thresholds between them."""
    scales = np.geomspace(SCALE_FLOOR, largest, count)
    frequencies = [centred_table(partial(gaussian_mass, scale=s), reach(s)) for s in scales]
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
def hyper_tables(prior: EntropyBottleneck, symbols: range) -> FrequencyTables:
    """One table per channel, as wide as its learned density, of integers among `symbols`.

    An integer stands for a hyper-latent that is larger by the channel's median.
    """
    values = torch.arange(symbols.start, symbols.stop, dtype=torch.float64)
    planes = values.repeat(prior.channels, 1) + prior.medians.ravel().cpu().double()[:, None]
    exact = copy.deepcopy(prior).cpu().double()
    mass = exact.likelihood(planes[None, :, None, :])[0, :, 0].numpy()  # (Z, n)
    return tables_of([channel / channel.sum() for channel in mass], symbols.start)


def tables_of(masses: list[np.ndarray], start: int) -> FrequencyTables:
    """Tables of the integers from `start` on, whose masses (n,) sum to about 1 in each table; its
    ends are left to the escape."""
    frequencies, offsets = [], []
    for mass in masses:
        share = mass / mass.sum()
        inside = np.flatnonzero(
            (np.cumsum(share) > TAIL_MASS) & (np.cumsum(share[::-1])[::-1] > TAIL_MASS)
        )
        first = int(inside[0])
        body = mass[first : min(int(inside[-1]), first + LARGEST_TABLE - 2) + 1]
        frequencies.append(integer_frequencies(np.append(body, max(0.0, 1 - body.sum()))))
        offsets.append(start + first)
    return FrequencyTables(tuple(frequencies), np.array(offsets, np.int32))
