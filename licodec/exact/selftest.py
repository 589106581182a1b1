"""The proof, on this machine, that a backend gives the reference's integers.

Kernels differ with the processor, the library's version and the environment, so before a
backend is used it runs every distinct class of operation of the pack's programs on small
planes whose sums are odd, near the limit of what its kernels add exactly, or saturating.
"""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from types import ModuleType

import numpy as np

from licodec.errors import LicodecError
from licodec.exact.bounds import CheckedProgram, check
from licodec.exact.operations import KINDS
from licodec.exact.passes import KernelLimits, NoExactSplit
from licodec.exact.program import Operation, Port, Program, Tensors
from licodec.exact.values import VALUE_LIMIT, ValueInfo

SMALL = (9, 11)  # rows, columns: odd, so that every kernel meets its tails
LARGE = (33, 40)  # enough for kernels to block rows and to share them among threads
QUICK_WEIGHTS = 2**16
LARGEST = VALUE_LIMIT - 1


@dataclass(frozen=True)
class Stored:
    """Tensors of an operation by role, equal to others by their content."""

    digest: bytes
    tensors: Mapping[str, np.ndarray] = field(compare=False)

    @classmethod
    def of(cls, roles: Tensors) -> Stored:
        digest = hashlib.sha256()
        for role, tensor in sorted(roles.items()):
            digest.update(f"{role} {tensor.shape} {tensor.dtype.str}\n".encode())
            digest.update(np.ascontiguousarray(tensor).data)
        return cls(digest.digest(), dict(roles))


@dataclass(frozen=True)
class Case:
    """A class of operations that a backend treats alike: all that its kernels may depend on.

    operands  of rate 1; accumulators with the widest range of a value, as theirs makes no
              difference to how they are requantized
    tensors   role, shape and data type of each
    facts     what the kind's TrialFacts say of the tensors, or they themselves
    plane     rows and columns to try it on
    """

    kind: str
    operands: tuple[ValueInfo, ...]
    attributes: tuple[tuple[str, int], ...]
    tensors: tuple[tuple[str, tuple[int, ...], str], ...]
    facts: Hashable
    plane: tuple[int, int] = SMALL

    def __str__(self) -> str:
        operands = " and ".join(
            f"{'a number' if x.number else f'{x.channels} channels'} in {x.low}...{x.high}"
            for x in self.operands
        )
        tensors = (f"{role} {'x'.join(map(str, shape))}" for role, shape, _ in self.tensors)
        return ", ".join([f"{self.kind} of {operands}", *tensors])


@dataclass(frozen=True)
class Trial:
    """A program whose only output is "result", what to run it on, and what that gives."""

    program: CheckedProgram
    inputs: Mapping[str, np.ndarray]
    expected: np.ndarray


_verdicts: dict[tuple[str, Case], str | None] = {}  # by backend: what was wrong


def failures(backend: ModuleType, programs: Iterable[CheckedProgram]) -> list[str]:
    """What `backend` gets wrong among the operations of `programs`; empty where it is exact.

    The verdict on each class of operation is kept for the rest of the process.
    """
    try:
        cases = _cases(programs, backend.LIMITS)
    except NoExactSplit as error:
        return [str(error)]
    found = []
    for case in cases:
        key = (backend.NAME, case)
        if key not in _verdicts:
            _verdicts[key] = _verdict(backend, case)
        if (verdict := _verdicts[key]) is not None:
            found.append(f"{case}: {verdict}")
    return found


def _cases(programs: Iterable[CheckedProgram], limits: KernelLimits) -> list[Case]:
    """The distinct classes of operation, and one of those with made-up weights on a large plane
    too: the heaviest that the reference runs in a few milliseconds."""
    cases: dict[Case, int] = {}  # and the number of made-up weights
    for checked in programs:
        for operation in checked.program.operations:
            roles = operation.roles(checked.tensors)
            operands = [checked.values[name] for name in operation.inputs]
            case = _case(operation, operands, roles, limits)
            made_up = "weight" in roles and operation.form.trial.tensor is not None
            cases[case] = roles["weight"].size if made_up else 0
    quick = [case for case, weights in cases.items() if 0 < weights <= QUICK_WEIGHTS]
    large = [replace(max(quick, key=cases.__getitem__), plane=LARGE)] if quick else []
    return [*cases, *large]


def _case(
    operation: Operation, operands: list[ValueInfo], roles: Tensors, limits: KernelLimits
) -> Case:
    trial, attributes = operation.form.trial, operation.attributes
    facts = trial.facts(limits, *operands, **roles, **attributes)
    infos = (x.within(-LARGEST, LARGEST) if x.accumulator else x for x in operands)
    return Case(
        operation.kind,
        tuple(replace(x, rate=Fraction(1)) for x in infos),
        tuple(sorted(attributes.items())),
        tuple((role, tensor.shape, tensor.dtype.str) for role, tensor in sorted(roles.items())),
        Stored.of(roles) if trial.tensor is None else facts,
    )


