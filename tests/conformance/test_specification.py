"""What format/SPEC.md says of arithmetic, programs, schedule, entropy coding and packs is so."""

from __future__ import annotations

import dataclasses
import json
import re

import numpy as np
import pytest

from licodec.entropy import escapes, rans, tables
from licodec.exact import bounds, values
from licodec.exact.operations import KINDS, convolution
from licodec.exact.program import program_from_json
from licodec.exact.schedule import Schedule, SliceStep
from licodec.packs.bits import pack_bits
from tests.conformance.second_decoder import FORMAT, decoder
from tests.conformance.test_vectors import load

MINUS = "\N{MINUS SIGN}"
SPECIFICATION = (FORMAT / "SPEC.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    """The text under a heading, up to the next one of the same or a higher level."""
    found = re.search(rf"^(#+) {re.escape(title)}\n", SPECIFICATION, re.MULTILINE)
    assert found is not None, title
    rest = SPECIFICATION[found.end() :]
    end = re.search(rf"^#{{1,{len(found[1])}}} ", rest, re.MULTILINE)
    return rest[: end.start()] if end else rest


def test_a_section_for_every_operation() -> None:
    described = re.findall(r"^### `(\w+)`$", section("Programs"), re.MULTILINE)
    assert described == list(KINDS)
    for kind, form in KINDS.items():
        text = section(f"`{kind}`")
        for name in (*form.tensors, *form.optional_tensors, *form.attributes):
            assert f"`{name}`" in text, f"{kind}: {name}"


@pytest.mark.parametrize(
    ("title", "pattern", "value"),
    [
        ("Arithmetic", r"\\\|v\\\| < 2\^(\d+)", values.VALUE_LIMIT.bit_length() - 1),
        ("Arithmetic", r"max \\\|x\\\| < 2\^(\d+)", values.ACCUMULATOR_LIMIT.bit_length() - 1),
        ("Programs", r"At most 2\^(\d+) operations", bounds.OPERATION_LIMIT.bit_length() - 1),
        ("Programs", r"1 to 2\^(\d+) channels", values.CHANNEL_LIMIT.bit_length() - 1),
        ("`conv2d`", r"1 ≤ k ≤ (\d+)", convolution.KERNEL_LIMIT),
        ("`requantize`", r"0 ≤ m < 2\^(\d+)", int(values.MULTIPLIER_LIMIT).bit_length() - 1),
        ("Tables", r"2 to (\d+)", tables.LARGEST_TABLE),
        ("Tables", r"each table's sum 2\^(\d+)", tables.PRECISION),
        ("rANS", r"2\^(\d+) ≤ x", rans.STATE_LOW.bit_length() - 1),
        ("rANS", r"x < 2\^(\d+)\.", rans.STATE_HIGH.bit_length() - 1),
        ("Escapes", r"\|v\| must be at most (\d+)", escapes.LARGEST_MAGNITUDE),
        ("Escapes", r"at most (\d+) bytes", escapes.LARGEST_BYTES),
        ("Streams", r"Each stream has 2\^(\d+)", rans.SYMBOLS_PER_STREAM.bit_length() - 1),
    ],
)
def test_numbers(title: str, pattern: str, value: int) -> None:
    assert set(re.findall(pattern, section(title))) == {str(value)}


def test_schedule_keys() -> None:
    text = section("Coding schedule")
    for field in (*dataclasses.fields(Schedule), *dataclasses.fields(SliceStep)):
        assert f"`{field.name}`" in text, field.name


def test_example_of_a_program() -> None:
    block = re.search(r"```json\n(.*?)```", section("JSON form"), re.DOTALL)
    assert block is not None
    program = program_from_json("example", json.loads(block[1]))
    ones = np.ones((1, 2, 3, 3), np.int8)
    stored = {"w": ones, "b": np.zeros(1, np.int32), "m": np.ones(1, np.float32)}
    found = bounds.analyse(program, stored)
    assert (found["sum"].low, found["sum"].high) == (-18 * 128, 18 * 128)


def test_examples_of_requantize() -> None:
    rows = re.findall(r"^\| 5 \| fl32\(([\d.]+)\) \|.*\| (\d) \| (\d) \|$",
                      section("`requantize`"), re.MULTILINE)  # fmt: skip
    assert len(rows) == 2
    for constant, rounded, exact in rows:
        multiplier = np.float32(constant)
        assert int(np.rint(np.float32(5) * multiplier)) == int(rounded)
        assert int(np.rint(5.0 * float(multiplier))) == int(exact)


def test_example_of_a_stream() -> None:
    case = next(case for case in load("streams")["cases"] if case["name"] == "example")
    block = re.search(r"```\nrans (.*)\nescapes (.*)\n```", section("Entropy coding"))
    assert block is not None
    assert bytes.fromhex(block[1]).hex() == case["rans"]
    assert bytes.fromhex(block[2]).hex() == case["escapes"]
    states = re.findall(r"`([0-9A-F]+)` \| `([0-9A-F]+)` \|$", section("Entropy coding"),
                        re.MULTILINE)  # fmt: skip
    assert int.from_bytes(bytes.fromhex(case["rans"]), "little") == int(states[-1][1], 16)


def test_example_of_steps() -> None:
    case = next(case for case in load("steps")["cases"] if case["name"] == "example")
    text = section("Scale index")
    assert re.findall(r"\| δ \|.*= (\d+) \|.*= (\d+) \|.*= (\d+) \|", text) == [
        tuple(str(v) for v in case["steps"]["values"])
    ]
    assert re.findall(r"\| scale index \| (\d) \| (\d) \| (\d) \|", text) == [
        tuple(str(v) for v in case["scale_indexes"]["values"])
    ]


def test_examples_of_stream_lengths() -> None:
    text = section("Streams").replace(MINUS, "-")
    rows = re.findall(r"^\| ([\d, ^+-]+) \| ([\d, ^+-]+) \|$", text, re.MULTILINE)

    def number(text: str) -> int:
        """Of digits, powers of 2, and their sums and differences."""
        terms = re.findall(r"([-+]?) ?(2\^)?(\d+)", text)
        return sum((-1 if sign == "-" else 1) * (2 ** int(n) if power else int(n))
                   for sign, power, n in terms)  # fmt: skip

    assert len(rows) == 4
    for total, lengths in rows:
        expected = [number(part) for part in lengths.split(", ")]
        assert decoder.stream_lengths(number(total)) == expected


def test_example_of_packed_weights() -> None:
    assert "`1E 56`" in section("Weights of 2 to 8 and 16 bits")
    assert pack_bits(np.array([-4, 3, 0, 1, -1], np.int8), 3).tobytes() == b"\x1e\x56"
