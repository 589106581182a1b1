"""LayerNorm and window attention against unbounded integers, and how far windows reach."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from licodec.errors import CorruptFileError
from licodec.exact.backends import reference
from licodec.exact.bounds import analyse, check
from licodec.exact.strips import run_in_strips, strip_geometry
from tests.exact.programs import Builder
from tests.exact.test_normalization import INT16, run_everywhere
from tests.exact.test_reference import requantized, to_float32

# LayerNorm -------------------------------------------------------------------------------------


def layernorm_builder(gain, bias, span: tuple[int, int], **attributes: int) -> Builder:
    builder = Builder("p")
    x = builder.port("x", len(gain), *span)
    tensors = {"gain": np.array(gain, np.float32), "bias": np.array(bias, np.int32)}
    stated = {"epsilon": 0, "root_bits": 0, "fraction_bits": 0, "low": -40000, "high": 39999}
    builder.operation("layernorm", (x,), len(gain), tensors, **stated | attributes)
    return builder


def normalized(pixel: list[int], epsilon: int, root_bits: int, fraction_bits: int) -> list[int]:
    count, total = len(pixel), sum(pixel)
    variance = count * sum(x * x for x in pixel) - total**2 + epsilon
    root = max(math.isqrt(variance * 4**root_bits), 1)
    unit = 2 ** (root_bits + fraction_bits)
    return [round(Fraction((count * x - total) * unit, root)) for x in pixel]


@st.composite
def positions(draw):
    """Pixels of a few channels: anything, nearly constant, and of the range's ends alone."""
    channels = draw(st.integers(1, 9))
    kinds = [
        st.integers(*INT16),
        st.integers(100, draw(st.integers(100, 104))),
        st.sampled_from(INT16),
    ]
    pixel = st.sampled_from(kinds).flatmap(
        lambda kind: st.lists(kind, min_size=channels, max_size=channels)
    )
    return draw(st.lists(pixel, min_size=1, max_size=6))


@given(
    pixels=positions(),
    epsilon=st.sampled_from([0, 1, 7, 2**39]),
    root_bits=st.integers(0, 6),
    fraction_bits=st.integers(0, 17),
    data=st.data(),
)
@settings(max_examples=60)
def test_layernorm(pixels, epsilon, root_bits, fraction_bits, data):
    channels = len(pixels[0])
    gains = st.floats(-4, 4, width=32, allow_subnormal=False)
    gain = data.draw(st.lists(gains, min_size=channels, max_size=channels))
    bias = data.draw(st.lists(st.integers(*INT16), min_size=channels, max_size=channels))
    bits = {"epsilon": epsilon, "root_bits": root_bits, "fraction_bits": fraction_bits}
    builder = layernorm_builder(gain, bias, INT16, **bits)
    found = run_everywhere(builder, "layernorm_0", x=np.array(pixels).T[:, None])
    expected = [
        [
            min(max(round(to_float32(n * Fraction(g))) + b, -40000), 39999)
            for n, g, b in zip(normalized(pixel, **bits), gain, bias, strict=True)
        ]
        for pixel in pixels
    ]
    assert found[:, 0].T.tolist() == expected


@given(pixels=positions(), fraction_bits=st.integers(0, 19))
@settings(max_examples=60)
def test_normalized_values_are_proved_to_stay_small(pixels, fraction_bits):
    for pixel, epsilon in itertools.product(pixels, (0, 3)):
        for n in normalized(pixel, epsilon, 0, fraction_bits):
            assert abs(n) <= 2 * math.sqrt(len(pixel) - 1) * 2**fraction_bits + 1


LAYERNORM_REFUSED = {
    "a gain that is no number": ({"gain": [1, math.nan]}, INT16, {}, "gain out of range"),
    "a gain of 2^24": ({"gain": [1, -(2.0**24)]}, INT16, {}, "gain out of range"),
    "a bias of 2^24": ({"bias": [0, 2**24]}, INT16, {}, "bias out of range"),
    "a bias for one channel": ({"bias": [0]}, INT16, {}, "bias tensor"),
    "a negative epsilon": ({}, INT16, {"epsilon": -1}, "epsilon"),
    "a large epsilon": ({}, INT16, {"epsilon": 2**52}, "root of up to"),
    "a root of too many bits": ({}, INT16, {"root_bits": 11}, "root of up to"),
    "a dividend of 2^52": ({}, (0, 1), {"root_bits": 25, "fraction_bits": 27}, "dividends"),
    "too many fraction bits": ({}, INT16, {"fraction_bits": 22}, "fraction_bits"),
    "operands whose squares add up to 2^53": ({"gain": [1] * 6, "bias": [0] * 6},
                                              (2**24 - 9, 2**24 - 1), {}, "sum of squares"),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYERNORM_REFUSED)
