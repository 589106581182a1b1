"""The reference against the format's definitions, written out once more in plain Python."""

from __future__ import annotations

import itertools
import tracemalloc
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from licodec.exact.backends import reference
from licodec.exact.bounds import analyse, check
from tests.exact.programs import Builder, RandomBuilder


def run(builder: Builder, output: str, inputs: dict[str, np.ndarray]) -> np.ndarray:
    plane = reference.prepare(check(*builder.build(output)))(inputs)[output]
    assert plane.dtype == np.int32
    return plane


def convolve(x, weight, bias, stride: int, padding: int, groups: int) -> list:
    """acc[o][r][c] = bias[o] + sum w * x over Python integers."""
    _, rows, columns = x.shape
    outputs, inputs, kernel, _ = weight.shape
    size = [(n + 2 * padding - kernel) // stride + 1 for n in (rows, columns)]

    def at(i: int, r: int, c: int) -> int:
        return int(x[i, r, c]) if 0 <= r < rows and 0 <= c < columns else 0

    def acc(o: int, r: int, c: int) -> int:
        first = o // (outputs // groups) * inputs
        total = int(bias[o])
        for i, a, b in itertools.product(range(inputs), range(kernel), range(kernel)):
            place = r * stride - padding + a, c * stride - padding + b
            total += int(weight[o, i, a, b]) * at(first + i, *place)
        return total

    return [
        [[acc(o, r, c) for c in range(size[1])] for r in range(size[0])] for o in range(outputs)
    ]


def to_float32(value: Fraction) -> Fraction:
    """`value` rounded to binary32's 24 bits, ties to even; no overflow, no subnormals."""
    if value == 0:
        return value
    exponent = 0
    while abs(value) * Fraction(2) ** -exponent >= 2**24:
        exponent += 1
    while abs(value) * Fraction(2) ** -exponent < 2**23:
        exponent -= 1
    return round(value * Fraction(2) ** -exponent) * Fraction(2) ** exponent


def requantized(acc: int, multiplier: np.float32, low: int, high: int) -> int:
    product = to_float32(to_float32(Fraction(acc)) * Fraction(float(multiplier)))
    return min(max(round(product), low), high)


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "groups"),
    [
        (1, 1, 0, 1),
        (3, 1, 1, 1),
        (3, 1, 1, 2),
        (2, 2, 0, 1),
        (4, 2, 1, 4),
        (3, 2, 1, 1),
        (5, 1, 2, 2),
    ],
)
def test_convolution(kernel, stride, padding, groups):
    random = np.random.default_rng(kernel)
    builder = Builder("conv")
    x = builder.port("x", 4, -(2**15), 2**15 - 1)
    shape = (8, 4 // groups, kernel, kernel)
    weight = random.integers(-(2**15), 2**15, shape).astype(np.int16)
    bias = random.integers(-(2**31), 2**31, 8).astype(np.int32)
    acc = builder.conv(x, weight, bias, stride, padding, groups)
    output = builder.requantize(acc, 2.0**-18, -(2**24) + 1, 2**24 - 1)
    plane = random.integers(-(2**15), 2**15, (4, 6, 8))
    expected = np.vectorize(lambda a: requantized(a, 2.0**-18, -(2**24) + 1, 2**24 - 1))(
        np.array(convolve(plane, weight, bias, stride, padding, groups), dtype=object)
    )
    np.testing.assert_array_equal(run(builder, output, {"x": plane}), expected)


@given(
    accs=st.lists(st.integers(-(2**24) + 1, 2**24 - 1), min_size=1, max_size=20),
    multiplier=st.floats(0, 2.0**20, width=32, allow_subnormal=False),
    negative=st.floats(0, 2.0**20, width=32, allow_subnormal=False),
    low=st.integers(-(2**16), 0),
)
@settings(max_examples=60, deadline=None)
def test_requantize(accs, multiplier, negative, low):
    builder = Builder("requantize")
    x = builder.port("x", 1, -(2**24) + 1, 2**24 - 1)
    output = builder.requantize(x, multiplier, low, 2**16, np.float32(negative))
    expected = [requantized(a, negative if a < 0 else multiplier, low, 2**16) for a in accs]
    found = run(builder, output, {"x": np.array(accs).reshape(1, 1, -1)})
    assert found.ravel().tolist() == expected


def test_requantize_rounds_sums_to_binary32_first():
    """2^25 + 2^0 ... 2^2 around ties of a 24-bit significand, scaled down so that all shows."""
    sums = [sign * (2**25 + i) for i in range(-9, 10) for sign in (1, -1)]
    weight = np.array([[[[2**10]]], [[[1]]]], np.int16).reshape(1, 2, 1, 1)
    builder = Builder("sums")
    x = builder.port("x", 2, -(2**15), 2**15 - 1)
    acc = builder.conv(x, weight, np.zeros(1, np.int32))
    output = builder.requantize(acc, 0.375, -(2**24) + 1, 2**24 - 1)
    plane = np.array(
        [[round(s / 2**10) for s in sums], [s - round(s / 2**10) * 2**10 for s in sums]]
    )
    expected = [requantized(s, np.float32(0.375), -(2**24) + 1, 2**24 - 1) for s in sums]
    assert run(builder, output, {"x": plane[:, None]}).ravel().tolist() == expected


def test_ties_go_to_even():
    builder = Builder("ties")
    x = builder.port("x", 1, -100, 100)
    found = run(
        builder, builder.requantize(x, 0.5, -9, 9), {"x": np.arange(-7, 8).reshape(1, 3, 5)}
    )
    assert found.ravel().tolist() == [-4, -3, -2, -2, -2, -1, 0, 0, 0, 1, 2, 2, 2, 3, 4]


def test_shuffles():
    builder = Builder("shuffle")
    x = builder.port("x", 12, 0, 10**6)
    plane = np.arange(12 * 3 * 5).reshape(12, 3, 5)
    shuffled = builder.shuffle(x, 2)
    found = run(builder, shuffled, {"x": plane})
    assert found.shape == (3, 6, 10)
    for c, r, k in itertools.product(range(3), range(6), range(10)):
        assert found[c, r, k] == plane[c * 4 + r % 2 * 2 + k % 2, r // 2, k // 2]
    back = builder.operation("pixel_unshuffle", (shuffled,), 12, factor=2)
    np.testing.assert_array_equal(run(builder, back, {"x": plane}), plane)


@pytest.mark.parametrize(("row", "column"), [(0, 0), (0, 2), (2, 1)])
def test_phase(row, column):
    builder = Builder("phase")
    x = builder.port("x", 2, 0, 10**6)
    plane = np.arange(2 * 6 * 9).reshape(2, 6, 9)
    taken = builder.operation("phase", (x,), 2, factor=3, row=row, column=column)
    found = run(builder, taken, {"x": plane})
    assert found.shape == (2, 2, 3)
    for c, r, k in itertools.product(range(2), range(2), range(3)):
        assert found[c, r, k] == plane[c, 3 * r + row, 3 * k + column]


def test_table_saturates_its_index():
    builder = Builder("table")
    x = builder.port("x", 1, -100, 100)
    entries = np.array([5, -7, 11], np.int32)
    output = builder.operation("table", (x,), 1, {"table": entries}, low=-1)
    plane = np.array([[[-100, -2, -1, 0, 1, 2, 100]]])
    assert run(builder, output, {"x": plane}).ravel().tolist() == [5, 5, 5, -7, 11, 11, 11]


def test_add_clamp_and_concat():
    builder = Builder("others")
    a, b = builder.port("a", 1, -100, 100), builder.port("b", 1, -100, 100)
    total = builder.add(a, b, -50, 60)
    clamped = builder.operation("clamp", (a,), 1, low=0, high=9)
    output = builder.operation("concat", (total, clamped, b), 3)
    inputs = {"a": np.array([[[-100, 5, 100]]]), "b": np.array([[[-1, 2, 3]]])}
    expected = [[[-50, 7, 60]], [[0, 5, 9]], [[-1, 2, 3]]]
    assert run(builder, output, inputs).tolist() == expected


def test_values_are_forgotten_when_nothing_needs_them():
    builder = Builder("chain")
    x = builder.port("x", 4, 0, 9)
    for _ in range(50):
        builder.operation("clamp", (x,), 4, low=0, high=9)
        x = builder.operation("clamp", (x,), 4, low=0, high=9)
    plane = np.zeros((4, 64, 64), np.int64)
    tracemalloc.start()
    run(builder, x, {"x": plane})
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5 * plane.nbytes


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_values_keep_to_their_proved_ranges_and_shapes(seed):
    builder = RandomBuilder(seed)
    program, tensors = builder.random_program()
    values = analyse(program, tensors)
    inputs = builder.planes()
    (rows, columns) = next(iter(inputs.values())).shape[1:]
    for name, plane in reference.prepare(check(program, tensors))(inputs).items():
        info = values[name]
        assert plane.shape == (info.channels, rows * info.rate, columns * info.rate)
        assert info.low <= plane.min() and plane.max() <= info.high
