"""Paths that stand for open descriptors."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from licodec.descriptors import (
    input_descriptor,
    is_standard_input,
    is_standard_output,
    output_descriptor,
)

pytestmark = pytest.mark.skipif(not os.path.isdir("/dev/fd"), reason="no /dev/fd here")


def test_the_standard_streams_by_any_name(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/dev/stdout")
    (tmp_path / "further").symlink_to("link")
    for name in ("-", "/dev/stdout", "/dev/fd/1", "/dev/../dev/fd/1", tmp_path / "further"):
        assert output_descriptor(name) == 1 and is_standard_output(name)
    for name in ("-", "/dev/stdin", "/dev/fd/0"):
        assert input_descriptor(name) == 0 and is_standard_input(name)


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="no /proc here")
def test_names_in_proc() -> None:
    own = f"/proc/{os.getpid()}/fd/5"
    for name in ("/dev/fd/5", "/proc/self/fd/5", "/proc/thread-self/fd/5", own):
        assert output_descriptor(name) == 5
    assert output_descriptor(f"/proc/{os.getppid()}/fd/1") is None


def test_what_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "1").write_bytes(b"")
    (tmp_path / "loop").symlink_to("loop")
    names = [tmp_path / "1", tmp_path / "loop", "1", "", "fd/1", "a\0b", "/dev/null", "/dev/fd/"]
    names += ["/dev/fd/x", "/dev/fd/-1", "/dev/fd/" + "9" * 30, "/dev/fd/１"]  # noqa: RUF001
    for name in names:
        assert output_descriptor(name) is None
        assert input_descriptor(name) is None
