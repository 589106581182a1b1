"""How much there is to do in a program."""

from __future__ import annotations

from fractions import Fraction

from licodec.exact.program import WEIGHTED_KINDS, Program, Tensors

_RATE_FACTORS = {  # rows of the result for each of the operand
    "conv2d": lambda attributes: Fraction(1, attributes["stride"]),
    "pixel_shuffle": lambda attributes: Fraction(attributes["factor"]),
    "pixel_unshuffle": lambda attributes: Fraction(1, attributes["factor"]),
}


def multiplications(program: Program, tensors: Tensors) -> Fraction:
    """Of a program that ``bounds.analyse`` accepts, for each position (row and column) of its
    inputs: those with weights, which in every network of ours are by far most."""
    rates = {port.name: Fraction(1) for port in program.inputs}
    total = Fraction(0)
    for operation in program.operations:
        rate = rates[operation.inputs[0]]
        if operation.kind in _RATE_FACTORS:
            rate *= _RATE_FACTORS[operation.kind](operation.attributes)
        rates[operation.output] = rate
        if operation.kind in WEIGHTED_KINDS:
            total += rate**2 * tensors[operation.tensors["weight"]].size
    return total
