"""How much there is to do in a program."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from licodec.exact.bounds import ValueInfo
from licodec.exact.program import WEIGHTED_KINDS, Program, Tensors


def multiplications(
    program: Program, tensors: Tensors, values: Mapping[str, ValueInfo]
) -> Fraction:
    """Of a program, for each position (row and column) of its inputs: those with weights, which
    in every network of ours are by far most. `values` are what ``bounds.analyse`` says of it."""
    return sum(
        (
            values[operation.output].rate ** 2 * tensors[operation.tensors["weight"]].size
            for operation in program.operations
            if operation.kind in WEIGHTED_KINDS
        ),
        Fraction(0),
    )
