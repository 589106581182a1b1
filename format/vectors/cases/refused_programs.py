"""Programs that a decoder must refuse."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction

from oracle.arrays import Array, Json, array, arrays_to_json, vector

from cases.forms import number, operation, port, program

BYTE = port("x", 2, -128, 127)
CONV = operation("conv2d", "x", "sum", weight="w", bias="b")
REQUANTIZE = operation("requantize", "sum", "y", multiplier="m", low=-128, high=127)
ADD = operation("add", "x x", "y", low=0, high=9)
TENSORS = {
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
        "tensors": arrays_to_json({**TENSORS, **other}, stored=True),
    }


def layer(name: str, fields: Json, **other: Array) -> Json:
    return refused(name, [BYTE], [CONV | fields, REQUANTIZE], "y", **other)


def one(name: str, kind: str, **fields: int | str) -> Json:
    return refused(name, [BYTE], [operation(kind, "x", "y", **fields)], "y")


def refused_forms() -> Iterator[Json]:
    """Keys, names and values that are not there, or twice."""
    yield refused(
        "an operation that is not defined", [BYTE], [operation("softmax", "x", "y")], "y"
    ) | {"message_names": "softmax"}
    yield refused("a key that is not defined", [BYTE], [ADD | {"dilation": 1}], "y") | {
        "message_names": "dilation"
    }
    yield refused("a port's key that is not defined", [BYTE | {"unit": 1}], [ADD], "y")
    code = refused("a program's key that is not defined", [BYTE], [ADD], "y")
    yield code | {"program": code["program"] | {"version": 2}}
    yield refused("an attribute is missing", [BYTE], [operation("add", "x x", "y", low=0)], "y")
    yield refused("an attribute that is no integer", [BYTE], [ADD | {"high": 9.5}], "y")
    yield refused("an attribute that is a truth value", [BYTE], [ADD | {"high": True}], "y")
    yield layer("a tensor's name is missing", {"weight": ""})
    yield layer("a tensor that is not in the pack", {"weight": "v"})
    yield refused(
        "a name that is not ASCII", [BYTE], [operation("add", "x x", "é", low=0, high=9)], "é"
    )
    yield refused("one operand of add", [BYTE], [operation("add", "x", "y", low=0, high=9)], "y")
    yield refused("no operand of concat", [BYTE], [operation("concat", "", "y")], "y")
    yield refused(
        "a value before it is made",
        [BYTE],
        [operation("clamp", "z", "y", low=0, high=9), ADD | {"output": "z"}],
        "y",
    )
    yield refused("a value made twice", [BYTE], [ADD, ADD], "y")
    yield refused("an input made again", [BYTE], [ADD | {"output": "x"}], "x")
    yield refused("an input stated twice", [BYTE, BYTE], [ADD], "y")
    yield refused("an output that is not made", [BYTE], [ADD], "z")


def refused_bounds() -> Iterator[Json]:
    """Sums that are misread, and values out of range."""
    yield refused("a sum that is an output", [BYTE], [CONV], "sum")
    yield refused(
        "a sum that add reads", [BYTE], [CONV, operation("add", "sum sum", "y", low=0, high=9)], "y"
    )
    yield refused(
        "a sum that clamp reads", [BYTE], [CONV, operation("clamp", "sum", "y", low=0, high=9)], "y"
    )
    yield refused(
        "a sum that is read twice", [BYTE], [CONV, REQUANTIZE, REQUANTIZE | {"output": "z"}], "y"
    )

    yield refused("no channels", [port("x", 0, -128, 127)], [ADD], "y")
    yield refused("8193 channels", [port("x", 8193, -128, 127)], [ADD], "y")
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
    yield refused("an empty range", [port("x", 2, 5, 4)], [ADD], "y")
    yield refused("a value of 2^24", [port("x", 2, 0, 2**24)], [ADD], "y")
    yield refused("a value of -2^24", [port("x", 2, -(2**24), 0)], [ADD], "y")
    yield refused("a result of 2^24", [BYTE], [ADD | {"high": 2**24}], "y")
    yield refused("an empty range of results", [BYTE], [ADD | {"low": 10}], "y")

    for name, bounds in (
        ("an operand below -2^15", (-32769, 0)),
        ("an operand above 2^16 - 1", (0, 65536)),
        ("an operand that spans 2^16", (-1, 65535)),
    ):
        yield refused(name, [port("x", 2, *bounds)], [CONV, REQUANTIZE], "y")
    yield refused(
        "a table of 16-bit integers",
        [BYTE],
        [operation("table", "x", "y", table="e", low=0)],
        "y",
        e=vector(1, 2, type="int16"),
    )


def refused_layers() -> Iterator[Json]:
    """conv2d and requantize."""
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
    ) | {"program": program([port("x", 1, 0, 1)], [CONV | {"padding": 16}, REQUANTIZE], "y")}
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
        [BYTE],
        [CONV, REQUANTIZE | {"negative_multiplier": "n"}],
        "y",
        n=vector(1, 1, 1, type="float32"),
    )


def refused_planes() -> Iterator[Json]:
    """Operands that do not go together, tables and shuffles."""
    other = port("z", 3, -128, 127)
    yield refused(
        "add of 2 and 3 channels", [BYTE, other], [operation("add", "x z", "y", low=0, high=9)], "y"
    )
    half = operation("pixel_unshuffle", "x", "u", factor=2)
    yield refused(
        "add of rates 1 and 1/2",
        [BYTE, port("z", 8, 0, 1)],
        [half, operation("add", "u z", "y", low=0, high=9)],
        "y",
    )
    yield refused("concat of rates 1 and 1/2", [BYTE], [half, operation("concat", "u x", "y")], "y")
    yield refused(
        "an empty table", [BYTE], [operation("table", "x", "y", table="e", low=0)], "y", e=vector()
    )
    yield refused(
        "a table of two dimensions",
        [BYTE],
        [operation("table", "x", "y", table="e", low=0)],
        "y",
        e=Array((1, 2), (1, 2)),
    )
    yield refused(
        "a table that reaches 2^24",
        [BYTE],
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


def refused_normalizations() -> Iterator[Json]:
    """gdn and igdn."""
    square = Array((2, 2), (1, 2, 3, 4), "int8")
    normal = operation("igdn", "x", "sum", weight="v", bias="b")

    def normalization(name: str, fields: Json, **other: Array) -> Json:
        return refused(name, [BYTE], [normal | fields, REQUANTIZE], "y", **{"v": square, **other})

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
        "program": program([BYTE], [normal], "sum")
    }
    whole = operation("gdn", "x", "y", weight="v", bias="b", low=0, high=9)
    yield refused(
        "a dividend of 2^52", [BYTE], [whole | {"root_bits": 14, "fraction_bits": 31}], "y",
        v=square,
    )  # fmt: skip
    yield refused(
        "an operand of 17 bits", [port("x", 2, 0, 65536)], [whole], "y", v=square
    )  # fmt: skip


def refused_layernorms() -> Iterator[Json]:
    """layernorm."""
    normal = operation(
        "layernorm", "x", "y", gain="g", bias="b", low=-9, high=9, fraction_bits=4
    )  # fmt: skip
    gain = vector(1, 1, type="float32")

    def layernorm_of(name: str, ports: Json, fields: Json, **other: Array) -> Json:
        return refused(name, [ports], [normal | fields], "y", **{"g": gain, **other})

    short = port("x", 2, -32768, 32767)
    yield layernorm_of("a gain for one channel", BYTE, {}, g=vector(1, type="float32"))
    yield layernorm_of("an integer gain", BYTE, {}, g=vector(1, 1))
    yield layernorm_of("a gain of -2^24", BYTE, {}, g=vector(1, -(2**24), type="float32"))
    yield layernorm_of("a layernorm's bias of 2^24", BYTE, {}, b=vector(0, 2**24))
    yield layernorm_of("a layernorm's bias of 16 bits", BYTE, {}, b=vector(0, 0, type="int16"))
    yield layernorm_of("a negative epsilon", BYTE, {"epsilon": -1})
    yield layernorm_of("an epsilon of 2^52", BYTE, {"epsilon": 2**52})
    yield layernorm_of("a variance of 2^52", short, {"root_bits": 11})
    yield layernorm_of("-1 fraction bits", BYTE, {"fraction_bits": -1})
    yield layernorm_of("32 bits of the root", port("x", 2, 0, 0), {"root_bits": 32})
    yield layernorm_of("a normal value of 2^23", BYTE, {"fraction_bits": 22})
    yield layernorm_of(
        "deviations of 2^52", port("x", 2, 0, 1), {"root_bits": 24, "fraction_bits": 28}
    )
    yield layernorm_of(
        "squares of 2^53", port("x", 6, 2**24 - 9, 2**24 - 1), {},
        g=vector(*[1] * 6, type="float32"), b=vector(*[0] * 6),
    )  # fmt: skip


def refused_attentions() -> Iterator[Json]:
    """window_attention."""
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


def refused_products() -> Iterator[Json]:
    """mul, scale and numbers."""
    other = port("z", 3, -128, 127)
    product = operation("mul", "x z", "sum")
    yield refused("mul of 2 and 3 channels", [BYTE, other], [product, REQUANTIZE], "y")
    yield refused("a product that is an output", [BYTE], [operation("mul", "x x", "sum")], "sum")
    n = number("n", 0, 65535)
    yield refused("mul by a number", [BYTE, number("z", 0, 1)], [product, REQUANTIZE], "y")
    scaled = operation("scale", "x n", "sum")
    yield refused("scale by a plane", [BYTE, port("n", 2, 0, 1)], [scaled, REQUANTIZE], "y")
    yield refused("scale of a number", [n], [scaled | {"inputs": ["n", "n"]}, REQUANTIZE], "y")
    yield refused("scale of one operand", [BYTE, n], [scaled | {"inputs": ["x"]}, REQUANTIZE], "y")
    yield refused("a number that is an output", [BYTE, n], [ADD], "n")
    yield refused("a number of 2^24", [BYTE, number("n", 0, 2**24)], [ADD], "y")
    yield refused("a number with an empty range", [BYTE, number("n", 1, 0)], [ADD], "y")


def refused_parts() -> Iterator[Json]:
    """split and phase."""
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
    yield refused("concat of a plane and its phase", [BYTE], [part, joined], "y")


def refused_cases() -> Iterator[Json]:
    for family in (
        refused_forms,
        refused_bounds,
        refused_layers,
        refused_planes,
        refused_normalizations,
        refused_layernorms,
        refused_attentions,
        refused_products,
        refused_parts,
    ):
        yield from family()
