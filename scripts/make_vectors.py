#!/usr/bin/env python3
"""Write the conformance vectors of format/vectors/, from format/SPEC.md alone.

    scripts/make_vectors.py            write them
    scripts/make_vectors.py --check    compare the files with what would be written

Every expected result is computed here with unbounded integers and fractions, one element at
a time and without NumPy or licodec, so that the vectors check both licodec and the reference
decoder. What the files hold is described in format/vectors/README.md.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import math
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent.parent / "format" / "vectors"

LARGEST_VALUE = 2**24 - 1
LATENT_LOW, LATENT_HIGH = -(2**15), 2**15 - 1

Number = int | Fraction
Json = dict[str, Any]


@dataclass(frozen=True)
class Array:
    """Integers or fractions of one shape, the last index varying fastest.

    `type` is the type of a stored tensor: int8, int16, int32 or float32.
    """

    shape: tuple[int, ...]
    values: tuple[Number, ...]
    type: str = "int32"

    def __post_init__(self) -> None:
        assert math.prod(self.shape) == len(self.values)

    def __getitem__(self, index: tuple[int, ...]) -> Number:
        position = 0
        for i, size in zip(index, self.shape, strict=True):
            assert 0 <= i < size
            position = position * size + i
        return self.values[position]

    def indexes(self) -> Iterator[tuple[int, ...]]:
        return itertools.product(*(range(size) for size in self.shape))


def array(shape: Sequence[int], element: Callable[..., Number]) -> Array:
    """The array whose element at each index is `element` of that index."""
    indexes = itertools.product(*(range(size) for size in shape))
    return Array(tuple(shape), tuple(element(*index) for index in indexes))


def vector(*values: Number, type: str = "int32") -> Array:
    return Array((len(values),), values, type)


def plane(*values: int) -> Array:
    """One channel and one row."""
    return Array((1, 1, len(values)), values)


class Noise:
    """The same integers in every run and every version of Python."""

    def __init__(self, seed: int) -> None:
        self.state = seed

    def integer(self, low: int, high: int) -> int:
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) % 2**64
        return low + (self.state >> 33) % (high - low + 1)

    def array(self, shape: Sequence[int], low: int, high: int, type: str = "int32") -> Array:
        return replace(array(shape, lambda *_: self.integer(low, high)), type=type)


# Arithmetic --------------------------------------------------------------------------------


def rne(value: Number) -> int:
    """The nearest integer, half to even: what Python's `round` is for fractions."""
    return round(Fraction(value))


def sat(value: int, low: int, high: int) -> int:
    return low if value < low else high if value > high else value


def fl32(value: Number) -> Fraction:
    """`value` rounded to binary32, half to even, by its definition."""
    value = Fraction(value)
    if value == 0:
        return value
    exponent = 0
    while abs(value) >= Fraction(2) ** (exponent + 1):
        exponent += 1
    while abs(value) < Fraction(2) ** exponent:
        exponent -= 1
    step = Fraction(2) ** (max(exponent, -126) - 23)
    return rne(value / step) * step


# Operations --------------------------------------------------------------------------------


