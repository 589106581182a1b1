"""Whole packs with conditions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction

from oracle.arrays import (
    LARGEST_BIAS,
    LATENT_HIGH,
    LATENT_LOW,
    ONE,
    Array,
    Json,
    Noise,
    array,
    fl32,
    vector,
)
from oracle.packs import SmallPack

from cases.forms import by_knot, number, operation, port, program
from cases.packs import pack_case

GRID = {"sparse": [1, 3, 3, 1], "rest": [2, 1, 1, 2]}  # the channels of each phase


def conditioned_programs() -> dict[str, Json]:
    latent = (LATENT_LOW, LATENT_HIGH)
    small, features = (-100, 100), [port("features", 2, -100, 100), port("level", 1, -100, 100)]
    heads = []
    for p in range(4):
        heads += [
            operation("phase", "context", f"p{p}", factor=2, row=p // 2, column=p % 2),
            operation("conv2d", f"p{p}", f"h{p}", weight="sparse.head", bias="sparse.head.b"),
            operation("requantize", f"h{p}", f"o{p}", multiplier="sparse.head.m", low=-200,
                      high=200),
            operation("split", f"o{p}", f"m{p}", start=0, stop=1),
            operation("split", f"o{p}", f"s{p}", start=1, stop=2),
        ]  # fmt: skip
    analysis = [
        operation("pixel_unshuffle", "pixels", "u", factor=2),
        operation("conv2d", "u", "a", weight="analysis.w", bias="analysis.b"),
    ]
    near = operation("requantize", "latents", "near", multiplier="eighth", low=-100, high=100)
    painted = [
        operation("conv2d", "latents", "a", weight="paint.w", bias="paint.b", padding=1),
        operation("requantize", "a", "b", multiplier="paint.m", low=0, high=255),
    ]
    return {
        "up": program(
            [port("hyper_latents", 2, -150, 150)],
            [operation("conv2d", "hyper_latents", "a", weight="up.w", bias="up.b", padding=1),
             operation("requantize", "a", "b", multiplier="up.m", low=-100, high=100),
             operation("pixel_shuffle", "b", "c", factor=2),
             operation("split", "c", "features", start=0, stop=2),
             operation("split", "c", "level", start=2, stop=3)],
            "features", "level",
        ),
        "first": program(
            [features[0]],
            [operation("conv2d", "features", "a", weight="first.w", bias="first.b"),
             operation("requantize", "a", "b", multiplier="first.m", low=-400, high=400),
             operation("split", "b", "mean", start=0, stop=1),
             operation("split", "b", "c", start=1, stop=2),
             operation("table", "c", "scale", table="scales", low=-60)],
            "mean", "scale",
        ),
        "sparse": program(
            [features[0], port("latents", 4, *latent)],
            [near,
             operation("concat", "features near", "seen"),
             operation("conv2d", "seen", "a", weight="sparse.w", bias="sparse.b", padding=1),
             operation("requantize", "a", "context", multiplier="sparse.m",
                       negative_multiplier="sparse.n", low=-100, high=100),
             *heads,
             operation("concat", "m0 m1 m2 m3", "mean"),
             operation("concat", "s0 s1 s2 s3", "s"),
             operation("table", "s", "scale", table="scales", low=-60)],
            "mean", "scale", "context",
        ),
        "rest": program(
            [features[1], features[0], port("latents", 4, *latent)],
            [near,
             operation("concat", "near level features", "context"),
             operation("conv2d", "context", "a", weight="rest.w", bias="rest.b", stride=2,
                       padding=1),
             operation("requantize", "a", "b", multiplier="rest.m", low=-200, high=200),
             operation("split", "b", "mean", start=0, stop=8),
             operation("split", "b", "s", start=8, stop=16),
             operation("table", "s", "scale", table="scales", low=-60)],
            "mean", "scale", "context",
        ),
        "correct": program(
            [port("context", 7, *small), port("latents", 4, *latent)],
            [near,
             operation("concat", "context near", "seen"),
             operation("conv2d", "seen", "a", weight="correct.w", bias="correct.b", padding=1),
             operation("requantize", "a", "correction", multiplier="correct.m", low=-6, high=6)],
            "correction",
        ),
        "paint": program(
            [port("latents", 4, *latent)],
            [*painted, operation("pixel_shuffle", "b", "samples", factor=2)],
            "samples",
        ),
        "adapted paint": program(
            [port("latents", 4, *latent), number("alpha", 0, ONE)],
            [*painted,
             operation("conv2d", "latents", "c", weight="branch.w", bias="branch.b"),
             operation("requantize", "c", "e", multiplier="branch.m", low=-500, high=500),
             operation("scale", "e alpha", "f"),
             operation("requantize", "f", "g", multiplier="branch.gain", low=-400, high=400),
             operation("add", "b g", "h", low=0, high=255),
             operation("pixel_shuffle", "h", "samples", factor=2)],
            "samples",
        ),
        "analysis": program(
            [port("pixels", 3, -255, 255)],
            [*analysis,
             operation("requantize", "a", "y", multiplier="analysis.m", low=-1000, high=1000)],
            "y",
        ),
        "hyper_analysis": program(
            [port("latents", 4, *latent)],
            [operation("pixel_unshuffle", "latents", "u", factor=2),
             operation("split", "u", "v", start=0, stop=2),
             operation("requantize", "v", "z", multiplier="eighth", low=-150, high=150)],
            "z",
        ),
    }  # fmt: skip


KNOTS = [16, 64, 200, 768]


def conditioned_pack() -> SmallPack:
    """Alignment 8, latents of 2x2 pixels, hyper-latents of 4x4; one slice, then two steps by
    phases and a residual for all latents."""
    noise = Noise(18)

    def at_knots(channels: int, low: int, high: int) -> Array:
        return noise.array((len(KNOTS), channels), low, high)

    def gains(channels: int, multiplier: Fraction) -> Array:
        """Multipliers to be conditioned by about 2^11."""
        factors = (Fraction(noise.integer(700, 1400), 1000 * 2**11) for _ in range(channels))
        return vector(*(fl32(multiplier * factor) for factor in factors), type="float32")

    gain = (1000, 4000)
    tensors = {
        "up.w": noise.array((12, 2, 3, 3), -128, 127, "int8"),
        "conditions.up.b": at_knots(12, -9000, 9000),
        "up.m": gains(12, Fraction(1, 200)),
        "conditions.up.m": at_knots(12, *gain),
        "first.w": noise.array((2, 2, 1, 1), -8, 7, "int8"),
        "conditions.first.b": at_knots(2, -600, 600),
        "first.m": vector(fl32(Fraction(1, 3)), type="float32"),
        "scales": array((400,), lambda i: i * i // 60 - 20),
        "sparse.w": noise.array((4, 6, 3, 3), -128, 127, "int8"),
        "sparse.b": noise.array((4,), -5000, 5000),
        "sparse.m": vector(*(fl32(Fraction(1, n)) for n in (400, 500, 600, 700)), type="float32"),
        "sparse.n": gains(4, Fraction(1, 800)),
        "conditions.sparse.n": at_knots(4, *gain),
        "sparse.head": noise.array((2, 4, 1, 1), -32, 31, "int8"),
        "conditions.sparse.head.b": at_knots(2, -900, 900),
        "sparse.head.m": gains(2, Fraction(1, 30)),
        "conditions.sparse.head.m": at_knots(2, *gain),
        "rest.w": noise.array((16, 7, 4, 4), -3000, 3000, "int16"),
        "conditions.rest.b": at_knots(16, -LARGEST_BIAS // 2000, LARGEST_BIAS // 2000),
        "rest.m": vector(fl32(Fraction(1, 9000)), type="float32"),
        "correct.w": noise.array((4, 11, 3, 3), -128, 127, "int8"),
        "conditions.correct.b": at_knots(4, -9000, 9000),
        "correct.m": gains(4, Fraction(1, 9000)),
        "conditions.correct.m": at_knots(4, *gain),
        "paint.w": noise.array((12, 4, 3, 3), -128, 127, "int8"),
        "conditions.paint.b": at_knots(12, 20000, 90000),
        "paint.m": gains(12, Fraction(1, 600)),
        "conditions.paint.m": at_knots(12, *gain),
        "eighth": vector(Fraction(1, 8), type="float32"),
        "branch.w": noise.array((12, 4, 1, 1), -8, 7, "int8"),
        "conditions.branch.b": at_knots(12, -2000, 2000),
        "branch.m": vector(fl32(Fraction(1, 20)), type="float32"),
        "branch.gain": vector(fl32(Fraction(1, ONE)), type="float32"),
        "analysis.w": noise.array((4, 12, 1, 1), -128, 127, "int8"),
        "conditions.analysis.b": at_knots(4, -9000, 9000),
        "analysis.m": vector(fl32(Fraction(1, 99)), type="float32"),
        "conditions.steps": by_knot((2, 3, 1, 2), (8, 7, 9, 8), (20, 30, 25, 27),
                                    (100, 90, 80, 120)),
        "conditions.hyper_steps": by_knot((1, 1), (2, 1), (4, 3), (8, 5)),
        "conditions.of nothing": at_knots(3, -1, 1),
        "looks steps": by_knot((3, 3, 2, 1), (10, 9, 12, 7), (31, 40, 12, 19), (130, 60, 60, 140)),
        "looks up.b": at_knots(12, -9000, 9000),
        "looks paint.m": at_knots(12, *gain),
        "looks analysis.b": at_knots(4, -9000, 9000),
        "looks hyper_steps": by_knot((1, 2), (3, 2), (4, 5), (9, 9)),
        "looks branch.b": at_knots(12, -2000, 2000),
        "tables.hyper.medians": vector(1, -2),
        "tables.hyper.lengths": vector(6, 5, 4, 5, 3, 4),
        "tables.hyper.offsets": vector(-3, -2, -1, -2, -1, -1),
        "tables.hyper.frequencies": vector(
            *(5000, 10000, 30000, 15000, 5000, 536), *(10000, 30000, 20000, 5000, 536),
            *(20000, 25000, 20000, 536), *(9000, 40000, 9000, 7000, 536),
            *(30000, 30000, 5536), *(20000, 25000, 20000, 536),
        ),
        "tables.latent.thresholds": vector(2, 9, 40),
        "tables.latent.lengths": vector(2, 4, 6, 9),
        "tables.latent.offsets": vector(0, -1, -2, -4),
        "tables.latent.frequencies": vector(
            *(65000, 536), *(15000, 35000, 15000, 536), *(5000, 15000, 25000, 15000, 5000, 536),
            *(3000, 6000, 9000, 12000, 12000, 11000, 8000, 4000, 536),
        ),
    }  # fmt: skip
    widths = dict.fromkeys(
        ("up.w", "sparse.w", "correct.w", "paint.w", "analysis.w"), 8
    ) | {"first.w": 4, "sparse.head": 6, "rest.w": 16, "branch.w": 4}  # fmt: skip
    schedule = {
        "alignment": 8,
        "latent_stride": 2,
        "hyper_stride": 4,
        "latent_fraction_bits": 3,
        "scale_fraction_bits": 2,
        "d_fraction_bits": 6,
        "d_low": 16,
        "d_high": 768,
        "knots": KNOTS,
        "hyper_bands": [50, 200],
        "hyper_synthesis": "up",
        "features": ["features", "level"],
        "residual": "correct",
        "synthesis": "paint",
        "steps": [
            {"start": 0, "stop": 1, "parameters": "first"},
            {"phases": GRID["sparse"], "count": 1, "parameters": "sparse"},
            {"phases": GRID["rest"], "count": 2, "parameters": "rest"},
        ],
    }
    adapters = [
        {"objective": "mse", "programs": {"paint": "adapted paint"}, "d": 300},
        {"objective": "looks", "programs": {}, "d": 64,
         "conditions": {"steps": "looks steps", "up.b": "looks up.b", "paint.m": "looks paint.m",
                        "analysis.b": "looks analysis.b"}},
        {"objective": "both", "programs": {"paint": "adapted paint", "analysis": "analysis"},
         "d": 64,
         "conditions": {"branch.b": "looks branch.b", "hyper_steps": "looks hyper_steps"}},
    ]  # fmt: skip
    return SmallPack(schedule, conditioned_programs(), widths, tensors, adapters)


def sliced_pack() -> SmallPack:
    """The same with two slices that have residuals of their own, d in units of latents, and one
    band; without adapter sets and encoders."""
    whole, noise, latent = conditioned_pack(), Noise(20), (LATENT_LOW, LATENT_HIGH)
    features, level = whole.programs["rest"]["inputs"][1::-1]
    near = operation("requantize", "previous", "near", multiplier="eighth", low=-100, high=100)
    programs = {
        "up": whole.programs["up"],
        "first": whole.programs["first"] | {"outputs": ["mean", "scale", "features"]},
        "correct first": program(
            [features | {"name": "context"}, port("decoded", 1, *latent)],
            [operation("split", "context", "a", start=1, stop=2),
             operation("clamp", "a", "b", low=-9, high=7)],
            "b",
        ),
        "second": program(
            [level, port("previous", 1, *latent)],
            [near,
             operation("concat", "level near", "context"),
             operation("conv2d", "context", "a", weight="second.w", bias="second.b"),
             operation("requantize", "a", "b", multiplier="second.m", low=-200, high=200),
             operation("split", "b", "mean", start=0, stop=3),
             operation("split", "b", "s", start=3, stop=6),
             operation("table", "s", "scale", table="scales", low=-60)],
            "mean", "scale", "context",
        ),
        "correct second": program(
            [port("context", 2, -100, 100), port("decoded", 3, *latent)],
            [operation("clamp", "decoded", "a", low=-3, high=5)],
            "a",
        ),
        "paint": whole.programs["paint"],
    }  # fmt: skip
    tensors = {
        **whole.tensors,
        "second.w": noise.array((6, 2, 1, 1), -8, 7, "int8"),
        "conditions.second.b": noise.array((len(KNOTS), 6), -900, 900),
        "second.m": vector(fl32(Fraction(1, 6)), type="float32"),
        "tables.hyper.lengths": vector(6, 5),
        "tables.hyper.offsets": vector(-3, -2),
        "tables.hyper.frequencies": vector(
            *(5000, 10000, 30000, 15000, 5000, 536), *(10000, 30000, 20000, 5000, 536)
        ),
    }
    steps = [
        {"start": 0, "stop": 1, "parameters": "first", "residual": "correct first"},
        {"start": 1, "stop": 4, "parameters": "second", "residual": "correct second"},
    ]
    gone = ("d_fraction_bits", "hyper_bands", "residual")
    schedule = {key: value for key, value in whole.schedule.items() if key not in gone}
    schedule |= {"knots": [2, 8, 25, 96], "d_low": 2, "d_high": 96, "steps": steps}
    pack = SmallPack(schedule, programs, whole.widths | {"second.w": 4}, tensors, [])
    used = pack.stored([*pack.named(pack.places), "steps", "hyper_steps"])
    used |= {name for name in tensors if name.startswith("tables.")}
    widths = {name: width for name, width in pack.widths.items() if name in used}
    return replace(
        pack, widths=widths, tensors={name: x for name, x in tensors.items() if name in used}
    )


PHASED, SLICED = "a pack with conditions", "slices with conditions"


def conditioned_pack_cases() -> Iterator[Json]:
    for name, shows, pack in (
        (
            PHASED,
            "biases that are conditions alone, multipliers and negative ones that have them, "
            "conditions of encoders and of nothing, three bands of hyper-latents, steps by phases, "
            "a residual for all, and adapter sets with and without conditions",
            conditioned_pack(),
        ),
        (SLICED, "slices with residuals of their own, and d in units of latents", sliced_pack()),
    ):
        yield pack_case(name, shows, pack)
