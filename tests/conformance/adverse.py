"""A small pack with random weights that uses all of the format, and pictures for it.

What trained packs of `lite` never show: every width of weights, groups, strided and even
kernels, constants for negative sums, negative scales, medians that are not 0, rates below 1,
and tables so narrow that many integers are escapes.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np

from licodec.entropy.tables import (
    EntropyTables,
    FrequencyTables,
    integer_frequencies,
    tables_to_tensors,
)
from licodec.exact.program import KINDS
from licodec.exact.schedule import schedule_from_json
from licodec.images import Picture
from licodec.packs import Pack
from tests.exact.programs import Builder

LATENT = (-(2**15), 2**15 - 1)
SCHEDULE = {
    "alignment": 16,
    "latent_stride": 4,
    "hyper_stride": 8,
    "latent_fraction_bits": 4,
    "scale_fraction_bits": 3,
    "d_low": 2,
    "d_high": 500,
    "hyper_synthesis": "hyper",
    "features": ["features", "level"],
    "synthesis": "paint",
    "steps": [
        {"start": 0, "stop": 2, "parameters": "first", "residual": "correct"},
        {"start": 2, "stop": 7, "parameters": "second", "residual": "correct more"},
    ],
}


class Writer(Builder):
    """Writes one program into the parts of a pack."""

    def __init__(self, name: str, random: np.random.Generator, pack: dict[str, Any]) -> None:
        super().__init__(name)
        self.random, self.pack = random, pack

    def write(self, kind: str, *inputs: str, channels: int, **fields: Any) -> str:
        """An operation; arrays among its fields are tensors."""
        tensors = {role: field for role, field in fields.items() if isinstance(field, np.ndarray)}
        attributes = {k: v for k, v in KINDS[kind].attributes.items() if v is not None}
        attributes |= {key: field for key, field in fields.items() if key not in tensors}
        return self.operation(kind, inputs, channels, tensors, **attributes)

    def layer(
        self, x: str, out: int, kernel: int, width: int, low: int, high: int, spread: float,
        negative: float | None = None, **attributes: int,
    ) -> str:  # fmt: skip
        """A convolution with weights of `width` bits, and its requantization to [low, high]."""
        shape = (out, self.channels[x] // attributes.get("groups", 1), kernel, kernel)
        largest = 1 << (width - 1)
        weight = self.random.integers(-largest, largest, shape)
        weight = weight.astype(np.int16 if width > 8 else np.int8)
        bias = self.random.integers(-(high - low), high - low, out).astype(np.int32)
        total = self.write("conv2d", x, channels=out, weight=weight, bias=bias, **attributes)
        self.pack["widths"][f"{self.name}/{total}.weight"] = width
        size = spread * largest * np.sqrt(np.prod(shape[1:])) / 1.7
        factor = (high - low) / 4 / size
        multiplier = (factor * self.random.uniform(0.5, 1.5, out)).astype(np.float32)
        fields: dict[str, Any] = {"multiplier": multiplier, "low": low, "high": high}
        if negative is not None:
            fields["negative_multiplier"] = np.array([factor * negative], np.float32)
        return self.write("requantize", total, channels=out, **fields)

    def normalization(self, kind: str, x: str, width: int) -> str:
        """gdn or igdn of a value of 12 bits, and requantized to 12 bits again."""
        channels = self.channels[x]
        weight = self.random.integers(0, 1 << (width - 1), (channels, channels)).astype(np.int8)
        bias = self.random.integers(1, 2**20, channels).astype(np.int32)
        bits: dict[str, int] = {"bias_bits": 3, "root_bits": 4}
        if kind == "gdn":
            bits |= {"fraction_bits": 12, "low": -(2**15), "high": 2**15 - 1}
        y = self.write(kind, x, channels=channels, weight=weight, bias=bias, **bits)
        self.pack["widths"][f"{self.name}/{y}.weight"] = width
        factor = 1 / (2.0**4 * 10000) if kind == "igdn" else 4.0
        multiplier = (factor * self.random.uniform(0.5, 1.5, channels)).astype(np.float32)
        return self.write(
            "requantize", y, channels=channels, multiplier=multiplier, low=-2048, high=2047
        )

    def layernorm(self, x: str, low: int, high: int) -> str:
        channels = self.channels[x]
        gain = self.random.uniform(-80, 80, channels).astype(np.float32) / 2**10
        bias = self.random.integers(-20, 100, channels).astype(np.int32)
        return self.write(
            "layernorm", x, channels=channels, gain=gain, bias=bias, epsilon=99, root_bits=8,
            fraction_bits=10, low=low, high=high,
        )  # fmt: skip

    def attention(self, x: str, low: int, high: int) -> str:
        """Two heads with windows of 3, which no plane is a multiple of, added to `x`."""
        channels = self.channels[x]
        qkv = self.layer(x, 3 * channels, 1, 8, -1024, 1023, 80)
        multiplier = np.array([1 / 4000, 1 / 9000], np.float32)
        bias = self.random.integers(-99, 100, (2, 5, 5)).astype(np.int32)
        table = np.rint(2**14 * np.exp2(-np.arange(2000) / 128)).astype(np.int32)
        mixed = self.write(
            "window_attention", qkv, channels=channels, multiplier=multiplier, bias=bias,
            table=table, heads=2, window=3, shift=1,
        )  # fmt: skip
        mixed = self.layer(mixed, channels, 1, 8, low, high, 500)
        return self.write("add", x, mixed, channels=channels, low=low, high=high)

    def finish(self, *outputs: str) -> None:
        program, tensors = self.build(*outputs)
        operations = tuple(
            replace(one, tensors={role: f"{self.name}/{own}" for role, own in one.tensors.items()})
            for one in program.operations
        )
        self.pack["programs"][self.name] = replace(program, operations=operations)
        self.pack["tensors"] |= {f"{self.name}/{own}": x for own, x in tensors.items()}


def _parameters(writer: Writer, start: int, channels: int) -> None:
    level = writer.port("level", 1, -200, 300) if start else ""
    features = writer.port("features", 4, -200, 300)
    x = features
    if start:
        previous = writer.port("previous", start, *LATENT)
        eighth = np.array([1 / 8], np.float32)
        near = writer.write(
            "requantize", previous, channels=start, multiplier=eighth, low=-200, high=300
        )
        gap = writer.write("mul", level, level, channels=1)
        gap = writer.write(
            "requantize", gap, channels=1, multiplier=np.array([1 / 256], np.float32),
            low=-200, high=300,
        )  # fmt: skip
        near = writer.write("concat", near, gap, channels=start + 1)
        x = writer.write("concat", features, near, channels=5 + start)
    down = writer.layer(x, 8, 4, 3, -100, 100, 100, negative=0.2, stride=2, padding=1)
    up = writer.write("pixel_shuffle", down, channels=2, factor=2)
    context = writer.write("concat", x, up, channels=writer.channels[x] + 2)
    gate = writer.write("split", context, channels=4, start=0, stop=4)
    gate = writer.write("mul", gate, features, channels=4)
    gate = writer.write(
        "requantize", gate, channels=4, multiplier=np.array([1 / 128], np.float32),
        low=-200, high=300,
    )  # fmt: skip
    context = writer.write("concat", gate, context, channels=writer.channels[context] + 4)
    mean = writer.layer(context, channels, 3, 16, *LATENT, 900, padding=1)
    index = writer.layer(context, channels, 1, 4, -60, 60, 100)
    entries = (np.arange(-50, 80) ** 3 // 40).astype(np.int32)  # negative too
    scale = writer.write("table", index, channels=channels, table=entries, low=-50)
    writer.finish(mean, scale, context)


def _residual(writer: Writer, context_channels: int, channels: int) -> None:
    context = writer.port("context", context_channels, -200, 300)
    decoded = writer.port("decoded", channels, *LATENT)
    near = writer.write("clamp", decoded, channels=channels, low=-1000, high=999)
    both = writer.write("concat", near, context, channels=channels + context_channels)
    index = writer.layer(both, channels, 5, 6, -9, 9, 300, padding=2)
    entries = np.array([-70000, -3, -1, 0, 2, 5, 90000], np.int32)
    writer.finish(writer.write("table", index, channels=channels, table=entries, low=-3))


def _narrow_tables(random: np.random.Generator, lengths: list[int]) -> FrequencyTables:
    frequencies = [integer_frequencies(random.uniform(0.1, 1, n)) for n in lengths]
    offsets = np.array([-(n // 2) for n in lengths], np.int32)
    return FrequencyTables(tuple(frequencies), offsets)


@cache
def pack() -> Pack:
    random = np.random.default_rng(11)
    parts: dict[str, Any] = {"programs": {}, "tensors": {}, "widths": {}}

    hyper = Writer("hyper", random, parts)
    z = hyper.port("hyper_latents", 3, -30, 30)
    x = hyper.layer(z, 16, 3, 5, -200, 300, 10, negative=0.1, padding=1)
    x = hyper.write("pixel_shuffle", x, channels=4, factor=2)
    level = hyper.write("split", x, channels=1, start=1, stop=2)
    hyper.finish(hyper.attention(hyper.layernorm(x, -200, 300), -200, 300), level)
    _parameters(Writer("first", random, parts), 0, 2)
    _residual(Writer("correct", random, parts), 10, 2)
    _parameters(Writer("second", random, parts), 2, 5)
    _residual(Writer("correct more", random, parts), 13, 5)

    paint = Writer("paint", random, parts)
    y = paint.port("latents", 7, *LATENT)
    x = paint.layer(y, 12, 1, 8, -2048, 2047, 1000, negative=0.5)
    unit = paint.layer(x, 12, 3, 2, -2048, 2047, 900, padding=1, groups=12)
    x = paint.write("add", x, unit, channels=12, low=-2048, high=2047)
    x = paint.normalization("igdn", x, 8)
    x = paint.normalization("gdn", x, 5)
    x = paint.layer(x, 48, 3, 7, -1024, 1023, 900, padding=1, groups=3)
    x = paint.write("pixel_shuffle", x, channels=3, factor=4)
    paint.finish(paint.layer(x, 3, 1, 8, 0, 255, 200))

    analysis = Writer("analysis", random, parts)
    p = analysis.port("pixels", 3, -255, 255)
    blocks = analysis.write("pixel_unshuffle", p, channels=48, factor=4)
    analysis.finish(analysis.layer(blocks, 7, 1, 8, *LATENT, 3000))
    hyper_analysis = Writer("hyper_analysis", random, parts)
    y = hyper_analysis.port("latents", 7, *LATENT)
    x = hyper_analysis.layer(y, 7, 3, 8, -255, 255, 9000, padding=1)
    x = hyper_analysis.write("pixel_unshuffle", x, channels=28, factor=2)
    hyper_analysis.finish(hyper_analysis.layer(x, 3, 1, 8, -30, 30, 60))

    tables = EntropyTables(
        _narrow_tables(random, [9, 4, 21]),
        np.array([4, -3, 0], np.int32),
        _narrow_tables(random, [2, 3, 4, 6, 9, 40, 800]),
        np.array([1, 2, 9, 40, 400, 3000], np.int32),
    )
    parts["tensors"].update(tables_to_tensors(tables))
    schedule = schedule_from_json(SCHEDULE)
    return Pack("adverse", "mixed", schedule, card={"name": "adverse"}, **parts)


def pictures() -> dict[str, Picture]:
    """A small colour picture and a grey one with transparency, both of odd sizes."""
    random = np.random.default_rng(5)
    down, across = np.mgrid[0:17, 0:33]
    colour = np.stack([down * 15, across * 7, 255 - down * 5 - across * 4], 2)
    colour = np.clip(colour + random.normal(0, 12, colour.shape), 0, 255).astype(np.uint8)
    down, across = np.mgrid[0:40, 0:70]
    grey = (128 + 100 * np.sin(down / 5) * np.cos(across / 9)).astype(np.uint8)[:, :, None]
    alpha = np.clip((down - 10) * 9 + random.integers(0, 40, down.shape), 0, 255).astype(np.uint8)
    return {"colour 17x33": Picture(colour), "grey 40x70 with alpha": Picture(grey, alpha)}