def conv2d(
    x: Array, weight: Array, bias: Array, stride: int = 1, padding: int = 0, groups: int = 1
) -> Array:
    outputs, inputs, kernel, _ = weight.shape
    _, rows, columns = x.shape

    def sample(channel: int, row: int, column: int) -> Number:
        inside = 0 <= row < rows and 0 <= column < columns
        return x[channel, row, column] if inside else 0

    def element(o: int, r: int, c: int) -> Number:
        first = o * groups // outputs * inputs
        taps = itertools.product(range(inputs), range(kernel), range(kernel))
        return bias[o,] + sum(
            weight[o, i, a, b]
            * sample(first + i, r * stride + a - padding, c * stride + b - padding)
            for i, a, b in taps
        )

    return array((outputs, rows // stride, columns // stride), element)


def requantize(
    x: Array, multiplier: Array, low: int, high: int, negative_multiplier: Array | None = None
) -> Array:
    def element(c: int, row: int, column: int) -> Number:
        value = x[c, row, column]
        negative = value < 0 and negative_multiplier is not None
        constants = negative_multiplier if negative else multiplier
        constant = constants[(0 if constants.shape == (1,) else c),]
        return sat(rne(fl32(fl32(value) * constant)), low, high)

    return array(x.shape, element)


def add(x: Array, y: Array, low: int, high: int) -> Array:
    return array(x.shape, lambda *i: sat(x[i] + y[i], low, high))


def mul(x: Array, y: Array) -> Array:
    return array(x.shape, lambda *i: x[i] * y[i])


def scale(x: Array, n: Array) -> Array:
    return array(x.shape, lambda *i: x[i] * n[()])


def root_at(
    x: Array, weight: Array, bias: Array, bias_bits: int, root_bits: int, index: tuple[int, ...]
) -> int:
    """isqrt(n * 4^k) of one element, which gdn and igdn normalize by."""
    channel, row, column = index
    norm = bias[channel,] * 2**bias_bits + sum(
        weight[channel, i] * x[i, row, column] ** 2 for i in range(x.shape[0])
    )
    return math.isqrt(norm * 4**root_bits)


def igdn(x: Array, weight: Array, bias: Array, bias_bits: int = 0, root_bits: int = 0) -> Array:
    return array(x.shape, lambda *i: x[i] * root_at(x, weight, bias, bias_bits, root_bits, i))


def gdn(
    x: Array,
    weight: Array,
    bias: Array,
    low: int,
    high: int,
    bias_bits: int = 0,
    root_bits: int = 0,
    fraction_bits: int = 0,
) -> Array:
    def element(*index: int) -> int:
        root = root_at(x, weight, bias, bias_bits, root_bits, index)
        dividend = x[index] * 2 ** (root_bits + fraction_bits)
        return sat(rne(Fraction(dividend, max(root, 1))), low, high)

    return array(x.shape, element)


def layernorm(
    x: Array,
    gain: Array,
    bias: Array,
    low: int,
    high: int,
    epsilon: int = 0,
    root_bits: int = 0,
    fraction_bits: int = 0,
) -> Array:
    channels = x.shape[0]

    def element(c: int, row: int, column: int) -> int:
        own = [x[i, row, column] for i in range(channels)]
        total = sum(own)
        variance = channels * sum(v * v for v in own) - total**2 + epsilon
        root = math.isqrt(variance * 4**root_bits)
        dividend = (channels * own[c] - total) * 2 ** (root_bits + fraction_bits)
        normal = rne(Fraction(dividend, max(root, 1)))
        return sat(rne(fl32(normal * gain[c,])) + bias[c,], low, high)

    return array(x.shape, element)


def window_attention(
    x: Array, multiplier: Array, bias: Array, table: Array, heads: int, window: int, shift: int = 0
) -> Array:
    channels, rows, columns = x.shape
    depth = channels // (3 * heads)

    def place(row: int, column: int) -> tuple[int, int]:
        return (row - shift) // window, (column - shift) // window

    def element(c: int, row: int, column: int) -> int:
        head = c // depth
        first = head * depth
        constant = multiplier[(0 if multiplier.shape == (1,) else head),]
        scores = {}
        for r, q in itertools.product(range(rows), range(columns)):
            if place(r, q) == place(row, column):
                total = sum(
                    x[first + i, row, column] * x[heads * depth + first + i, r, q]
                    for i in range(depth)
                )
                distance = (row - r + window - 1, column - q + window - 1)
                scores[r, q] = rne(fl32(fl32(total) * constant)) + bias[(head, *distance)]
        largest = max(scores.values())
        weights = {
            at: table[largest - score,] if largest - score < len(table.values) else 0
            for at, score in scores.items()
        }
        mixed = sum(weight * x[(2 * heads * depth + c, *at)] for at, weight in weights.items())
        return rne(Fraction(mixed, sum(weights.values())))

    return array((heads * depth, rows, columns), element)


def clamp(x: Array, low: int, high: int) -> Array:
    return array(x.shape, lambda *i: sat(x[i], low, high))


def table(x: Array, table: Array, low: int) -> Array:
    return array(x.shape, lambda *i: table[sat(x[i] - low, 0, len(table.values) - 1),])


def concat(*xs: Array) -> Array:
    channels = [(x, c) for x in xs for c in range(x.shape[0])]

    def element(c: int, row: int, column: int) -> Number:
        x, own = channels[c]
        return x[own, row, column]

    return array((len(channels), *xs[0].shape[1:]), element)


def split(x: Array, start: int, stop: int) -> Array:
    return array((stop - start, *x.shape[1:]), lambda c, r, q: x[start + c, r, q])


def pixel_shuffle(x: Array, factor: int) -> Array:
    channels, rows, columns = x.shape

    def element(c: int, row: int, column: int) -> Number:
        (r, a), (q, b) = divmod(row, factor), divmod(column, factor)
        return x[c * factor**2 + a * factor + b, r, q]

    return array((channels // factor**2, rows * factor, columns * factor), element)


def pixel_unshuffle(x: Array, factor: int) -> Array:
    channels, rows, columns = x.shape

    def element(c: int, row: int, column: int) -> Number:
        channel, place = divmod(c, factor**2)
        a, b = divmod(place, factor)
        return x[channel, row * factor + a, column * factor + b]

    return array((channels * factor**2, rows // factor, columns // factor), element)


def phase(x: Array, factor: int, row: int = 0, column: int = 0) -> Array:
    channels, rows, columns = x.shape

    def element(c: int, r: int, q: int) -> Number:
        return x[c, r * factor + row, q * factor + column]

    return array((channels, rows // factor, columns // factor), element)


OPERATIONS: dict[str, Callable[..., Array]] = {
    "conv2d": conv2d,
    "requantize": requantize,
    "add": add,
    "mul": mul,
    "scale": scale,
    "igdn": igdn,
    "gdn": gdn,
    "layernorm": layernorm,
    "window_attention": window_attention,
    "clamp": clamp,
    "table": table,
    "concat": concat,
    "split": split,
    "pixel_shuffle": pixel_shuffle,
    "pixel_unshuffle": pixel_unshuffle,
    "phase": phase,
}


def run(program: Json, tensors: dict[str, Array], inputs: dict[str, Array]) -> dict[str, Array]:
    values = dict(inputs)
    for operation in program["operations"]:
        fields = {k: v for k, v in operation.items() if k not in ("kind", "inputs", "output")}
        fields = {k: tensors[v] if isinstance(v, str) else v for k, v in fields.items()}
        operands = [values[name] for name in operation["inputs"]]
        values[operation["output"]] = OPERATIONS[operation["kind"]](*operands, **fields)
    return {name: values[name] for name in program["outputs"]}


# Writing -----------------------------------------------------------------------------------


def array_to_json(x: Array, stored: bool) -> Json:
    values = [int(v) if Fraction(v).denominator == 1 else float(v) for v in x.values]
    assert all(Fraction(a) == b for a, b in zip(values, x.values, strict=True))
    kind = {"type": x.type} if stored else {}
    return {**kind, "shape": list(x.shape), "values": values}


def array_from_json(x: Json) -> Array:
    values = (v if isinstance(v, int) else Fraction(v) for v in x["values"])
    return Array(tuple(x["shape"]), tuple(values), x.get("type", "int32"))


def arrays_to_json(arrays: dict[str, Array], stored: bool) -> Json:
    return {name: array_to_json(x, stored) for name, x in arrays.items()}


def port(name: str, channels: int, low: int, high: int) -> Json:
    return {"name": name, "channels": channels, "low": low, "high": high}


def number(name: str, low: int, high: int) -> Json:
    """An input that is one integer, given as an array of no dimensions."""
    return {"name": name, "low": low, "high": high}


def operation(kind: str, inputs: str, output: str, **fields: int | str) -> Json:
    """`inputs` are separated by spaces."""
    return {"kind": kind, "inputs": inputs.split(), "output": output, **fields}


def program(ports: list[Json], operations: list[Json], *outputs: str) -> Json:
    return {"inputs": ports, "operations": operations, "outputs": list(outputs)}


def case(
    name: str, shows: str, code: Json, tensors: dict[str, Array], inputs: dict[str, Array]
) -> Json:
    """One program with its inputs and what it makes of them."""
    for stated in code["inputs"]:
        x = inputs[stated["name"]]
        assert x.shape[0] == stated["channels"] if "channels" in stated else x.shape == ()
        assert min(x.values) >= stated["low"] and max(x.values) <= stated["high"]
    return {
        "name": name,
        "shows": shows,
        "program": code,
        "tensors": arrays_to_json(tensors, stored=True),
        "inputs": arrays_to_json(inputs, stored=False),
        "outputs": arrays_to_json(run(code, tensors, inputs), stored=False),
    }


def render(content: Json) -> str:
    """JSON with one line for each field of each case."""
    lines = [f'{{"about": {json.dumps(content["about"])},']
    lists = [(k, v) for k, v in content.items() if k != "about"]
    for key, cases in lists:
        rows = []
        for entry in cases:
            fields = (f"   {json.dumps(k)}: {json.dumps(v)}" for k, v in entry.items())
            rows.append("  {\n" + ",\n".join(fields) + "\n  }")
        end = "" if key == lists[-1][0] else ","
        lines.append(f' "{key}": [\n' + ",\n".join(rows) + "\n ]" + end)
    return "\n".join([*lines, "}"]) + "\n"


# The cases: operations ---------------------------------------------------------------------


def convolution(
    name: str,
    shows: str,
    x: Array,
    bounds: tuple[int, int],
    weight: Array,
    bias: Array,
    multiplier: Fraction = Fraction(1),
    **attributes: int,
) -> Json:
    """A convolution whose sums are shown by a requantization."""
    span = {"low": -LARGEST_VALUE, "high": LARGEST_VALUE}
    code = program(
        [port("x", x.shape[0], *bounds)],
        [
            operation("conv2d", "x", "sum", weight="w", bias="b", **attributes),
            operation("requantize", "sum", "y", multiplier="m", **span),
        ],
        "y",
    )
    tensors = {"w": weight, "b": bias, "m": vector(multiplier, type="float32")}
    return case(name, shows, code, tensors, {"x": x})


def conv2d_cases() -> Iterator[Json]:
    noise = Noise(1)

    def noisy(
        name: str, shows: str, shape: tuple[int, ...], kernel: tuple[int, ...], **attributes: int
    ) -> Json:
        x = noise.array(shape, -128, 127)
        weight = noise.array(kernel, -128, 127, "int8")
        bias = noise.array(kernel[:1], -(10**5), 10**5)
        return convolution(name, shows, x, (-128, 127), weight, bias, **attributes)

    yield noisy("1x1", "channels are mixed, and the bias is added", (3, 2, 3), (2, 3, 1, 1))
    yield noisy("3x3", "zero padding at all borders", (2, 3, 4), (2, 2, 3, 3), padding=1)
    yield noisy(
        "one pixel", "only the middle tap meets the plane", (2, 1, 1), (1, 2, 5, 5), padding=2
    )
    yield noisy("5x5", "two rings of padding", (1, 4, 3), (2, 1, 5, 5), padding=2)
    yield noisy(
        "stride 2, 3x3",
        "positions 0, 2, ...; one row of padding is never met at the end",
        (2, 4, 6),
        (2, 2, 3, 3),
        stride=2,
        padding=1,
    )
    yield noisy("stride 2, 2x2", "blocks, no padding", (1, 4, 4), (2, 1, 2, 2), stride=2)
    yield noisy("stride 2, 4x4", "an even kernel", (1, 4, 6), (1, 1, 4, 4), stride=2, padding=1)
    yield noisy(
        "stride 2, 1x1", "three of four integers are not read", (2, 4, 4), (1, 2, 1, 1), stride=2
    )
    yield noisy(
        "stride 4, 5x5", "stride and padding differ", (1, 8, 4), (1, 1, 5, 5), stride=4, padding=2
    )
    yield noisy(
        "groups 2",
        "each half of the results reads its half of the operand",
        (4, 2, 2),
        (6, 2, 1, 1),
        groups=2,
    )
    yield noisy(
        "groups 3, 3x3",
        "groups, padding and stride together",
        (6, 4, 4),
        (3, 2, 3, 3),
        groups=3,
        padding=1,
        stride=2,
    )
    yield noisy(
        "depthwise", "as many groups as channels", (3, 3, 3), (3, 1, 3, 3), groups=3, padding=1
    )

    yield convolution(
        "pairs of bytes", "products that overflow 16 bits where pairs of them are saturated",
        Array((2, 1, 3), (255, 255, 0, 255, 255, 255)), (0, 255),
        Array((2, 2, 1, 1), (127, 127, -128, -128), "int8"), vector(0, 1),
    )  # fmt: skip
    yield convolution(
        "16-bit signed operand", "the least integer times the least weight",
        Array((2, 1, 3), (-32768, 32767, -1, -32768, 32767, 1)), (-32768, 32767),
        Array((2, 2, 1, 1), (-128, -128, 127, 1), "int8"), vector(-1, 7),
    )  # fmt: skip
    yield convolution(
        "16-bit unsigned operand", "integers above 32767",
        plane(65535, 65534, 32768, 256, 255, 0), (0, 65535),
        Array((1, 1, 1, 1), (-127,), "int8"), vector(99),
    )  # fmt: skip
    yield convolution(
        "2^24 - 1", "sums that are just below what binary32 adds exactly, odd and even",
        plane(32767, 32766, -32767, -1, 0, 1), (-32767, 32767),
        Array((2, 1, 1, 1), (127, -127), "int8"), vector(2**24 - 1 - 32767 * 127, -(2**22) - 1),
    )  # fmt: skip
    yield convolution(
        "sums over 2^24", "fl32 of an odd sum; a sum that is added in binary32 differs",
        noise.array((8, 2, 3), -2048, 2047), (-2048, 2047),
        noise.array((4, 8, 1, 1), -32768, 32767, "int16"),
        noise.array((4,), -(2**31), 2**31 - 1), Fraction(1, 2**9),
    )  # fmt: skip
    yield convolution(
        "16-bit weights, 16-bit operand", "the largest products of all",
        Array((3, 1, 2), (-32768, 32767, -32768, 32767, -32768, -32767)), (-32768, 32767),
        Array((3, 3, 1, 1), (-32768, -32768, -32767, 32767, 1, -32768, 2, -3, 5), "int16"),
        vector(2**31 - 1, -(2**31), 3), Fraction(1, 2**10),
    )  # fmt: skip
    yield convolution(
        "cancellation", "large products that leave a small sum",
        Array((4, 1, 3), (32767, 1, -32768, 32767, 1, -32768, 32766, 2, -32768, 32767, 3, -32767)),
        (-32768, 32767),
        Array((2, 4, 1, 1), (32767, -32767, 1, -1, 30000, -30000, -1, 1), "int16"), vector(1, -1),
    )  # fmt: skip


def requantization(
    name: str,
    shows: str,
    x: Array,
    bounds: tuple[int, int],
    multipliers: Sequence[Number],
    span: tuple[int, int],
    negative: Sequence[Number] = (),
) -> Json:
    tensors = {"m": vector(*(fl32(m) for m in multipliers), type="float32")}
    fields: dict[str, int | str] = {"multiplier": "m", "low": span[0], "high": span[1]}
    if negative:
        tensors["n"] = vector(*(fl32(m) for m in negative), type="float32")
        fields["negative_multiplier"] = "n"
    code = program(
        [port("x", x.shape[0], *bounds)], [operation("requantize", "x", "y", **fields)], "y"
    )
    return case(name, shows, code, tensors, {"x": x})


def differing_from_binary64(noise: Noise, count: int) -> Iterator[tuple[int, Fraction]]:
    """Values and multipliers where a product that is not rounded to binary32 gives another
    integer."""
    while count:
        value, multiplier = noise.integer(3, 4000), fl32(Fraction(noise.integer(1, 999), 1000))
        if rne(fl32(value * multiplier)) != rne(value * multiplier):
            yield value, multiplier
            count -= 1


def requantize_cases() -> Iterator[Json]:
    half, byte = Fraction(1, 2), (-128, 127)
    small = plane(*range(-7, 8))
    yield requantization("ties", "half to even", small, byte, [half], byte)
    yield requantization("quarters", "ties and others", small, byte, [Fraction(1, 4)], byte)
    yield requantization("saturation", "both ends of the range", small, byte, [1], (-3, 5))
    yield requantization("one value", "a range of one integer", small, byte, [1], (4, 4))
    yield requantization("range above 0", "the least result is not 0", small, byte, [1], (2, 6))
    yield requantization("multiplier 0", "everything is 0", small, byte, [0], byte)
    yield requantization(
        "tiny multiplier", "a product below the least normal binary32",
        plane(-LARGEST_VALUE, 1, LARGEST_VALUE), (-LARGEST_VALUE, LARGEST_VALUE),
        [Fraction(1, 2**149)], byte,
    )  # fmt: skip
    yield requantization(
        "large multiplier", "products far over any range",
        plane(-LARGEST_VALUE, -1, 0, 1, LARGEST_VALUE), (-LARGEST_VALUE, LARGEST_VALUE),
        [2**24 - 1], (-LARGEST_VALUE, LARGEST_VALUE),
    )  # fmt: skip
    rows = Array((3, 1, 4), (*range(-2, 10),))
    yield requantization(
        "by channel", "a multiplier for each channel", rows, byte, [half, 1, Fraction(3, 2)], byte
    )
    yield requantization(
        "negative multiplier", "another constant below 0; 0 takes the first",
        small, byte, [1], byte, negative=[Fraction(1, 10)],
    )  # fmt: skip
    yield requantization(
        "negative multiplier by channel", "one constant above 0, three below",
        array((3, 1, 5), lambda c, r, q: 10 * q - 25 + c), byte, [half], byte,
        negative=[0, Fraction(1, 4), 3],
    )  # fmt: skip
    yield requantization(
        "negative multiplier for all", "three constants above 0, one below",
        array((3, 1, 5), lambda c, r, q: 10 * q - 25 + c), byte, [half, 1, 2], byte,
        negative=[Fraction(1, 8)],
    )  # fmt: skip
    yield requantization(
        "example", "section 'requantize': the product is rounded to binary32 first",
        Array((2, 1, 2), (5, -5, 5, -5)), byte, [Fraction(1, 10), Fraction(7, 10)], byte,
    )  # fmt: skip
    pairs = list(differing_from_binary64(Noise(2), 12))
    yield requantization(
        "rounded to binary32", "products in binary64 give other integers, all of them",
        Array((12, 1, 2), tuple(v for value, _ in pairs for v in (value, -value))),
        (-4000, 4000), [m for _, m in pairs], (-4000, 4000),
    )  # fmt: skip
    yield convolution(
        "sum rounded to binary32", "2^24 + 1 becomes 2^24 before it is multiplied; 0.75",
        plane(1, 3, 5, -(2**15)), (-(2**15), 2**15 - 1), Array((1, 1, 1, 1), (1,), "int8"),
        vector(2**24), Fraction(3, 4),
    )  # fmt: skip
    yield convolution(
        "sums that tie", "fl32 of sums halfway between two binary32, of both parities",
        plane(1, 2, 3, 5, 6, 7, 9, 10), (0, 255), Array((2, 1, 1, 1), (1, -2), "int8"),
        vector(2**25, -(2**26)), Fraction(1, 8),
    )  # fmt: skip


def elementwise_cases() -> Iterator[tuple[str, Json]]:
    """Cases of add, clamp, table and concat, each with its kind."""
    byte = (-128, 127)
    code = program(
        [port("x", 2, *byte), port("z", 2, 0, 200)],
        [operation("add", "x z", "y", low=-100, high=150)],
        "y",
    )
    x = Array((2, 1, 3), (-128, -101, -100, 100, 127, 0))
    z = Array((2, 1, 3), (0, 0, 1, 50, 200, 0))
    yield "add", case("saturation", "both ends of the range", code, {}, {"x": x, "z": z})
    code = program([port("x", 1, *byte)], [operation("add", "x x", "y", low=-1000, high=1000)], "y")
    yield (
        "add",
        case("twice itself", "one value as both operands", code, {}, {"x": plane(-128, 0, 127)}),
    )
    large = (-LARGEST_VALUE, LARGEST_VALUE)
    code = program(
        [port("x", 1, *large), port("z", 1, *large)],
        [operation("add", "x z", "y", low=large[0], high=large[1])],
        "y",
    )
    yield "add", case(
        "largest values", "a sum of 25 bits before it saturates", code, {},
        {"x": plane(*large, large[1], 1), "z": plane(*large, large[0], large[1] - 2)},
    )  # fmt: skip

    for name, shows, span in (
        ("relu", "low 0", (0, 127)),
        ("both ends", "a range inside the operand's", (-2, 3)),
        ("outside", "a range that the operand never meets", (300, 400)),
        ("no change", "a range around the operand's", (-1000, 1000)),
    ):
        code = program(
            [port("x", 1, *byte)],
            [operation("clamp", "x", "y", low=span[0], high=span[1])],
            "y",
        )
        yield "clamp", case(name, shows, code, {}, {"x": plane(-128, -3, -2, -1, 0, 2, 3, 4, 127)})

    entries = vector(-70000, 5, 0, 9, 123456)
    for name, shows, low in (
        ("below and above", "operands outside of the table take its ends", -2),
        ("low above 0", "the first entry stands for 3", 3),
        ("far away", "every operand is below the table", 1000),
    ):
        code = program(
            [port("x", 2, *byte)], [operation("table", "x", "y", table="t", low=low)], "y"
        )
        x = Array((2, 1, 6), (-128, -3, -2, -1, 0, 1, 2, 3, 4, 6, 7, 127))
        yield "table", case(name, shows, code, {"t": entries}, {"x": x})
    code = program([port("x", 1, *byte)], [operation("table", "x", "y", table="t", low=0)], "y")
    yield (
        "table",
        case("one entry", "whatever the operand", code, {"t": vector(-8)}, {"x": plane(-1, 0, 1)}),
    )

    noise = Noise(3)
    code = program(
        [port("x", 2, *byte), port("z", 1, 0, 65535), port("v", 3, -5, 5)],
        [operation("concat", "z x v x", "y")],
        "y",
    )
    yield "concat", case(
        "four operands", "order, different ranges, one value twice", code, {},
        {
            "x": noise.array((2, 2, 2), *byte),
            "z": noise.array((1, 2, 2), 0, 65535),
            "v": noise.array((3, 2, 2), -5, 5),
        },
    )  # fmt: skip
    code = program([port("x", 2, *byte)], [operation("concat", "x", "y")], "y")
    yield "concat", case("one operand", "a copy", code, {}, {"x": noise.array((2, 1, 2), *byte)})


def product_cases(kind: str) -> Iterator[Json]:
    """mul and scale, their sums shown by a requantization."""
    large = (-LARGEST_VALUE, LARGEST_VALUE)

    def products(
        name: str, shows: str, x: Array, y: Array, bounds: tuple[int, int], multiplier: Number = 1
    ) -> Json:
        single = y.shape == ()
        code = program(
            [port("x", x.shape[0], *bounds),
             number("y", *bounds) if single else port("y", y.shape[0], *bounds)],
            [operation(kind, "x y", "sum"),
             operation("requantize", "sum", "z", multiplier="m", low=large[0], high=large[1])],
            "z",
        )  # fmt: skip
        tensors = {"m": vector(fl32(multiplier), type="float32")}
        return case(name, shows, code, tensors, {"x": x, "y": y})

    factors = {
        "mul": (plane(3, -3, 7, 0, -128, 127), plane(-128, 127, -128, -128, 4097, 4099)),
        "scale": (Array((), (-128,)), Array((), (4097,))),
    }
    small, odd = factors[kind]
    x = plane(-128, 127, -1, 5, 0, 1)
    yield products("small", "all signs", x, small, (-128, 127))
    yield products("half", "ties of products", x, small, (-128, 127), Fraction(1, 2))
    x = plane(4097, 4099, -4097, -4099, 4101, 4103)
    yield products(
        "over 2^24", "odd products are rounded to binary32 before they are multiplied",
        x, odd, (-5000, 5000), Fraction(3, 4),
    )  # fmt: skip
    ends = plane(*large, large[1] - 1, 3, -5, 0)
    limit = {"mul": plane(large[0], large[1], large[1], large[1], large[0], large[0]),
             "scale": Array((), (large[0],))}  # fmt: skip
    yield products(
        "largest", "the product of two of the largest values",
        ends, limit[kind], large, Fraction(1, 2**25),
    )  # fmt: skip
    if kind == "mul":
        code = program(
            [port("x", 2, 0, 65535)],
            [operation("mul", "x x", "sum"),
             operation("requantize", "sum", "y", multiplier="m", low=0, high=65535)],
            "y",
        )  # fmt: skip
        tensors = {"m": vector(Fraction(1, 2**16), Fraction(1, 2**17), type="float32")}
        x = Array((2, 1, 4), (65535, 65534, 46341, 3, 65535, 60000, 181, 0))
        yield case("a square", "one value as both operands", code, tensors, {"x": x})
    else:
        noise = Noise(9)
        code = program(
            [port("x", 2, -2048, 2047), number("alpha", 0, 65535)],
            [operation("conv2d", "x", "a", weight="down", bias="b"),
             operation("requantize", "a", "h", multiplier="half", low=-32768, high=32767),
             operation("scale", "h alpha", "s"),
             operation("requantize", "s", "g", multiplier="unit", low=-32768, high=32767),
             operation("add", "x g", "y", low=-2048, high=2047)],
            "y",
        )  # fmt: skip
        tensors = {
            "down": noise.array((2, 2, 1, 1), -127, 127, "int8"),
            "b": vector(5, -7),
            "half": vector(Fraction(1, 2), type="float32"),
            "unit": vector(fl32(Fraction(1, 65535 * 64)), type="float32"),
        }
        x = noise.array((2, 2, 3), -2048, 2047)
        for alpha in (0, 1, 13107, 65535):
            yield case(
                f"a branch, alpha {alpha}", "the number scales a branch; at 0 nothing is added",
                code, tensors, {"x": x, "alpha": Array((), (alpha,))},
            )  # fmt: skip


def normalization_cases(kind: str) -> Iterator[Json]:
    """gdn and igdn; the sums of the latter are shown by a requantization."""
    noise = Noise(10)
    inverse = kind == "igdn"

    def normalized(
        name: str, shows: str, x: Array, bounds: tuple[int, int], weight: Array, bias: Array,
        multiplier: Number = 1, **fields: int,
    ) -> Json:  # fmt: skip
        span = {"low": -LARGEST_VALUE, "high": LARGEST_VALUE}
        tensors = {"w": weight, "b": bias}
        if inverse:
            fields.pop("fraction_bits", None)
            tensors["m"] = vector(fl32(multiplier), type="float32")
            operations = [
                operation(kind, "x", "sum", weight="w", bias="b", **fields),
                operation("requantize", "sum", "y", multiplier="m", **span),
            ]
        else:
            operations = [operation(kind, "x", "y", weight="w", bias="b", **fields, **span)]
        code = program([port("x", x.shape[0], *bounds)], operations, "y")
        return case(name, shows, code, tensors, {"x": x})

    one, byte = Array((1, 1), (1,), "int8"), (-128, 127)
    small = plane(-128, -3, -1, 0, 1, 2, 3, 127)
    yield normalized("own square", "the root is the magnitude", small, byte, one, vector(0))
    yield normalized(
        "around squares", "roots of r^2 - 1, r^2 and r^2 + 1",
        small, byte, Array((1, 1), (0,), "int8"), vector(2**30 - 1),
    )  # fmt: skip
    yield normalized(
        "nothing", "a root of 0", small, byte, Array((1, 1), (0,), "int8"), vector(0),
        fraction_bits=3,
    )  # fmt: skip
    yield normalized(
        "root bits", "the root has 9 further bits", small, byte, one, vector(2),
        Fraction(1, 2**9), root_bits=9, fraction_bits=8,
    )  # fmt: skip
    yield normalized(
        "bias bits", "the bias counts in 2^16", small, byte, one, vector(3),
        bias_bits=16, fraction_bits=12,
    )  # fmt: skip
    weight = noise.array((3, 3), 0, 127, "int8")
    x = noise.array((3, 2, 4), -2048, 2047)
    yield normalized(
        "three channels", "row o of the weight belongs to channel o of the result",
        x, (-2048, 2047), weight, vector(100, 20000, 3), Fraction(1, 2**14),
        bias_bits=4, root_bits=6, fraction_bits=14,
    )  # fmt: skip
    ends = Array((2, 1, 4), (-32768, 32767, 0, 1, -32768, 32767, 32767, -1))
    yield normalized(
        "16 bits", "weights and operand of 16 bits, radicands just below 2^48",
        ends, (-32768, 32767), Array((2, 2), (32767, 32767, 1, 30000), "int16"),
        vector(2**31 - 1, 77), Fraction(1, 2**16), root_bits=1, fraction_bits=20,
    )  # fmt: skip


def layernorm_cases() -> Iterator[Json]:
    noise = Noise(11)

    def normalized(
        name: str, shows: str, x: Array, bounds: tuple[int, int], gain: Sequence[Number],
        bias: Sequence[int], span: tuple[int, int] = (-32768, 32767), **fields: int,
    ) -> Json:  # fmt: skip
        tensors = {
            "g": vector(*(fl32(g) for g in gain), type="float32"),
            "b": vector(*bias),
        }
        code = program(
            [port("x", x.shape[0], *bounds)],
            [operation("layernorm", "x", "y", gain="g", bias="b", low=span[0], high=span[1],
                       **fields)],
            "y",
        )  # fmt: skip
        return case(name, shows, code, tensors, {"x": x})

    pair = Array((2, 1, 5), (3, 1, 0, -128, 127, 1, 3, 0, 127, 127))
    byte = (-128, 127)
    yield normalized(
        "two channels", "plus and minus one deviation, and no deviation",
        pair, byte, [1, 1], [0, 0], fraction_bits=8,
    )  # fmt: skip
    yield normalized(
        "gain and bias", "of either sign, by channel; the bias is added after the rounding",
        pair, byte, [Fraction(5, 2), Fraction(-3, 10)], [100, -7], fraction_bits=4,
    )  # fmt: skip
    yield normalized(
        "epsilon", "adds to the variance of 4 and of 0",
        Array((2, 1, 2), (3, 5, 1, 5)), byte, [1, 1], [0, 0], epsilon=5,
        root_bits=4, fraction_bits=10,
    )  # fmt: skip
    yield normalized(
        "saturation", "both ends of the range", pair, byte, [1, 1], [-3, 2], (-200, 201),
        fraction_bits=8,
    )  # fmt: skip
    x = noise.array((5, 2, 3), -32768, 32767)
    gains = [Fraction(noise.integer(-3000, 3000), 1000) for _ in range(5)]
    biases = [noise.integer(-999, 999) for _ in range(5)]
    for bits in ((0, 0), (0, 12), (7, 12)):
        yield normalized(
            f"16 bits, {bits[0]} bits of the root, {bits[1]} of the result",
            "anything of 16 bits", x, (-32768, 32767), gains, biases,
            epsilon=1234, root_bits=bits[0], fraction_bits=bits[1],
        )  # fmt: skip
    yield normalized(
        "one channel", "nothing but the bias", plane(-128, 0, 127), byte, [1], [42],
        fraction_bits=15,
    )  # fmt: skip
    yield normalized(
        "small differences", "roots of a few units, rounded down",
        noise.array((6, 2, 3), 1000, 1002), (1000, 1002), [1] * 6, [0] * 6,
        fraction_bits=12,
    )  # fmt: skip
    yield normalized(
        "product rounded to binary32", "a product that binary32 rounds before it is rounded",
        Array((2, 1, 2), (1, 0, 0, 1)), byte, [fl32(Fraction(7, 10)), fl32(Fraction(1, 10))],
        [0, 0], (-(2**23), 2**23), fraction_bits=21,
    )  # fmt: skip


def attention_cases() -> Iterator[Json]:
    noise = Noise(12)

    def attention(
        name: str, shows: str, x: Array, bounds: tuple[int, int], multiplier: Sequence[Number],
        bias: Array, table: Array, **fields: int,
    ) -> Json:  # fmt: skip
        tensors = {
            "m": vector(*(fl32(m) for m in multiplier), type="float32"),
            "b": bias,
            "t": table,
        }
        code = program(
            [port("x", x.shape[0], *bounds)],
            [operation("window_attention", "x", "y", multiplier="m", bias="b", table="t",
                       **fields)],
            "y",
        )  # fmt: skip
        return case(name, shows, code, tensors, {"x": x})

    def flat(heads: int, window: int) -> Array:
        return array((heads, 2 * window - 1, 2 * window - 1), lambda *_: 0)

    halves = vector(*(2 ** (12 - i) for i in range(13)))
    byte = (-128, 127)
    x = array((3, 2, 2), lambda c, r, q: (1 + r, 3 - q, 10 * (2 * r + q) + 1)[c])
    yield attention(
        "one window", "the mean of the values, weighted by the products of query and key",
        x, byte, [1], flat(1, 2), halves, heads=1, window=2,
    )  # fmt: skip
    yield attention(
        "one entry", "the places with the largest score alone; several are averaged",
        x, byte, [1], flat(1, 2), vector(5), heads=1, window=2,
    )  # fmt: skip
    yield attention(
        "multiplier 0", "all weights alike: means, with ties",
        x, byte, [0], flat(1, 2), halves, heads=1, window=2,
    )  # fmt: skip
    counting = array((1, 3, 3), lambda h, r, q: 3 * r + q)
    yield attention(
        "bias by distance", "the row of the query less the row of the key, and so the columns",
        x, byte, [0], counting, halves, heads=1, window=2,
    )  # fmt: skip
    yield attention(
        "windows of 1", "every position sees itself: the values",
        x, byte, [1], flat(1, 1), halves, heads=1, window=1,
    )  # fmt: skip
    values = noise.array((3, 5, 7), -100, 100)
    bias = noise.array((1, 5, 5), -3, 3)
    for shift in (0, 1, 2):
        yield attention(
            f"windows of 3, shift {shift}", "windows at the border hold what is inside",
            values, byte, [Fraction(1, 2000)], bias, halves, heads=1, window=3, shift=shift,
        )  # fmt: skip
    yield attention(
        "a window larger than the plane", "one window, and four with a shift",
        noise.array((3, 2, 3), -100, 100), byte, [Fraction(1, 2000)],
        noise.array((1, 15, 15), -3, 3), halves, heads=1, window=8, shift=1,
    )  # fmt: skip
    yield attention(
        "heads", "queries of all heads, then keys, then values; a multiplier and a bias for each",
        noise.array((18, 4, 4), -2048, 2047), (-2048, 2047),
        [Fraction(1, 10**6), Fraction(3, 10**6), Fraction(1, 4 * 10**6)],
        noise.array((3, 3, 3), -4, 4), halves, heads=3, window=2, shift=1,
    )  # fmt: skip
    yield attention(
        "products over 2^24", "sums of products are rounded to binary32, and scores are halves",
        noise.array((12, 2, 2), -32768, 32767), (-32768, 32767), [Fraction(1, 2**11)],
        noise.array((1, 3, 3), -(2**20), 2**20),
        array((2**10,), lambda i: 2**16 - 60 * i), heads=1, window=2,
    )  # fmt: skip
    yield attention(
        "16 bits unsigned", "values of 16 bits, weights of 20 bits",
        noise.array((6, 3, 3), 0, 65535), (0, 65535), [Fraction(1, 2**23)],
        noise.array((2, 5, 5), -9, 9), array((1000,), lambda i: 2**20 - 1000 * i),
        heads=2, window=3, shift=2,
    )  # fmt: skip
    yield attention(
        "weights that do not fall", "any table with a first entry above 0",
        values, byte, [Fraction(1, 3000)], bias, vector(1, 0, 7, 3, 0, 2), heads=1, window=3,
    )  # fmt: skip


def split_cases() -> Iterator[Json]:
    x = Array((4, 1, 2), (0, 1, 10, 11, 20, 21, 30, 31))
    for start, stop in ((0, 1), (1, 3), (3, 4), (0, 4)):
        code = program(
            [port("x", 4, 0, 31)], [operation("split", "x", "y", start=start, stop=stop)], "y"
        )
        yield case(f"{start} to {stop}", "these channels, in their order", code, {}, {"x": x})


def shuffle_cases(kind: str) -> Iterator[Json]:
    counting = {
        "pixel_shuffle": [(4, 2, 3, 2), (8, 1, 2, 2), (18, 2, 1, 3), (3, 2, 2, 1)],
        "pixel_unshuffle": [(1, 4, 6, 2), (2, 2, 4, 2), (2, 6, 3, 3), (3, 2, 2, 1)],
    }
    for channels, rows, columns, factor in counting[kind]:
        x = Array((channels, rows, columns), tuple(range(channels * rows * columns)))
        code = program(
            [port("x", channels, 0, 255)], [operation(kind, "x", "y", factor=factor)], "y"
        )
        shows = "where each of the integers 0, 1, 2, ... goes"
        yield case(f"{channels}x{rows}x{columns} by {factor}", shows, code, {}, {"x": x})


def phase_cases() -> Iterator[Json]:
    x = Array((2, 6, 12), tuple(range(144)))
    for factor, place in (
        (2, {}),
        (2, {"column": 1}),
        (2, {"row": 1}),
        (2, {"row": 1, "column": 1}),
        (3, {"row": 2, "column": 1}),
        (6, {"row": 5, "column": 0}),
    ):
        code = program(
            [port("x", 2, 0, 255)], [operation("phase", "x", "y", factor=factor, **place)], "y"
        )
        name = f"row {place.get('row', 0)}, column {place.get('column', 0)} of {factor}"
        yield case(name, "which of the integers 0, 1, 2, ... are taken", code, {}, {"x": x})
    code = program(
        [port("x", 2, 0, 255)],
        [*(operation("phase", "x", f"y{p}", factor=2, row=p // 2, column=p % 2) for p in range(4)),
         operation("concat", "y0 y1 y2 y3", "y")],
        "y",
    )  # fmt: skip
    shows = "all of a 2x2 grid, whose order is not that of pixel_unshuffle"
    yield case("four phases", shows, code, {}, {"x": x})


def program_cases() -> Iterator[Json]:
    noise = Noise(4)
    trunk = (-2048, 2047)
    code = program(
        [port("x", 4, *trunk)],
        [
            operation("conv2d", "x", "a", weight="w1", bias="b1", padding=1),
            operation("requantize", "a", "h", multiplier="m1", negative_multiplier="n1",
                      low=-512, high=4095),
            operation("conv2d", "h", "c", weight="w2", bias="b2"),
            operation("requantize", "c", "r", multiplier="m2", low=trunk[0], high=trunk[1]),
            operation("add", "x r", "y", low=trunk[0], high=trunk[1]),
        ],
        "y", "h",
    )  # fmt: skip
    tensors = {
        "w1": noise.array((3, 4, 3, 3), -127, 127, "int8"),
        "b1": noise.array((3,), -(10**6), 10**6),
        "m1": vector(*(fl32(Fraction(n, 10**4)) for n in (51, 37, 44)), type="float32"),
        "n1": vector(fl32(Fraction(5, 10**5)), type="float32"),
        "w2": noise.array((4, 3, 1, 1), -8, 7, "int8"),
        "b2": noise.array((4,), -1000, 1000),
        "m2": vector(fl32(Fraction(3, 70)), type="float32"),
    }
    yield case(
        "residual unit",
        "two layers, a sum, a value that is read twice and given out",
        code,
        tensors,
        {"x": noise.array((4, 3, 3), *trunk)},
    )

    code = program(
        [port("x", 1, -128, 127)],
        [
            operation("pixel_unshuffle", "x", "u", factor=2),
            operation("table", "u", "t", table="squares", low=-3),
            operation("concat", "u t", "c"),
            operation("pixel_shuffle", "c", "s", factor=2),
            operation("clamp", "s", "never", low=0, high=1),
        ],
        "x", "s", "s", "t",
    )  # fmt: skip
    yield case(
        "ports and outputs", "an input as an output, an output twice, a result that is not read",
        code, {"squares": vector(9, 4, 1, 0, 1, 4, 9)}, {"x": noise.array((1, 4, 2), -5, 5)},
    )  # fmt: skip

    code = program(
        [port("x", 2, -128, 127), port("z", 8, -128, 127)],
        [
            operation("conv2d", "x", "a", weight="down", bias="b", stride=2, padding=1),
            operation("requantize", "a", "d", multiplier="m", low=-128, high=127),
            operation("concat", "d d d d", "e"),
            operation("pixel_shuffle", "e", "p", factor=2),
            operation("pixel_shuffle", "z", "q", factor=2),
            operation("pixel_unshuffle", "q", "o", factor=2),
            operation("conv2d", "o", "s", weight="same", bias="b2", groups=8),
            operation("requantize", "s", "z2", multiplier="one", low=-1000, high=1000),
        ],
        "p", "z2",
    )  # fmt: skip
    tensors = {
        "down": noise.array((2, 2, 3, 3), -127, 127, "int8"),
        "b": vector(0, 0),
        "m": vector(Fraction(1, 256), Fraction(1, 512), type="float32"),
        "same": replace(noise.array((8, 1, 1, 1), -2, 1), type="int8"),
        "b2": vector(*range(8)),
        "one": vector(1, type="float32"),
    }
    yield case(
        "down and up",
        "two inputs, rates 1/2, 1 and 2",
        code,
        tensors,
        {"x": noise.array((2, 4, 4), -128, 127), "z": noise.array((8, 4, 4), -128, 127)},
    )


# The cases: programs that must be refused -----------------------------------------------------


def refused_cases() -> Iterator[Json]:
    byte = port("x", 2, -128, 127)
    conv = operation("conv2d", "x", "sum", weight="w", bias="b")
    requantize = operation("requantize", "sum", "y", multiplier="m", low=-128, high=127)
    add = operation("add", "x x", "y", low=0, high=9)
    tensors = {
        "w": Array((2, 2, 1, 1), (1, 2, 3, 4), "int8"),
        "b": vector(0, 0),
        "m": vector(1, type="float32"),
        "t": vector(1, 2, 3),
    }

    def refused(
        name: str, ports: list[Json], operations: list[Json], *outputs: str, **other: Array
    ) -> Json:
        code = program(ports, operations, *outputs)
        return {
            "name": name,
            "program": code,
            "tensors": arrays_to_json({**tensors, **other}, stored=True),
        }

    def layer(name: str, fields: Json, **other: Array) -> Json:
        return refused(name, [byte], [conv | fields, requantize], "y", **other)

    def one(name: str, kind: str, **fields: int | str) -> Json:
        return refused(name, [byte], [operation(kind, "x", "y", **fields)], "y")

    yield refused(
        "an operation that is not defined", [byte], [operation("softmax", "x", "y")], "y"
    ) | {"message_names": "softmax"}
    yield refused("a key that is not defined", [byte], [add | {"dilation": 1}], "y") | {
        "message_names": "dilation"
    }
    yield refused("a port's key that is not defined", [byte | {"unit": 1}], [add], "y")
    code = refused("a program's key that is not defined", [byte], [add], "y")
    yield code | {"program": code["program"] | {"version": 2}}
    yield refused("an attribute is missing", [byte], [operation("add", "x x", "y", low=0)], "y")
    yield refused("an attribute that is no integer", [byte], [add | {"high": 9.5}], "y")
    yield refused("an attribute that is a truth value", [byte], [add | {"high": True}], "y")
    yield layer("a tensor's name is missing", {"weight": ""})
    yield layer("a tensor that is not in the pack", {"weight": "v"})
    yield refused(
        "a name that is not ASCII", [byte], [operation("add", "x x", "é", low=0, high=9)], "é"
    )
    yield refused("one operand of add", [byte], [operation("add", "x", "y", low=0, high=9)], "y")
    yield refused("no operand of concat", [byte], [operation("concat", "", "y")], "y")
    yield refused(
        "a value before it is made",
        [byte],
        [operation("clamp", "z", "y", low=0, high=9), add | {"output": "z"}],
        "y",
    )
    yield refused("a value made twice", [byte], [add, add], "y")
    yield refused("an input made again", [byte], [add | {"output": "x"}], "x")
    yield refused("an input stated twice", [byte, byte], [add], "y")
    yield refused("an output that is not made", [byte], [add], "z")

    yield refused("a sum that is an output", [byte], [conv], "sum")
    yield refused(
        "a sum that add reads", [byte], [conv, operation("add", "sum sum", "y", low=0, high=9)], "y"
    )
    yield refused(
        "a sum that clamp reads", [byte], [conv, operation("clamp", "sum", "y", low=0, high=9)], "y"
    )
    yield refused(
        "a sum that is read twice", [byte], [conv, requantize, requantize | {"output": "z"}], "y"
    )

    yield refused("no channels", [port("x", 0, -128, 127)], [add], "y")
    yield refused("8193 channels", [port("x", 8193, -128, 127)], [add], "y")
    folded = [
        operation("pixel_shuffle", "x", "wide", factor=64),
        operation("concat", " ".join(["wide"] * 5), "y"),
    ]
    yield refused("40960 numbers a position", [port("x", 2**13, 0, 9)], folded, "y")
    copies = [operation("clamp", "x", f"y{i}", low=0, high=9) for i in range(16)]
    yield refused(
        "17 values of 2^13 numbers a position at a time",
        [port("x", 2**13, 0, 9)],
        copies,
        *(copy["output"] for copy in copies),
    )
    yield refused("an empty range", [port("x", 2, 5, 4)], [add], "y")
    yield refused("a value of 2^24", [port("x", 2, 0, 2**24)], [add], "y")
    yield refused("a value of -2^24", [port("x", 2, -(2**24), 0)], [add], "y")
    yield refused("a result of 2^24", [byte], [add | {"high": 2**24}], "y")
    yield refused("an empty range of results", [byte], [add | {"low": 10}], "y")

    for name, bounds in (
        ("an operand below -2^15", (-32769, 0)),
        ("an operand above 2^16 - 1", (0, 65536)),
        ("an operand that spans 2^16", (-1, 65535)),
    ):
        yield refused(name, [port("x", 2, *bounds)], [conv, requantize], "y")
    yield refused(
        "a table of 16-bit integers",
        [byte],
        [operation("table", "x", "y", table="e", low=0)],
        "y",
        e=vector(1, 2, type="int16"),
    )

    yield layer("weights of 32 bits", {}, w=Array((2, 2, 1, 1), (1, 2, 3, 4), "int32"))
    yield layer("weights of three dimensions", {}, w=Array((2, 2, 1), (1, 2, 3, 4), "int8"))
    yield layer(
        "a kernel that is not square", {"padding": 1}, w=Array((2, 2, 3, 2), (1,) * 24, "int8")
    )
    yield layer(
        "a kernel of 33",
        {"padding": 16},
        w=Array((1, 1, 33, 33), (0,) * 33**2, "int8"),
        b=vector(0),
    ) | {"program": program([port("x", 1, 0, 1)], [conv | {"padding": 16}, requantize], "y")}
    yield layer("a bias of another length", {}, b=vector(0, 0, 0))
    yield layer("a bias of 16 bits", {}, b=vector(0, 0, type="int16"))
    yield layer("weights for three channels", {}, w=Array((2, 3, 1, 1), (1,) * 6, "int8"))
    yield layer("no results", {}, w=Array((0, 2, 1, 1), (), "int8"), b=vector())
    yield layer("stride 0", {"stride": 0})
    yield layer("negative padding", {"padding": -1})
    yield layer("padding of a 1x1 kernel", {"padding": 1})
    three = Array((2, 2, 3, 3), (1,) * 36, "int8")
    yield layer("a 3x3 kernel without padding", {}, w=three)
    yield layer("a 3x3 kernel with padding 2", {"padding": 2}, w=three)
    yield layer("groups 0", {"groups": 0})
    yield layer(
        "groups that do not divide the results",
        {"groups": 2},
        w=Array((3, 1, 1, 1), (1, 1, 1), "int8"),
        b=vector(0, 0, 0),
    )
    yield layer("groups with weights for all channels", {"groups": 2})

    yield layer("a negative multiplier", {}, m=vector(-1, type="float32"))
    yield layer("a multiplier of 2^24", {}, m=vector(2**24, type="float32"))
    yield layer("three multipliers for two channels", {}, m=vector(1, 1, 1, type="float32"))
    yield layer("an integer multiplier", {}, m=vector(1))
    yield refused(
        "a second multiplier of another length",
        [byte],
        [conv, requantize | {"negative_multiplier": "n"}],
        "y",
        n=vector(1, 1, 1, type="float32"),
    )

    other = port("z", 3, -128, 127)
    yield refused(
        "add of 2 and 3 channels", [byte, other], [operation("add", "x z", "y", low=0, high=9)], "y"
    )
    half = operation("pixel_unshuffle", "x", "u", factor=2)
    yield refused(
        "add of rates 1 and 1/2",
        [byte, port("z", 8, 0, 1)],
        [half, operation("add", "u z", "y", low=0, high=9)],
        "y",
    )
    yield refused("concat of rates 1 and 1/2", [byte], [half, operation("concat", "u x", "y")], "y")
    yield refused(
        "an empty table", [byte], [operation("table", "x", "y", table="e", low=0)], "y", e=vector()
    )
    yield refused(
        "a table of two dimensions",
        [byte],
        [operation("table", "x", "y", table="e", low=0)],
        "y",
        e=Array((1, 2), (1, 2)),
    )
    yield refused(
        "a table that reaches 2^24",
        [byte],
        [operation("table", "x", "y", table="e", low=0)],
        "y",
        e=vector(2**24),
    )
    yield one("a table that begins at 2^24", "table", table="t", low=2**24)
    yield one("a table that begins at -2^64", "table", table="t", low=-(2**64))
    yield one("a shuffle by 0", "pixel_shuffle", factor=0)
    yield one("a shuffle of 2 channels by 2", "pixel_shuffle", factor=2)
    yield one("an unshuffle by 65", "pixel_unshuffle", factor=65)
    yield one("an unshuffle into 8194 channels and more", "pixel_unshuffle", factor=64) | {
        "program": program(
            [port("x", 3, 0, 1)], [operation("pixel_unshuffle", "x", "y", factor=64)], "y"
        )
    }

    square = Array((2, 2), (1, 2, 3, 4), "int8")
    normal = operation("igdn", "x", "sum", weight="v", bias="b")

    def normalization(name: str, fields: Json, **other: Array) -> Json:
        return refused(name, [byte], [normal | fields, requantize], "y", **{"v": square, **other})

    yield normalization("a root that may reach 2^24", {"root_bits": 16})
    yield normalization("a bias beyond the root", {"bias_bits": 31}, b=vector(0, 2**17))
    yield normalization("32 bits for the bias", {"bias_bits": 32})
    yield normalization("-1 bits for the root", {"root_bits": -1})
    yield normalization("a negative weight", {}, v=replace(square, values=(1, 2, -3, 4)))
    yield normalization("a negative bias", {}, b=vector(0, -1))
    yield normalization("a weight that is not square", {}, v=Array((2, 1), (1, 1), "int8"))
    yield normalization("a weight of four dimensions", {}, v=replace(square, shape=(2, 2, 1, 1)))
    yield normalization("normalization weights of 32 bits", {}, v=replace(square, type="int32"))
    yield normalization("a normalization's bias of 16 bits", {}, b=vector(0, 0, type="int16"))
    yield normalization("a normalization's sum as an output", {}) | {
        "program": program([byte], [normal], "sum")
    }
    whole = operation("gdn", "x", "y", weight="v", bias="b", low=0, high=9)
    yield refused(
        "a dividend of 2^52", [byte], [whole | {"root_bits": 14, "fraction_bits": 31}], "y",
        v=square,
    )  # fmt: skip
    yield refused(
        "an operand of 17 bits", [port("x", 2, 0, 65536)], [whole], "y", v=square
    )  # fmt: skip

    normal = operation(
        "layernorm", "x", "y", gain="g", bias="b", low=-9, high=9, fraction_bits=4
    )  # fmt: skip
    gain = vector(1, 1, type="float32")

    def layernorm_of(name: str, ports: Json, fields: Json, **other: Array) -> Json:
        return refused(name, [ports], [normal | fields], "y", **{"g": gain, **other})

    short = port("x", 2, -32768, 32767)
    yield layernorm_of("a gain for one channel", byte, {}, g=vector(1, type="float32"))
    yield layernorm_of("an integer gain", byte, {}, g=vector(1, 1))
    yield layernorm_of("a gain of -2^24", byte, {}, g=vector(1, -(2**24), type="float32"))
    yield layernorm_of("a layernorm's bias of 2^24", byte, {}, b=vector(0, 2**24))
    yield layernorm_of("a layernorm's bias of 16 bits", byte, {}, b=vector(0, 0, type="int16"))
    yield layernorm_of("a negative epsilon", byte, {"epsilon": -1})
    yield layernorm_of("an epsilon of 2^52", byte, {"epsilon": 2**52})
    yield layernorm_of("a variance of 2^52", short, {"root_bits": 11})
    yield layernorm_of("-1 fraction bits", byte, {"fraction_bits": -1})
    yield layernorm_of("32 bits of the root", port("x", 2, 0, 0), {"root_bits": 32})
    yield layernorm_of("a normal value of 2^23", byte, {"fraction_bits": 22})
    yield layernorm_of(
        "deviations of 2^52", port("x", 2, 0, 1), {"root_bits": 24, "fraction_bits": 28}
    )
    yield layernorm_of(
        "squares of 2^53", port("x", 6, 2**24 - 9, 2**24 - 1), {},
        g=vector(*[1] * 6, type="float32"), b=vector(*[0] * 6),
    )  # fmt: skip

    attending = operation(
        "window_attention", "x", "y", multiplier="m", bias="near", table="t", heads=1, window=2
    )

    def attention_of(
        name: str, fields: Json, low: int = -128, high: int = 127, channels: int = 3,
        **other: Array,
    ) -> Json:  # fmt: skip
        stored = {"near": array((1, 3, 3), lambda *_: 0), **other}
        return refused(name, [port("x", channels, low, high)], [attending | fields], "y", **stored)

    yield attention_of("heads 0", {"heads": 0})
    yield attention_of("heads that do not divide the channels", {"heads": 2})
    yield attention_of("channels that are not queries, keys and values", {}, channels=4)
    yield attention_of("a window of 0", {"window": 0})
    yield attention_of("a window of 17", {"window": 17}, near=array((1, 33, 33), lambda *_: 0))
    yield attention_of("a shift of a window", {"shift": 2})
    yield attention_of("a negative shift", {"shift": -1})
    yield attention_of("an attention's operand of 17 bits", {}, 0, 65536)
    yield attention_of("two multipliers for one head", {}, m=vector(1, 1, type="float32"))
    yield attention_of("a negative multiplier of scores", {}, m=vector(-1, type="float32"))
    yield attention_of("scores over 2^21", {}, m=vector(129, type="float32"))
    yield attention_of("an attention's bias of 16 bits", {}, near=replace(
        array((1, 3, 3), lambda *_: 0), type="int16"))  # fmt: skip
    yield attention_of("a bias for windows of 1", {}, near=array((1, 1, 1), lambda *_: 0))
    yield attention_of("a bias of 2^21", {}, near=array((1, 3, 3), lambda *_: 2**21))
    yield attention_of("no weights", {}, t=vector())
    yield attention_of("a negative weight of a score", {}, t=vector(3, -1))
    yield attention_of("no weight for the largest score", {}, t=vector(0, 1))
    yield attention_of(
        "sums of weighted values of 2^52", {"window": 16}, 0, 2**15, t=vector(2**31 - 1),
        near=array((1, 31, 31), lambda *_: 0), m=vector(Fraction(1, 2**20), type="float32"),
    )  # fmt: skip

    other = port("z", 3, -128, 127)
    product = operation("mul", "x z", "sum")
    yield refused("mul of 2 and 3 channels", [byte, other], [product, requantize], "y")
    yield refused("a product that is an output", [byte], [operation("mul", "x x", "sum")], "sum")
    n = number("n", 0, 65535)
    yield refused("mul by a number", [byte, number("z", 0, 1)], [product, requantize], "y")
    scaled = operation("scale", "x n", "sum")
    yield refused("scale by a plane", [byte, port("n", 2, 0, 1)], [scaled, requantize], "y")
    yield refused("scale of a number", [n], [scaled | {"inputs": ["n", "n"]}, requantize], "y")
    yield refused("scale of one operand", [byte, n], [scaled | {"inputs": ["x"]}, requantize], "y")
    yield refused("a number that is an output", [byte, n], [add], "n")
    yield refused("a number of 2^24", [byte, number("n", 0, 2**24)], [add], "y")
    yield refused("a number with an empty range", [byte, number("n", 1, 0)], [add], "y")

    for start, stop in ((-1, 1), (0, 3), (1, 1), (2, 1)):
        yield one(f"a split from {start} to {stop}", "split", start=start, stop=stop)

    for name, fields in (
        ("a phase of 1", {"factor": 1}),
        ("a phase of 65", {"factor": 65}),
        ("a row beyond the phases", {"factor": 2, "row": 2}),
        ("a negative row", {"factor": 2, "row": -1}),
        ("a column beyond the phases", {"factor": 2, "column": 2}),
        ("a negative column", {"factor": 2, "column": -1}),
        ("a phase of no factor", {"row": 0, "column": 0}),
        ("a phase by another key", {"factor": 2, "phase": 1}),
    ):
        yield one(name, "phase", **fields)
    part = operation("phase", "x", "u", factor=2)
    joined = operation("concat", "u x", "y")
    yield refused("concat of a plane and its phase", [byte], [part, joined], "y")


# The cases: entropy coding ---------------------------------------------------------------------


def steps_case(
    name: str, shows: str, g: int, d: int, step: tuple[int, int], scale: Array, mean: Array,
    thresholds: Sequence[int], symbols: Array,
) -> Json:  # fmt: skip
    unit = 2**g
    i, count = step
    low, high = unit, unit
    if d >= unit:
        high = unit + rne(Fraction((d - unit) * (i + 1), count))
    else:
        low = d + rne(Fraction((unit - d) * i, count))

    def delta(c: int, row: int, column: int) -> int:
        channel = [
            v for v, index in zip(scale.values, scale.indexes(), strict=True) if index[0] == c
        ]
        least, largest = min(channel), max(channel)
        if least == largest:
            return high
        part = Fraction((scale[c, row, column] - least) * (high - low), largest - least)
        return high - rne(part)

    steps = array(scale.shape, delta)
    indexes = array(scale.shape, lambda *p: sum(scale[p] * unit > t * steps[p] for t in thresholds))
    decoded = array(
        scale.shape, lambda *p: sat(symbols[p] * steps[p] + mean[p], LATENT_LOW, LATENT_HIGH)
    )
    return {
        "name": name,
        "shows": shows,
        "latent_fraction_bits": g,
        "d": d,
        "step": i,
        "step_count": count,
        "thresholds": list(thresholds),
        "scale": array_to_json(scale, stored=False),
        "mean": array_to_json(mean, stored=False),
        "symbols": array_to_json(symbols, stored=False),
        "lo": low,
        "hi": high,
        "steps": array_to_json(steps, stored=False),
        "scale_indexes": array_to_json(indexes, stored=False),
        "decoded": array_to_json(decoded, stored=False),
    }


def steps_cases() -> Iterator[Json]:
    noise = Noise(5)

    def zeros(shape: tuple[int, ...]) -> Array:
        return array(shape, lambda *_: 0)

    x = plane(100, 200, 350)
    yield steps_case(
        "example",
        "section 'Scale index'",
        6,
        96,
        (1, 4),
        x,
        zeros(x.shape),
        [100, 150, 200, 300],
        zeros(x.shape),
    )
    x = plane(0, 1, 2, 3, 4)
    yield steps_case(
        "ties",
        "the share of the largest scale falls on halves",
        2,
        6,
        (0, 1),
        x,
        zeros(x.shape),
        [1, 2, 3],
        zeros(x.shape),
    )
    yield steps_case(
        "ties of hi",
        "(d - u)(i + 1) / K is 1/2, 3/2, ...",
        4,
        17,
        (0, 2),
        x,
        zeros(x.shape),
        [1],
        zeros(x.shape),
    )
    yield steps_case(
        "ties of hi, odd", "3/2 becomes 2", 4, 17, (2, 2), x, zeros(x.shape), [1], zeros(x.shape)
    )
    yield steps_case(
        "ties of lo", "(u - d) i / K is 3/2", 4, 13, (1, 2), x, zeros(x.shape), [1], zeros(x.shape)
    )
    x = array((3, 1, 2), lambda c, r, q: (7, 7, 0, 0, -5, -5)[2 * c + q])
    yield steps_case(
        "flat channels",
        "all scales equal, also 0 and below",
        3,
        24,
        (0, 2),
        x,
        zeros(x.shape),
        [1, 6, 7, 8],
        zeros(x.shape),
    )
    x = plane(-32768, -1, 0, 1, 32767)
    yield steps_case(
        "negative scales",
        "the difference of two needs 17 bits",
        6,
        4096,
        (4, 5),
        x,
        zeros(x.shape),
        [1, 100, 300, 30000],
        plane(1, -1, 3, 8, -9),
    )
    x = array((1, 2, 4), lambda c, r, q: (40, 41, 42, 79, 80, 81, 82, 160)[4 * r + q])
    yield steps_case(
        "thresholds",
        "scales just below, at and above a threshold",
        5,
        32,
        (0, 5),
        x,
        zeros(x.shape),
        [40, 80, 160],
        zeros(x.shape),
    )
    for d in (1, 16, 33, 63, 64, 65, 100, 1000, 32768):
        i = noise.integer(0, 4)
        shape = (2, 2, 3)
        scale = noise.array(shape, 0, 2**17)
        thresholds = sorted({noise.integer(1, 2**17) for _ in range(9)})
        yield steps_case(
            f"d {d}", f"step {i} of 5; sat of the latents", 6, d, (i, 5), scale,
            noise.array(shape, LATENT_LOW, LATENT_HIGH), thresholds, noise.array(shape, -999, 999),
        )  # fmt: skip


def even_steps_cases() -> Iterator[Json]:
    for name, g, d, share in (
        ("no share", 6, 4096, 0),
        ("all of it", 6, 4096, 65535),
        ("rounded down", 6, 96, 30000),
        ("rounded up", 6, 96, 31000),
        ("d below 1 makes finer steps", 6, 16, 40000),
        ("the least step", 6, 1, 65535),
        ("just over a half", 1, 3, 32768),
        ("just under a half", 1, 3, 32767),
    ):
        unit = 2**g
        step = unit + rne(Fraction((d - unit) * share, 65535))
        yield {
            "name": name, "latent_fraction_bits": g, "d": d, "step_share": share, "delta": step,
        }  # fmt: skip


def shares_between_cases() -> Iterator[Json]:
    for name, share, other, beta in (
        ("beta 0", 20000, 60000, 0),
        ("beta 1", 20000, 60000, 65535),
        ("rising", 0, 65535, 12345),
        ("falling", 60000, 3, 40000),
        ("rounded up", 100, 101, 32768),
        ("rounded down", 100, 101, 32767),
        ("falling, rounded", 101, 100, 32768),
    ):
        between = share + rne(Fraction((other - share) * beta, 65535))
        yield {
            "name": name, "step_share": share, "beta_step_share": other, "beta": beta,
            "share_in_force": between,
        }  # fmt: skip


def encode_rans(symbols: Sequence[tuple[int, int]]) -> bytes:
    """The stream of symbols, each (frequency, sum of the frequencies before it)."""
    x, words = 2**31, []
    for frequency, start in reversed(symbols):
        if x >= 2**47 * frequency:
            words.append(x % 2**32)
            x //= 2**32
        x = 2**16 * (x // frequency) + start + x % frequency
    words += [x // 2**32, x % 2**32]
    return b"".join(word.to_bytes(4, "little") for word in reversed(words))


def varint(value: int) -> bytes:
    digits = []
    while value >= 128:
        digits.append(value % 128 + 128)
        value //= 128
    return bytes([*digits, value])


def encode_escape(value: int, low: int, high: int) -> bytes:
    return varint(2 * (value - high - 1) if value > high else 2 * (low - 1 - value) + 1)


@dataclass(frozen=True)
class Table:
    offset: int
    frequencies: tuple[int, ...]

    @property
    def high(self) -> int:
        return self.offset + len(self.frequencies) - 2

    def to_json(self) -> Json:
        return {"offset": self.offset, "frequencies": list(self.frequencies)}


def encode_values(
    tables: Sequence[Table], indexes: Sequence[int], values: Sequence[int]
) -> tuple[bytes, bytes]:
    """The rANS stream and the escapes of `values`, each coded with the table of its index."""
    symbols, escapes = [], b""
    for index, value in zip(indexes, values, strict=True):
        one = tables[index]
        inside = one.offset <= value <= one.high
        place = value - one.offset if inside else len(one.frequencies) - 1
        symbols.append((one.frequencies[place], sum(one.frequencies[:place])))
        if not inside:
            escapes += encode_escape(value, one.offset, one.high)
    return encode_rans(symbols), escapes


def stream_case(
    name: str, shows: str, tables: Sequence[Table], indexes: Sequence[int], values: Sequence[int]
) -> Json:
    rans, escapes = encode_values(tables, indexes, values)
    return {
        "name": name,
        "shows": shows,
        "tables": [one.to_json() for one in tables],
        "indexes": list(indexes),
        "values": list(values),
        "rans": rans.hex(),
        "escapes": escapes.hex(),
    }


SPREAD = Table(-1, (16384, 32768, 16384))
SHARP = Table(5, (1, 65533, 1, 1))
LEAST = Table(-3, (65535, 1))


def stream_cases() -> Iterator[Json]:
    noise = Noise(6)
    example = (0, -1, 7, 0, 0)
    yield stream_case(
        "example", "section 'Example' of 'Entropy coding'", [SPREAD], [0] * 5, example
    )
    yield stream_case("three symbols", "nothing but the state", [SPREAD], [0] * 3, [0, 0, -1])
    yield stream_case(
        "rare symbols",
        "frequency 1: a word for every two symbols",
        [SHARP],
        [0] * 12,
        [5, 7, 6, 5, 5, 7, 7, 7, 5, 5, 7, 6],
    )
    yield stream_case(
        "certain symbols", "frequency 65533: no word for many symbols", [SHARP], [0] * 40, [6] * 40
    )
    edges = [
        LEAST.offset - 1,
        LEAST.high + 1,
        LEAST.high + 64,
        LEAST.high + 65,
        LEAST.offset - 64,
        LEAST.offset - 65,
        LEAST.high + 8192,
        LEAST.high + 8193,
        32767,
        -32767,
        -3,
    ]
    yield stream_case(
        "escapes",
        "one, two and three bytes, both signs, the largest magnitudes",
        [LEAST],
        [0] * len(edges),
        edges,
    )
    tables = [SPREAD, SHARP, LEAST]
    indexes = [noise.integer(0, 2) for _ in range(60)]
    values = [noise.integer(-4, 8) for _ in indexes]
    yield stream_case("several tables", "tables and escapes mixed", tables, indexes, values)


def damaged_stream_cases() -> Iterator[Json]:
    values = [0, -1, 7, 0, 0, 0, 0, -1, 9, 1]
    rans, escapes = encode_values([SPREAD], [0] * len(values), values)

    def damaged(name: str, rans: bytes, escapes: bytes) -> Json:
        return {
            "name": name,
            "tables": [SPREAD.to_json()],
            "indexes": [0] * len(values),
            "rans": rans.hex(),
            "escapes": escapes.hex(),
        }

    assert len(escapes) == 3
    yield damaged("no stream", b"", escapes)
    yield damaged("half a word less", rans[:-2], escapes)
    yield damaged("one state word", rans[:4], escapes)
    yield damaged("more than a word for each symbol", rans + bytes(48), escapes)
    yield damaged("first state below 2^31", rans[:4] + bytes(4) + rans[8:], escapes)
    yield damaged("first state of 2^63", rans[:4] + b"\0\0\0\x80" + rans[8:], escapes)
    yield damaged("an escape too few", rans, escapes[:-1])
    yield damaged("an escape too many", rans, escapes + b"\0")
    yield damaged("an escape that does not end", rans, escapes[:-1] + b"\x82")
    yield damaged("an escape in too many bytes", rans, escapes[:-1] + b"\x82\0")
    yield damaged("an escape of four bytes", rans, escapes[:-1] + b"\x80\x80\x80\x01")
    too_large = 2 * (32768 - 0 - 1)
    code = bytes([too_large % 128 + 128, too_large // 128 % 128 + 128, too_large // 128**2])
    yield damaged("an escape for 32768", rans, escapes[:-1] + code)


def stream_count_cases() -> Iterator[Json]:
    for total in (3, 5000, 2**20, 2**20 + 1, 2**21 - 1, 2**21, 2**21 + 3, 5 * 2**20 + 7):
        lengths, left = [], total
        while left >= 2**21:
            lengths.append(2**20)
            left -= 2**20
        yield {"name": str(total), "symbols": total, "streams": [*lengths, left]}


def wavefront_cases() -> Iterator[Json]:
    for rows, columns, reach in ((1, 1, 2), (4, 9, 2), (5, 3, 1), (3, 2, 3), (8, 8, 2)):
        places = [(row, column) for row in range(rows) for column in range(columns)]
        fronts: dict[int, list[list[int]]] = {}
        for row, column in places:
            fronts.setdefault(column + (reach + 1) * row, []).append([row, column])
        last = columns - 1 + (reach + 1) * (rows - 1)
        row, column = rows // 2, columns // 2
        square = [
            [row + down, column + right]
            for down in range(-reach, reach + 1)
            for right in range(-reach, reach + 1)
        ]
        yield {
            "name": f"{rows}x{columns}, reach {reach}",
            "rows": rows,
            "columns": columns,
            "reach": reach,
            "wavefronts": [fronts.get(front, []) for front in range(last + 1)],
            "position": [row, column],
            "neighbours": square[: square.index([row, column])],
        }


# The cases: weights packs ----------------------------------------------------------------------


def packed_cases() -> Iterator[Json]:
    noise = Noise(7)

    def packed(name: str, width: int, values: Array) -> Json:
        bits = "".join(f"{v + 2 ** (width - 1):0{width}b}" for v in values.values)
        bits += "0" * (-len(bits) % 8)
        data = bytes(int(bits[i : i + 8], 2) for i in range(0, len(bits), 8))
        return {
            "name": name,
            "width": width,
            "shape": list(values.shape),
            "values": list(values.values),
            "bytes": data.hex(),
        }

    yield packed("example", 3, Array((5,), (-4, 3, 0, 1, -1)))
    for width in range(2, 8):
        low, high = -(2 ** (width - 1)), 2 ** (width - 1) - 1
        ends = Array((1, 2, 1, 1), (low, high))
        yield packed(f"width {width}, ends", width, ends)
        yield packed(f"width {width}", width, noise.array((3, 2, 2, 2), low, high))


def canonical_json(data: Any) -> str:
    if isinstance(data, dict):
        return "{" + ",".join(f'"{k}":{canonical_json(data[k])}' for k in sorted(data)) + "}"
    if isinstance(data, list):
        return "[" + ",".join(canonical_json(entry) for entry in data) + "]"
    if isinstance(data, str):
        return '"' + data.replace("\\", "\\\\").replace('"', '\\"') + '"'
    assert type(data) is int
    return str(data)


def stored_bytes(x: Array) -> bytes:
    if x.type == "float32":
        bits = (float(v).hex() for v in x.values)
        return b"".join(binary32_bits(float.fromhex(b)).to_bytes(4, "little") for b in bits)
    size = {"int8": 1, "int16": 2, "int32": 4}[x.type]
    return b"".join(int(v).to_bytes(size, "little", signed=True) for v in x.values)


def binary32_bits(value: float) -> int:
    """The 32 bits of a positive normal binary32 number."""
    mantissa, exponent = math.frexp(value)  # mantissa in [1/2, 1)
    assert 0.5 <= mantissa < 1 and -125 <= exponent <= 128
    return ((exponent + 126) << 23) + int(mantissa * 2**24) - 2**23


def identifier(text: str, names: Iterable[str], tensors: dict[str, Array]) -> str:
    """The first bytes of the SHA-256 over canonical JSON and tensors."""
    data = text.encode("ascii")
    for name in sorted(names):
        x = tensors[name]
        shape = ",".join(str(size) for size in x.shape)
        data += f"\n{name} {x.type} {shape}\n".encode() + stored_bytes(x)
    return hashlib.sha256(data).digest()[:8].hex()


def weights_id_cases() -> Iterator[Json]:
    """A whole pack, small and legal: alignment 4, latents of 2x2 pixels, hyper-latents of 4x4."""
    latent = (LATENT_LOW, LATENT_HIGH)
    code = {
        "up": program(
            [port("hyper_latents", 1, -8, 7)],
            # Written with defaults, which canonical JSON leaves out.
            [operation("conv2d", "hyper_latents", "a", weight="up.w", bias="up.b",
                       stride=1, padding=0, groups=1),
             operation("requantize", "a", "b", multiplier="up.m", low=-8, high=7),
             operation("pixel_shuffle", "b", "features", factor=2)],
            "features",
        ),
        "predict": program(
            [port("features", 1, -8, 7)],
            [operation("table", "features", "mean", table="means", low=-8),
             operation("clamp", "features", 'the "scale"', low=0, high=7)],
            "mean", 'the "scale"', "features",
        ),
        "correct": program(
            [port("context", 1, -8, 7), port("decoded", 1, *latent)],
            [operation("clamp", "decoded", "half", low=-1, high=1)],
            "half",
        ),
        "paint": program(
            [port("latents", 1, *latent)],
            [operation("conv2d", "latents", "a", weight="paint.w", bias="paint.b", padding=1),
             operation("requantize", "a", "b", multiplier="paint.m", low=0, high=255),
             operation("pixel_shuffle", "b", "samples", factor=2)],
            "samples",
        ),
        "adapted paint": program(
            [port("latents", 1, *latent), number("alpha", 0, 65535)],
            [operation("conv2d", "latents", "a", weight="paint.w", bias="paint.b", padding=1),
             operation("requantize", "a", "b", multiplier="paint.m", low=-400, high=400),
             operation("conv2d", "latents", "c", weight="branch.w", bias="branch.b"),
             operation("requantize", "c", "d", multiplier="branch.m", low=-500, high=500),
             operation("scale", "d alpha", "e"),
             operation("requantize", "e", "f", multiplier="branch.gain", low=-400, high=400),
             operation("add", "b f", "g", low=0, high=255),
             operation("pixel_shuffle", "g", "samples", factor=2)],
            "samples",
        ),
        "adapted predict": program(
            [port("features", 1, -8, 7), number("alpha", 0, 65535)],
            [operation("table", "features", "a", table="means", low=-8),
             operation("scale", "features alpha", "b"),
             operation("requantize", "b", "c", multiplier="branch.gain", low=-60, high=60),
             operation("add", "a c", "mean", low=-100, high=100),
             operation("clamp", "features", 'the "scale"', low=0, high=7)],
            "mean", 'the "scale"', "features",
        ),
        "adapted correct": program(
            [port("context", 1, -8, 7), port("decoded", 1, *latent), number("beta", 0, 65535)],
            [operation("clamp", "decoded", "a", low=-100, high=100),
             operation("scale", "a beta", "b"),
             operation("requantize", "b", "half", multiplier="branch.gain", low=-1, high=1)],
            "half",
        ),
        "analysis": program(
            [port("pixels", 1, 0, 255)],
            [operation("clamp", "pixels", "y", low=0, high=1)],
            "y",
        ),
        "unused by decoders": program(
            [port("pixels", 1, 0, 255), number("alpha", 0, 65535)],
            [operation("clamp", "pixels", "y", low=0, high=1)],
            "y",
        ),
    }  # fmt: skip
    schedule = {
        "alignment": 4,
        "latent_stride": 2,
        "hyper_stride": 4,
        "latent_fraction_bits": 2,
        "scale_fraction_bits": 0,
        "d_low": 1,
        "d_high": 64,
        "hyper_synthesis": "up",
        "synthesis": "paint",
        "steps": [{"start": 0, "stop": 1, "parameters": "predict", "residual": "correct"}],
    }
    noise = Noise(8)
    tensors = {
        "up.w": noise.array((4, 1, 1, 1), -2, 1, "int8"),
        "up.b": vector(1, -1, 0, 2),
        "up.m": vector(fl32(Fraction(1, 3)), type="float32"),
        "means": noise.array((16,), -40, 40),
        "paint.w": noise.array((12, 1, 3, 3), -300, 300, "int16"),
        "paint.b": noise.array((12,), 0, 10**6),
        "paint.m": vector(*(fl32(Fraction(n, 10**4)) for n in range(1, 13)), type="float32"),
        "tables.hyper.medians": vector(1),
        "tables.hyper.lengths": vector(4),
        "tables.hyper.offsets": vector(-1),
        "tables.hyper.frequencies": vector(10000, 30000, 20000, 5536),
        "tables.latent.thresholds": vector(2),
        "tables.latent.lengths": vector(2, 4),
        "tables.latent.offsets": vector(0, -1),
        "tables.latent.frequencies": vector(65535, 1, 20000, 25000, 20000, 536),
        "branch.w": noise.array((12, 1, 1, 1), -7, 7, "int8"),
        "branch.b": noise.array((12,), -100, 100),
        "branch.m": vector(fl32(Fraction(1, 3)), type="float32"),
        "branch.gain": vector(fl32(Fraction(8, 65535)), type="float32"),
        "unused by decoders": vector(1, 2, 3),
    }
    widths = {"up.w": 2, "paint.w": 16, "branch.w": 4}
    first = code["up"]["operations"][0]
    bare = {k: v for k, v in first.items() if k not in ("stride", "padding", "groups")}
    decoder = {name: code[name] for name in ("up", "predict", "correct", "paint")}
    decoder["up"] = decoder["up"] | {"operations": [bare, *code["up"]["operations"][1:]]}
    head = canonical_json(
        {
            "backbone": "tiny",
            "profile": "int-1",
            "plan": [2, 16],
            "programs": decoder,
            "schedule": schedule,
        }
    )

    branch = {name for name in tensors if name.startswith("branch.")}
    weights_id = identifier(head, set(tensors) - branch - {"unused by decoders"}, tensors)
    # A set whose prediction adapts too, with steps of its own, one for samples alone, and one
    # whose steps go with beta.
    sets = {
        "mse": ({"predict": "adapted predict", "paint": "adapted paint"}, 20),
        "ms-ssim": ({"paint": "adapted paint"}, 4),
        "perceptual": ({"correct": "adapted correct", "paint": "adapted paint"}, 30),
    }
    stated: dict[str, Json] = {
        "mse": {"step_shares": [40000]},
        "ms-ssim": {},
        "perceptual": {"step_shares": [40000], "beta_step_shares": [9000]},
    }
    stand_ins = {
        objective: {plain: code[name] for plain, name in programs.items()}
        for objective, (programs, _) in sets.items()
    }
    heads = {
        objective: canonical_json(
            {"plan": [16, 4], "programs": programs, "weights_id": weights_id} | stated[objective]
        )
        for objective, programs in stand_ins.items()
    }
    yield {
        "name": "a small pack",
        "shows": "defaults left out, a quotation mark escaped, what decoders do not use left out, "
        "and adapter sets that share tensors",
        "backbone": "tiny",
        "schedule": schedule,
        "programs": code,
        "widths": widths,
        "tensors": arrays_to_json(tensors, stored=True),
        "canonical_json": head,
        "weights_id": weights_id,
        "adapters": [
            {
                "objective": objective,
                "programs": programs | {"analysis": "unused by decoders"},
                "d": d,
                **stated[objective],
                "id": identifier(
                    heads[objective],
                    branch | {"paint.w", "paint.b", "paint.m"}
                    | ({"means"} if "predict" in programs else set()),
                    tensors,
                ),
            }
            for objective, (programs, d) in sets.items()
        ],
        "adapter_canonical_json": list(heads.values()),
    }  # fmt: skip


# The cases: conditions and steps by phases -----------------------------------------------------

ONE = 65535  # what alpha and beta count in
LARGEST_BIAS = 2**30


def worth(rows: Array, knots: Sequence[int], d: int, others: Array | None = None,
          beta: int = 0) -> Array:  # fmt: skip
    """What conditions are worth at d, and at beta where there are `others`."""
    i = max(j for j in range(len(knots) - 1) if knots[j] <= d)
    below, above, span = knots[i + 1] - d, d - knots[i], knots[i + 1] - knots[i]

    def element(c: int) -> int:
        dividend = rows[i, c] * below + rows[i + 1, c] * above
        if others is None:
            return rne(Fraction(dividend, span))
        other = others[i, c] * below + others[i + 1, c] * above
        return rne(Fraction((ONE - beta) * dividend + beta * other, ONE * span))

    return array(rows.shape[1:], element)


def by_knot(*rows: Sequence[int]) -> Array:
    """Conditions: a row for each knot."""
    return Array((len(rows), len(rows[0])), tuple(itertools.chain(*rows)))


def condition_cases() -> Iterator[Json]:
    def of(
        name: str, shows: str, knots: Sequence[int], d: int, rows: Array,
        others: Array | None = None, beta: int = 0,
    ) -> Json:  # fmt: skip
        assert list(knots) == sorted(set(knots)) and knots[0] <= d <= knots[-1]
        assert rows.shape[0] == len(knots) and 0 <= beta <= ONE
        stated = {"conditions": array_to_json(rows, stored=True)}
        if others is not None:
            assert others.shape == rows.shape
            stated |= {"set_conditions": array_to_json(others, stored=True), "beta": beta}
        found = list(worth(rows, knots, d, others, beta).values)
        return {"name": name, "shows": shows, "knots": list(knots), "d": d, **stated,
                "worth": found}  # fmt: skip

    example = by_knot((100, 0), (301, 7), (5, -5))
    knots = (1024, 3072, 8192)
    yield of("example", "section 'Conditions'", knots, 2048, by_knot((100,), (301,), (0,)))
    yield of("example with beta", "section 'Conditions'", knots, 2048,
             by_knot((100,), (301,), (0,)), by_knot((0,), (7,), (0,)), 21845)  # fmt: skip
    for d in (1024, 1025, 3071, 3072, 3073, 8191, 8192):
        yield of(f"d {d}", "at, just below and just above knots", knots, d, example)
    halves = by_knot((0, 1, 2, -1, -2, -3, 5), (1, 2, 3, 0, -1, -2, -4))
    yield of("ties", "half to even, of both signs", (10, 12), 11, halves)
    quarters = by_knot((0, 0, 1, -1, 3, -3), (2, -2, 0, 0, 1, -1))
    for d in range(4, 9):
        yield of(f"quarters, {d - 4} of 4", "ties and others", (4, 8), d, quarters)
    yield of("two knots", "the least number of them, a step apart", (1, 2), 2, by_knot((7,), (-9,)))
    many = tuple(range(5, 5 + 3 * 64, 3))
    rows = Noise(14).array((64, 2), -1000, 1000)
    for d in (5, 6, 100, 191, 194):
        yield of(f"64 knots, d {d}", "the largest number of them", many, d, rows)
    ends = by_knot((LARGEST_BIAS, -LARGEST_BIAS, LARGEST_BIAS), (LARGEST_BIAS, LARGEST_BIAS, 1))
    yield of("largest", "2^30 at knots as far apart as can be", (1, 65535), 40000, ends)
    other = by_knot((-LARGEST_BIAS, LARGEST_BIAS, 3), (-LARGEST_BIAS, 1 - LARGEST_BIAS, 4))
    for beta in (0, 1, 32767, 32768, 65534, 65535):
        yield of(f"largest, beta {beta}", "a dividend of up to 62 bits", (1, 65535), 40000, ends,
                 other, beta)  # fmt: skip
    yield of("ties of beta", "halves of the set's conditions", (2, 4), 3,
             by_knot((9, 9, 9, 9), (9, 9, 9, 9)), by_knot((1, 3, 0, 0), (0, 2, -1, -3)),
             65535)  # fmt: skip
    noise = Noise(15)
    knots, divisor = (3, 3 + 65521), ONE * 65521  # odd, so that there are no ties
    found = 0
    while found < 4:
        rest = (divisor + 1) // 2 if found % 2 else (divisor - 1) // 2
        d, beta = noise.integer(4, 65000), noise.integer(1, ONE - 1)
        factor = (ONE - beta) * (knots[1] - d)
        rows, others = (noise.array((2, 1), -LARGEST_BIAS, LARGEST_BIAS) for _ in range(2))
        if math.gcd(factor, divisor) > 1:
            continue
        others_part = (ONE - beta) * rows[1, 0] * (d - knots[0]) + beta * (
            others[0, 0] * (knots[1] - d) + others[1, 0] * (d - knots[0])
        )
        first = (rest - others_part) * pow(factor, -1, divisor) % divisor
        dividend = factor * first + others_part
        assert dividend % divisor == rest
        if first <= LARGEST_BIAS and rne(Fraction(dividend, divisor)) != round(
            float(dividend) / float(divisor)
        ):
            found += 1
            rows = by_knot((first,), (rows[1, 0],))
            yield of(f"beside a half, {found}", "quotients that binary64 takes for another integer",
                     knots, d, rows, others, beta)  # fmt: skip


def multiplier_cases() -> Iterator[Json]:
    noise = Noise(16)

    def of(name: str, shows: str, pairs: Sequence[tuple[Number, int]]) -> Json:
        stored = vector(*(fl32(m) for m, _ in pairs), type="float32")
        values = [v for _, v in pairs]
        products = vector(*(fl32(m * v) for m, v in zip(stored.values, values, strict=True)),
                          type="float32")  # fmt: skip
        assert all(m < 2**24 for m in products.values)
        x = [noise.integer(-(2**30), 2**30) for _ in pairs]
        rounded = [
            sat(rne(fl32(fl32(n) * m)), -LARGEST_VALUE, LARGEST_VALUE)
            for n, m in zip(x, products.values, strict=True)
        ]
        return {
            "name": name, "shows": shows, "stored": array_to_json(stored, stored=True),
            "worth": values, "in_force": array_to_json(products, stored=True),
            "sums": x, "requantized": rounded,
        }  # fmt: skip

    tenth = Fraction(1, 10)
    yield of("exact", "powers of 2", [(Fraction(1, 2**20), 2**n) for n in (0, 1, 10, 23)])
    yield of("rounded", "the product of binary32, once", [(tenth, n) for n in (1, 3, 7, 11, 999)])
    yield of("ends", "the largest and the least conditions",
             [(fl32(1) / 2**24, 2**24 - 1), (fl32(Fraction(1, 3)) / 2**20, 2**24 - 1), (7, 0),
              (fl32(Fraction(2**24 - 1, 2**24)), 2**24 - 1)])  # fmt: skip
    odd = [(fl32(Fraction(noise.integer(1, 10**6), 10**6)) / 2**20, noise.integer(1, 2**24 - 1))
           for _ in range(12)]  # fmt: skip
    yield of("any", "two roundings, of the multiplier and of what it multiplies", odd)


def coded_channels(step: Json) -> list[int]:
    """The latent channel of each channel of a step's mean."""
    if "phases" in step:
        return [first + k for first in step["phases"] for k in range(step["count"])]
    return list(range(step["start"], step["stop"]))


def scale_index(scale: Number, unit: int, delta: int, thresholds: Sequence[int]) -> int:
    return sum(scale * unit > t * delta for t in thresholds)


def channel_step_cases() -> Iterator[Json]:
    noise = Noise(17)

    def of(
        name: str, shows: str, g: int, step: Json, rows: Array, knots: Sequence[int], d: int,
        thresholds: Sequence[int], scale: Array, mean: Array, symbols: Array,
    ) -> Json:  # fmt: skip
        by_channel = worth(rows, knots, d).values
        steps = [by_channel[c] for c in coded_channels(step)]
        indexes = array(
            scale.shape, lambda *p: scale_index(scale[p], 2**g, steps[p[0]], thresholds)
        )
        decoded = array(
            scale.shape, lambda *p: sat(symbols[p] * steps[p[0]] + mean[p], LATENT_LOW, LATENT_HIGH)
        )
        return {
            "name": name, "shows": shows, "latent_fraction_bits": g, "knots": list(knots), "d": d,
            "step": step, "conditions": array_to_json(rows, stored=True),
            "thresholds": list(thresholds), "scale": array_to_json(scale, stored=False),
            "mean": array_to_json(mean, stored=False),
            "symbols": array_to_json(symbols, stored=False), "steps": steps,
            "scale_indexes": array_to_json(indexes, stored=False),
            "decoded": array_to_json(decoded, stored=False),
        }  # fmt: skip

    flat = array((3, 1, 3), lambda c, r, q: (99, 100, 101)[q])
    zero = array((3, 1, 3), lambda *_: 0)
    yield of(
        "equal scales", "a step for each channel, whatever its scales are", 4,
        {"start": 0, "stop": 3}, by_knot((16, 8, 32), (32, 16, 48)), (1, 3), 2, [50, 100, 150],
        flat, zero, array((3, 1, 3), lambda *p: 1),
    )  # fmt: skip
    yield of(
        "largest steps", "2^15, and latents that are cut off", 0, {"start": 0, "stop": 1},
        by_knot((2**15,), (2**15,)), (1, 9), 4, [1, 2**24 - 1],
        plane(0, 1, 2**15, 2**15 + 1, 2**24 - 1, -(2**15)), plane(0, -1, 7, 0, 0, 0),
        plane(0, 1, -1, 2, -32767, 0),
    )  # fmt: skip
    rows = noise.array((4, 9), 1, 2000)
    for name, step in (
        ("a slice", {"start": 4, "stop": 7}),
        ("phases", {"phases": [3, 5, 7, 3], "count": 2}),
        ("the other phases", {"phases": [5, 7, 3, 5], "count": 2}),
    ):
        shape = (len(coded_channels(step)), 2, 2)
        yield of(
            name, "steps of these channels, in the order of mean's", 6, step, rows,
            (16, 64, 256, 768), 100, sorted(noise.integer(1, 3000) for _ in range(7)),
            noise.array(shape, 0, 2**14), noise.array(shape, LATENT_LOW, LATENT_HIGH),
            noise.array(shape, -40, 40),
        )  # fmt: skip


def band_of(d: int, bands: Sequence[int]) -> int:
    return sum(change <= d for change in bands)


def band_cases() -> Iterator[Json]:
    knots, rows = (16, 100, 768), by_knot((1, 2, 1), (4, 9, 1), (100, 30, 9999))
    medians, symbols = (0, -3, 5), (-2, 3, 1)
    for name, bands, d in (
        ("one band", (), 99),
        ("below all", (17, 100, 300), 16),
        ("at the first", (17, 100, 300), 17),
        ("just below the second", (17, 100, 300), 99),
        ("at the second", (17, 100, 300), 100),
        ("at the last, d_high", (17, 768), 768),
    ):
        steps = worth(rows, knots, d).values
        band = band_of(d, bands)
        yield {
            "name": name, "hyper_bands": list(bands), "knots": list(knots), "d": d,
            "conditions": array_to_json(rows, stored=True), "medians": list(medians),
            "symbols": list(symbols), "tables": [band * 3 + c for c in range(3)],
            "hyper_steps": list(steps),
            "hyper_latents": [q * s + m for q, s, m in zip(symbols, steps, medians, strict=True)],
        }  # fmt: skip


# The cases: a whole pack with conditions, and files that it decodes -----------------------------

DEFAULTS = {
    "stride": 1, "padding": 0, "groups": 1, "shift": 0, "epsilon": 0, "bias_bits": 0,
    "root_bits": 0, "fraction_bits": 0, "row": 0, "column": 0,
}  # fmt: skip


@dataclass(frozen=True)
class SmallPack:
    """A pack as its description and its tensors say; adapter sets have no ids yet."""

    schedule: Json
    programs: dict[str, Json]
    widths: dict[str, int]
    tensors: dict[str, Array]
    adapters: list[Json]
    backbone: str = "tiny"

    @classmethod
    def from_json(cls, data: Json) -> SmallPack:
        tensors = {name: array_from_json(x) for name, x in data["tensors"].items()}
        sets = [{k: v for k, v in own.items() if k != "id"} for own in data["adapters"]]
        return cls(data["schedule"], data["programs"], data["widths"], tensors, sets,
                   data["backbone"])  # fmt: skip

    @property
    def places(self) -> list[str]:
        """The decoder's programs in the order in which they first run."""
        parts = [*self.schedule["steps"], self.schedule]
        middle = [part[key] for part in parts for key in ("parameters", "residual") if key in part]
        names = [self.schedule["hyper_synthesis"], *middle, self.schedule["synthesis"]]
        return list(dict.fromkeys(names))

    def named(self, names: Iterable[str]) -> list[str]:
        """The tensors that operations of programs name."""
        operations = (one for name in names for one in self.programs[name]["operations"])
        return [
            value
            for one in operations
            for key, value in one.items()
            if isinstance(value, str) and key not in ("kind", "output")
        ]

    def plan(self, names: Iterable[str]) -> list[int]:
        weights = (
            one["weight"] for name in names for one in self.programs[name]["operations"]
            if "weight" in one
        )  # fmt: skip
        return [self.widths[weight] for weight in weights]

    def stored(self, names: Iterable[str]) -> set[str]:
        """These tensors, where the pack holds them, and their conditions."""
        own = set(names)
        return (own | {f"conditions.{name}" for name in own}) & set(self.tensors)

    def head(self) -> str:
        schedule = dict(self.schedule)
        default = {"features": ["features"], "hyper_bands": [],
                   "d_fraction_bits": schedule["latent_fraction_bits"]}  # fmt: skip
        return canonical_json(
            {
                "backbone": self.backbone,
                "plan": self.plan(self.places),
                "profile": "int-1",
                "programs": {name: bare(self.programs[name]) for name in self.places},
                "schedule": {k: v for k, v in schedule.items() if default.get(k) != v},
            }
        )

    @cached_property
    def weights_id(self) -> str:
        names = self.stored(self.named(self.places))
        names |= {"conditions.steps", "conditions.hyper_steps"} & set(self.tensors)
        names |= {name for name in self.tensors if name.startswith("tables.")}
        return identifier(self.head(), names, self.tensors)

    def stand_ins(self, own: Json) -> dict[str, str]:
        return {place: own["programs"][place] for place in self.places if place in own["programs"]}

    def set_conditions(self, own: Json) -> dict[str, str]:
        """Those of an adapter set that decoders use."""
        running = [own["programs"].get(place, place) for place in self.places]
        used = {*self.named(running), "steps", "hyper_steps"}
        return {n: other for n, other in own.get("conditions", {}).items() if n in used}

    def set_head(self, own: Json) -> str:
        stand_ins = self.stand_ins(own)
        fields = {
            "plan": self.plan(stand_ins.values()),
            "programs": {place: bare(self.programs[n]) for place, n in stand_ins.items()},
            "weights_id": self.weights_id,
        }
        fields |= {k: own[k] for k in ("step_shares", "beta_step_shares") if k in own}
        if "conditions" in own:
            fields["conditions"] = self.set_conditions(own)
        return canonical_json(fields)

    def set_id(self, own: Json) -> str:
        names = self.stored(self.named(self.stand_ins(own).values()))
        names |= {n for n in self.set_conditions(own).values() if n in self.tensors}
        return identifier(self.set_head(own), names, self.tensors)

    def to_json(self) -> Json:
        return {
            "backbone": self.backbone,
            "schedule": self.schedule,
            "programs": self.programs,
            "widths": self.widths,
            "tensors": arrays_to_json(self.tensors, stored=True),
            "adapters": self.adapters,
        }


def bare(code: Json) -> Json:
    """A program without the attributes that have their defaults."""
    operations = [
        {k: v for k, v in one.items() if k not in DEFAULTS or v != DEFAULTS[k]}
        for one in code["operations"]
    ]
    return code | {"operations": operations}


GRID = {"sparse": [1, 3, 3, 1], "rest": [2, 1, 1, 2]}  # the channels of each phase


def conditioned_programs() -> dict[str, Json]:
    latent = (LATENT_LOW, LATENT_HIGH)
    small, features = (-100, 100), [port("features", 2, -100, 100), port("level", 1, -100, 100)]
    heads = []
    for p in range(4):
        heads += [
            operation("phase", "context", f"p{p}", factor=2, row=p // 2, column=p % 2),
            operation("conv2d", f"p{p}", f"h{p}", weight="sparse.head", bias="sparse.head.b"),
            operation("requantize", f"h{p}", f"o{p}", multiplier="sparse.head.m", low=-200,
                      high=200),
            operation("split", f"o{p}", f"m{p}", start=0, stop=1),
            operation("split", f"o{p}", f"s{p}", start=1, stop=2),
        ]  # fmt: skip
    analysis = [
        operation("pixel_unshuffle", "pixels", "u", factor=2),
        operation("conv2d", "u", "a", weight="analysis.w", bias="analysis.b"),
    ]
    near = operation("requantize", "latents", "near", multiplier="eighth", low=-100, high=100)
    painted = [
        operation("conv2d", "latents", "a", weight="paint.w", bias="paint.b", padding=1),
        operation("requantize", "a", "b", multiplier="paint.m", low=0, high=255),
    ]
    return {
        "up": program(
            [port("hyper_latents", 2, -150, 150)],
            [operation("conv2d", "hyper_latents", "a", weight="up.w", bias="up.b", padding=1),
             operation("requantize", "a", "b", multiplier="up.m", low=-100, high=100),
             operation("pixel_shuffle", "b", "c", factor=2),
             operation("split", "c", "features", start=0, stop=2),
             operation("split", "c", "level", start=2, stop=3)],
            "features", "level",
        ),
        "first": program(
            [features[0]],
            [operation("conv2d", "features", "a", weight="first.w", bias="first.b"),
             operation("requantize", "a", "b", multiplier="first.m", low=-400, high=400),
             operation("split", "b", "mean", start=0, stop=1),
             operation("split", "b", "c", start=1, stop=2),
             operation("table", "c", "scale", table="scales", low=-60)],
            "mean", "scale",
        ),
        "sparse": program(
            [features[0], port("latents", 4, *latent)],
            [near,
             operation("concat", "features near", "seen"),
             operation("conv2d", "seen", "a", weight="sparse.w", bias="sparse.b", padding=1),
             operation("requantize", "a", "context", multiplier="sparse.m",
                       negative_multiplier="sparse.n", low=-100, high=100),
             *heads,
             operation("concat", "m0 m1 m2 m3", "mean"),
             operation("concat", "s0 s1 s2 s3", "s"),
             operation("table", "s", "scale", table="scales", low=-60)],
            "mean", "scale", "context",
        ),
        "rest": program(
            [features[1], features[0], port("latents", 4, *latent)],
            [near,
             operation("concat", "near level features", "context"),
             operation("conv2d", "context", "a", weight="rest.w", bias="rest.b", stride=2,
                       padding=1),
             operation("requantize", "a", "b", multiplier="rest.m", low=-200, high=200),
             operation("split", "b", "mean", start=0, stop=8),
             operation("split", "b", "s", start=8, stop=16),
             operation("table", "s", "scale", table="scales", low=-60)],
            "mean", "scale", "context",
        ),
        "correct": program(
            [port("context", 7, *small), port("latents", 4, *latent)],
            [near,
             operation("concat", "context near", "seen"),
             operation("conv2d", "seen", "a", weight="correct.w", bias="correct.b", padding=1),
             operation("requantize", "a", "correction", multiplier="correct.m", low=-6, high=6)],
            "correction",
        ),
        "paint": program(
            [port("latents", 4, *latent)],
            [*painted, operation("pixel_shuffle", "b", "samples", factor=2)],
            "samples",
        ),
        "adapted paint": program(
            [port("latents", 4, *latent), number("alpha", 0, ONE)],
            [*painted,
             operation("conv2d", "latents", "c", weight="branch.w", bias="branch.b"),
             operation("requantize", "c", "e", multiplier="branch.m", low=-500, high=500),
             operation("scale", "e alpha", "f"),
             operation("requantize", "f", "g", multiplier="branch.gain", low=-400, high=400),
             operation("add", "b g", "h", low=0, high=255),
             operation("pixel_shuffle", "h", "samples", factor=2)],
            "samples",
        ),
        "analysis": program(
            [port("pixels", 3, -255, 255)],
            [*analysis,
             operation("requantize", "a", "y", multiplier="analysis.m", low=-1000, high=1000)],
            "y",
        ),
        "hyper_analysis": program(
            [port("latents", 4, *latent)],
            [operation("pixel_unshuffle", "latents", "u", factor=2),
             operation("split", "u", "v", start=0, stop=2),
             operation("requantize", "v", "z", multiplier="eighth", low=-150, high=150)],
            "z",
        ),
    }  # fmt: skip


KNOTS = [16, 64, 200, 768]


def conditioned_pack() -> SmallPack:
    """Alignment 8, latents of 2x2 pixels, hyper-latents of 4x4; one slice, then two steps by
    phases and a residual for all latents."""
    noise = Noise(18)

    def at_knots(channels: int, low: int, high: int) -> Array:
        return noise.array((len(KNOTS), channels), low, high)

    def gains(channels: int, multiplier: Fraction) -> Array:
        """Multipliers to be conditioned by about 2^11."""
        factors = (Fraction(noise.integer(700, 1400), 1000 * 2**11) for _ in range(channels))
        return vector(*(fl32(multiplier * factor) for factor in factors), type="float32")

    gain = (1000, 4000)
    tensors = {
        "up.w": noise.array((12, 2, 3, 3), -128, 127, "int8"),
        "conditions.up.b": at_knots(12, -9000, 9000),
        "up.m": gains(12, Fraction(1, 200)),
        "conditions.up.m": at_knots(12, *gain),
        "first.w": noise.array((2, 2, 1, 1), -8, 7, "int8"),
        "conditions.first.b": at_knots(2, -600, 600),
        "first.m": vector(fl32(Fraction(1, 3)), type="float32"),
        "scales": array((400,), lambda i: i * i // 60 - 20),
        "sparse.w": noise.array((4, 6, 3, 3), -128, 127, "int8"),
        "sparse.b": noise.array((4,), -5000, 5000),
        "sparse.m": vector(*(fl32(Fraction(1, n)) for n in (400, 500, 600, 700)), type="float32"),
        "sparse.n": gains(4, Fraction(1, 800)),
        "conditions.sparse.n": at_knots(4, *gain),
        "sparse.head": noise.array((2, 4, 1, 1), -32, 31, "int8"),
        "conditions.sparse.head.b": at_knots(2, -900, 900),
        "sparse.head.m": gains(2, Fraction(1, 30)),
        "conditions.sparse.head.m": at_knots(2, *gain),
        "rest.w": noise.array((16, 7, 4, 4), -3000, 3000, "int16"),
        "conditions.rest.b": at_knots(16, -LARGEST_BIAS // 2000, LARGEST_BIAS // 2000),
        "rest.m": vector(fl32(Fraction(1, 9000)), type="float32"),
        "correct.w": noise.array((4, 11, 3, 3), -128, 127, "int8"),
        "conditions.correct.b": at_knots(4, -9000, 9000),
        "correct.m": gains(4, Fraction(1, 9000)),
        "conditions.correct.m": at_knots(4, *gain),
        "paint.w": noise.array((12, 4, 3, 3), -128, 127, "int8"),
        "conditions.paint.b": at_knots(12, 20000, 90000),
        "paint.m": gains(12, Fraction(1, 600)),
        "conditions.paint.m": at_knots(12, *gain),
        "eighth": vector(Fraction(1, 8), type="float32"),
        "branch.w": noise.array((12, 4, 1, 1), -8, 7, "int8"),
        "conditions.branch.b": at_knots(12, -2000, 2000),
        "branch.m": vector(fl32(Fraction(1, 20)), type="float32"),
        "branch.gain": vector(fl32(Fraction(1, ONE)), type="float32"),
        "analysis.w": noise.array((4, 12, 1, 1), -128, 127, "int8"),
        "conditions.analysis.b": at_knots(4, -9000, 9000),
        "analysis.m": vector(fl32(Fraction(1, 99)), type="float32"),
        "conditions.steps": by_knot((2, 3, 1, 2), (8, 7, 9, 8), (20, 30, 25, 27),
                                    (100, 90, 80, 120)),
        "conditions.hyper_steps": by_knot((1, 1), (2, 1), (4, 3), (8, 5)),
        "conditions.of nothing": at_knots(3, -1, 1),
        "looks steps": by_knot((3, 3, 2, 1), (10, 9, 12, 7), (31, 40, 12, 19), (130, 60, 60, 140)),
        "looks up.b": at_knots(12, -9000, 9000),
        "looks paint.m": at_knots(12, *gain),
        "looks analysis.b": at_knots(4, -9000, 9000),
        "looks hyper_steps": by_knot((1, 2), (3, 2), (4, 5), (9, 9)),
        "looks branch.b": at_knots(12, -2000, 2000),
        "tables.hyper.medians": vector(1, -2),
        "tables.hyper.lengths": vector(6, 5, 4, 5, 3, 4),
        "tables.hyper.offsets": vector(-3, -2, -1, -2, -1, -1),
        "tables.hyper.frequencies": vector(
            *(5000, 10000, 30000, 15000, 5000, 536), *(10000, 30000, 20000, 5000, 536),
            *(20000, 25000, 20000, 536), *(9000, 40000, 9000, 7000, 536),
            *(30000, 30000, 5536), *(20000, 25000, 20000, 536),
        ),
        "tables.latent.thresholds": vector(2, 9, 40),
        "tables.latent.lengths": vector(2, 4, 6, 9),
        "tables.latent.offsets": vector(0, -1, -2, -4),
        "tables.latent.frequencies": vector(
            *(65000, 536), *(15000, 35000, 15000, 536), *(5000, 15000, 25000, 15000, 5000, 536),
            *(3000, 6000, 9000, 12000, 12000, 11000, 8000, 4000, 536),
        ),
    }  # fmt: skip
    widths = dict.fromkeys(
        ("up.w", "sparse.w", "correct.w", "paint.w", "analysis.w"), 8
    ) | {"first.w": 4, "sparse.head": 6, "rest.w": 16, "branch.w": 4}  # fmt: skip
    schedule = {
        "alignment": 8,
        "latent_stride": 2,
        "hyper_stride": 4,
        "latent_fraction_bits": 3,
        "scale_fraction_bits": 2,
        "d_fraction_bits": 6,
        "d_low": 16,
        "d_high": 768,
        "knots": KNOTS,
        "hyper_bands": [50, 200],
        "hyper_synthesis": "up",
        "features": ["features", "level"],
        "residual": "correct",
        "synthesis": "paint",
        "steps": [
            {"start": 0, "stop": 1, "parameters": "first"},
            {"phases": GRID["sparse"], "count": 1, "parameters": "sparse"},
            {"phases": GRID["rest"], "count": 2, "parameters": "rest"},
        ],
    }
    adapters = [
        {"objective": "mse", "programs": {"paint": "adapted paint"}, "d": 300},
        {"objective": "looks", "programs": {}, "d": 64,
         "conditions": {"steps": "looks steps", "up.b": "looks up.b", "paint.m": "looks paint.m",
                        "analysis.b": "looks analysis.b"}},
        {"objective": "both", "programs": {"paint": "adapted paint", "analysis": "analysis"},
         "d": 64,
         "conditions": {"branch.b": "looks branch.b", "hyper_steps": "looks hyper_steps"}},
    ]  # fmt: skip
    return SmallPack(schedule, conditioned_programs(), widths, tensors, adapters)


def sliced_pack() -> SmallPack:
    """The same with two slices that have residuals of their own, d in units of latents, and one
    band; without adapter sets and encoders."""
    whole, noise, latent = conditioned_pack(), Noise(20), (LATENT_LOW, LATENT_HIGH)
    features, level = whole.programs["rest"]["inputs"][1::-1]
    near = operation("requantize", "previous", "near", multiplier="eighth", low=-100, high=100)
    programs = {
        "up": whole.programs["up"],
        "first": whole.programs["first"] | {"outputs": ["mean", "scale", "features"]},
        "correct first": program(
            [features | {"name": "context"}, port("decoded", 1, *latent)],
            [operation("split", "context", "a", start=1, stop=2),
             operation("clamp", "a", "b", low=-9, high=7)],
            "b",
        ),
        "second": program(
            [level, port("previous", 1, *latent)],
            [near,
             operation("concat", "level near", "context"),
             operation("conv2d", "context", "a", weight="second.w", bias="second.b"),
             operation("requantize", "a", "b", multiplier="second.m", low=-200, high=200),
             operation("split", "b", "mean", start=0, stop=3),
             operation("split", "b", "s", start=3, stop=6),
             operation("table", "s", "scale", table="scales", low=-60)],
            "mean", "scale", "context",
        ),
        "correct second": program(
            [port("context", 2, -100, 100), port("decoded", 3, *latent)],
            [operation("clamp", "decoded", "a", low=-3, high=5)],
            "a",
        ),
        "paint": whole.programs["paint"],
    }  # fmt: skip
    tensors = {
        **whole.tensors,
        "second.w": noise.array((6, 2, 1, 1), -8, 7, "int8"),
        "conditions.second.b": noise.array((len(KNOTS), 6), -900, 900),
        "second.m": vector(fl32(Fraction(1, 6)), type="float32"),
        "tables.hyper.lengths": vector(6, 5),
        "tables.hyper.offsets": vector(-3, -2),
        "tables.hyper.frequencies": vector(
            *(5000, 10000, 30000, 15000, 5000, 536), *(10000, 30000, 20000, 5000, 536)
        ),
    }
    steps = [
        {"start": 0, "stop": 1, "parameters": "first", "residual": "correct first"},
        {"start": 1, "stop": 4, "parameters": "second", "residual": "correct second"},
    ]
    gone = ("d_fraction_bits", "hyper_bands", "residual")
    schedule = {key: value for key, value in whole.schedule.items() if key not in gone}
    schedule |= {"knots": [2, 8, 25, 96], "d_low": 2, "d_high": 96, "steps": steps}
    pack = SmallPack(schedule, programs, whole.widths | {"second.w": 4}, tensors, [])
    used = pack.stored([*pack.named(pack.places), "steps", "hyper_steps"])
    used |= {name for name in tensors if name.startswith("tables.")}
    widths = {name: width for name, width in pack.widths.items() if name in used}
    return replace(
        pack, widths=widths, tensors={name: x for name, x in tensors.items() if name in used}
    )


PHASED, SLICED = "a pack with conditions", "slices with conditions"


def conditioned_pack_cases() -> Iterator[Json]:
    for name, shows, pack in (
        (
            PHASED,
            "biases that are conditions alone, multipliers and negative ones that have them, "
            "conditions of encoders and of nothing, three bands of hyper-latents, steps by phases, "
            "a residual for all, and adapter sets with and without conditions",
            conditioned_pack(),
        ),
        (SLICED, "slices with residuals of their own, and d in units of latents", sliced_pack()),
    ):
        own = pack.to_json()
        own["adapters"] = [one | {"id": pack.set_id(one)} for one in pack.adapters]
        yield {
            "name": name,
            "shows": shows,
            **own,
            "canonical_json": pack.head(),
            "weights_id": pack.weights_id,
            "adapter_canonical_json": [pack.set_head(one) for one in pack.adapters],
        }


class Walk:
    """Decodes a picture of made-up symbols step by step, and writes down what happens."""

    def __init__(
        self, pack: SmallPack, noise: Noise, d: int, objective: str = "", alpha: int = 0,
        beta: int = 0,
    ) -> None:  # fmt: skip
        self.pack, self.noise, self.d = pack, noise, d
        sets = [own for own in pack.adapters if own["objective"] == objective]
        self.own = sets[0] if sets else None
        self.gains = {"alpha": Array((), (alpha,)), "beta": Array((), (beta,))}
        self.beta = beta
        self.tables: list[int] = []
        self.symbols: list[int] = []
        self.latent = tables_of(pack, "latent")
        self.hyper = tables_of(pack, "hyper")

    def worth(self, name: str) -> Array:
        others = (self.own or {}).get("conditions", {}).get(name)
        rows = self.pack.tensors[f"conditions.{name}"]
        other = None if others is None else self.pack.tensors[others]
        return worth(rows, self.pack.schedule["knots"], self.d, other, self.beta)

    def tensor(self, name: str) -> Array:
        """The constant of an operation."""
        stored = self.pack.tensors.get(name)
        if f"conditions.{name}" not in self.pack.tensors:
            return stored
        if stored is None:
            return self.worth(name)
        products = zip(stored.values, self.worth(name).values, strict=True)
        return vector(*(fl32(m * v) for m, v in products), type="float32")

    def stand_in(self, place: str) -> str:
        return place if self.own is None else self.own["programs"].get(place, place)

    def run(self, place: str, **inputs: Array) -> list[Array]:
        """The outputs of the program at a place of the schedule."""
        code = self.pack.programs[self.stand_in(place)]
        names = self.pack.named([self.stand_in(place)])
        tensors = {name: self.tensor(name) for name in names}
        values = inputs | self.gains
        for stated in code["inputs"]:
            x = values[stated["name"]]
            assert stated["low"] <= min(x.values) and max(x.values) <= stated["high"]
        found = run(code, tensors, values)
        return [found[name] for name in code["outputs"]]

    def symbol(self, table: int, spread: int) -> int:
        """One that this table is asked for."""
        value = self.noise.integer(-spread, spread)
        self.tables.append(table)
        self.symbols.append(value)
        return value

    def decode_hyper(self, rows: int, columns: int) -> Array:
        medians, steps = self.pack.tensors["tables.hyper.medians"], self.worth("hyper_steps")
        bands = self.pack.schedule.get("hyper_bands", [])
        first = band_of(self.d, bands) * len(medians.values)
        return array(
            (len(medians.values), rows, columns),
            lambda c, *_: self.symbol(first + c, 4) * steps[c,] + medians[c,],
        )

    def decode_step(
        self, step: Json, mean: Array, scale: Array, context: Sequence[Array]
    ) -> tuple[dict[tuple[int, ...], Number], Json]:
        """What a step decodes, by channel, row and column of the latents, and what is written
        down of it."""
        schedule, by_channel = self.pack.schedule, self.worth("steps")
        unit = 2 ** schedule["latent_fraction_bits"]
        thresholds = self.pack.tensors["tables.latent.thresholds"].values
        coded = coded_channels(step)
        steps = [by_channel[c,] for c in coded]
        indexes = array(
            scale.shape, lambda *p: scale_index(scale[p], unit, steps[p[0]], thresholds)
        )

        def value(*p: int) -> int:
            symbol = self.symbol(len(self.hyper) + indexes[p], (0, 2, 3, 7)[indexes[p]])
            return sat(symbol * steps[p[0]] + mean[p], LATENT_LOW, LATENT_HIGH)

        decoded = array(scale.shape, value)

        def place(plane: int, row: int, column: int) -> tuple[int, int, int]:
            if "phases" not in step:
                return coded[plane], row, column
            phase = plane // step["count"]
            return coded[plane], 2 * row + phase // 2, 2 * column + phase % 2

        written = {
            "mean": array_to_json(mean, stored=False),
            "scale": array_to_json(scale, stored=False),
            "steps": steps,
            "scale_indexes": array_to_json(indexes, stored=False),
            "decoded": array_to_json(decoded, stored=False),
        }
        if "residual" in step:
            (correction,) = self.run(step["residual"], context=context[0], decoded=decoded)
            written["correction"] = array_to_json(correction, stored=False)
            decoded = corrected(decoded, correction)
        return {place(*p): decoded[p] for p in decoded.indexes()}, written

    def decode(self, rows: int, columns: int) -> Json:
        """The samples of a picture with hyper-latent planes of rows x columns, and all before
        them."""
        schedule = self.pack.schedule
        z = self.decode_hyper(rows, columns)
        outputs = self.run(schedule["hyper_synthesis"], hyper_latents=z)
        features = dict(zip(schedule["features"], outputs, strict=True))
        finer = schedule["hyper_stride"] // schedule["latent_stride"]
        channels = len({c for step in schedule["steps"] for c in coded_channels(step)})
        shape = (channels, rows * finer, columns * finer)
        known: dict[tuple[int, ...], Number] = {}

        def latents_known() -> Array:
            return array(shape, lambda *at: known.get(at, 0))

        walked = []
        for step in schedule["steps"]:
            before = latents_known()
            seen = {"latents": before} | features
            if step.get("start"):
                seen["previous"] = split(before, 0, step["start"])
            mean, scale, *context = self.run(step["parameters"], **seen)
            decoded, written = self.decode_step(step, mean, scale, context)
            assert not known.keys() & decoded.keys()
            known |= decoded
            walked.append({"latents": array_to_json(before, stored=False), **written})
        latents = latents_known()
        assert len(known) == len(latents.values)
        written = {
            "hyper_latents": array_to_json(z, stored=False),
            "steps": walked,
            "latents": array_to_json(latents, stored=False),
        }
        if "residual" in schedule:
            (correction,) = self.run(schedule["residual"], context=context[0], latents=latents)
            latents = corrected(latents, correction)
            written["correction"] = array_to_json(correction, stored=False)
            written["corrected"] = array_to_json(latents, stored=False)
        (samples,) = self.run(schedule["synthesis"], latents=latents)
        return written | {"samples": array_to_json(samples, stored=False)}


def corrected(latents: Array, correction: Array) -> Array:
    return add(latents, correction, LATENT_LOW, LATENT_HIGH)


def tables_of(pack: SmallPack, family: str) -> list[Table]:
    lengths, offsets, frequencies = (
        list(pack.tensors[f"tables.{family}.{part}"].values)
        for part in ("lengths", "offsets", "frequencies")
    )
    found = []
    for length, offset in zip(lengths, offsets, strict=True):
        own, frequencies = frequencies[:length], frequencies[length:]
        assert sum(own) == 2**16
        found.append(Table(int(offset), tuple(int(f) for f in own)))
    assert not frequencies
    return found


def chunk(kind: bytes, data: bytes) -> bytes:
    crc = zlib.crc32(kind + data)
    return len(data).to_bytes(4, "big") + kind + data + crc.to_bytes(4, "big")


def lic_file(
    pack: SmallPack, size: tuple[int, int, int], d: int, bits: int, gains: tuple[int, int],
    adapter_id: str, checksum: int, stream: tuple[bytes, bytes],
) -> bytes:  # fmt: skip
    """A whole file; `size` is height, width and channels."""
    height, width, channels = size
    header = bytes([1]) + varint(width) + varint(height) + bytes([8, channels, 0])
    header += bytes([len(pack.backbone)]) + pack.backbone.encode("ascii") + bytes([1])
    header += bytes.fromhex(pack.weights_id) + bytes([bits]) + varint(d)
    header += varint(gains[0]) + varint(gains[1]) + bytes.fromhex(adapter_id)
    widths = (2, 3, 4, 5, 6, 7, 8, 16)
    runs = [(w, len([*same])) for w, same in itertools.groupby(pack.plan(pack.places))]
    plan = bytes((length - 1) * 8 + widths.index(width) for width, length in runs)
    rans, escapes = stream
    data = checksum.to_bytes(4, "big") + varint(1) + varint(len(rans)) + varint(len(escapes))
    return b"".join([
        b"\x89LIC\r\n\x1a\n", chunk(b"LHDR", header), chunk(b"PLAN", plan),
        chunk(b"DATA", data + rans + escapes),
    ])  # fmt: skip


def pixels_of(samples: Array, size: tuple[int, int, int]) -> Array:
    def element(row: int, column: int, channel: int) -> int:
        if size[2] == 3:
            return samples[channel, row, column]
        return (2 * sum(samples[c, row, column] for c in range(3)) + 3) // 6

    return array(size, element)


def walk_cases() -> Iterator[Json]:
    noise, packs = Noise(19), {PHASED: conditioned_pack(), SLICED: sliced_pack()}
    for name, shows, used, size, d, objective, alpha, beta in (
        ("d 1.0", "a knot; the second of three bands", PHASED, (5, 11, 3), 64, "", 0, 0),
        ("the least d", "the first knot; the first band", PHASED, (8, 8, 3), 16, "", 0, 0),
        ("the largest d", "the last knot; the last band", PHASED, (3, 9, 1), 768, "", 0, 0),
        ("between knots", "constants that are rounded", PHASED, (8, 5, 3), 133, "", 0, 0),
        ("a set of conditions", "beta alone", PHASED, (7, 8, 3), 133, "looks", 0, 30000),
        ("all of beta", "the set's own conditions", PHASED, (8, 8, 1), 500, "looks", 0, ONE),
        ("a stand-in", "alpha alone; a bias that the stand-in alone names", PHASED, (8, 8, 3), 90,
         "mse", 20000, 0),
        ("a stand-in with conditions", "alpha and beta", PHASED, (6, 6, 3), 300, "both", ONE,
         40000),
        ("a stand-in at beta 0", "of a set that has conditions", PHASED, (6, 6, 3), 300, "both", 7,
         0),
        ("slices, d 1.0", "residuals slice by slice", SLICED, (8, 8, 3), 8, "", 0, 0),
        ("slices between knots", "steps that are rounded", SLICED, (4, 13, 3), 60, "", 0, 0),
    ):  # fmt: skip
        pack = packs[used]
        walk = Walk(pack, noise, d, objective, alpha, beta)
        rows, columns = (-(-side // 8) * 8 // 4 for side in size[:2])
        walked = walk.decode(rows, columns)
        pixels = pixels_of(array_from_json(walked["samples"]), size)
        checksum = zlib.crc32(bytes(pixels.values))
        stream = encode_values(walk.hyper + walk.latent, walk.tables, walk.symbols)
        adapter_id = "" if walk.own is None else pack.set_id(walk.own)
        bits = pack.schedule.get("d_fraction_bits", pack.schedule["latent_fraction_bits"])
        file = lic_file(pack, size, d, bits, (alpha, beta), adapter_id, checksum, stream)
        yield {
            "name": name, "shows": shows, "pack": used, "d": d, "objective": objective,
            "alpha": alpha, "beta": beta, "tables": walk.tables, "symbols": walk.symbols, **walked,
            "pixels": array_to_json(pixels, stored=False), "file": file.hex(),
        }  # fmt: skip


def refused_file_cases() -> Iterator[Json]:
    """Files that the pack's decoder must refuse, whatever their pixels' checksum is."""
    pack = conditioned_pack()
    size, channels = (8, 8, 3), 2
    ids = {own["objective"]: pack.set_id(own) for own in pack.adapters}
    hyper = tables_of(pack, "hyper")

    def of(
        name: str, d: int = 64, bits: int = 6, gains: tuple[int, int] = (0, 0),
        objective: str = "", symbol: int = 0,
    ) -> Json:  # fmt: skip
        """`symbol` is that of all hyper-latents."""
        count = 4 * channels
        stream = encode_values(hyper, [2 + i // 4 for i in range(count)], [symbol] * count)
        adapter_id = ids.get(objective, "0123456789abcdef") if any(gains) else ""
        file = lic_file(pack, size, d, bits, gains, adapter_id, 0, stream)
        return {"name": name, "pack": PHASED, "file": file.hex()}

    yield of("d in units of latents", d=8, bits=3)
    yield of("d below d_low", d=15)
    yield of("d above d_high", d=769)
    yield of("beta of a set without conditions", gains=(9, 9), objective="mse")
    yield of("alpha of a set of conditions", gains=(9, 9), objective="looks")
    yield of("an adapter set that the pack lacks", gains=(0, 9), objective="none")
    yield of("a hyper-latent out of range", symbol=75)


def merged(target: Any, patch: Any) -> Any:
    """`target` changed by a JSON merge patch (RFC 7396)."""
    if not isinstance(patch, dict):
        return patch
    changed = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            changed.pop(key, None)
        else:
            changed[key] = merged(changed.get(key), value)
    return changed


def refused_pack_cases() -> Iterator[Json]:
    """Packs with one fault each; their ids are right."""
    conditioned, plain = next(conditioned_pack_cases()), next(weights_id_cases())
    whole = SmallPack.from_json(conditioned)
    assert whole.weights_id == conditioned["weights_id"]
    assert SmallPack.from_json(plain).weights_id == plain["weights_id"]

    def of(name: str, patch: Json, base: Json = conditioned) -> Json:
        pack = SmallPack.from_json(merged(base, patch))
        ids = [pack.set_id(own) for own in pack.adapters]
        return {
            "name": name, "pack": base["name"], "patch": patch, "weights_id": pack.weights_id,
            "adapter_ids": ids,
        }  # fmt: skip

    def schedule(name: str, **fields: Any) -> Json:
        return of(name, {"schedule": fields})

    def tensors(name: str, **fields: Array | None) -> Json:
        stated = {k: None if x is None else array_to_json(x, stored=True)
                  for k, x in fields.items()}  # fmt: skip
        return of(name, {"tensors": stated, "adapters": []})

    def conditions(name: str, of_what: str, rows: Array | None) -> Json:
        return tensors(name, **{f"conditions.{of_what}": rows})

    def changed(of_what: str, value: int, row: int = 2) -> Array:
        """Conditions with another number in one row."""
        rows = whole.tensors[f"conditions.{of_what}"]
        return array(rows.shape, lambda i, c: value if (i, c) == (row, 1) else rows[i, c])

    def narrowed(of_what: str, channels: int) -> Array:
        """Conditions of the first channels."""
        rows = whole.tensors[f"conditions.{of_what}"]
        return array((rows.shape[0], channels), lambda i, c: rows[i, c])

    # The coding schedule's numbers.
    yield schedule("knots that do not ascend", knots=[16, 200, 64, 768])
    yield schedule("two equal knots", knots=[16, 64, 64, 768])
    yield schedule("a first knot that is not d_low", knots=[17, 64, 200, 768])
    yield schedule("a last knot that is not d_high", knots=[16, 64, 200, 767])
    yield schedule("a knot that is no integer", knots=[16, "64", 200, 768])

    def first_of(name: str, count: int, shape: tuple[int, ...] = ()) -> Json:
        """The first integers of a tensor."""
        x = whole.tensors[name]
        return array_to_json(Array(shape or (count,), x.values[:count], x.type), stored=True)

    conditioned_names = [name for name in whole.tensors if name.startswith("conditions.")]
    first_rows = {
        name: first_of(name, columns, (1, columns))
        for name in conditioned_names
        for columns in whole.tensors[name].shape[1:]
    }
    one_knot = {"knots": [64], "d_low": 64, "d_high": 64, "hyper_bands": None}
    one_band = {
        f"tables.hyper.{part}": first_of(f"tables.hyper.{part}", count)
        for part, count in (("lengths", 2), ("offsets", 2), ("frequencies", 11))
    }
    yield of("one knot", {"schedule": one_knot, "tensors": first_rows | one_band, "adapters": []})
    yield schedule("d_low above 1.0", d_fraction_bits=3)
    yield schedule("d_high below 1.0", d_fraction_bits=10)
    yield schedule("16 fraction bits of d", d_fraction_bits=16)
    yield of("fraction bits of d without knots", {"schedule": {"d_fraction_bits": 3}}, plain)
    yield schedule("bands that do not ascend", hyper_bands=[200, 50])
    yield schedule("a band from d_low on", hyper_bands=[16, 200])
    yield schedule("a band above d_high", hyper_bands=[50, 769])
    two_bands = {
        "lengths": [4, 4], "offsets": [-1, -1],
        "frequencies": [10000, 30000, 20000, 5536] * 2,
    }  # fmt: skip
    stated = {f"tables.hyper.{part}": {"shape": [len(values)], "values": values}
              for part, values in two_bands.items()}  # fmt: skip
    yield of("bands without knots", {"schedule": {"hyper_bands": [20]}, "tensors": stated}, plain)
    yield schedule("tables of another number of bands", hyper_bands=[50])
    yield schedule("a schedule's key that is not defined", bands=[50, 200])
    yield schedule("features called latents", features=["latents", "level"])

    # Steps by phases.
    slice_, sparse, rest = whole.schedule["steps"]
    biases = {
        name.removeprefix("conditions."): first_of(name, whole.tensors[name].shape[1])
        for name in conditioned_names
        if name.endswith(".b")
    }
    unknotted = {"knots": None, "hyper_bands": None, "d_fraction_bits": None, "d_low": 1,
                 "d_high": 64}  # fmt: skip
    without = dict.fromkeys(first_rows, None) | biases | one_band
    yield of("phases without knots",
             {"schedule": unknotted, "tensors": without, "adapters": []})  # fmt: skip
    yield of("a residual for all without phases", {"schedule": {"residual": "correct"}}, plain)
    corrected = slice_ | {"residual": "correct"}
    yield schedule("a slice's residual beside phases", steps=[corrected, sparse, rest])
    yield schedule("a slice behind phases", steps=[sparse, rest, slice_])
    yield schedule("a slice of another start", steps=[slice_ | {"start": 1}, sparse, rest])
    for name, phases in (
        ("a channel twice at a phase", [1, 3, 3, 2]),
        ("a channel not at all at a phase", [1, 3, 3, 4]),
        ("phases before the slice's stop", [0, 3, 3, 1]),
        ("three phases", [1, 3, 3]),
        ("five phases", [1, 3, 3, 1, 1]),
        ("a phase that is no integer", [1, 3, 3, "1"]),
    ):
        yield schedule(name, steps=[slice_, sparse | {"phases": phases}, rest])
    yield schedule("a step by phases of no channels",
                   steps=[slice_, sparse, sparse | {"count": 0}, rest])  # fmt: skip
    yield schedule("fewer channels by phases", steps=[slice_, sparse, rest | {"count": 1}])
    yield schedule("a step by phases with start", steps=[slice_, sparse | {"start": 1}, rest])
    up = whole.programs["up"]["operations"]
    yield of(
        "an odd number of rows",
        {"schedule": {"alignment": 6, "hyper_stride": 2},
         "programs": {"up": {"operations": [
             *up[:2], *(one | {"inputs": ["b"]} for one in up[3:])]}}},
    )  # fmt: skip
    parameters = whole.programs["sparse"]
    for name, outputs in (
        ("no context of phases", ["mean", "scale"]),
        ("means at all positions", ["context", "scale", "context"]),
        ("scales of another number of channels", ["mean", "s0", "context"]),
        ("a context at one phase", ["mean", "scale", "p0"]),
    ):
        yield of(name, {"programs": {"sparse": {"outputs": outputs}}})
    yield of("a context of a slice without residual",
             {"programs": {"first": {"outputs": ["mean", "scale", "features"]}}})  # fmt: skip
    features, latents = parameters["inputs"]
    for name, ports in (
        ("latents of another range", [features, latents | {"low": -32767}]),
        ("latents before the features", [latents, features]),
    ):
        yield of(name, {"programs": {"sparse": {"inputs": ports}}})
    near, joined, *others = parameters["operations"]
    code = {"inputs": [features, latents | {"channels": 5}],
            "operations": [operation("split", "latents", "four", start=0, stop=4),
                           near | {"inputs": ["four"]}, joined, *others]}  # fmt: skip
    yield of("latents of too many channels", {"programs": {"sparse": code}})
    joined = joined | {"inputs": ["other", "near"]}
    code = {"inputs": [features | {"name": "other"}, latents],
            "operations": [near, joined, *others]}  # fmt: skip
    yield of("a port that is none of the features", {"programs": {"sparse": code}})
    context, latents = whole.programs["correct"]["inputs"]
    yield of("a context whose range the residual does not hold",
             {"programs": {"correct": {"inputs": [context | {"high": 99}, latents]}}})  # fmt: skip
    yield of("a residual of three channels",
             {"programs": {"correct": {
                 "operations": [*whole.programs["correct"]["operations"],
                                operation("split", "correction", "three", start=0, stop=3)],
                 "outputs": ["three"]}}})  # fmt: skip

    # Conditions.
    yield conditions("no steps", "steps", None)
    yield conditions("no steps of hyper-latents", "hyper_steps", None)
    yield conditions("steps of three channels", "steps", narrowed("steps", 3))
    yield conditions("steps of hyper-latents for the latents", "hyper_steps",
                     whole.tensors["conditions.steps"])  # fmt: skip
    yield conditions("a step of 0", "steps", changed("steps", 0))
    yield conditions("a step of 2^15 + 1", "steps", changed("steps", 2**15 + 1))
    yield conditions("a hyper-step of 0", "hyper_steps", changed("hyper_steps", 0))
    yield conditions("a hyper-step of 2^15 + 1", "hyper_steps", changed("hyper_steps", 2**15 + 1))
    yield conditions("steps in binary32", "steps",
                     replace(whole.tensors["conditions.steps"], type="float32"))  # fmt: skip
    yield conditions("steps for three knots", "steps",
                     array((3, 4), lambda i, c: 8 + i + c))  # fmt: skip
    yield conditions("steps for no knots", "steps", vector(8, 8, 8, 8))
    bias = array((12,), lambda c: c)
    yield tensors("a bias that is stored and has conditions", **{"up.b": bias})
    yield conditions("a bias that is neither", "up.b", None)
    yield tensors("conditions of a multiplier that is not stored", **{"up.m": None})
    yield conditions("conditions of a bias for eleven channels", "up.b", narrowed("up.b", 11))
    yield conditions("conditions of a multiplier for eleven channels", "up.m",
                     narrowed("up.m", 11))  # fmt: skip
    yield conditions("conditions of one multiplier for all", "first.m", by_knot(*[(1,)] * 4))
    yield conditions("conditions of all for one multiplier", "first.m", by_knot(*[(1, 1)] * 4))
    for value in (-LARGEST_BIAS - 1, LARGEST_BIAS + 1):
        yield conditions(f"a bias of {value}", "up.b", changed("up.b", value))
    yield conditions("a gain of -1", "up.m", changed("up.m", -1))
    yield conditions("a gain of 2^24", "up.m", changed("up.m", 2**24))
    yield conditions("a negative gain of 2^24", "sparse.n", changed("sparse.n", 2**24))
    yield tensors(
        "a product of 2^24 at one knot",
        **{
            "paint.m": replace(whole.tensors["paint.m"], values=(Fraction(2**14),) * 12),
            "conditions.paint.m": array((4, 12), lambda i, c: 1023 + (i + c == 9)),
        },
    )
    yield conditions("conditions of a table", "scales", by_knot(*[(1,) * 400] * 4))
    yield conditions("conditions of a weight", "first.w", by_knot((1, 1), *[(2, 2)] * 3))
    first = whole.programs["correct"]["operations"]
    code = [one | ({"bias": "steps"} if "bias" in one else {}) for one in first]
    yield of("a bias called steps", {"programs": {"correct": {"operations": code}}, "adapters": []})
    code = [one | ({"multiplier": "steps"} if "multiplier" in one else {}) for one in first[1:]]
    yield of(
        "a multiplier called steps",
        {"programs": {"correct": {"operations": [first[0], *code]}},
         "tensors": {"steps": array_to_json(whole.tensors["correct.m"], stored=True)},
         "adapters": []},
    )  # fmt: skip
    yield of("conditions without knots",
             {"tensors": {"conditions.up.m": array_to_json(by_knot((1,), (2,)), stored=True)}},
             plain)  # fmt: skip
    yield of("steps without knots",
             {"tensors": {"conditions.steps": array_to_json(by_knot((8,), (9,)), stored=True)}},
             plain)  # fmt: skip

    # Adapter sets.
    looks = whole.adapters[1]

    def adapters(name: str, base: Json = conditioned, **fields: Any) -> Json:
        return of(name, {"adapters": [{**looks, **fields}]}, base)

    def own_conditions(name: str, of_what: str, rows: Array) -> Json:
        stated = {"looks it": array_to_json(rows, stored=True)}
        return of(name, {"adapters": [looks | {"conditions": {of_what: "looks it"}}],
                         "tensors": stated})  # fmt: skip

    yield adapters("a set of no conditions and no stand-ins", conditions={})
    yield of("a set of nothing", {"adapters": [{k: v for k, v in looks.items()
                                                if k != "conditions"}]})  # fmt: skip
    yield adapters("conditions that the pack does not have", conditions={"rest.m": "looks steps"})
    yield adapters("a set's conditions that are not stored", conditions={"steps": "nothing"})
    yield adapters("step shares with knots", step_shares=[0])
    yield adapters("a set's d above d_high", d=769)
    yield adapters("a set of conditions without knots", plain, conditions={"steps": "means"})
    yield own_conditions("a set's steps of three channels", "steps", narrowed("steps", 3))
    yield own_conditions("a set's steps for three knots", "steps", array((3, 4), lambda i, c: 8))
    yield own_conditions("a set's step of 0", "steps", changed("steps", 0))
    yield own_conditions("a set's hyper-step of 2^15 + 1", "hyper_steps",
                         changed("hyper_steps", 2**15 + 1))  # fmt: skip
    yield own_conditions("a set's steps in binary32", "steps",
                         replace(whole.tensors["conditions.steps"], type="float32"))  # fmt: skip
    yield own_conditions("a set's bias of 2^30 + 1", "up.b", changed("up.b", LARGEST_BIAS + 1))
    yield own_conditions("a set's gain of -1", "up.m", changed("up.m", -1))
    yield own_conditions("a set's gain of 2^24", "up.m", changed("up.m", 2**24))


# The files -------------------------------------------------------------------------------------


def contents() -> dict[str, Json]:
    """What each file holds, by its name."""
    operations: dict[str, list[Json]] = {
        "conv2d": list(conv2d_cases()),
        "requantize": list(requantize_cases()),
    }
    for kind, entry in elementwise_cases():
        operations.setdefault(kind, []).append(entry)
    for kind in ("mul", "scale"):
        operations[kind] = list(product_cases(kind))
    for kind in ("igdn", "gdn"):
        operations[kind] = list(normalization_cases(kind))
    operations["layernorm"] = list(layernorm_cases())
    operations["window_attention"] = list(attention_cases())
    operations["split"] = list(split_cases())
    for kind in ("pixel_shuffle", "pixel_unshuffle"):
        operations[kind] = list(shuffle_cases(kind))
    operations["phase"] = list(phase_cases())
    files: dict[str, Json] = {
        f"{kind}.json": {"about": f"Programs that show the operation {kind}.", "cases": cases}
        for kind, cases in operations.items()
    }
    files["programs.json"] = {
        "about": "Programs of several operations.",
        "cases": list(program_cases()),
    }
    files["refused.json"] = {
        "about": "Programs and packs that a decoder must refuse.",
        "cases": list(refused_cases()),
        "packs": list(refused_pack_cases()),
    }
    files["steps.json"] = {
        "about": "Quantization steps, scale indexes and the latents that symbols decode to.",
        "cases": list(steps_cases()),
        "even": list(even_steps_cases()),
        "between": list(shares_between_cases()),
    }
    files["streams.json"] = {
        "about": "rANS streams with their escapes, streams that must be refused, and how many "
        "symbols the streams of a picture have.",
        "cases": list(stream_cases()),
        "refused": list(damaged_stream_cases()),
        "lengths": list(stream_count_cases()),
    }
    files["wavefronts.json"] = {
        "about": "The positions of each wavefront, and a position's neighbours.",
        "cases": list(wavefront_cases()),
    }
    files["packs.json"] = {
        "about": "Weights of less than 8 bits as stored, and the id of a whole small pack.",
        "packed": list(packed_cases()),
        "cases": list(weights_id_cases()),
        "conditioned": list(conditioned_pack_cases()),
    }
    files["conditions.json"] = {
        "about": "What conditions are worth, multipliers that have them, steps by channel, and "
        "hyper-latents by band.",
        "cases": list(condition_cases()),
        "multipliers": list(multiplier_cases()),
        "steps": list(channel_step_cases()),
        "bands": list(band_cases()),
    }
    files["walks.json"] = {
        "about": "Files of the packs with conditions in packs.json, decoded step by step, and "
        "files that must be refused.",
        "cases": list(walk_cases()),
        "refused": list(refused_file_cases()),
    }
    return files


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; fail on differences")
    check = parser.parse_args().check
    differing = []
    for name, content in contents().items():
        path, text = FOLDER / name, render(content)
        if check:
            if not path.is_file() or path.read_text(encoding="ascii") != text:
                differing.append(name)
        else:
            path.write_text(text, encoding="ascii")
    for name in differing:
        print(f"{FOLDER / name}: not what this script writes", file=sys.stderr)
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
