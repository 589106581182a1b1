"""Synthetic programs for the tests: small random ones and one of `lite`'s size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from licodec.exact.bounds import analyse
from licodec.exact.operations.convolution import accumulator_bound
from licodec.exact.program import Operation, Port, Program

Built = tuple[Program, dict[str, np.ndarray]]


class Builder:
    """Writes a program operation by operation, with made-up tensors."""

    def __init__(self, name: str, seed: int = 0) -> None:
        self.name = name
        self.random = np.random.default_rng(seed)
        self.ports: list[Port] = []
        self.operations: list[Operation] = []
        self.tensors: dict[str, np.ndarray] = {}
        self.channels: dict[str, int] = {}

    def port(self, name: str, channels: int, low: int, high: int) -> str:
        self.ports.append(Port(name, channels, low, high))
        self.channels[name] = channels
        return name

    def number(self, name: str, low: int, high: int) -> str:
        self.ports.append(Port(name, None, low, high))
        return name

    def operation(
        self,
        kind: str,
        inputs: tuple[str, ...],
        channels: int,
        tensors: dict[str, np.ndarray] | None = None,
        **attributes: int,
    ) -> str:
        output = f"{kind}_{len(self.operations)}"
        names = {}
        for role, tensor in (tensors or {}).items():
            names[role] = f"{output}.{role}"
            self.tensors[names[role]] = tensor
        self.operations.append(Operation(kind, inputs, output, names, attributes))
        self.channels[output] = channels
        return output

    def conv(
        self,
        x: str,
        weight: np.ndarray,
        bias: np.ndarray,
        stride: int = 1,
        padding: int | None = None,
        groups: int = 1,
    ) -> str:
        padding = (weight.shape[2] - 1) // 2 if padding is None else padding
        tensors = {"weight": weight, "bias": bias}
        attributes = {"stride": stride, "padding": padding, "groups": groups}
        return self.operation("conv2d", (x,), len(weight), tensors, **attributes)

    def requantize(
        self,
        x: str,
        multiplier: np.ndarray | float,
        low: int,
        high: int,
        negative: np.ndarray | None = None,
    ) -> str:
        tensors = {"multiplier": np.atleast_1d(np.asarray(multiplier, np.float32))}
        if negative is not None:
            tensors["negative_multiplier"] = np.atleast_1d(np.asarray(negative, np.float32))
        return self.operation("requantize", (x,), self.channels[x], tensors, low=low, high=high)

    def layer(self, x: str, out: int, kernel: int, low: int, high: int, spread: float) -> str:
        """A convolution with bell-shaped 8-bit weights and its requantization to [low, high].

        `spread` is the typical magnitude of the operand.
        """
        shape = (out, self.channels[x], kernel, kernel)
        weight = np.clip(np.rint(self.random.normal(0, 32, shape)), -127, 127).astype(np.int8)
        bias = self.random.integers(-(10**5), 10**5, out).astype(np.int32)
        gain = (high - low) / 6 / (spread * 32 * np.sqrt(shape[1] * kernel**2))
        multiplier = gain * self.random.uniform(0.7, 1.4, out)
        return self.requantize(self.conv(x, weight, bias), multiplier, low, high)

    def attention(self, x: str, heads: int, window: int, shift: int, largest: int) -> str:
        """Window attention over queries, keys and values of up to `largest`, whose weights
        fall to 0 within a hundredth to the whole of what the scores can span."""
        channels = self.channels[x] // 3
        unit = 2**20 / max(1, channels // heads * largest**2)
        limit = 2 ** int(self.random.integers(1, 21))
        length = int(self.random.integers(1, 2**14))
        table = np.rint(2**12 * np.exp(-8 * np.arange(length) / length)).astype(np.int32)
        tensors = {
            "multiplier": (unit * self.random.uniform(0.5, 1, heads)).astype(np.float32),
            "bias": self.random.integers(
                -limit, limit + 1, (heads, 2 * window - 1, 2 * window - 1)
            ).astype(np.int32),
            "table": table,
        }
        return self.operation(
            "window_attention", (x,), channels, tensors, heads=heads, window=window, shift=shift
        )

    def add(self, a: str, b: str, low: int, high: int) -> str:
        return self.operation("add", (a, b), self.channels[a], low=low, high=high)

    def shuffle(self, x: str, factor: int) -> str:
        channels = self.channels[x] // factor**2
        return self.operation("pixel_shuffle", (x,), channels, factor=factor)

    def build(self, *outputs: str) -> Built:
        program = Program(self.name, tuple(self.ports), tuple(self.operations), outputs)
        return program, self.tensors


def synthesis(
    latents: int = 320,
    widths: tuple[int, int, int] = (192, 128, 64),
    units: tuple[int, int, int] = (5, 4, 3),
) -> Built:
    """A decoder transform like `lite`'s: about 30,000 multiplications per pixel.

    16-bit latents at 1/16, 12-bit activations, 8-bit weights, pixels out.
    """
    trunk, inner = (-2048, 2047), (0, 4095)
    builder = Builder("synthesis")
    y = builder.port("latents", latents, -(2**15), 2**15 - 1)
    linear = builder.shuffle(builder.layer(y, 768, 1, *trunk, 8000), 16)
    x = builder.layer(y, widths[0], 1, *trunk, 8000)
    for i, (width, count) in enumerate(zip(widths, units, strict=True)):
        for _ in range(count):
            spatial = builder.layer(x, width, 3, *inner, 600)
            x = builder.add(x, builder.layer(spatial, width, 1, *trunk, 1500), *trunk)
        if i < 2:
            x = builder.shuffle(builder.layer(x, widths[i + 1] * 4, 1, *trunk, 600), 2)
    branch = builder.shuffle(builder.layer(x, 48, 3, *trunk, 600), 4)
    return builder.build(builder.add(linear, branch, 0, 255))


def multiplications_per_pixel(built: Built, rows: int, columns: int, pixels: int) -> float:
    """Multiplications of all convolutions over an input of that many rows and columns."""
    program, tensors = built
    values = analyse(program, tensors)
    count = 0
    for operation in program.operations:
        if operation.kind == "conv2d":
            rate = values[operation.output].rate
            weights = tensors[operation.tensors["weight"]].size
            count += weights * rows * rate * columns * rate
    return float(count / pixels)


RANGES = (
    (-(2**15), 2**15 - 1),
    (0, 2**16 - 1),
    (-1, 2**16 - 2),
    (-2048, 2047),
    (0, 4095),
    (0, 255),
    (-128, 127),
    (-300, 5),
    (-300, -290),
    (290, 300),
    (7, 7),
)
"""Operands of 1 to 16 bits, signed, unsigned and lopsided."""
WIDE_RANGES = (
    *RANGES,
    (-(2**24) + 1, 2**24 - 1),
    (-(2**15) - 1, 2**15),
    (-129, 128),
    (0, 2**20),
    (40000, 2**24 - 1),
    (-(2**24) + 1, -40000),
    (2**24 - 1, 2**24 - 1),
)
"""Beyond those, too."""

RANDOM_KINDS = (
    *("conv", "conv", "requantize", "sum", "product", "scaled", "normalized", "clamp", "table"),
    *("layernorm", "attention", "join", "part", "fold", "unfold"),
)
PLANE = (8, 12)  # rows and columns of the inputs of random programs


class RandomBuilder(Builder):
    """Writes programs of random operations over all kinds, widths and attributes."""

    def __init__(self, seed: int, choices: Sequence[tuple[int, int]] = RANGES) -> None:
        super().__init__("random", seed)
        self.choices = choices
        self.ranges: dict[str, tuple[int, int]] = {}
        self.rates: dict[str, Fraction] = {}

    def random_program(self) -> Built:
        for i in range(self.random.integers(1, 3)):
            name = self.port(f"x{i}", int(self.random.integers(1, 10)), *self._range())
            self._note(name, (self.ports[-1].low, self.ports[-1].high), Fraction(1))
        for _ in range(self.random.integers(1, 9)):
            getattr(self, f"_random_{self.random.choice(RANDOM_KINDS)}")(self._value())
        names = list(self.ranges)
        others = self.random.choice(names, self.random.integers(0, 3))
        return self.build(*dict.fromkeys([names[-1], *map(str, others)]))

    def planes(self) -> dict[str, np.ndarray]:
        """Inputs of extremes, zeros, odd and even numbers."""
        inputs = {}
        for port in self.ports:
            if port.channels is None:
                inputs[port.name] = np.array(self.random.integers(port.low, port.high + 1))
                continue
            shape = (port.channels, *PLANE)
            plane = self.random.integers(port.low, port.high + 1, shape)
            special = np.clip([port.low, port.high, 0, -1, 1, 255, 256], port.low, port.high)
            chosen = self.random.random(shape) < 0.5
            plane[chosen] = self.random.choice(special, chosen.sum())
            plane[:, :4, :4] = port.high
            inputs[port.name] = plane.astype(np.int32)
        return inputs

    def _range(self) -> tuple[int, int]:
        low, high = self.random.choice(self.choices)
        return int(low), int(high)

    def _value(self) -> str:
        return str(self.random.choice(list(self.ranges)))

    def _note(self, name: str, span: tuple[int, int], rate: Fraction) -> None:
        self.ranges[name], self.rates[name] = span, rate

    def _multiplier(self, channels: int, bound: int, span: tuple[int, int]) -> np.ndarray:
        """Multipliers that use the range of the result, and often saturate it."""
        gain = max(1, max(-span[0], span[1])) / max(1, bound)
        count = channels if self.random.random() < 0.7 else 1
        return np.minimum(gain * np.exp2(self.random.uniform(-1, 8, count)), 2.0**23)

    def _requantized(self, x: str, bound: int, rate: Fraction) -> None:
        span = self._range()
        negative = None
        if self.random.random() < 0.3:
            negative = self._multiplier(self.channels[x], bound, span)
        positive = self._multiplier(self.channels[x], bound, span)
        result = self.requantize(x, positive, *span, negative)
        self._note(result, span, rate)

    def _random_conv(self, x: str) -> None:
        low, high = self.ranges[x]
        if low < -(2**15) or high > 2**16 - 1 or high - low > 2**16 - 1:
            return
        kernel, stride = int(self.random.choice([1, 2, 3, 5])), int(self.random.choice([1, 1, 2]))
        paddings = [p for p in range(kernel) if kernel - stride <= 2 * p < kernel]
        rate = self.rates[x] / stride
        if not paddings or any((n * rate).denominator != 1 for n in PLANE):
            return
        channels = self.channels[x]
        groups = int(self.random.choice([g for g in range(1, channels + 1) if channels % g == 0]))
        outputs = groups * int(self.random.integers(1, 8))
        bits = int(self.random.choice([2, 4, 8, 8, 12, 16]))
        limit = 1 << (bits - 1)
        shape = (outputs, channels // groups, kernel, kernel)
        weight = self.random.integers(-limit, limit, shape)
        extreme = self.random.random(shape) < 0.3
        weight[extreme] = self.random.choice([-limit, limit - 1], extreme.sum())
        weight = weight.astype(np.int8 if bits <= 8 else np.int16)
        largest = 1 << int(self.random.integers(0, 31))
        bias = self.random.integers(-largest, largest, outputs).astype(np.int32)
        padding = int(self.random.choice(paddings))
        acc = self.conv(x, weight, bias, stride, padding, groups)
        self._requantized(acc, accumulator_bound(weight, bias, max(-low, high)), rate)

    def _random_requantize(self, x: str) -> None:
        low, high = self.ranges[x]
        self._requantized(x, max(-low, high, 1), self.rates[x])

    def _random_sum(self, x: str) -> None:
        key = (self.channels[x], self.rates[x])
        others = [n for n in self.ranges if (self.channels[n], self.rates[n]) == key]
        span = self._range()
        self._note(self.add(x, str(self.random.choice(others)), *span), span, self.rates[x])

    def _random_product(self, x: str) -> None:
        key = (self.channels[x], self.rates[x])
        others = [n for n in self.ranges if (self.channels[n], self.rates[n]) == key]
        z = str(self.random.choice(others))
        bound = max(map(abs, self.ranges[x])) * max(map(abs, self.ranges[z]))
        self._requantized(self.operation("mul", (x, z), self.channels[x]), bound, self.rates[x])

    def _random_scaled(self, x: str) -> None:
        name = f"n{len(self.ports)}"
        low, high = sorted(self.random.integers(-(2**16) + 1, 2**16, 2).tolist())
        self.number(name, low, high)
        bound = max(map(abs, self.ranges[x])) * max(-low, high)
        self._requantized(
            self.operation("scale", (x, name), self.channels[x]), bound, self.rates[x]
        )

    def _random_normalized(self, x: str) -> None:
        low, high = self.ranges[x]
        if low < -(2**15) or high > 2**16 - 1 or high - low > 2**16 - 1:
            return
        channels, largest = self.channels[x], max(-low, high, 1)
        weight = self.random.integers(0, 2 ** int(self.random.integers(1, 8)), (channels, channels))
        bias_bits = int(self.random.integers(0, 12))
        bias = self.random.integers(0, 2 ** int(self.random.integers(0, 30)), channels)
        norm = int((weight.sum(1) * largest**2 + (bias << bias_bits)).max())
        room = (2**48 - 1) // max(norm, 1)
        root_bits = min(12, int(self.random.integers(0, max(1, room.bit_length() // 2))))
        tensors = {"weight": weight.astype(np.int8), "bias": bias.astype(np.int32)}
        bits = {"bias_bits": bias_bits, "root_bits": root_bits}
        if self.random.random() < 0.5:
            total = self.operation("igdn", (x,), channels, tensors, **bits)
            bound = largest * math.isqrt(norm << 2 * root_bits)
            self._requantized(total, max(1, bound), self.rates[x])
            return
        span = self._range()
        fraction_bits = int(self.random.integers(0, 18))
        result = self.operation(
            "gdn", (x,), channels, tensors, **bits, fraction_bits=fraction_bits,
            low=span[0], high=span[1],
        )  # fmt: skip
        self._note(result, span, self.rates[x])

    def _random_layernorm(self, x: str) -> None:
        low, high = self.ranges[x]
        channels, span = self.channels[x], self._range()
        epsilon = int(self.random.choice([0, 1, 10**6]))
        radicand = (channels * (high - low)) ** 2 // 4 + epsilon
        if max(-low, high) >= 2**16:
            return
        root_bits = (2**52 // (radicand + 1)).bit_length() // 2 - 1
        root_bits = int(self.random.integers(0, max(1, min(root_bits, 20) + 1)))
        fraction_bits = int(self.random.integers(0, 16))
        if (channels - 1) * (high - low) << root_bits + fraction_bits >= 2**52:
            fraction_bits = 0
        gain = self.random.normal(0, max(map(abs, span)) * 2.0 ** -(fraction_bits + 1), channels)
        gain = np.clip(gain, -(2.0**23), 2.0**23)
        tensors = {
            "gain": gain.astype(np.float32),
            "bias": self.random.integers(*sorted(span), channels, endpoint=True).astype(np.int32),
        }
        result = self.operation(
            "layernorm", (x,), channels, tensors, epsilon=epsilon, root_bits=root_bits,
            fraction_bits=fraction_bits, low=span[0], high=span[1],
        )  # fmt: skip
        self._note(result, span, self.rates[x])

    def _random_attention(self, x: str) -> None:
        low, high = self.ranges[x]
        wide = low < -(2**15) or high > 2**16 - 1 or high - low > 2**16 - 1
        if wide or self.channels[x] * 3 > 40:
            return
        if self.channels[x] % 3:
            joined = self.operation("concat", (x, x, x), 3 * self.channels[x])
            self._note(joined, (low, high), self.rates[x])
            x = joined
        depth_heads = self.channels[x] // 3
        divisors = [n for n in range(1, depth_heads + 1) if depth_heads % n == 0]
        heads, window = int(self.random.choice(divisors)), int(self.random.integers(1, 6))
        result = self.attention(
            x, heads, window, int(self.random.integers(0, window)), max(-low, high)
        )
        self._note(result, (low, high), self.rates[x])

    def _random_part(self, x: str) -> None:
        start, stop = sorted(self.random.choice(self.channels[x] + 1, 2, replace=False).tolist())
        result = self.operation("split", (x,), stop - start, start=start, stop=stop)
        self._note(result, self.ranges[x], self.rates[x])

    def _random_clamp(self, x: str) -> None:
        low, high = self._range()
        result = self.operation("clamp", (x,), self.channels[x], low=low, high=high)
        self._note(result, (low, high), self.rates[x])

    def _random_table(self, x: str) -> None:
        low, high = self._range()
        size = int(self.random.choice([1, 2, 300, 65536]))
        entries = self.random.integers(low, high + 1, size).astype(np.int32)
        start = int(self.random.integers(-3000, 100))
        result = self.operation("table", (x,), self.channels[x], {"table": entries}, low=start)
        self._note(result, (int(entries.min()), int(entries.max())), self.rates[x])

    def _random_join(self, x: str) -> None:
        others = [n for n in self.ranges if self.rates[n] == self.rates[x]]
        parts = (x, *map(str, self.random.choice(others, self.random.integers(0, 3))))
        channels = sum(self.channels[n] for n in parts)
        if channels > 40:
            return
        spans = [self.ranges[n] for n in parts]
        result = self.operation("concat", parts, channels)
        self._note(result, (min(s[0] for s in spans), max(s[1] for s in spans)), self.rates[x])

    def _random_fold(self, x: str) -> None:
        factor = int(self.random.choice([1, 2, 3]))
        if self.channels[x] % factor**2 == 0 and self.rates[x] * factor <= 4:
            self._note(self.shuffle(x, factor), self.ranges[x], self.rates[x] * factor)

    def _random_unfold(self, x: str) -> None:
        factor = int(self.random.choice([1, 2]))
        rate, channels = self.rates[x] / factor, self.channels[x] * factor**2
        if channels <= 40 and all((n * rate).denominator == 1 for n in PLANE):
            result = self.operation("pixel_unshuffle", (x,), channels, factor=factor)
            self._note(result, self.ranges[x], rate)
