"""Bounds, offsets and other constants beyond the type of the planes that they are used on."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from licodec.exact.backends import reference
from licodec.exact.bounds import analyse, check
from licodec.exact.values import VALUE_LIMIT
from tests.exact.agreement import assert_same
from tests.exact.programs import WIDE_RANGES, Builder, RandomBuilder

MOST = VALUE_LIMIT - 1
CHANNELS = 3
INT32 = (-MOST, MOST)
NARROW = [(0, 1), (-128, 127), (0, 255), (-300, 5), (-(2**15), 2**15 - 1), (7, 7)]
OPERANDS = [*NARROW, (0, 2**16 - 1), (-1, 2**16 - 2)]  # what a convolution may read
BOUNDS = [  # around the ends of 8, 16 and 24 bits, and beyond the operands on one side
    INT32,
    (0, MOST),
    (-MOST, 0),
    (-(2**15) - 1, 2**15),
    (0, 2**16 - 1),
    (-129, 128),
    (0, 256),
    (-MOST, -40000),
    (40000, MOST),
    (40000, 40000),
    (-MOST, -MOST),
]


def int32(*values: int) -> np.ndarray:
    return np.array(values, np.int64).astype(np.int32)


def clamps(builder: Builder, x: str, low: int, high: int) -> Iterator[str]:
    yield builder.operation("clamp", (x,), CHANNELS, low=low, high=high)


def sums(builder: Builder, x: str, low: int, high: int) -> Iterator[str]:
    yield builder.add(x, x, low, high)
    yield builder.add(x, builder.operation("clamp", (x,), CHANNELS, low=low, high=high), low, high)


def requantizations(builder: Builder, x: str, low: int, high: int) -> Iterator[str]:
    yield builder.requantize(x, 1, low, high)
    yield builder.requantize(x, 2.0**23, low, high, np.float32(0.7))


def products(builder: Builder, x: str, low: int, high: int) -> Iterator[str]:
    number = builder.number(f"{x} {low} {high}", low, high)
    wide = builder.operation("clamp", (x,), CHANNELS, low=low, high=high)
    for kind, factor in (("scale", number), ("mul", wide)):
        product = builder.operation(kind, (x, factor), CHANNELS)
        yield builder.requantize(product, 0.7, low, high)


def tables(builder: Builder, x: str, low: int, high: int) -> Iterator[str]:
    entries = int32(low, high, (low + high) // 2, high, low)
    for start in (low, high, -2):
        yield builder.operation("table", (x,), CHANNELS, {"table": entries}, low=start)


def convolutions(builder: Builder, x: str, low: int, high: int) -> Iterator[str]:
    weight = np.array([2**15 - 1, -(2**15), 127] * CHANNELS, np.int16).reshape(3, 3, 1, 1)
    for bias in (int32(2**31 - 1, -(2**31), 0), int32(low, high, 1)):
        yield builder.requantize(builder.conv(x, weight, bias), 1, low, high)


def normalizations(builder: Builder, x: str, low: int, high: int) -> Iterator[str]:
    weight, bias = np.eye(CHANNELS, dtype=np.int8), int32(2**31 - 1, 0, 1)
    tensors, bits = {"weight": weight, "bias": bias}, {"bias_bits": 15, "root_bits": 0}
    yield builder.operation(
        "gdn", (x,), CHANNELS, tensors, **bits, fraction_bits=31, low=low, high=high
    )
    inverse = builder.operation("igdn", (x,), CHANNELS, tensors, **bits)
    yield builder.requantize(inverse, 1, low, high)


def layernorms(builder: Builder, x: str, low: int, high: int) -> Iterator[str]:
    gain = np.array([2.0**23, -(2.0**23), 1], np.float32)
    for bias, epsilon in ((int32(MOST, -MOST, 0), 2**51), (int32(low, high, 1), 0)):
        tensors = {"gain": gain, "bias": bias}
        yield builder.operation(
            "layernorm", (x,), CHANNELS, tensors, epsilon=epsilon, root_bits=0,
            fraction_bits=0, low=low, high=high,
        )  # fmt: skip


def attentions(builder: Builder, x: str, low: int, high: int) -> Iterator[str]:
    """Scores and weights of 21 and 31 bits; the bounds are those of the values joined to them."""
    largest = 2**21 - 1
    bias = int32(*[largest, -largest, 0] * 3).reshape(1, 3, 3)
    tensors = {"multiplier": np.ones(1, np.float32) * 2.0**-11, "bias": bias}
    tensors["table"] = int32(2**31 - 1, 1, *[2**16] * (2**16 - 2))
    result = builder.operation("window_attention", (x,), 1, tensors, heads=1, window=2, shift=1)
    bounds = builder.operation("clamp", (x,), CHANNELS, low=low, high=high)
    yield builder.operation("concat", (result, bounds, x), 2 * CHANNELS + 1)


KINDS = [
    clamps,
    sums,
    requantizations,
    products,
    tables,
    convolutions,
    normalizations,
    layernorms,
    attentions,
]


def wide_constants(
    kind: Callable[[Builder, str, int, int], Iterator[str]],
) -> tuple[Builder, list[str]]:
    """Operations of a kind on narrow planes with all bounds, each once on a plane that others
    read and once on one of its own, which may be overwritten."""
    builder, outputs = Builder("wide constants"), []
    for i, (span, bounds) in enumerate(itertools.product(OPERANDS, BOUNDS)):
        if not i % len(BOUNDS):
            shared = builder.port(f"x{i}", CHANNELS, *span)
        own = builder.operation("split", (shared,), CHANNELS, start=0, stop=CHANNELS)
        for x in (shared, own):
            outputs += kind(builder, x, *bounds)
    return builder, outputs


def planes(builder: Builder) -> dict[str, np.ndarray]:
    """The ends of each port's range and what lies between."""
    inputs = {}
    for port in builder.ports:
        if port.channels is None:
            inputs[port.name] = np.array(port.high)
            continue
        plane = builder.random.integers(port.low, port.high + 1, (port.channels, 3, 4))
        plane[:, 0], plane[:, 1] = port.low, port.high
        inputs[port.name] = plane
    return inputs


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_agreement(prepare, kind):
    builder, outputs = wide_constants(kind)
    program, tensors = builder.build(*outputs)
    values = analyse(program, tensors)
    for name, plane in assert_same(prepare, program, tensors, planes(builder)).items():
        assert values[name].low <= plane.min() and plane.max() <= values[name].high


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_random_programs(prepare, seed):
    builder = RandomBuilder(seed, WIDE_RANGES)
    program, tensors = builder.random_program()
    analyse(program, tensors)
    assert_same(prepare, program, tensors, builder.planes())


@pytest.mark.parametrize("bounds", BOUNDS)
@pytest.mark.parametrize("span", NARROW)
def test_values(span, bounds):
    """The reference, too: against Python's integers."""
    builder = Builder("values")
    x = builder.port("x", CHANNELS, *span)
    (clamped,), (doubled, _) = (f(builder, x, *bounds) for f in (clamps, sums))
    looked_up = list(tables(builder, x, *bounds))
    run, inputs = (
        reference.prepare(check(*builder.build(clamped, doubled, *looked_up))),
        planes(builder),
    )
    found = {k: v.ravel().tolist() for k, v in run(inputs).items()}
    (low, high), own = bounds, inputs["x"].ravel().tolist()
    assert found[clamped] == [min(max(v, low), high) for v in own]
    assert found[doubled] == [min(max(2 * v, low), high) for v in own]
    entries = [low, high, (low + high) // 2, high, low]
    for name, start in zip(looked_up, (low, high, -2), strict=True):
        assert found[name] == [entries[min(max(v - start, 0), 4)] for v in own]
