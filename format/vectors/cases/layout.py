"""split, the shuffles and phase, and programs of several operations."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction

from oracle.arrays import Array, Json, Noise, fl32, vector

from cases.forms import case, operation, port, program


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
