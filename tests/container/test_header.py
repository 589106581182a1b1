"""The header chunk and its integers."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from licodec.container.fields import MAX_VARINT, VarInt, parse_fields
from licodec.container.header import Header, pack_header, unpack_header
from licodec.errors import CorruptFileError, LimitError
from tests.container.samples import PLAIN_HEADER, headers


def parse_integer(data: bytes) -> int:
    return parse_fields(VarInt, BytesIO(data), "TEST")


@given(st.integers(0, MAX_VARINT))
def test_integers_round_trip(value: int) -> None:
    assert parse_integer(VarInt.build(value)) == value


@given(st.binary(min_size=1, max_size=7))
def test_integers_have_one_encoding(data: bytes) -> None:
    stream = BytesIO(data)
    try:
        value = parse_fields(VarInt, stream, "TEST")
    except CorruptFileError:
        return
    assert VarInt.build(value) == data[: stream.tell()]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("", "ends inside"),
        ("80", "ends inside"),
        ("8000", "shortest form"),
        ("ff00", "shortest form"),
        ("8080808010", "is 2\\^32 or more"),
        ("ffffffffff01", "longer than 5 bytes"),
    ],
)
def test_illegal_integers(data: str, message: str) -> None:
    with pytest.raises(CorruptFileError, match=message):
        parse_integer(bytes.fromhex(data))


@given(headers())
def test_round_trip(header: Header) -> None:
    assert unpack_header(pack_header(header)) == header


@given(headers(), st.data())
def test_a_changed_header_is_refused_or_is_the_one_encoding_of_another(
    header: Header, data: st.DataObject
) -> None:
    packed = bytearray(pack_header(header))
    packed[data.draw(st.integers(0, len(packed) - 1))] = data.draw(st.integers(0, 255))
    try:
        other = unpack_header(bytes(packed))
    except (CorruptFileError, LimitError):
        return
    assert pack_header(other) == packed


@given(headers())
def test_every_cut_and_every_addition_is_refused(header: Header) -> None:
    packed = pack_header(header)
    for cut in range(len(packed)):
        with pytest.raises(CorruptFileError):
            unpack_header(packed[:cut])
    with pytest.raises(CorruptFileError, match="goes on after its last field"):
        unpack_header(packed + b"\x00")


def test_bytes_of_a_header() -> None:
    assert pack_header(PLAIN_HEADER) == bytes.fromhex(
        "01 8006 8004 08 03 00 04 6c697465 01 0123456789abcdef 08 8002 00 00"
    )


def test_d_value() -> None:
    assert replace(PLAIN_HEADER, d=384).d_value == 1.5


@pytest.mark.parametrize(
    "change",
    [
        {"width": 0},
        {"height": 0},
        {"bit_depth": 16},
        {"channels": 2},
        {"backbone": ""},
        {"backbone": "Lite"},
        {"backbone": "a\x1b[31m"},
        {"backbone": "sixteen-letters-"},
        {"profile": "int-2"},
        {"weights_id": b"seven b"},
        {"d": 0},
        {"d": 65_536},
        {"d_fraction_bits": 16},
        {"alpha": 65_536, "adapter_id": b"adapters"},
        {"beta": 65_536, "adapter_id": b"adapters"},
        {"alpha": 1},
        {"adapter_id": b"adapters"},
        {"alpha": 1, "adapter_id": b"adapter"},
    ],
)
def test_illegal_fields_are_not_written(change: dict[str, Any]) -> None:
    with pytest.raises(CorruptFileError):
        pack_header(replace(PLAIN_HEADER, **change))


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (0, 2, "format version 2, this licodec reads 1; a newer"),
        (0, 0, "format version 0"),
        (5, 10, "bit depth is 10"),
        (6, 4, "channels are 4"),
        (7, 2, "has alpha is 2"),
        (8, 255, "ends inside its backbone"),
        (9, 0x1B, r"backbone '\\x1bite' is not a name"),
        (9, 0xFF, r"backbone '\\xffite' is not a name"),
        (13, 2, "arithmetic profile 2, this licodec has int-1; a newer"),
        (22, 16, "fraction bits"),
        (24, 0, "d is not in its shortest form"),
        (25, 1, "ends inside its adapter id"),
    ],
)
def test_illegal_bytes_are_named(place: int, value: int, message: str) -> None:
    packed = bytearray(pack_header(PLAIN_HEADER))
    packed[place] = value
    with pytest.raises(CorruptFileError, match=message):
        unpack_header(bytes(packed))


@pytest.mark.parametrize(("width", "height"), [(65_535, 4096), (1, 65_535), (16_384, 16_384)])
def test_largest_pictures(width: int, height: int) -> None:
    header = replace(PLAIN_HEADER, width=width, height=height)
    assert unpack_header(pack_header(header)) == header


@pytest.mark.parametrize(("width", "height"), [(65_536, 1), (1, 65_536), (16_385, 16_384)])
def test_larger_pictures_are_refused(width: int, height: int) -> None:
    with pytest.raises(LimitError, match=f"picture of {width}x{height} pixels"):
        pack_header(replace(PLAIN_HEADER, width=width, height=height))
