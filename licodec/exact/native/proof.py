"""The proof, on this machine, that the native code gives the reference's integers.

No kernel is chosen by the shape of a convolution, so one program that meets every kernel does for
all programs: whole and partial vectors of outputs, blocks of positions of every size, sums that
saturate pairs of products, all types of planes, and every operation. It takes some milliseconds.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np

from licodec.exact.backends import reference
from licodec.exact.bounds import check
from licodec.exact.native.levels import Level
from licodec.exact.operations import KINDS
from licodec.exact.program import Operation, Port, Program, Tensors
from licodec.exact.values import Run

ROWS, COLUMNS = 4, 22  # 12 + 6 + 3 + 1 positions
BYTES, WORDS = (0, 255), (-(2**15), 2**15 - 1)
LARGEST = 2**24 - 1
CHANNELS = 12


@cache
def failure(prepare: Callable[..., Run], level: Level) -> str | None:
    """What the kernels of a level get wrong here, None where they are exact. `prepare` binds a
    program to a level."""
    trial = Trial()
    checked = check(trial.program, trial.tensors)
    expected = reference.prepare(checked)(trial.inputs)
    found = prepare(checked, level)(trial.inputs)
    wrong = [name for name, plane in expected.items() if not np.array_equal(found[name], plane)]
    return f"not exact on this machine: {level.name}, {wrong[0]}" if wrong else None


class Trial:
    """A program of everything, its tensors and its inputs."""

    def __init__(self) -> None:
        self._random = np.random.default_rng(0)
        self._operations: list[Operation] = []
        self.tensors: dict[str, np.ndarray] = {}
        ports = (
            Port("bytes", CHANNELS, *BYTES),
            Port("words", CHANNELS, *WORDS),
            Port("number", None, -(2**16), 2**16),
        )
        self._convolutions()
        self._by_integer()
        self._transforms()
        self._moves()
        outputs = tuple(o.output for o in self._operations if o.kind not in _SUMS)
        self.program = Program("proof", ports, tuple(self._operations), outputs)
        self.inputs = {port.name: self._plane(port) for port in ports}

    def _convolutions(self) -> None:
        for x in ("bytes", "words"):
            # Two vectors and one, of up to 16 outputs, and a part of each.
            for outputs in (41, 25):
                self._requantized(self._convolution(x, outputs, 3, 1, 1, np.int8), outputs, *BYTES)
            self._requantized(self._convolution(x, 9, 5, 2, 3, np.int8), 9, *WORDS)
        wide = self._convolution("words", 17, 3, 1, 1, np.int16)
        self._requantized(wide, 17, -LARGEST, LARGEST)

    def _by_integer(self) -> None:
        scaled = self._add("scale", ("words", "number"))
        large = self._requantized(scaled, 1, -LARGEST, LARGEST)
        small = self._requantized("words", 1, -100, 155)
        product = self._requantized(self._add("mul", (large, "words")), CHANNELS, *WORDS)
        self._add("add", (product, large), low=-LARGEST, high=LARGEST)
        self._add("add", (large, small), low=-(2**20), high=2**20)
        self._requantized(self._add("mul", (product, small)), 1, *BYTES)
        self._add("clamp", (large,), low=-3, high=2**17)
        entries = self._random.integers(-LARGEST, LARGEST, 999).astype(np.int32)
        self._add("table", ("words",), {"table": entries}, low=-500)

    def _transforms(self) -> None:
        weight = self._random.integers(0, 4, (CHANNELS, CHANNELS)).astype(np.int8)
        bias = self._random.integers(0, 2**20, CHANNELS).astype(np.int32)
        norm: Tensors = {"weight": weight, "bias": bias}
        self._requantized(self._add("igdn", ("words",), norm, root_bits=2), CHANNELS, *WORDS)
        span = {"low": WORDS[0], "high": WORDS[1]}
        self._add("gdn", ("words",), norm, bias_bits=3, fraction_bits=12, **span)
        gain = self._random.uniform(-2, 2, CHANNELS).astype(np.float32)
        affine = {"gain": gain, "bias": bias // 999}
        self._add("layernorm", ("words",), affine, epsilon=9, fraction_bits=10, **span)
        attention = {
            "multiplier": np.full(2, 2.0**-22, np.float32),
            "bias": self._random.integers(-50, 50, (2, 7, 7)).astype(np.int32),
            "table": np.arange(300, 0, -1, dtype=np.int32),
        }
        self._add("window_attention", ("words",), attention, heads=2, window=4, shift=1)

    def _moves(self) -> None:
        joined = self._add("concat", ("bytes", "words"))
        self._add("split", (joined,), start=7, stop=19)
        self._add("pixel_shuffle", (joined,), factor=2)
        own = self._convolution("bytes", 4 * CHANNELS, 1, 1, 1, np.int8)
        larger = self._add(
            "pixel_shuffle", (self._requantized(own, 4 * CHANNELS, *BYTES),), factor=2
        )
        self._add("pixel_unshuffle", (larger,), factor=2)
        self._add("phase", ("words",), factor=2, row=1, column=0)

    def _add(
        self,
        kind: str,
        inputs: tuple[str, ...],
        tensors: Tensors | None = None,
        **attributes: int,
    ) -> str:
        output = f"{kind} {len(self._operations)}"
        names = {role: f"{output} {role}" for role in tensors or {}}
        self.tensors.update((names[role], tensor) for role, tensor in (tensors or {}).items())
        stated = KINDS[kind].defaults | attributes
        self._operations.append(Operation(kind, inputs, output, names, stated))
        return output

    def _convolution(
        self, x: str, outputs: int, kernel: int, stride: int, groups: int, dtype: type
    ) -> str:
        """Weights that are as large as can be, by turns of one sign, of the other and of both."""
        limits: np.iinfo = np.iinfo(dtype)
        shape = (outputs, CHANNELS // groups, kernel, kernel)
        weight = self._random.choice([limits.min, limits.max, 1, -3], shape)
        weight[::3], weight[1::3] = limits.max, limits.min
        bias = self._random.integers(-(2**20), 2**20, outputs)
        tensors = {"weight": weight.astype(dtype), "bias": bias.astype(np.int32)}
        place = {"stride": stride, "padding": kernel // 2, "groups": groups}
        return self._add("conv2d", (x,), tensors, **place)

    def _requantized(self, x: str, multipliers: int, low: int, high: int) -> str:
        """To a range that some saturate, with ties among what is rounded."""
        tensors = {
            role: np.exp2(self._random.uniform(-24, 0, multipliers)).astype(np.float32)
            for role in ("multiplier", "negative_multiplier")
        }
        tensors["multiplier"][::2] = 0.5
        if multipliers % 2:
            del tensors["negative_multiplier"]
        return self._add("requantize", (x,), tensors, low=low, high=high)

    def _plane(self, port: Port) -> np.ndarray:
        if port.channels is None:
            return np.array(-54321)
        plane = self._random.integers(port.low, port.high + 1, (port.channels, ROWS, COLUMNS))
        plane[:, :, ::5] = self._random.choice([port.low, port.high, 0, 1], (COLUMNS + 4) // 5)
        plane[:, 1:, 2:9] = port.high  # sums of all that is largest
        plane[:, 1:, 12:17] = port.low
        return plane.astype(np.int32)


_SUMS = frozenset({"conv2d", "mul", "scale", "igdn"})
