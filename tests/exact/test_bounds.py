"""What is proved of a program before anything is run, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from licodec.errors import CorruptFileError
from licodec.exact.bounds import analyse, check
from licodec.exact.operations.convolution import accumulator_bound
from licodec.exact.program import Port
from licodec.exact.values import EXPANSION_LIMIT, ValueInfo
from tests.exact.programs import Builder


def conv_builder(low: int = 0, high: int = 255, **attributes: int) -> Builder:
    builder = Builder("p")
    x = builder.port("x", 4, low, high)
    weight = np.ones((6, 4 // attributes.get("groups", 1), 3, 3), np.int8)
    acc = builder.conv(x, weight, np.arange(6, dtype=np.int32), **attributes)
    builder.requantize(acc, 0.5, -100, 100)
    return builder


def analysed(builder: Builder, *outputs: str) -> dict[str, ValueInfo]:
    return analyse(*builder.build(*(outputs or (builder.operations[-1].output,))))


def refused(builder: Builder, message: str, *outputs: str) -> None:
    with pytest.raises(CorruptFileError, match=f"program p: .*{message}"):
        analysed(builder, *outputs)


def test_convolution():
    values = analysed(conv_builder(-10, 255))
    bound = 36 * 255 + 5
    assert values["conv2d_0"] == ValueInfo(6, -bound, bound, Fraction(1), accumulator=True)
    assert values["requantize_1"] == ValueInfo(6, -100, 100, Fraction(1))


def test_rates_and_channels():
    builder = Builder("p")
    x = builder.port("x", 3, -7, 9)
    folded = builder.operation("pixel_unshuffle", (x,), 48, factor=4)
    weight = np.ones((8, 48, 2, 2), np.int8)
    acc = builder.conv(folded, weight, np.zeros(8, np.int32), stride=2, padding=0)
    small = builder.requantize(acc, 1.0, -5, 5)
    wide = builder.shuffle(small, 2)
    values = analysed(builder, wide)
    assert values[folded] == ValueInfo(48, -7, 9, Fraction(1, 4))
    assert values[small] == ValueInfo(8, -5, 5, Fraction(1, 8))
    assert values[wide] == ValueInfo(2, -5, 5, Fraction(1, 4))


def test_tables_and_concatenations():
    builder = Builder("p")
    a, b = builder.port("a", 1, 0, 3), builder.port("b", 2, -9, -8)
    looked_up = builder.operation(
        "table", (a,), 1, {"table": np.array([4, -20, 7], np.int32)}, low=0
    )
    joined = builder.operation("concat", (looked_up, b), 3)
    values = analysed(builder, joined)
    assert values[looked_up] == ValueInfo(1, -20, 7, Fraction(1))
    assert values[joined] == ValueInfo(3, -20, 7, Fraction(1))


def test_accumulator_bound_counts_the_lowest_integers_right():
    weight = np.full((2, 3), -128, np.int8)
    assert accumulator_bound(weight, np.array([-5, 3]), 2) == 3 * 128 * 2 + 5
    lowest = np.full((1, 1), -(2**15), np.int16)
    assert accumulator_bound(lowest, np.array([-(2**31)], np.int32), 2**16) == 2**31 + 2**31


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "legal"),
    [
        *[(1, 1, 0, True), (1, 2, 0, True), (2, 2, 0, True), (3, 1, 1, True), (4, 2, 1, True)],
        *[(5, 2, 2, True), (2, 1, 0, False), (2, 1, 1, False), (3, 1, 0, False), (3, 1, 2, False)],
        *[(4, 2, 0, False), (3, 0, 1, False), (3, -1, 1, False), (3, 1, -1, False)],
        (33, 1, 16, False),
    ],
)
def test_stride_and_padding(kernel, stride, padding, legal):
    builder = Builder("p")
    x = builder.port("x", 1, 0, 1)
    weight = np.ones((1, 1, kernel, kernel), np.int8)
    builder.conv(x, weight, np.zeros(1, np.int32), stride, padding)
    builder.requantize("conv2d_0", 1.0, 0, 1)
    if legal:
        assert analysed(builder)["conv2d_0"].rate == Fraction(1, stride)
    else:
        refused(builder, "kernel" if kernel > 32 else "stride and padding")


@pytest.mark.parametrize(
    ("low", "high", "legal"),
    [
        *[(0, 2**16 - 1, True), (-(2**15), 2**15 - 1, True), (-1, 2**16 - 2, True)],
        *[(0, 2**16, False), (-(2**15), 2**15, False), (-(2**15) - 1, 0, False)],
        (-1, 2**16 - 1, False),
    ],
)
def test_operands_of_at_most_16_bits(low, high, legal):
    if legal:
        analysed(conv_builder(low, high))
    else:
        refused(conv_builder(low, high), "over 16 bits")


def test_sums_stay_below_the_limit():
    builder = Builder("p")
    x = builder.port("x", 8192, 0, 2**16 - 1)
    weight = np.full((1, 8192, 31, 31), -(2**15), np.int16)
    builder.conv(x, weight, np.zeros(1, np.int32))
    builder.requantize("conv2d_0", 1.0, 0, 1)
    refused(builder, "the limit is")


BAD_TENSORS = {
    "weight of a wrong type": ("weight", np.ones((6, 4, 3, 3), np.int32), "weight"),
    "float weights": ("weight", np.ones((6, 4, 3, 3), np.float32), "weight"),
    "weight of three dimensions": ("weight", np.ones((6, 4, 3), np.int8), "weight"),
    "oblong kernel": ("weight", np.ones((6, 4, 3, 1), np.int8), "kernel"),
    "empty kernel": ("weight", np.ones((6, 4, 0, 0), np.int8), "kernel"),
    "no outputs": ("weight", np.ones((0, 4, 3, 3), np.int8), "bias|no channels"),
    "too few inputs": ("weight", np.ones((6, 3, 3, 3), np.int8), "channels in"),
    "bias of a wrong length": ("bias", np.zeros(5, np.int32), "bias"),
    "bias of a wrong type": ("bias", np.zeros(6, np.int64), "bias"),
    "multiplier of a wrong length": ("multiplier", np.ones(5, np.float32), "multiplier tensor"),
    "multiplier of a wrong type": ("multiplier", np.ones(6, np.float64), "multiplier tensor"),
    "negative multiplier": ("multiplier", np.full(6, -1, np.float32), "out of range"),
    "infinite multiplier": ("multiplier", np.full(6, np.inf, np.float32), "out of range"),
    "multiplier that is no number": ("multiplier", np.full(6, np.nan, np.float32), "out of range"),
    "large multiplier": ("multiplier", np.full(6, 2.0**24, np.float32), "out of range"),
}


@pytest.mark.parametrize("name", BAD_TENSORS)
def test_bad_tensors(name):
    role, tensor, message = BAD_TENSORS[name]
    builder = conv_builder()
    (stored,) = [n for n in builder.tensors if n.endswith(f".{role}")]
    builder.tensors[stored] = tensor
    refused(builder, message)


def test_a_missing_tensor():
    builder = conv_builder()
    del builder.tensors["conv2d_0.bias"]
    refused(builder, "tensor conv2d_0.bias is missing")


@pytest.mark.parametrize("groups", [0, -2, 3, 4])
def test_bad_groups(groups):
    builder = conv_builder(groups=2)
    conv = builder.operations[0]
    builder.operations[0] = replace(conv, attributes=conv.attributes | {"groups": groups})
    refused(builder, "groups|channels in")


def test_sums_are_for_requantizations_alone_and_once():
    builder = conv_builder()
    builder.operation("clamp", ("conv2d_0",), 6, low=0, high=1)
    refused(builder, "clamp reads a sum")
    builder = conv_builder()
    builder.requantize("conv2d_0", 0.5, -100, 100)
    refused(builder, "read twice")
    refused(conv_builder(), "output conv2d_0 is a sum", "conv2d_0")


def test_order_and_names():
    builder = conv_builder()
    refused(builder, "nothing is read before it is computed", "nothing")
    first, second = builder.operations
    builder.operations = [second, first]
    refused(builder, "conv2d_0 is read before it is computed")
    builder.operations = [first, second, replace(first, output="requantize_1")]
    refused(builder, "computed twice")
    builder = conv_builder()
    builder.ports.append(Port("x", 1, 0, 1))
    refused(builder, "input x stated twice")


@pytest.mark.parametrize(("low", "high"), [(5, 4), (-(2**24), 0), (0, 2**24)])
def test_bad_ranges(low, high):
    builder = Builder("p")
    builder.port("x", 1, low, high)
    refused(builder, "range|the limit is", "x")
    builder = Builder("p")
    x = builder.port("x", 1, 0, 1)
    builder.operation("clamp", (x,), 1, low=low, high=high)
    refused(builder, "range|the limit is")


@pytest.mark.parametrize("channels", [0, -1, 2**13 + 1])
def test_bad_channels(channels):
    builder = Builder("p")
    builder.port("x", channels, 0, 1)
    refused(builder, "channels", "x")


@pytest.mark.parametrize(("copies", "legal"), [(4, True), (5, False)])
def test_numbers_of_a_value(copies, legal):
    builder = Builder("p")
    wide = builder.shuffle(builder.port("x", 2**13, 0, 9), 64)
    builder.operation("concat", (wide,) * copies, 2 * copies)
    if legal:
        assert analysed(builder)["concat_1"].expansion == EXPANSION_LIMIT
    else:
        refused(builder, "a value of 40960 numbers a position")


def clamps(count, *, chained):
    """So many values of 2^13 numbers beside the input, each made of the last one or the input."""
    builder = Builder("p")
    x = builder.port("x", 2**13, 0, 9)
    for _ in range(count):
        last = builder.operation("clamp", (x,), 2**13, low=0, high=9)
        x = last if chained else x
    return builder


def test_numbers_of_all_values_at_a_time():
    names = [f"clamp_{i}" for i in range(16)]
    # What is not read any more does not count, nor does what nothing needs, once it is made.
    assert len(analysed(clamps(40, chained=True))) == 41
    assert len(analysed(clamps(40, chained=False))) == 41
    assert len(analysed(clamps(15, chained=False), *names[:15])) == 16
    refused(clamps(16, chained=False), "values of 139264 numbers a position at a time", *names)


def test_operands_must_match():
    builder = Builder("p")
    a, b = builder.port("a", 4, 0, 1), builder.port("b", 3, 0, 1)
    builder.add(a, b, 0, 1)
    refused(builder, "differ in shape")
    builder = Builder("p")
    a = builder.port("a", 4, 0, 1)
    small = builder.shuffle(a, 2)
    builder.operation("concat", (a, small), 5)
    refused(builder, "differ in shape")


@pytest.mark.parametrize("factor", [0, -1, 3, 65])
def test_bad_factors(factor):
    builder = Builder("p")
    x = builder.port("x", 4, 0, 1)
    builder.operation("pixel_shuffle", (x,), 4, factor=factor)
    refused(builder, "factor")
    builder = Builder("p")
    x = builder.port("x", 4, 0, 1)
    builder.operation("pixel_unshuffle", (x,), 4, factor=min(factor, 0) or 65)
    refused(builder, "factor")


@pytest.mark.parametrize(
    "attributes", [{"factor": 1}, {"factor": 65}, {"row": 2}, {"column": -1}, {"column": 2}]
)
def test_bad_phases(attributes):
    builder = Builder("p")
    x = builder.port("x", 4, 0, 1)
    builder.operation("phase", (x,), 4, **({"factor": 2, "row": 0, "column": 0} | attributes))
    refused(builder, "phase")


@pytest.mark.parametrize(
    "table",
    [
        *[np.zeros(0, np.int32), np.zeros((2, 2), np.int32), np.zeros(2, np.int16)],
        *[np.zeros(2**16 + 1, np.int32), np.array([0, 2**24], np.int32)],
    ],
)
def test_bad_tables(table):
    builder = Builder("p")
    x = builder.port("x", 4, 0, 1)
    builder.operation("table", (x,), 4, {"table": table}, low=0)
    refused(builder, "table|the limit is")


def test_too_many_operations():
    builder = Builder("p")
    x = builder.port("x", 1, 0, 1)
    for _ in range(2**12 + 1):
        builder.operation("clamp", (x,), 1, low=0, high=1)
    refused(builder, "more than")


def test_smaller_constants_are_covered_by_the_proof():
    program, tensors = conv_builder(-10, 255).build("requantize_1")
    proved = check(program, tensors)
    others = tensors | {
        "conv2d_0.bias": -tensors["conv2d_0.bias"],
        "requantize_1.multiplier": np.full(6, 0.25, np.float32),
        "unnamed": np.zeros(1),
    }
    bound = proved.with_tensors(others)
    assert bound.program is program and bound.values == proved.values
    assert set(bound.tensors) == set(tensors)
    assert all(bound.tensors[name] is others[name] for name in tensors)


@pytest.mark.parametrize(
    ("name", "tensor", "message"),
    [
        ("conv2d_0.bias", np.full(6, 6, np.int32), "conv2d_0 is not what was proved"),
        ("conv2d_0.bias", np.zeros(5, np.int32), "bias tensor"),
        ("conv2d_0.weight", np.ones((5, 4, 3, 3), np.int8), "bias tensor"),
        ("requantize_1.multiplier", np.full(1, -1, np.float32), "multiplier out of range"),
        ("conv2d_0.bias", None, "tensor conv2d_0.bias is missing"),
    ],
)
def test_what_the_proof_does_not_cover_is_refused(name, tensor, message):
    program, tensors = conv_builder(-10, 255).build("requantize_1")
    others = {n: t for n, t in (tensors | {name: tensor}).items() if t is not None}
    with pytest.raises(CorruptFileError, match=f"program p: .*{message}"):
        check(program, tensors).with_tensors(others)


def test_a_proof_is_of_the_tensors_that_it_saw():
    program, tensors = conv_builder().build("requantize_1")
    checked = check(program, tensors)
    seen = dict(tensors)
    tensors["conv2d_0.weight"] = np.zeros(1)
    assert checked.tensors == seen
