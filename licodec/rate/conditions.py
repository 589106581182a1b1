"""Constants by channel that depend on d, and in adapter sets on beta.

They are stored at knots of d, as tensors `conditions.N` of shape (knots, channels), and
interpolated in integers. N is a bias or a multiplier of a program, or names steps. Normative:
format/SPEC.md, "Conditions".
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from licodec.entropy.adaptive import divide_half_even
from licodec.errors import CorruptFileError
from licodec.exact.program import Program, Tensors
from licodec.rate.gains import GAIN_ONE

PREFIX = "conditions."
STEPS, HYPER_STEPS = "steps", "hyper_steps"
LARGEST_STEP = 2**15
LARGEST_BIAS = 2**30
LARGEST_GAIN = 2**24 - 1  # exact in binary32


@dataclass(frozen=True)
class Place:
    """Where a picture's d and beta are.

    index  of the knot before d; `share` of `span` is the way from there to the next one
    beta   0 to GAIN_ONE: how far towards the tensors of `others`, pairs of N and a tensor's name
    """

    d: int
    index: int
    share: int
    span: int
    beta: int = 0
    others: tuple[tuple[str, str], ...] = ()


def place_at(knots: tuple[int, ...], d: int, beta: int, others: Mapping[str, str]) -> Place:
    """The place of `d`, from the first knot to the last, and of beta."""
    index = min(bisect_right(knots, d), len(knots) - 1) - 1
    low, high = knots[index : index + 2]
    if not beta:  # the place of all sets alike
        others = {}
    return Place(d, index, d - low, high - low, beta, tuple(sorted(others.items())))


def value(name: str, tensors: Tensors, place: Place) -> np.ndarray:
    """The condition `name`, int64 (channels,): v of SPEC.md."""
    total, divisor = _dividend(tensors[PREFIX + name], place), place.span
    if beside := dict(place.others).get(name):
        other = _dividend(tensors[beside], place)
        total = (GAIN_ONE - place.beta) * total + place.beta * other
        divisor *= GAIN_ONE
    return divide_half_even(total, np.int64(divisor))


def _dividend(table: np.ndarray, place: Place) -> np.ndarray:
    before, after = table[place.index : place.index + 2].astype(np.int64)
    return before * (place.span - place.share) + after * place.share


def conditioned(program: Program, tensors: Tensors) -> Iterator[str]:
    """Names of the program's tensors that are conditions."""
    return (name for name in program.tensors if PREFIX + name in tensors)


def resolved(programs: Mapping[str, Program], tensors: Tensors, place: Place) -> Tensors:
    """The tensors of `programs`, with every condition as it is at `place`."""
    found: dict[str, np.ndarray] = {}
    for program in programs.values():
        found |= {name: tensors[name] for name in program.tensors if name in tensors}
        for name in conditioned(program, tensors):
            found[name] = _in_force(name, tensors, value(name, tensors, place))
    return found


def _in_force(name: str, tensors: Tensors, values: np.ndarray) -> np.ndarray:
    """What a condition's values make of the tensor `name`: a factor of it, or all of it."""
    own = tensors.get(name)
    return values.astype(np.int32) if own is None else own * values.astype(np.float32)


def extreme(program: Program, tensors: Tensors, others: Mapping[str, tuple[str, ...]]) -> Tensors:
    """The tensors of `program` with each condition at its largest magnitude, whatever d and beta
    are: what is proved of the program with them holds for all.

    `others` are the tensors of adapter sets beside `conditions.N`, by N.
    """
    found = {name: tensors[name] for name in program.tensors if name in tensors}
    for name in conditioned(program, tensors):
        tables = [tensors[other] for other in (PREFIX + name, *others.get(name, ()))]
        most = np.max([np.abs(table, dtype=np.int64).max(0) for table in tables], 0)
        found[name] = _in_force(name, tensors, most)
    return found


def check_table(
    name: str, table: np.ndarray, knots: int, tensors: Tensors, roles: Mapping[str, set[str]]
) -> None:
    """Raise CorruptFileError unless `table` can be, or stand beside, `conditions.NAME`.

    `roles` says for each tensor of the programs what operations take it for.
    """

    def require(condition: bool, fault: str) -> None:
        if not condition:
            raise CorruptFileError(f"condition {name}: {fault}")

    require(table.dtype == np.int32 and table.ndim == 2 and len(table) == knots, "its form")
    if name in (STEPS, HYPER_STEPS):
        low, high = 1, LARGEST_STEP
    elif name in tensors:
        require(roles.get(name, set()) <= MULTIPLIERS, "no bias or multiplier")
        require(tensors[name].shape == table.shape[1:], "its channels")
        low, high = 0, LARGEST_GAIN
    else:
        require(roles.get(name, set()) <= BIASES, "no bias or multiplier")
        low, high = -LARGEST_BIAS, LARGEST_BIAS
    require(bool(low <= table.min(initial=low) and table.max(initial=high) <= high), "its range")


MULTIPLIERS = {"requantize.multiplier", "requantize.negative_multiplier"}
BIASES = {"conv2d.bias"}


def roles_of(programs: Mapping[str, Program]) -> dict[str, set[str]]:
    """What operations take each tensor for, as "kind.role"."""
    found: dict[str, set[str]] = {}
    for program in programs.values():
        for operation in program.operations:
            for role, name in operation.tensors.items():
                found.setdefault(name, set()).add(f"{operation.kind}.{role}")
    return found