def test_layernorm_refused(name):
    tensors, span, attributes, message = LAYERNORM_REFUSED[name]
    tensors = {"gain": [1, 1], "bias": [0, 0]} | tensors
    builder = layernorm_builder(tensors["gain"], tensors["bias"], span, **attributes)
    with pytest.raises(CorruptFileError, match=message):
        analyse(*builder.build("x"))


# Window attention ------------------------------------------------------------------------------


def attention(x: np.ndarray, tensors: dict[str, np.ndarray], heads: int, window: int,
              shift: int) -> np.ndarray:  # fmt: skip
    """One position at a time, with integers and fractions."""
    channels, rows, columns = x.shape
    depth = channels // (3 * heads)
    q, k, v = (x.astype(object)[i * heads * depth :][: heads * depth] for i in range(3))
    table, out = tensors["table"].tolist(), np.zeros((heads * depth, rows, columns), object)
    for head, r, c in itertools.product(range(heads), range(rows), range(columns)):
        own = slice(head * depth, (head + 1) * depth)
        scores = {}
        for a, b in itertools.product(range(rows), range(columns)):
            if ((a - shift) // window, (b - shift) // window) == (
                (r - shift) // window,
                (c - shift) // window,
            ):
                total = int(sum(q[own, r, c] * k[own, a, b]))
                score = requantized(total, tensors["multiplier"][head], -(2**23), 2**23)
                distance = r - a + window - 1, c - b + window - 1
                scores[a, b] = score + int(tensors["bias"][head, *distance])
        below = {place: max(scores.values()) - score for place, score in scores.items()}
        weights = {p: table[n] if n < len(table) else 0 for p, n in below.items()}
        for i in range(head * depth, (head + 1) * depth):
            total = sum(weight * int(v[i, *place]) for place, weight in weights.items())
            out[i, r, c] = round(Fraction(total, sum(weights.values())))
    return out


@given(
    heads=st.integers(1, 3), depth=st.integers(1, 3), window=st.integers(1, 4),
    shift=st.integers(0, 3), rows=st.integers(1, 6), columns=st.integers(1, 6),
    span=st.sampled_from([INT16, (-128, 127), (0, 255), (-5, 3000), (0, 2**16 - 1), (0, 0)]),
    seed=st.integers(0, 2**32 - 1),
)  # fmt: skip
@settings(max_examples=40)
def test_window_attention(heads, depth, window, shift, rows, columns, span, seed):
    builder = Builder("p", seed)
    x = builder.port("x", 3 * heads * depth, *span)
    shift %= window
    output = builder.attention(x, heads, window, shift, max(-span[0], span[1]))
    plane = builder.random.integers(span[0], span[1] + 1, (3 * heads * depth, rows, columns))
    tensors = {name.rsplit(".", 1)[1]: tensor for name, tensor in builder.tensors.items()}
    expected = attention(plane, tensors, heads, window, shift)
    np.testing.assert_array_equal(run_everywhere(builder, output, x=plane), expected)


def attention_builder(span: tuple[int, int] = INT16, **changes) -> Builder:
    """Two heads of depth 2, windows of 2; `changes` are of tensors and attributes."""
    builder = Builder("p")
    x = builder.port("x", 12, *span)
    tensors = {
        "multiplier": np.full(2, 2.0**-12, np.float32),
        "bias": np.zeros((2, 3, 3), np.int32),
        "table": np.array([9, 4, 1], np.int32),
    }
    attributes = {"heads": 2, "window": 2, "shift": 0}
    tensors |= {name: value for name, value in changes.items() if name in tensors}
    attributes |= {name: value for name, value in changes.items() if name in attributes}
    builder.operation("window_attention", (x,), 4, tensors, **attributes)
    return builder


def test_means_next_to_ties_where_sums_fit_in_binary32():
    # Binary32 holds the sum of the weights, 4 m - 1, and of what they weigh, but not the quotient,
    # 2.5 + 1 / (8 m - 2), which it rounds to 2.5, and that to 2.
    m = 1_398_000
    builder = Builder("p")
    x = builder.port("x", 3, -3, 3)
    tensors = {
        "multiplier": np.ones(1, np.float32),
        "bias": np.zeros((1, 3, 3), np.int32),
        "table": np.array([m, m - 1], np.int32),
    }
    builder.operation("window_attention", (x,), 1, tensors, heads=1, window=2, shift=0)
    plane = np.array([[[1, 1], [1, 1]], [[1, 1], [1, 0]], [[3, 3], [2, 2]]])
    assert np.all(run_everywhere(builder, "window_attention_0", x=plane) == 3)


