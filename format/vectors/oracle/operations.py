"""The operations of programs, one element at a time."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from fractions import Fraction

from oracle.arrays import Array, Json, Number, array, fl32, rne, sat


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
