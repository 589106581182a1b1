"""What a program's values can be: shapes, ranges and proved bounds, by walking its operations.

Normative counterpart: format/SPEC.md, "Programs". Called when a pack is written and again
when it is read, so that nothing is executed whose sums are not proved to be exact.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction

from licodec.errors import CorruptFileError
from licodec.exact.program import Operation, Program, Tensors
from licodec.exact.values import ALIVE_LIMIT, IllegalOperation, ValueInfo, require

OPERATION_LIMIT = 2**12


@dataclass(frozen=True)
class CheckedProgram:
    """A program that is proved to be exact; made by :func:`check`.

    tensors  those that its operations name
    values   what is known of each value, by name
    """

    program: Program
    tensors: Tensors
    values: Mapping[str, ValueInfo]

    @property
    def name(self) -> str:
        return self.program.name

    def with_tensors(self, tensors: Tensors) -> CheckedProgram:
        """The same with others of its tensors, as conditions have them at some d.

        What is proved of each value stays true, so only operations whose tensors are others are
        proved again. Raises CorruptFileError where one is not legal or can give more than before.
        """
        with _faults_of(self.program):
            for operation in self.program.operations:
                names = operation.tensors.values()
                if all(tensors.get(name) is self.tensors[name] for name in names):
                    continue
                proved = self.values[operation.output]
                info = _infer(operation, self.values, tensors)
                within = proved.low <= info.low and info.high <= proved.high
                same = replace(info, low=proved.low, high=proved.high) == proved
                require(within and same, f"{operation.output} is not what was proved")
        return CheckedProgram(self.program, _named_by(self.program, tensors), self.values)


def check(program: Program, tensors: Tensors) -> CheckedProgram:
    """Prove `program`, whose tensors stand among `tensors`. Raises CorruptFileError as
    :func:`analyse`."""
    values = analyse(program, tensors)
    return CheckedProgram(program, _named_by(program, tensors), values)


def analyse(program: Program, tensors: Tensors) -> dict[str, ValueInfo]:
    """Check every operation of `program` and return what is known of each value by name.

    Raises CorruptFileError where an operand, tensor shape, range or bound is not legal.
    """
    values: dict[str, ValueInfo] = {}
    read: set[str] = set()
    with _faults_of(program):
        operations = program.operations
        require(len(operations) <= OPERATION_LIMIT, f"more than {OPERATION_LIMIT} operations")
        for port in program.inputs:
            require(port.name not in values, f"input {port.name} stated twice")
            values[port.name] = port.info.checked()
        for operation in operations:
            _require_operands(operation, values, read)
            read.update(operation.inputs)
            require(operation.output not in values, f"{operation.output} computed twice")
            values[operation.output] = _infer(operation, values, tensors).checked()
        for output in program.outputs:
            given = _operand(values, output)
            require(not given.accumulator, f"output {output} is a sum")
            require(not given.number, f"output {output} is a number")
        alive = most_alive(program, values)
        require(alive <= ALIVE_LIMIT, f"values of {float(alive):.6g} numbers a position at a time")
    return values


def last_readers(program: Program) -> dict[str, int]:
    """The number of the operation after which each value is not needed any more.

    It is that of the operation which makes a value that none reads. Outputs are left out, and
    inputs that none reads.
    """
    last: dict[str, int] = {}
    for i, operation in enumerate(program.operations):
        last |= dict.fromkeys((*operation.inputs, operation.output), i)
    return {name: i for name, i in last.items() if name not in program.outputs}


def most_alive(program: Program, values: Mapping[str, ValueInfo]) -> Fraction:
    """How many numbers a program's values hold, at most, for each position of its inputs, where
    each is forgotten when it is not needed any more."""
    dying: dict[int, list[str]] = {}
    for name, i in last_readers(program).items():
        dying.setdefault(i, []).append(name)
    alive = sum((values[port.name].expansion for port in program.inputs), Fraction(0))
    most = alive
    for i, operation in enumerate(program.operations):
        alive += values[operation.output].expansion
        most = max(most, alive)
        alive -= sum(values[name].expansion for name in dying.get(i, ()))
    return most


@contextmanager
def _faults_of(program: Program) -> Iterator[None]:
    try:
        yield
    except IllegalOperation as error:
        raise CorruptFileError(f"program {program.name}: {error}") from None


def _named_by(program: Program, tensors: Tensors) -> Tensors:
    return {name: tensors[name] for name in program.tensors}


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
