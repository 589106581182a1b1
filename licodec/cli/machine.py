"""Getting the process ready for the networks: threads, devices, and what their errors mean."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from licodec.cli.options import Machine
from licodec.cli.rendering import Notice
from licodec.codec import REFERENCE, Codec
from licodec.errors import LimitError
from licodec.exact.interpreter import set_threads

GPU_VARIABLE = "CUDA_VISIBLE_DEVICES"  # read by CUDA when torch first asks for devices


def prepare(machine: Machine) -> None:
    """Apply `machine` to this process; torch need not be imported yet, and is not here."""
    if machine.hide_gpu:
        os.environ[GPU_VARIABLE] = ""
    if machine.threads is not None:
        set_threads(machine.threads)


def notice(codec: Codec | None, machine: Machine) -> Notice:
    """Which pack runs on what and why on nothing faster, with a warning where that is slow."""
    if codec is None:
        return Notice("lossless WebP, without a network")
    pack, rejected = codec.pack, codec.interpreter.rejected
    line = f"{pack.backbone} ({pack.plan_name}, {pack.weights_id.hex()}) on {codec.backend}"
    chosen_reference = codec.backend == REFERENCE and machine.backend is None
    if chosen_reference and not rejected:
        return Notice(f"{line}: for so little the others take longer to start")
    detail = "; ".join([line, *(f"not {name}: {why}" for name, why in rejected.items())])
    if not chosen_reference:
        return Notice(detail)
    return Notice(detail, ("no fast backend works here, so this is slow; -v says why",))


@contextlib.contextmanager
def memory_errors() -> Iterator[None]:
    """Turn Python's and torch's ways to run out of memory into LimitError."""
    try:
        yield
    except MemoryError as error:
        raise LimitError("not enough memory for a picture of this size") from error
    except RuntimeError as error:
        # torch raises a plain RuntimeError on the CPU and a subclass of it on a GPU.
        if "memory" not in str(error):
            raise
        raise LimitError("not enough memory for a picture of this size") from error