def test_results_have_the_range_of_what_is_mixed():
    info = analyse(*attention_builder((-7, 2000)).build("x"))["window_attention_0"]
    assert (info.channels, info.low, info.high, info.accumulator) == (4, -7, 2000, False)


ATTENTION_REFUSED = {
    "no heads": ({"heads": 0}, "heads"),
    "heads that do not divide the channels": ({"heads": 3}, "heads"),
    "an empty window": ({"window": 0}, "windows of 0"),
    "a window of 17": ({"window": 17}, "windows of 17"),
    "a whole window's shift": ({"shift": 2}, "shift 2"),
    "a shift upwards": ({"shift": -1}, "shift -1"),
    "an operand of 17 bits": ({"span": (0, 2**16)}, "16 bits"),
    "a multiplier of doubles": ({"multiplier": np.ones(2)}, "multiplier tensor"),
    "three multipliers": ({"multiplier": np.ones(3, np.float32)}, "multiplier tensor"),
    "a negative multiplier": ({"multiplier": np.full(2, -1, np.float32)}, "out of range"),
    "no number": ({"multiplier": np.full(2, np.nan, np.float32)}, "out of range"),
    "large scores": ({"multiplier": np.full(2, 2.0**-9, np.float32)}, "scores up to"),
    "a bias for another window": ({"bias": np.zeros((2, 5, 5), np.int32)}, "bias tensor"),
    "a bias of 2^21": ({"bias": np.full((2, 3, 3), 2**21, np.int32)}, "bias out of range"),
    "an empty table": ({"table": np.zeros(0, np.int32)}, "0 entries"),
    "a negative weight": ({"table": np.array([2, -1], np.int32)}, "entries of the table"),
    "a largest score without weight": ({"table": np.array([0, 1], np.int32)}, "entries"),
}


@pytest.mark.parametrize("name", ATTENTION_REFUSED)
def test_attention_refused(name):
    changes, message = ATTENTION_REFUSED[name]
    builder = attention_builder(**changes)
    with pytest.raises(CorruptFileError, match=message):
        analyse(*builder.build("x"))


def test_large_dividends_are_refused():
    bias, table = np.zeros((2, 31, 31), np.int32), np.array([2**24 - 1], np.int32)
    analyse(*attention_builder((0, 255), bias=bias, table=table, window=16).build("x"))
    table[0] = 2**31 - 1
    builder = attention_builder(bias=bias, table=table, window=16)
    with pytest.raises(CorruptFileError, match="dividends"):
        analyse(*builder.build("x"))


# Strips ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("window", "shift", "kernel", "halo"),
    [
        *[(4, 0, 1, 0), (4, 2, 1, 4), (8, 4, 1, 8), (4, 1, 1, 4)],  # in whole windows
        *[(4, 0, 3, 4), (4, 2, 3, 4), (4, 2, 5, 4), (4, 2, 7, 8)],
    ],
)
def test_halo_of_windows(window, shift, kernel, halo):
    """A convolution after the attention looks (kernel - 1) / 2 rows into other windows."""
    builder = Builder("p")
    x = builder.port("x", 3, -100, 100)
    y = builder.attention(x, 1, window, shift, 100)
    program, tensors = builder.build(builder.layer(y, 2, kernel, -100, 100, 50))
    geometry = strip_geometry(check(program, tensors))
    assert (geometry.unit, geometry.halo) == (window, halo)
    plane = np.random.default_rng(0).integers(-100, 101, (3, 5 * window + 1, 6))
    run = reference.prepare(check(program, tensors))
    (whole,) = run({"x": plane}).values()
    strips = [next(iter(s.values())) for s in run_in_strips(run, geometry, {"x": plane}, 1)]
    assert len(strips) > 2
    np.testing.assert_array_equal(np.concatenate(strips, 1), whole)


def test_windows_on_other_grids():
    """Windows of 8 after upsampling by 4 are two rows of the input, and before it eight."""
    builder = Builder("p")
    x = builder.port("x", 48, -100, 100)
    fine = builder.shuffle(x, 4)
    program, tensors = builder.build(builder.attention(fine, 1, 8, 0, 100))
    assert strip_geometry(check(program, tensors)).unit == 2
