"""add, clamp, table, concat, mul and scale."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from oracle.arrays import LARGEST_VALUE, Array, Json, Noise, Number, fl32, plane, vector

from cases.forms import case, number, operation, port, program

BYTE = (-128, 127)


def single(
    name: str, shows: str, kind: str, ports: dict[str, tuple[int, int]], inputs: dict[str, Array],
    order: str = "", tensors: dict[str, Array] | None = None, **fields: int | str,
) -> Json:  # fmt: skip
    """A case of one operation; `ports` are ranges, and `order` says how it reads its inputs."""
    stated = [port(x, inputs[x].shape[0], *bounds) for x, bounds in ports.items()]
    code = program(stated, [operation(kind, order or " ".join(ports), "y", **fields)], "y")
    return case(name, shows, code, tensors or {}, inputs)


def add_cases() -> Iterator[Json]:
    x = Array((2, 1, 3), (-128, -101, -100, 100, 127, 0))
    z = Array((2, 1, 3), (0, 0, 1, 50, 200, 0))
    yield single(
        "saturation", "both ends of the range", "add", {"x": BYTE, "z": (0, 200)},
        {"x": x, "z": z}, low=-100, high=150,
    )  # fmt: skip
    yield single(
        "twice itself", "one value as both operands", "add", {"x": BYTE},
        {"x": plane(-128, 0, 127)}, "x x", low=-1000, high=1000,
    )  # fmt: skip
    low, high = large = (-LARGEST_VALUE, LARGEST_VALUE)
    yield single(
        "largest values", "a sum of 25 bits before it saturates", "add", {"x": large, "z": large},
        {"x": plane(low, high, high, 1), "z": plane(low, high, low, high - 2)}, low=low, high=high,
    )  # fmt: skip


def clamp_cases() -> Iterator[Json]:
    x = plane(-128, -3, -2, -1, 0, 2, 3, 4, 127)
    for name, shows, low, high in (
        ("relu", "low 0", 0, 127),
        ("both ends", "a range inside the operand's", -2, 3),
        ("outside", "a range that the operand never meets", 300, 400),
        ("no change", "a range around the operand's", -1000, 1000),
    ):
        yield single(name, shows, "clamp", {"x": BYTE}, {"x": x}, low=low, high=high)


def table_cases() -> Iterator[Json]:
    many = Array((2, 1, 6), (-128, -3, -2, -1, 0, 1, 2, 3, 4, 6, 7, 127))
    five = vector(-70000, 5, 0, 9, 123456)
    for name, shows, low, x, entries in (
        ("below and above", "operands outside of the table take its ends", -2, many, five),
        ("low above 0", "the first entry stands for 3", 3, many, five),
        ("far away", "every operand is below the table", 1000, many, five),
        ("one entry", "whatever the operand", 0, plane(-1, 0, 1), vector(-8)),
    ):
        yield single(
            name, shows, "table", {"x": BYTE}, {"x": x}, tensors={"t": entries}, table="t", low=low
        )


def concat_cases() -> Iterator[Json]:
    noise = Noise(3)
    ports = {"x": BYTE, "z": (0, 65535), "v": (-5, 5)}
    inputs = {
        name: noise.array((channels, 2, 2), *ports[name])
        for name, channels in (("x", 2), ("z", 1), ("v", 3))
    }
    shows = "order, different ranges, one value twice"
    yield single("four operands", shows, "concat", ports, inputs, "z x v x")
    x = noise.array((2, 1, 2), *BYTE)
    yield single("one operand", "a copy", "concat", {"x": BYTE}, {"x": x})


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