def _verdict(backend: ModuleType, case: Case) -> str | None:
    """None where `backend` agrees with the reference on `case`, else what happened."""
    trial = _trial(case)
    try:
        found = backend.prepare(trial.program)(trial.inputs)["result"]
    except (AttributeError, LicodecError, RuntimeError, ValueError) as error:
        reason = str(error).strip() or type(error).__name__
        return f"cannot run ({reason.splitlines()[0]})"
    if found.shape != trial.expected.shape:
        return f"shape {found.shape} for {trial.expected.shape}"
    wrong = np.count_nonzero(found != trial.expected)
    return f"{wrong} of {found.size} integers are wrong" if wrong else None


def _trial(case: Case) -> Trial:
    """One operation, its sums requantized, on tensors and planes made to expose inexact kernels."""
    random = np.random.default_rng(0)
    kind, attributes = KINDS[case.kind], dict(case.attributes)
    scale = attributes[multiple] if (multiple := kind.trial.multiple_of) else 1
    rows, columns = (side * scale for side in case.plane)
    names = tuple(f"operand_{i}" for i in range(len(case.operands)))
    inputs = [_operand(random, info, rows, columns, kind.trial.near_zero) for info in case.operands]
    tensors = _tensors(random, case)
    given = {"low": -LARGEST, "high": LARGEST}
    result = kind.kernel(*(x.astype(np.int64) for x in inputs), **tensors, **attributes)
    roles = {role: role for role in tensors}
    sums = kind.infer(*case.operands, **tensors, **attributes).accumulator
    operations = [Operation(kind.name, names, "sum" if sums else "result", roles, attributes)]
    if sums:
        tensors["reveal"] = _revealing_multiplier(random, np.abs(result).max((1, 2)))
        operations.append(
            Operation("requantize", ("sum",), "result", {"multiplier": "reveal"}, given)
        )
        result = KINDS["requantize"].kernel(result, multiplier=tensors["reveal"], **given)
    ports = tuple(
        Port(name, None if x.number else x.channels, x.low, x.high)
        for name, x in zip(names, case.operands, strict=True)
    )
    program = Program("self-test", ports, tuple(operations), ("result",))
    return Trial(check(program, tensors), dict(zip(names, inputs, strict=True)), result)


def _tensors(random: np.random.Generator, case: Case) -> dict[str, np.ndarray]:
    """Tensors by role: the operation's own or made-up ones."""
    if isinstance(case.facts, Stored):
        return dict(case.facts.tensors)
    make = KINDS[case.kind].trial.tensor
    if make is None:
        return {}
    return {
        role: make(random, role, shape, case.facts).astype(kind)
        for role, shape, kind in case.tensors
    }


def _operand(
    random: np.random.Generator, info: ValueInfo, rows: int, columns: int, near_zero: bool
) -> np.ndarray:
    """The number of larger magnitude, or (C, H, W) integers of the range: all largest on top, a
    mixture of extremes, of zeros and of anything in the middle, where one row may be `near_zero`,
    all least below but for rows of -1 (all bits set)."""
    low, high = info.low, info.high
    if info.number:
        return np.array(high if -low <= high else low)
    special = np.clip([low, high, 0, -1, 1, 255, 256], low, high)
    plane = random.integers(low, high + 1, (info.channels, rows, columns), np.int64)
    mixed = random.integers(0, 2, plane.shape, np.int8).astype(bool)
    plane[mixed] = random.choice(special, np.count_nonzero(mixed))
    third = rows // 3
    plane[:, :third] = high
    plane[:, rows - third :, : columns // 2] = low
    plane[:, rows - third :, columns // 2 :] = np.clip(-1, low, high)
    if near_zero:
        differing = random.integers(-1, 2, (info.channels, columns))
        plane[:, rows // 2] = np.clip(differing, low, high)
    return plane


def _revealing_multiplier(random: np.random.Generator, bound: np.ndarray) -> np.ndarray:
    """One multiplier by channel, whose sums are up to `bound`, of three kinds: 1 shows small sums
    to the last bit and saturates large ones; a power of two shows all of large sums that survives
    their rounding to binary32; anything a little smaller shows whether they were rounded before
    the product."""
    fitting = np.exp2(-np.maximum(0, np.ceil(np.log2(bound + 1)) - 24))
    count = len(bound)
    kinds = np.stack([np.ones_like(fitting), fitting, fitting * random.uniform(0.5, 1, count)])
    return kinds[random.integers(0, 3, count), np.arange(count)].astype(np.float32)
