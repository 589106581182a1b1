"""Children of a process that has used torch: they get the same results, by themselves."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from licodec import library
from licodec.exact.backends import cuda
from licodec.packs import write_pack
from tests import tiny

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no forks here")

# Torch shares large products among two threads, which a child then waits for in vain.
PROGRAM = """
import multiprocessing, os, sys
import numpy as np
import torch
torch.set_num_threads(2)
if {early}:
    import licodec

def work(*_):
    from licodec.codec import Codec
    from licodec.images import Picture
    from licodec.packs import read_pack
    from pathlib import Path
    global codec
    codec = globals().get("codec") or Codec(read_pack(Path({path!r})), "float32")
    pixels = np.random.default_rng(1).integers(0, 256, (256, 256, 3), np.uint8)
    return codec.neutral.encode(Picture(pixels)).data

torch.ones(1000, 1000) @ torch.ones(1000, 1000)
torch.ones(2**22).add_(1)
expected = work() if {used} else None
if {pool}:
    with multiprocessing.get_context("fork").Pool(1) as pool:
        data = pool.apply(work)
else:
    reading, writing = os.pipe()
    if os.fork() == 0:
        os.close(reading)
        with open(writing, "wb") as pipe:
            pipe.write(work())
        os._exit(0)
    os.close(writing)
    with open(reading, "rb") as pipe:
        data = pipe.read()
print(data == (expected or work()), torch.get_num_threads())
"""


@pytest.mark.parametrize(
    ("early", "used", "pool"),
    [
        (True, True, True),  # a codec that the parent has used, in a pool
        (True, False, False),  # the child makes its own, by fork itself
        (False, False, True),  # licodec is first imported in the child
    ],
)
def test_a_child_gets_its_result(tmp_path: Path, early: bool, used: bool, pool: bool) -> None:
    path = tmp_path / "tiny.safetensors"
    write_pack(tiny.pack(), path)
    program = PROGRAM.format(early=early, used=used, pool=pool, path=str(path))
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=Path(__file__).parent.parent,
        # Passive: threads that wait in a loop for one another take minutes on a busy machine.
        env=os.environ | {"OMP_NUM_THREADS": "2", "OMP_WAIT_POLICY": "PASSIVE"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.stdout, done.returncode) == ("True 2\n", 0), done.stderr


def test_a_child_does_without_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert cuda.obstacle() is None
    monkeypatch.setattr("licodec.exact.backends.cuda.is_fork_of_torch", lambda: True)
    assert "forked" in cuda.obstacle()

    codecs = library.PackCodecs(tiny.pack(), "reference")
    parents = codecs.fastest
    assert codecs.fastest is parents
    monkeypatch.setattr(library, "CUDA", "reference")  # as if that were what it runs on
    monkeypatch.setattr(library, "is_fork_of_torch", lambda: True)
    assert codecs.fastest is not parents
