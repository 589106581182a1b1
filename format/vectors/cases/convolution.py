"""conv2d and requantize."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction

from oracle.arrays import LARGEST_VALUE, Array, Json, Noise, Number, array, fl32, plane, rne, vector

from cases.forms import case, operation, port, program


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
