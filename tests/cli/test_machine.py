"""What a process does before the networks run, and what it says of them."""

from __future__ import annotations

import os
from types import SimpleNamespace

import pytest

from licodec.cli import machine
from licodec.cli.options import Machine
from licodec.errors import LimitError


def codec_on(backend: str, **rejected: str) -> SimpleNamespace:
    """As much of a codec as a notice looks at."""
    return SimpleNamespace(
        backend=backend,
        pack=SimpleNamespace(backbone="lite", plan_name="standard", weights_id=b"\1" * 8),
        interpreter=SimpleNamespace(rejected=rejected),
    )


def test_a_notice_says_why_not_faster() -> None:
    notice = machine.notice(codec_on("float32", cuda="no device", int8="wrong"), Machine())
    start = "lite (standard, 0101010101010101) on float32"
    assert notice.detail == f"{start}; not cuda: no device; not int8: wrong"
    assert notice.warnings == ()


def test_the_slow_reference_is_a_warning_unless_asked_for() -> None:
    codec = codec_on("reference", float32="torch is not installed")
    assert len(machine.notice(codec, Machine()).warnings) == 1
    assert machine.notice(codec, Machine(backend="reference")).warnings == ()


def test_a_small_picture_on_the_reference_is_no_warning() -> None:
    notice = machine.notice(codec_on("reference"), Machine())
    start = "lite (standard, 0101010101010101) on reference"
    assert notice.detail == f"{start}: for so little the others take longer to start"
    assert notice.warnings == ()
    assert machine.notice(codec_on("reference"), Machine(backend="reference")).detail == start


def test_preparing(monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[int] = []
    monkeypatch.setattr(machine, "set_threads", threads.append)
    monkeypatch.setenv(machine.GPU_VARIABLE, "0")
    machine.prepare(Machine())
    assert (threads, os.environ[machine.GPU_VARIABLE]) == ([], "0")
    machine.prepare(Machine(hide_gpu=True, threads=3))
    assert (threads, os.environ[machine.GPU_VARIABLE]) == ([3], "")


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory")]
)
def test_lack_of_memory_is_over_a_limit(error: Exception) -> None:
    with pytest.raises(LimitError, match="not enough memory"), machine.memory_errors():
        raise error


def test_other_errors_of_torch_are_not_hidden() -> None:
    with pytest.raises(RuntimeError, match="shapes"), machine.memory_errors():
        raise RuntimeError("shapes do not match")
