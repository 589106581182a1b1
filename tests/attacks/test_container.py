"""Every hostile file ends in its documented error, after little work and in little memory."""

from __future__ import annotations

import contextlib
import itertools
import sys
import tracemalloc
from collections.abc import Iterator

import pytest

from licodec.container import read_file
from tests.attacks.builders import ATTACKS, HONEST, Attack


def test_the_honest_file_is_read() -> None:
    read_file(HONEST)


@contextlib.contextmanager
def counted_calls(calls: Iterator[int]) -> Iterator[None]:
    """Take a number from `calls` for each call of a function, of Python or not, in here."""

    def count(frame: object, event: str, argument: object) -> None:
        if event in ("call", "c_call"):
            next(calls)

    sys.setprofile(count)
    try:
        yield
    finally:
        sys.setprofile(None)


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_attack(attack: Attack) -> None:
    data = attack.build()
    calls = itertools.count()
    tracemalloc.start()
    try:
        with pytest.raises(attack.error) as caught, counted_calls(calls):
            read_file(data)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    message = str(caught.value)
    assert type(caught.value) is attack.error
    assert caught.value.exit_code == attack.exit_code
    assert attack.message in message
    assert "\n" not in message and message.isprintable()
    assert len(message) < 200
    assert peak < 2 * len(data) + 500_000
    assert next(calls) < 2000 + len(data) // 4  # a chunk takes 12 bytes


def test_names_are_unique() -> None:
    names = [attack.name for attack in ATTACKS]
    assert len(set(names)) == len(names)
