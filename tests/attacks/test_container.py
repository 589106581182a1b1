"""Every hostile file ends in its documented error, at once and in little memory."""

from __future__ import annotations

import time
import tracemalloc

import pytest

from licodec.container import read_file
from tests.attacks.builders import ATTACKS, HONEST, Attack


def test_the_honest_file_is_read() -> None:
    read_file(HONEST)


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_attack(attack: Attack) -> None:
    data = attack.build()
    tracemalloc.start()
    start = time.perf_counter()
    try:
        with pytest.raises(attack.error) as caught:
            read_file(data)
        seconds = time.perf_counter() - start
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
    assert seconds < 2


def test_names_are_unique() -> None:
    names = [attack.name for attack in ATTACKS]
    assert len(set(names)) == len(names)
