"""The native form of the loops over symbols gives what the plain one gives, whatever comes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from licodec.codec import Codec
from licodec.container.file import Stream
from licodec.entropy import forms, model, rans, slices
from licodec.entropy.coder_tables import CoderTables
from licodec.entropy.forms import NATIVE, PLAIN
from licodec.entropy.quantization import SymbolCosts
from licodec.entropy.tables import LARGEST_TABLE, TOTAL, FrequencyTables, integer_frequencies
from licodec.errors import CorruptFileError
from licodec.exact import native
from licodec.images import Picture
from licodec.rate.setting import Setting
from tests import tiny

pytestmark = pytest.mark.skipif(native.library() is None, reason=f"{native.reason()}")


def family(*frequencies: np.ndarray, offsets: list[int]) -> FrequencyTables:
    return FrequencyTables(
        tuple(np.array(own, np.int32) for own in frequencies), np.array(offsets, np.int32)
    )


EDGES = family(
    [1, TOTAL - 1],
    [TOTAL - 1, 1],
    np.full(LARGEST_TABLE, TOTAL // LARGEST_TABLE),
    [TOTAL - LARGEST_TABLE + 1, *[1] * (LARGEST_TABLE - 1)],
    offsets=[0, 2**15 - 1, -(2**15) + 1, -2000],
)


@st.composite
def tables_of(draw: st.DrawFn) -> FrequencyTables:
    masses = st.lists(st.integers(0, 2**16), min_size=2, max_size=40)
    drawn = draw(st.lists(masses, min_size=1, max_size=4))
    frequencies = [integer_frequencies(np.array(own) + 1e-9) for own in drawn]
    offsets = draw(st.lists(st.integers(-50, 50), min_size=len(drawn), max_size=len(drawn)))
    return family(*frequencies, offsets=offsets)


symbols = st.lists(
    st.tuples(st.integers(-60, 60) | st.integers(-(2**15) + 1, 2**15 - 1), st.integers(0, 3)),
    max_size=300,
)


@given(tables_of() | st.just(EDGES), symbols, st.integers(1, 4))
def test_streams(drawn: FrequencyTables, pairs: list[tuple[int, int]], parts: int) -> None:
    tables = CoderTables.join(drawn)
    values = np.array([value for value, _ in pairs], np.int32)
    indexes = np.array([index for _, index in pairs], np.int32) % len(tables.lengths)
    streams = [form.coder(tables).encode(values, indexes) for form in (NATIVE, PLAIN)]
    assert streams[0] == streams[1]
    for form in (NATIVE, PLAIN):
        decoder = form.coder(tables).decoder(streams[0])
        found = [decoder.read(part) for part in np.array_split(indexes, parts)]
        decoder.require_end()
        assert np.array_equal(np.concatenate(found), values)


def outcome(form: forms.Form, stream: Stream, indexes: np.ndarray) -> list[int] | None:
    """The integers of a stream, with a last 0 where it ends right; None where it is damaged."""
    decoder = form.coder(CoderTables.join(EDGES)).decoder(stream)
    try:
        found = decoder.read(indexes).tolist()
    except CorruptFileError:
        return None
    try:
        decoder.require_end()
    except CorruptFileError:
        return [*found, 1]
    return [*found, 0]


@given(
    st.binary(min_size=8, max_size=60).map(lambda b: b[: len(b) // 4 * 4]),
    st.binary(max_size=5),
    st.lists(st.integers(0, 3), max_size=40),
)
@example(bytes(8), b"", [0] * 9)  # a state that is not legal: readers refuse it before
@example(b"\xff" * 60, b"\xff" * 5, [0, 1, 2, 3])
def test_any_bytes(words: bytes, escapes: bytes, indexes: list[int]) -> None:
    stream, where = Stream(words, escapes), np.array(indexes, np.int32)
    assert outcome(NATIVE, stream, where) == outcome(PLAIN, stream, where)


planes = arrays.array_shapes(min_dims=3, max_dims=3, max_side=5)
wide, small = st.integers(-(2**31), 2**31 - 1), st.integers(-300, 300)


@st.composite
def steps_for(draw: st.DrawFn, shape: tuple[int, int, int]) -> np.ndarray:
    """One step, one for each channel or one for each position."""
    own = draw(st.sampled_from([(1, 1, 1), (shape[0], 1, 1), shape]))
    return draw(arrays.arrays(np.int64, own, elements=st.integers(1, 80) | st.integers(1, 2**15)))


@given(st.data(), planes, st.integers(0, 10))
def test_scale_indexes(data: st.DataObject, shape: tuple[int, int, int], bits: int) -> None:
    scale = data.draw(arrays.arrays(np.int32, shape, elements=wide | small))
    step = data.draw(steps_for(shape))
    drawn = data.draw(st.sets(st.integers(1, 400) | st.integers(1, 2**24 - 1), max_size=70))
    thresholds = np.array(sorted(drawn), np.int32)
    found = [form.scale_indexes(scale, step, 1 << bits, thresholds) for form in (NATIVE, PLAIN)]
    assert np.array_equal(*found)


@pytest.mark.parametrize("count", [0, 1, 64, 255, 256])
@pytest.mark.parametrize(("step", "unit"), [(1, 1), (64, 64), (100, 64), (2**15, 2**10)])
def test_scale_indexes_of_large_planes_with_one_step(count: int, step: int, unit: int) -> None:
    random = np.random.default_rng(count)
    scale = random.integers(-2, 2**15 + 2, (2, 150, 150), np.int32)
    scale[:, ::7] = random.integers(-(2**31), 2**31, scale[:, ::7].shape)
    thresholds = np.sort(random.choice(2**15, count, replace=False)).astype(np.int32)
    steps = np.full((1, 1, 1), step, np.int64)
    found = [form.scale_indexes(scale, steps, unit, thresholds) for form in (NATIVE, PLAIN)]
    assert np.array_equal(*found)


@given(st.data(), planes, st.integers(1, 2**15), st.integers(1, 2**15))
def test_adaptive_steps(
    data: st.DataObject, shape: tuple[int, int, int], one: int, other: int
) -> None:
    scale = data.draw(
        arrays.arrays(np.int32, shape, elements=wide) | arrays.arrays(np.int16, shape)
    )
    extremes = scale.min((1, 2)), scale.max((1, 2))
    lo_hi = min(one, other), max(one, other)
    found = [
        np.broadcast_to(form.adaptive_steps(scale, *extremes, lo_hi), shape)
        for form in (NATIVE, PLAIN)
    ]
    assert np.array_equal(*found)


@given(st.data(), planes)
def test_latents_of_symbols(data: st.DataObject, shape: tuple[int, int, int]) -> None:
    symbols = data.draw(arrays.arrays(np.int32, shape, elements=st.integers(-36862, 36862) | small))
    mean = data.draw(arrays.arrays(np.int16, shape))
    step = data.draw(steps_for(shape))
    found = [form.dequantize(symbols, step, mean) for form in (NATIVE, PLAIN)]
    assert np.array_equal(*found) and found[0].dtype == found[1].dtype == np.int16


@given(st.data(), planes, st.integers(0, 2**24 - 1) | st.integers(0, 2000))
def test_symbols_of_latents(data: st.DataObject, shape: tuple[int, int, int], weight: int) -> None:
    residual = data.draw(
        arrays.arrays(np.int32, shape, elements=st.integers(-65535, 65535) | small)
    )
    indexes = data.draw(arrays.arrays(np.int32, shape, elements=st.integers(0, 3)))
    step, costs = data.draw(steps_for(shape)), SymbolCosts.of_tables(EDGES)
    nearest = [form.nearest_symbols(residual, step) for form in (NATIVE, PLAIN)]
    assert np.array_equal(*nearest)
    chosen = [form.rdoq_symbols(residual, step, indexes, costs, weight) for form in (NATIVE, PLAIN)]
    assert np.array_equal(*chosen)


@pytest.mark.parametrize(
    ("frequencies", "offset"),
    [
        ([TOTAL], 0),
        ([0, TOTAL], 0),
        ([-1, TOTAL + 1], 0),
        ([TOTAL - 1, 1, 1], 0),
        ([TOTAL - 2, 1], 0),
        ([2**31 - 1, 2**31 - 1, TOTAL + 2], 0),
        ([TOTAL - LARGEST_TABLE, *[1] * LARGEST_TABLE], 0),
        ([1, TOTAL - 1], 2**15),
        ([1, TOTAL - 1], -(2**15)),
    ],
)
def test_native_tables_are_checked(frequencies: list[int], offset: int) -> None:
    tables = family([1, TOTAL - 1], frequencies, offsets=[0, offset])
    with pytest.raises(ValueError, match="table 1"):
        NATIVE.coder(CoderTables.join(tables))


@pytest.mark.parametrize("lengths", [[2, 3], [2, 2**31 - 1], [2], [2, -1]])
def test_native_lengths_are_checked(lengths: list[int]) -> None:
    frequencies = np.array([1, TOTAL - 1] * 2, np.int32)
    offsets = np.zeros(len(lengths), np.int32)
    with pytest.raises(ValueError, match="table 1"):
        NATIVE.coder(CoderTables(frequencies, np.array(lengths, np.int32), offsets))


@pytest.mark.parametrize("index", [-1, 4, 2**31 - 1, -(2**31)])
def test_native_indexes_are_checked(index: int) -> None:
    coder = NATIVE.coder(CoderTables.join(EDGES))
    indexes, values = np.array([0, index], np.int32), np.zeros(2, np.int32)
    with pytest.raises(ValueError, match="integer 1 "):
        coder.encode(values, indexes)
    stream = coder.encode(values, np.zeros(2, np.int32))
    with pytest.raises(ValueError, match="integer 1 "):
        coder.decoder(stream).read(indexes)
    with pytest.raises(IndexError, match="symbol 1 "):
        where = indexes.reshape(1, 1, 2)
        step = np.full((1, 1, 1), 64)
        costs = SymbolCosts.of_tables(EDGES)
        NATIVE.rdoq_symbols(np.zeros((1, 1, 2), np.int32), step, where, costs, 1)


@pytest.mark.parametrize("value", [2**15, -(2**15), 2**31 - 1, -(2**31)])
def test_integers_without_an_escape_are_refused(value: int) -> None:
    with pytest.raises(ValueError, match="integer 0 "):
        NATIVE.coder(CoderTables.join(EDGES)).encode(np.array([value]), np.array([0]))


def test_steps_must_fit_their_planes() -> None:
    with pytest.raises(ValueError, match="steps"):
        NATIVE.nearest_symbols(np.zeros((3, 4, 5), np.int32), np.ones((3, 4, 1), np.int32))


@pytest.mark.parametrize("d", [32, 64, 150])
def test_files_and_pixels(d: int, monkeypatch: pytest.MonkeyPatch) -> None:
    codec = Codec(tiny.pack(), "reference")
    pixels = np.random.default_rng(d).integers(0, 256, (40, 56, 3), np.uint8)
    found = []
    for form in (NATIVE, PLAIN):
        for module in (rans, slices, model):
            monkeypatch.setattr(module, "fastest", lambda form=form: form)
        coded = codec.at(Setting(d)).encode(Picture(pixels))
        found.append((coded.data, coded.picture.pixels.tobytes()))
    assert found[0] == found[1]
