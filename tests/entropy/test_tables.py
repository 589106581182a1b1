"""Stored frequency tables."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from licodec.entropy.tables import (
    TOTAL,
    EntropyTables,
    FrequencyTables,
    integer_frequencies,
    tables_from_tensors,
    tables_to_tensors,
)
from licodec.errors import CorruptFileError


@given(st.lists(st.floats(0, 1), min_size=2, max_size=300).filter(lambda v: sum(v) > 0))
def test_frequencies_are_positive_and_sum_to_the_total(masses: list[float]) -> None:
    frequencies = integer_frequencies(np.array(masses))
    assert frequencies.min() >= 1
    assert frequencies.sum() == TOTAL
    share = np.array(masses) / sum(masses) * (TOTAL - len(masses))
    assert np.abs(frequencies - 1 - share).max() <= 1


def sample() -> dict[str, np.ndarray]:
    family = FrequencyTables(
        (integer_frequencies(np.ones(4)), integer_frequencies(np.array([9, 1, 0.1]))),
        np.array([-1, 0], np.int32),
    )
    return tables_to_tensors(EntropyTables(family, np.zeros(2), family, np.array([77])))


def test_tables_survive_storage() -> None:
    again = tables_to_tensors(tables_from_tensors(sample()))
    for name, tensor in sample().items():
        assert np.array_equal(again[name], tensor)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("tables.latent.frequencies", lambda t: t + np.int32(1)),
        ("tables.latent.frequencies", lambda t: t[:-1]),
        ("tables.latent.frequencies", lambda t: t.astype(np.int64)),
        ("tables.latent.lengths", lambda t: t * np.int32(0)),
        ("tables.latent.lengths", lambda t: t * np.int32(2**29)),
        ("tables.latent.thresholds", lambda t: -t),
        ("tables.hyper.offsets", lambda t: t + np.int32(2**20)),
        ("tables.hyper.medians", lambda t: t[:1]),
    ],
)
def test_damaged_tables_are_refused(name: str, change: object) -> None:
    tensors = sample()
    tensors[name] = change(tensors[name])
    with pytest.raises(CorruptFileError, match="entropy tables"):
        tables_from_tensors(tensors)
    del tensors[name]
    with pytest.raises(CorruptFileError, match="entropy tables"):
        tables_from_tensors(tensors)
