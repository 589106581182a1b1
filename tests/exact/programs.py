"""Synthetic programs for the tests: small adversarial ones and one of `lite`'s size."""

from __future__ import annotations

import numpy as np

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
    from licodec.exact.bounds import analyse

    program, tensors = built
    values = analyse(program, tensors)
    count = 0
    for operation in program.operations:
        if operation.kind == "conv2d":
            rate = values[operation.output].rate
            weights = tensors[operation.tensors["weight"]].size
            count += weights * rows * rate * columns * rate
    return float(count / pixels)
