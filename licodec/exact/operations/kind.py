"""What there is to say of one kind of operation, beside the kernels of the fast backends."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np

from licodec.exact.values import ValueInfo


def _no_facts(*args: Any, **kwargs: Any) -> None:
    return None


def _own_position(rows: int, **attributes: int) -> int:
    return rows


@dataclass(frozen=True)
class TrialFacts:
    """How the self-test tries a kind of operation.

    tensor       (random, role, shape, facts) -> a tensor for a trial, cast to the stored type
                 afterwards; None: the operation's own tensors are tried, as others would not keep
                 its bounds
    facts        what decides, beside shapes and types of tensors, which kernels of a backend run;
                 called as `infer` is, with the KernelLimits of the backend before the operands
    multiple_of  the attribute whose multiples the operand's rows and columns are
    near_zero    some positions must have channels that hardly differ
    """

    tensor: Callable[[np.random.Generator, str, tuple[int, ...], Any], np.ndarray] | None = None
    facts: Callable[..., Hashable] = _no_facts
    multiple_of: str | None = None
    near_zero: bool = False


@dataclass(frozen=True)
class OperationKind:
    """One kind of operation of format/SPEC.md, "Programs".

    `infer` and `kernel` take the operands in their order and, by name, the tensors and attributes.

    infer       ValueInfo of each operand -> that of the result. Raises IllegalOperation where
                tensors, attributes or bounds are not legal
    kernel      the reference: planes (C, H, W), or numbers (), int64 -> planes (O, H', W'), int64
    tensors     the roles of its tensors; of `optional_tensors`, those that it may lack
    attributes  its integers, with their defaults; None: it must be written
    inputs      the number of operands, None for one or more
    numbers     the positions of the operands that are numbers
    reads_sums  whether it may read an accumulator
    reach       (rows, **attributes) -> how many of the result's rows beyond a strip its operands
                must cover, that so many of its rows beyond the strip be right
    cell        the attribute whose multiples, in rows of the operand, strips must begin at
    """

    name: str
    infer: Callable[..., ValueInfo]
    kernel: Callable[..., np.ndarray]
    tensors: tuple[str, ...] = ()
    optional_tensors: tuple[str, ...] = ()
    attributes: Mapping[str, int | None] = field(default_factory=dict)
    inputs: int | None = 1
    numbers: tuple[int, ...] = ()
    reads_sums: bool = False
    reach: Callable[..., int | Fraction] = _own_position
    cell: str | None = None
    trial: TrialFacts = TrialFacts()

    @property
    def defaults(self) -> dict[str, int]:
        """The attributes that need not be written."""
        return {name: value for name, value in self.attributes.items() if value is not None}
