"""Tables fitted to what pictures really code.

The network's scales say how wide a latent's distribution is; its shape, and whether the
scales are right on average, is measured once and stored.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from licodec.entropy.model import EntropyModel
from licodec.entropy.slices import observe_latents
from licodec.entropy.tables import EntropyTables, FrequencyTables, integer_frequencies

PRIOR_WEIGHT = 300.0  # observations that the table before fitting counts for


@dataclass(frozen=True)
class Observed:
    """A picture as coding takes it: latents and hyper-latents, as ``encode_latents`` takes them,
    and the model to code them with."""

    model: EntropyModel
    latents: np.ndarray
    hyper_latents: np.ndarray


def fitted_tables(tables: EntropyTables, pictures: Iterable[Observed]) -> EntropyTables:
    """`tables` with the latents' refitted to the symbols of `pictures`, coded with them.

    Tables keep their size and stay symmetric.
    """
    latent, first = tables.latent, len(tables.hyper.frequencies)
    counts = [np.zeros(length) for length in latent.lengths]
    most = int(latent.lengths.max())

    def count(values: np.ndarray, indexes: np.ndarray) -> None:
        own = indexes - first
        low, lengths = latent.offsets[own], latent.lengths[own]
        inside = (values >= low) & (values <= low + lengths - 2)
        symbols = np.where(inside, values - low, lengths - 1)
        joined = np.bincount(own * most + symbols, minlength=len(counts) * most)
        for table, row in zip(counts, joined.reshape(len(counts), most), strict=True):
            table += row[: len(table)]

    for one in pictures:
        model = replace(one.model, tables=tables)
        observe_latents(model, one.latents, one.hyper_latents, count)
    refitted = []
    for before, seen in zip(latent.frequencies, counts, strict=True):
        seen[:-1] = (seen[:-1] + seen[-2::-1]) / 2
        refitted.append(integer_frequencies(seen + PRIOR_WEIGHT * before / before.sum()))
    return replace(tables, latent=FrequencyTables(tuple(refitted), latent.offsets))
