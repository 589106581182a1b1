"""Ctrl-C in the middle of the work: exit 130, finished outputs whole, nothing else left."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from licodec.batches import lock, manifest
from licodec.container import read_file
from tests.cli.conftest import ON_REFERENCE, png
from tests.cli.test_startup import start

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals of a terminal")

SMALL = png(np.random.default_rng(0).integers(60, 100, (33, 17, 3), np.uint8))
# Takes the reference backend many seconds, and does not fit into a pipe.
LARGE = png(np.random.default_rng(0).integers(0, 256, (320, 512, 3), np.uint8))


@pytest.fixture(autouse=True)
def heeded_interrupts() -> Iterator[None]:
    """A suite that a shell runs in the background inherits ignored interrupts; ours must not
    pass that on to the commands it interrupts."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def group_is_empty(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


def test_an_encode(tmp_path: Path) -> None:
    process = start(
        "encode", "-", "-o", "out.lic", *ON_REFERENCE, cwd=tmp_path,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    process.stdin.write(LARGE)  # returns when most of it has been read
    process.stdin.close()
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    process.wait(timeout=300)
    assert process.returncode == 130
    assert process.stdout.read() == b""
    assert process.stderr.read() == b"error: interrupted\n"
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("number", "to_group", "code"),
    [
        (signal.SIGINT, True, 130),
        (signal.SIGHUP, True, 129),
        (signal.SIGTERM, True, 143),
        (signal.SIGTERM, False, 143),
    ],
)
def test_a_batch(tmp_path: Path, number: int, to_group: bool, code: int) -> None:
    """Ctrl-C and the end of a terminal go to all of its processes, a request to end to one."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "0.png").write_bytes(SMALL)
    for name in ("1.png", "2.png", "3.png"):
        (tmp_path / "in" / name).write_bytes(LARGE)
    process = start(
        "batch", "in", "-o", "out", "--jobs", "2", *ON_REFERENCE, cwd=tmp_path,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    assert process.stdout.readline().startswith(b"in/0.png -> out/0.lic: ")
    if to_group:
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    process.wait(timeout=300)
    assert process.returncode == code
    assert process.stderr.read() == (b"error: interrupted\n" if code == 130 else b"")
    assert {*os.listdir(tmp_path / "out")} == {"0.lic", manifest.NAME, lock.NAME}
    assert [*manifest.Manifest(tmp_path / "out").histories] == ["0.lic"]
    assert read_file((tmp_path / "out" / "0.lic").read_bytes()).header.width == 17
    deadline = time.monotonic() + 60
    while not group_is_empty(process.pid) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert group_is_empty(process.pid)
