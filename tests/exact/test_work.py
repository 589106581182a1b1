"""Multiplications, counted against those of a network whose numbers are easy."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from licodec.exact.bounds import check
from licodec.exact.program import Operation, Port, Program
from licodec.exact.work import multiplications
from tests import tiny


def convolution(source: str, output: str, weight: str, stride: int = 1) -> list[Operation]:
    """And the requantization of its sums."""
    attributes = {"stride": stride, "padding": 1 if weight == "last" else 0, "groups": 1}
    roles = {"weight": weight, "bias": f"{weight}.bias"}
    span = {"low": 0, "high": 9}
    return [
        Operation("conv2d", (source,), f"{output}.sums", roles, attributes),
        Operation("requantize", (f"{output}.sums",), output, {"multiplier": "unit"}, span),
    ]


def test_each_position_counts_at_its_own_rate() -> None:
    tensors = {
        "down": np.ones((8, 3, 2, 2), np.int8),  # a quarter of the positions
        "up": np.ones((4, 8, 1, 1), np.int8),
        "last": np.ones((5, 1, 3, 3), np.int8),  # at the inputs' rate again
        "unit": np.ones(1, np.float32),
    }
    tensors |= {f"{n}.bias": np.zeros(len(tensors[n]), np.int32) for n in ("down", "up", "last")}
    operations = (
        *convolution("x", "coarse", "down", stride=2),
        *convolution("coarse", "wide", "up"),
        Operation("pixel_shuffle", ("wide",), "fine", {}, {"factor": 2}),
        Operation("clamp", ("fine",), "clamped", {}, {"low": 0, "high": 9}),
        *convolution("clamped", "y", "last"),
    )
    program = Program("p", (Port("x", 3, 0, 9),), operations, ("y",))
    assert multiplications(check(program, tensors)) == Fraction(96 + 32, 4) + 45


def test_a_network_takes_as_many_as_its_layers() -> None:
    pack = tiny.pack()
    config = tiny.CONFIG
    # Of the linear path: 16x16 pixels of 3 colours to every latent, at a position of 256 pixels.
    linear = 3 * 256 * sum(config.slices) / 256
    total = float(multiplications(pack.checked["analysis"]))
    assert linear < total < 20 * linear
