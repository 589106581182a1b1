"""How much there is to do in a program."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from licodec.exact.program import Program, Tensors
from licodec.exact.values import ValueInfo


def multiplications(
    program: Program, tensors: Tensors, values: Mapping[str, ValueInfo]
) -> Fraction:
    """Of a program, for each position (row and column) of its inputs: those with weights, which
    in every network of ours are by far most. `values` are what ``bounds.analyse`` says of it."""
    weighted = ((o.output, o.weight) for o in program.operations if o.weight is not None)
    counts = (values[output].rate ** 2 * tensors[weight].size for output, weight in weighted)
    return sum(counts, Fraction(0))
