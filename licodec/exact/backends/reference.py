"""The obvious interpreter: NumPy, one operation at a time, by the kernels of the operations.

Sums are exact in binary64 because they are proved to be below 2^53.
"""

from __future__ import annotations

import numpy as np

from licodec.exact.bounds import CheckedProgram, last_readers
from licodec.exact.values import Planes, Run

NAME = "reference"


def prepare(checked: CheckedProgram) -> Run:
    """What runs a program, one operation at a time."""
    program, tensors = checked.program, checked.tensors
    last = last_readers(program)

    def run(inputs: Planes) -> dict[str, np.ndarray]:
        values = {port.name: inputs[port.name].astype(np.int64) for port in program.inputs}
        for i, operation in enumerate(program.operations):
            operands = (values[name] for name in operation.inputs)
            roles, kernel = operation.roles(tensors), operation.form.kernel
            values[operation.output] = kernel(*operands, **roles, **operation.attributes)
            for name in {*operation.inputs, operation.output}:
                if last.get(name) == i:
                    del values[name]
        return {name: values[name].astype(np.int32) for name in program.outputs}

    return run
