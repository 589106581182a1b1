"""Multiplications, counted against those of a network whose numbers are easy."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from licodec.exact.program import Operation, Port, Program
from licodec.exact.work import multiplications
from tests import tiny


def convolution(source: str, output: str, weight: str, stride: int = 1) -> Operation:
    attributes = {"stride": stride, "padding": 0, "groups": 1}
    return Operation("conv2d", (source,), output, {"weight": weight}, attributes)


def test_each_position_counts_at_its_own_rate() -> None:
    tensors = {
        "down": np.ones((8, 3, 2, 2), np.int8),  # a quarter of the positions
        "up": np.ones((4, 8, 1, 1), np.int8),
        "last": np.ones((5, 1, 3, 3), np.int8),  # at the inputs' rate again
    }
    operations = (
        convolution("x", "coarse", "down", stride=2),
        convolution("coarse", "wide", "up"),
        Operation("pixel_shuffle", ("wide",), "fine", {}, {"factor": 2}),
        Operation("clamp", ("fine",), "clamped", {}, {"low": 0, "high": 9}),
        convolution("clamped", "y", "last"),
    )
    program = Program("p", (Port("x", 3, 0, 9),), operations, ("y",))
    assert multiplications(program, tensors) == Fraction(96 + 32, 4) + 45


def test_a_network_takes_as_many_as_its_layers() -> None:
    pack = tiny.pack()
    config = tiny.CONFIG
    # Of the linear path: 16x16 pixels of 3 colours to every latent, at a position of 256 pixels.
    linear = 3 * 256 * sum(config.slices) / 256
    total = float(multiplications(pack.programs["analysis"], pack.tensors))
    assert linear < total < 20 * linear
