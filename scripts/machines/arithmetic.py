"""Hash what the native code computes from fixed inputs, on this Python.

    scripts/exactness.py arithmetic
    /tmp/s390x/python scripts/exactness.py arithmetic

Prints JSON: the machine, a SHA-256 of what the kernels of each level of instructions give for the
program that proves them, and one of the coder's streams, scale indexes and latents. The same on
every machine. Needs NumPy and construct, and no packs.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import platform
import subprocess
import sys
from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from tables import table

from licodec.entropy import steps_native
from licodec.entropy.coder_tables import CoderTables
from licodec.entropy.rans_native import NativeCoder
from licodec.entropy.tables import TOTAL
from licodec.exact import native
from licodec.exact.backends.native import prepare
from licodec.exact.bounds import check
from licodec.exact.native.levels import Level, levels
from licodec.exact.native.proof import Trial

COMMAND = Path(__file__).resolve().parents[1] / "exactness.py"
SYMBOLS = 100_000
Report = Mapping[str, Any]


def digest(arrays: Iterable[np.ndarray]) -> str:
    """Of integers, whatever type and order of bytes they have."""
    found = hashlib.sha256()
    for array in arrays:
        found.update(np.ascontiguousarray(array, "<i8").tobytes())
    return found.hexdigest()


def of_kernels(level: Level) -> str:
    trial = Trial()
    found = prepare(check(trial.program, trial.tensors), level)(trial.inputs)
    return digest(found[name] for name in trial.program.outputs)


def of_coder() -> str:
    """Of symbols around 0, some of them escapes, and of the planes that go with them."""
    random = np.random.default_rng(0)
    lengths = np.array([3, 40, 300], np.int32)
    frequencies = [np.full(length, TOTAL // length, np.int32) for length in lengths]
    for own in frequencies:
        own[0] += TOTAL - own.sum()
    coder = NativeCoder(CoderTables(np.concatenate(frequencies), lengths, -lengths // 2))
    indexes = random.integers(0, len(lengths), SYMBOLS, np.int32)
    values = random.integers(-160, 160, SYMBOLS, np.int32)
    stream = coder.encode(values, indexes)
    decoder = coder.decoder(stream)
    scales = random.integers(1, 2**14, (10, 100, SYMBOLS // 1000), np.int32)
    steps = random.integers(1, 500, scales.shape)
    thresholds = np.cumsum(random.integers(1, 400, 60)).astype(np.int32)
    means = random.integers(-(2**15), 2**15, scales.shape, np.int16)
    coded = values.reshape(scales.shape)
    return digest(
        [
            np.frombuffer(stream.rans + stream.escapes, np.uint8),
            decoder.read(indexes),
            steps_native.scale_indexes(scales, steps, 64, thresholds),
            steps_native.scale_indexes(scales, steps[:1, :1, :1], 64, thresholds),
            steps_native.dequantize(coded, steps, means),
        ]
    )


def report() -> Report:
    """`packs` says whether this Python can read weights packs."""
    there = native.library() is not None
    return {
        "machine": f"{platform.machine()}, {sys.byteorder}-endian",
        "packs": find_spec("safetensors") is not None,
        "kernels": {level.name: of_kernels(level) for level in levels()} if there else {},
        "coder": of_coder() if there else "",
    }


# Of several interpreters ----------------------------------------------------------------------


def told_by(python: str, environment: Mapping[str, str]) -> Report:
    """The report of an interpreter. Exits where it fails."""
    command = [python, str(COMMAND), "arithmetic"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{python}: {(done.stderr.strip().splitlines() or ['no message'])[-1]}")
    return json.loads(done.stdout)


def compared(reports: Iterable[Report]) -> str:
    """A table."""
    rows = [
        (own["machine"], what, digest[:12])
        for own in reports
        for what, digest in [*own["kernels"].items(), ("coder", own["coder"])]
    ]
    return table(("processor", "kernels, or coder", "SHA-256"), rows)


def alike(reports: Iterable[Report]) -> bool:
    """Whether all kernels say the same, and all coders."""
    native = [own for own in reports if own["coder"]]
    kernels = {digest for own in native for digest in own["kernels"].values()}
    return len(kernels) <= 1 and len({own["coder"] for own in native}) <= 1


def add_options(parser: argparse.ArgumentParser) -> None:
    """There are none."""


def run(arguments: argparse.Namespace) -> None:
    json.dump(report(), sys.stdout, indent=1)
