"""Products, GDN, its inverse and the square root in them, against unbounded integers."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from licodec.errors import CorruptFileError
from licodec.exact.backends import float32, reference, torch_transforms
from licodec.exact.bounds import analyse, check
from licodec.exact.operations.normalization import RADICAND_LIMIT, divide_rne, isqrt
from licodec.exact.values import DIVIDEND_LIMIT
from tests.exact.programs import Builder
from tests.exact.test_reference import requantized

LARGEST = 2**24 - 1
INT16 = (-(2**15), 2**15 - 1)


def run_everywhere(builder: Builder, output: str, **inputs: np.ndarray) -> np.ndarray:
    """The reference's result, which the torch backend's must equal."""
    checked = check(*builder.build(output))
    expected = reference.prepare(checked)(inputs)[output]
    np.testing.assert_array_equal(float32.prepare(checked)(inputs)[output], expected)
    return expected


# Products --------------------------------------------------------------------------------------

values = st.integers(-LARGEST, LARGEST)


@given(
    pairs=st.lists(st.tuples(values, values), min_size=1, max_size=12),
    multiplier=st.floats(2.0**-24, 2.0**-8, width=32),
)
@settings(max_examples=30)
def test_mul(pairs, multiplier):
    builder = Builder("mul")
    x, z = (builder.port(name, 1, -LARGEST, LARGEST) for name in "xz")
    product = builder.operation("mul", (x, z), 1)
    output = builder.requantize(product, multiplier, -LARGEST, LARGEST)
    planes = np.array(pairs).T.reshape(2, 1, 1, -1)
    found = run_everywhere(builder, output, x=planes[0], z=planes[1])
    expected = [requantized(a * b, np.float32(multiplier), -LARGEST, LARGEST) for a, b in pairs]
    assert found.ravel().tolist() == expected


@given(
    xs=st.lists(values, min_size=1, max_size=12),
    number=st.integers(0, 65535),
    multiplier=st.floats(2.0**-20, 2.0**-8, width=32),
)
@settings(max_examples=30)
def test_scale(xs, number, multiplier):
    builder = Builder("scale")
    x, n = builder.port("x", 1, -LARGEST, LARGEST), builder.number("alpha", 0, 65535)
    product = builder.operation("scale", (x, n), 1)
    output = builder.requantize(product, multiplier, -LARGEST, LARGEST)
    found = run_everywhere(
        builder, output, x=np.array(xs).reshape(1, 1, -1), alpha=np.array(number)
    )
    expected = [requantized(i * number, np.float32(multiplier), -LARGEST, LARGEST) for i in xs]
    assert found.ravel().tolist() == expected


def test_products_have_the_range_of_their_corners():
    builder = Builder("ranges")
    x, z = builder.port("x", 2, -3, 5), builder.port("z", 2, -7, -2)
    n = builder.number("n", -2, 9)
    builder.operation("mul", (x, z), 2)
    builder.operation("scale", (x, n), 2)
    found = analyse(*builder.build(x))
    assert [(found[k].low, found[k].high) for k in ("mul_0", "scale_1")] == [(-35, 21), (-27, 45)]
    assert found["mul_0"].accumulator and found["scale_1"].accumulator


# The square root -------------------------------------------------------------------------------


def torch_root(numbers) -> list[int]:
    scratch = torch_transforms.Scratch(torch.device("cpu"))
    return torch_transforms.isqrt(torch.tensor(numbers, dtype=torch.float64), scratch).tolist()


@given(
    roots=st.lists(st.integers(0, 2**26 - 1), min_size=1, max_size=50),
    step=st.sampled_from([-1, 0, 1]),
)
@settings(max_examples=60)
def test_isqrt_around_squares(roots, step):
    numbers = np.array([max(0, r * r + step) for r in roots])
    expected = [math.isqrt(int(v)) for v in numbers]
    assert isqrt(numbers).tolist() == expected
    assert torch_root(numbers) == expected


def test_isqrt_corrects_a_root_that_is_off_by_one(monkeypatch):
    numbers = [v for r in (0, 1, 2, 3, 1000, 2**25) for v in (r * r, r * r + 2 * r)]
    expected, exact = [math.isqrt(v) for v in numbers], torch.sqrt
    for error in (-1, 1):

        def wrong(v, out, error=error):
            return exact(v, out=out).add_(error).clamp_(min=0)

        monkeypatch.setattr(torch, "sqrt", wrong)
        assert torch_root(numbers) == expected


@given(
    dividends=st.lists(st.integers(-DIVIDEND_LIMIT + 1, DIVIDEND_LIMIT - 1), min_size=1),
    divisor=st.integers(1, 2**27),
    tie=st.booleans(),
)
@settings(max_examples=60)
def test_division_rounds_as_the_exact_quotient(dividends, divisor, tie):
    if tie:  # half-integers and their neighbours
        odd = [2 * (n // (2 * divisor)) + 1 for n in dividends]
        dividends = [o * divisor + e for o in odd for e in (-1, 0, 1)]
        divisor *= 2
        dividends = [n for n in dividends if abs(n) < DIVIDEND_LIMIT]
    expected = [round(Fraction(n, divisor)) for n in dividends]
    assert divide_rne(np.array(dividends), np.array(divisor)).tolist() == expected


# GDN -------------------------------------------------------------------------------------------


def gdn_builder(kind: str, weight, bias, span: tuple[int, int], **attributes: int) -> Builder:
    builder = Builder("p")
    x = builder.port("x", len(bias), *span)
    tensors = {"weight": np.array(weight, np.int16), "bias": np.array(bias, np.int32)}
    builder.operation(kind, (x,), len(bias), tensors, **attributes)
    return builder


@st.composite
def normalizations(draw):
    """Weight, bias, bits and positions within the bounds."""
    channels = draw(st.integers(1, 4))
    weights = st.integers(0, draw(st.sampled_from([1, 127, 2**12])))
    weight = [[draw(weights) for _ in range(channels)] for _ in range(channels)]
    bias_bits = draw(st.integers(0, 10))
    bias = [draw(st.integers(0, 2**31 - 1)) for _ in range(channels)]
    pixels = st.lists(st.integers(-(2**15), 2**15 - 1), min_size=channels, max_size=channels)
    positions = draw(st.lists(pixels, min_size=1, max_size=6))
    norm = max(b * 2**bias_bits + sum(w) * 2**30 for w, b in zip(weight, bias, strict=True))
    root_bits = draw(st.integers(0, ((RADICAND_LIMIT - 1) // max(norm, 1)).bit_length() // 2))
    if norm * 4**root_bits >= RADICAND_LIMIT:
        root_bits -= 1
    return weight, bias, bias_bits, root_bits, positions


def roots(weight, bias, bias_bits: int, root_bits: int, pixel: list[int]) -> list[int]:
    norms = (
        b * 2**bias_bits + sum(w * x * x for w, x in zip(row, pixel, strict=True))
        for row, b in zip(weight, bias, strict=True)
    )
    return [math.isqrt(n * 4**root_bits) for n in norms]


@given(case=normalizations(), multiplier=st.floats(2.0**-30, 2.0**-8, width=32))
@settings(max_examples=40)
def test_igdn(case, multiplier):
    weight, bias, bias_bits, root_bits, positions = case
    bits = {"bias_bits": bias_bits, "root_bits": root_bits}
    builder = gdn_builder("igdn", weight, bias, INT16, **bits)
    output = builder.requantize("igdn_0", multiplier, -LARGEST, LARGEST)
    found = run_everywhere(builder, output, x=np.array(positions).T[:, None])
    expected = [
        [
            requantized(x * r, np.float32(multiplier), -LARGEST, LARGEST)
            for x, r in zip(pixel, roots(weight, bias, bias_bits, root_bits, pixel), strict=True)
        ]
        for pixel in positions
    ]
    assert found[:, 0].T.tolist() == expected


@given(
    root=st.one_of(st.integers(1, 2**24 - 1), st.integers(2**24 - 1000, 2**24 - 1)),
    step=st.sampled_from([-1, 0, 1]),
)
@settings(max_examples=40, deadline=None)
def test_the_root_of_a_normalization_around_squares(root, step):
    radicand = root**2 + step
    rest = radicand % 2**17
    weight = [[rest // 4, rest % 4], [0, 0]]  # of x^2 with x = 2 and 1
    bits = {"bias_bits": 17, "root_bits": 0}
    builder = gdn_builder("igdn", weight, [radicand >> 17, 0], (0, 2), **bits)
    output = builder.requantize("igdn_0", 0.5, -LARGEST, LARGEST)
    found = run_everywhere(builder, output, x=np.array([2, 1])[:, None, None])
    assert found[0, 0, 0] == math.isqrt(radicand)


@given(case=normalizations(), fraction_bits=st.integers(0, 12))
@settings(max_examples=40)
def test_gdn(case, fraction_bits):
    weight, bias, bias_bits, root_bits, positions = case
    root_bits = min(root_bits, 52 - 16 - fraction_bits)
    bits = {"bias_bits": bias_bits, "root_bits": root_bits, "fraction_bits": fraction_bits}
    span = {"low": -30000, "high": 32000}
    builder = gdn_builder("gdn", weight, bias, INT16, **bits, **span)
    found = run_everywhere(builder, "gdn_0", x=np.array(positions).T[:, None])
    unit = 2 ** (root_bits + fraction_bits)
    expected = [
        [
            min(max(round(Fraction(x * unit, max(r, 1))), -30000), 32000)
            for x, r in zip(pixel, roots(weight, bias, bias_bits, root_bits, pixel), strict=True)
        ]
        for pixel in positions
    ]
    assert found[:, 0].T.tolist() == expected


def test_the_largest_root_is_proved():
    builder = gdn_builder("igdn", [[3, 1], [0, 2]], [5, 1], (-4, 3), bias_bits=3, root_bits=2)
    bound = 4 * math.isqrt((4 * 16 + (5 << 3)) * 16)
    info = analyse(*builder.build("x"))["igdn_0"]
    assert (info.low, info.high, info.accumulator) == (-bound, bound, True)


REFUSED = {
    "a root over 24 bits": ("igdn", [[1]], [0], {"root_bits": 9}, 2**15, "root of up to"),
    "a bias over the limit": ("igdn", [[0]], [2**20], {"bias_bits": 28}, 1, "root of up to"),
    "a dividend over the limit": ("gdn", [[0]], [1], {"fraction_bits": 31, "root_bits": 21},
                                  1, "dividends"),
    "a negative weight": ("igdn", [[-1]], [9], {}, 1, "negative"),
    "a negative bias": ("gdn", [[1]], [-9], {}, 1, "negative"),
    "negative bits": ("igdn", [[1]], [9], {"root_bits": -1}, 1, "root_bits"),
    "too many bits": ("igdn", [[1]], [9], {"bias_bits": 32}, 1, "bias_bits"),
    "a weight for other channels": ("igdn", [[1, 1]], [9], {}, 1, "weight"),
    "an operand of 17 bits": ("igdn", [[1]], [9], {}, 2**16, "16 bits"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name):
    kind, weight, bias, bits, high, message = REFUSED[name]
    attributes = {"bias_bits": 0, "root_bits": 0} | bits
    if kind == "gdn":
        attributes = {"fraction_bits": 0, "low": 0, "high": 1} | attributes
    builder = gdn_builder(kind, weight, bias, (0, high), **attributes)
    with pytest.raises(CorruptFileError, match=message):
        analyse(*builder.build("x"))


def test_numbers_are_for_scale_alone():
    builder = Builder("p")
    x, n = builder.port("x", 1, 0, 1), builder.number("n", 0, 1)
    for kind, inputs in (("mul", (x, n)), ("scale", (x, x)), ("scale", (n, n))):
        builder.operations = []
        builder.operation(kind, inputs, 1)
        with pytest.raises(CorruptFileError, match=f"{kind}: operand"):
            analyse(*builder.build(x))
    builder.operations = []
    with pytest.raises(CorruptFileError, match="output n is a number"):
        analyse(*builder.build(n))


@pytest.mark.parametrize(("start", "stop"), [(0, 0), (2, 1), (-1, 2), (0, 4)])
def test_split_stays_inside(start, stop):
    builder = Builder("p")
    x = builder.port("x", 3, 0, 1)
    builder.operation("split", (x,), 1, start=start, stop=stop)
    with pytest.raises(CorruptFileError, match="split: channels"):
        analyse(*builder.build(x))
