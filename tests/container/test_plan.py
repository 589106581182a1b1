"""The precision plan."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from licodec.container.plan import pack_plan, storable_plan, unpack_plan
from licodec.errors import CorruptFileError, LimitError
from tests.container.samples import plans

LONGEST = (2, 3) * 32


@given(plans)
def test_round_trip(plan: tuple[int, ...]) -> None:
    assert unpack_plan(pack_plan(plan)) == plan


@given(st.binary(min_size=1, max_size=64))
def test_a_plan_has_one_encoding(data: bytes) -> None:
    try:
        plan = unpack_plan(data)
    except CorruptFileError:
        return
    assert pack_plan(plan) == data


@pytest.mark.parametrize(
    ("plan", "data"),
    [
        ((2,), "00"),
        ((8, 8, 8), "16"),
        ((16,) * 32, "ff"),
        ((16,) * 33, "ff07"),
        ((4, 16, 2), "020700"),
    ],
)
def test_bytes_of_a_plan(plan: tuple[int, ...], data: str) -> None:
    assert pack_plan(plan) == bytes.fromhex(data)


def test_the_longest_plan_and_one_run_more() -> None:
    assert len(pack_plan(LONGEST)) == 64
    assert storable_plan(LONGEST) == LONGEST
    assert storable_plan([*LONGEST, 2]) is None
    with pytest.raises(LimitError, match="65 bytes"):
        pack_plan([*LONGEST, 2])
    with pytest.raises(LimitError, match="65 bytes"):
        unpack_plan(bytes(65))


@pytest.mark.parametrize("plan", [(), (8, 9), (1,), (0,)])
def test_illegal_plans_are_not_written(plan: tuple[int, ...]) -> None:
    with pytest.raises(CorruptFileError):
        pack_plan(plan)


@pytest.mark.parametrize("data", [b"", b"\x00\x00", b"\x16\xf6"])
def test_illegal_bytes(data: bytes) -> None:
    with pytest.raises(CorruptFileError, match="PLAN"):
        unpack_plan(data)
