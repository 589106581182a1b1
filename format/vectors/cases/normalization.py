"""gdn, igdn, layernorm and window_attention."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction

from oracle.arrays import LARGEST_VALUE, Array, Json, Noise, Number, array, fl32, plane, vector

from cases.forms import case, operation, port, program


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
