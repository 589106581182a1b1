"""Whether backends agree with the reference, and which of them can be tried here."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping

import numpy as np

from licodec.exact.backends import cuda, float32, int8, reference
from licodec.exact.bounds import CheckedProgram, check
from licodec.exact.program import Program, Tensors
from licodec.exact.selftest import failures
from licodec.exact.values import Run
from tests.exact.programs import synthesis

Prepare = Callable[[CheckedProgram], Run]

# Matrix products in binary64 are as exact on the processor as on a CUDA device.
PREPARE: dict[str, Prepare] = {
    "float32": float32.prepare,
    "int8": int8.prepare,
    "cuda": functools.partial(cuda.prepare, device="cpu"),
}


@functools.cache
def int8_is_exact_here() -> bool:
    """False on processors without the instructions, where only the self-test's verdict counts."""
    program, tensors = synthesis(8, (16, 8, 8), (1, 1, 1))
    return not failures(int8, [check(program, tensors)])


def assert_same(
    prepare: Prepare, program: Program, tensors: Tensors, inputs: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """The reference's results, which those of `prepare`, run twice, must equal."""
    expected = reference.prepare(check(program, tensors))(inputs)
    run = prepare(check(program, tensors))
    kept = {name: plane.copy() for name, plane in inputs.items()}
    for _ in range(2):  # a second run sees that nothing prepared was overwritten
        found = run(inputs)
        assert list(found) == list(expected)
        for name, plane in expected.items():
            assert np.issubdtype(found[name].dtype, np.integer)
            np.testing.assert_array_equal(found[name], plane, err_msg=name)
    for name, plane in kept.items():
        np.testing.assert_array_equal(inputs[name], plane, err_msg=f"input {name}")
    return expected
