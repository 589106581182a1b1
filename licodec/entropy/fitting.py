"""Tables fitted to what pictures really code.

The network's scales say how wide a latent's distribution is; its shape, and whether the
scales are right on average, is measured once and stored.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from licodec.entropy.slices import EntropyModel, observe_latents
from licodec.entropy.tables import EntropyTables, FrequencyTables, integer_frequencies

PRIOR_WEIGHT = 300.0  # observations that the table before fitting counts for


def fitted_tables(
    model: EntropyModel, analysed: Iterable[tuple[np.ndarray, np.ndarray]], ds: Iterable[int]
) -> EntropyTables:
    """The model's tables with the latents' refitted on pictures at several d (units of 2^-g).

    `analysed` gives (latents, hyper-latents) of each picture, as ``encode_latents`` takes
    them. Tables keep their size and stay symmetric.
    """
    tables = model.tables.latent
    first = len(model.tables.medians)
    counts = [np.zeros(length) for length in tables.lengths]
    most = int(tables.lengths.max())

    def count(values: np.ndarray, indexes: np.ndarray) -> None:
        own = indexes - first
        low, lengths = tables.offsets[own], tables.lengths[own]
        inside = (values >= low) & (values <= low + lengths - 2)
        symbols = np.where(inside, values - low, lengths - 1)
        joined = np.bincount(own * most + symbols, minlength=len(counts) * most)
        for table, row in zip(counts, joined.reshape(len(counts), most), strict=True):
            table += row[: len(table)]

    steps = tuple(ds)
    for latents, hyper_latents in analysed:
        for d in steps:
            observe_latents(model, latents, hyper_latents, d, count)
    refitted = []
    for before, seen in zip(tables.frequencies, counts, strict=True):
        seen[:-1] = (seen[:-1] + seen[-2::-1]) / 2
        refitted.append(integer_frequencies(seen + PRIOR_WEIGHT * before / before.sum()))
    return replace(model.tables, latent=FrequencyTables(tuple(refitted), tables.offsets))
