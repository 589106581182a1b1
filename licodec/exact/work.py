"""How much there is to do in a program."""

from __future__ import annotations

from fractions import Fraction

from licodec.exact.bounds import CheckedProgram


def multiplications(checked: CheckedProgram) -> Fraction:
    """Of a program, for each position (row and column) of its inputs: those with weights, which
    in every network of ours are by far most."""
    operations = checked.program.operations
    weighted = ((o.output, o.weight) for o in operations if o.weight is not None)
    rates, tensors = checked.values, checked.tensors
    counts = (rates[output].rate ** 2 * tensors[weight].size for output, weight in weighted)
    return sum(counts, Fraction(0))
