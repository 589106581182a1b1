"""What a program's values can be: shapes, ranges and proved bounds, by walking its operations.

Normative counterpart: format/SPEC.md, "Programs". Called when a pack is written and again
when it is read, so that nothing is executed whose sums are not proved to be exact.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from licodec.errors import CorruptFileError
from licodec.exact.program import Operation, Program, Tensors
from licodec.exact.values import IllegalOperation, ValueInfo, require

OPERATION_LIMIT = 2**12


def analyse(program: Program, tensors: Tensors) -> dict[str, ValueInfo]:
    """Check every operation of `program` and return what is known of each value by name.

    Raises CorruptFileError where an operand, tensor shape, range or bound is not legal.
    """
    values: dict[str, ValueInfo] = {}
    read: set[str] = set()
    try:
        operations = program.operations
        require(len(operations) <= OPERATION_LIMIT, f"more than {OPERATION_LIMIT} operations")
        for port in program.inputs:
            require(port.name not in values, f"input {port.name} stated twice")
            number = port.channels is None
            channels = 1 if port.channels is None else port.channels
            info = ValueInfo(channels, port.low, port.high, Fraction(1), number=number)
            info.require_legal()
            values[port.name] = info
        for operation in operations:
            _require_operands(operation, values, read)
            read.update(operation.inputs)
            require(operation.output not in values, f"{operation.output} computed twice")
            info = _infer(operation, values, tensors)
            info.require_legal()
            values[operation.output] = info
        for output in program.outputs:
            given = _operand(values, output)
            require(not given.accumulator, f"output {output} is a sum")
            require(not given.number, f"output {output} is a number")
    except IllegalOperation as error:
        raise CorruptFileError(f"program {program.name}: {error}") from None
    return values


def _require_operands(
    operation: Operation, values: Mapping[str, ValueInfo], read: set[str]
) -> None:
    """Raise IllegalOperation unless the operation may read its operands; `read` were before."""
    kind = operation.form
    for position, name in enumerate(operation.inputs):
        operand = _operand(values, name)
        takes_number = position in kind.numbers
        require(operand.number == takes_number, f"{kind.name}: operand {name}")
        if operand.accumulator:
            require(kind.reads_sums, f"{kind.name} reads a sum")
            require(name not in read, f"the sum {name} is read twice")


def _infer(operation: Operation, values: Mapping[str, ValueInfo], tensors: Tensors) -> ValueInfo:
    for name in operation.tensors.values():
        require(name in tensors, f"tensor {name} is missing")
    operands, roles = (values[name] for name in operation.inputs), operation.roles(tensors)
    try:
        return operation.form.infer(*operands, **roles, **operation.attributes)
    except IllegalOperation as error:
        raise IllegalOperation(f"{operation.kind}: {error}") from None


def _operand(values: Mapping[str, ValueInfo], name: str) -> ValueInfo:
    require(name in values, f"{name} is read before it is computed")
    return values[name]
