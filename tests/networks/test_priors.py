"""The tables of float streams, against CompressAI's own where it is at hand."""

from __future__ import annotations

import numpy as np
import torch

from licodec.entropy.tables import TOTAL
from licodec.networks.priors import (
    FactorizedPrior,
    SymbolReader,
    gaussian_likelihood,
    gaussian_tables,
    quantized_frequencies,
    scale_indexes,
    scale_table,
)


def test_frequencies_are_positive_and_whole() -> None:
    masses = np.array([0.7, 1e-9, 0.2, 0.0, 0.1, 1e-9], np.float32)
    frequencies = quantized_frequencies(masses)
    assert frequencies.sum() == TOTAL
    assert frequencies.min() == 1
    assert np.abs(frequencies - masses * TOTAL).max() < 6


def test_scale_indexes_name_the_first_table_that_is_wide_enough() -> None:
    scales = scale_table()
    assert scale_indexes(scales).tolist() == list(range(64))
    assert scale_indexes(torch.tensor([-3.0, 0.0, 1e9])).tolist() == [0, 0, 63]
    assert scale_indexes(scales[:-1] * 1.001).tolist() == list(range(1, 64))


def test_streams_carry_values_far_outside_their_tables() -> None:
    tables = gaussian_tables()
    symbols = torch.tensor([0.0, -1, 5000, 3, -70000, 0, 2])
    indexes = torch.tensor([0, 0, 0, 5, 63, 63, 30])
    stream = tables.encode(symbols, indexes)
    reader = SymbolReader(tables, stream, len(symbols))
    assert torch.equal(torch.cat([reader.read(indexes[:3]), reader.read(indexes[3:])]), symbols)


def test_cut_and_altered_streams_do_no_harm() -> None:
    tables = gaussian_tables()
    indexes = torch.randint(0, 64, (200,))
    stream = tables.encode(torch.randint(-300, 300, (200,)).float(), indexes)
    for damaged in (b"", stream[:9], bytes(40), b"\xff" * 40):
        assert SymbolReader(tables, damaged, 200).read(indexes).shape == (200,)


def test_hyper_tables_follow_the_learned_density() -> None:
    torch.manual_seed(5)
    prior = FactorizedPrior(4).eval()
    with torch.no_grad():
        prior.quantiles += torch.tensor([0.3, -0.4, 0.2])
    tables = prior.tables()
    assert tables.offsets == [-10] * 4
    z = torch.arange(-3, 4.0).repeat(4, 1)[None, :, None] + prior.medians
    with torch.no_grad():
        decoded, likelihood = prior(z)
    assert torch.allclose(decoded, z)
    for channel, cumulative in enumerate(tables.cumulatives):
        stored = np.diff(cumulative)[7:14] / TOTAL
        assert np.allclose(stored, likelihood[0, channel, 0], atol=1e-3)


def test_floors_let_gradients_out_again() -> None:
    scale = torch.tensor([-0.5], requires_grad=True)
    (-gaussian_likelihood(torch.tensor([2.0]), scale).log()).backward()
    assert scale.grad.item() < 0  # descending makes the scale larger
