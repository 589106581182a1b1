"""What conditions are worth, and what they are used for."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from fractions import Fraction

from oracle.arrays import (
    LARGEST_BIAS,
    LARGEST_VALUE,
    LATENT_HIGH,
    LATENT_LOW,
    ONE,
    Array,
    Json,
    Noise,
    Number,
    array,
    array_to_json,
    fl32,
    plane,
    rne,
    sat,
    vector,
)
from oracle.conditions import band_of, coded_channels, scale_index, worth

from cases.forms import by_knot


def condition_cases() -> Iterator[Json]:
    def of(
        name: str, shows: str, knots: Sequence[int], d: int, rows: Array,
        others: Array | None = None, beta: int = 0,
    ) -> Json:  # fmt: skip
        assert list(knots) == sorted(set(knots)) and knots[0] <= d <= knots[-1]
        assert rows.shape[0] == len(knots) and 0 <= beta <= ONE
        stated = {"conditions": array_to_json(rows, stored=True)}
        if others is not None:
            assert others.shape == rows.shape
            stated |= {"set_conditions": array_to_json(others, stored=True), "beta": beta}
        found = list(worth(rows, knots, d, others, beta).values)
        return {"name": name, "shows": shows, "knots": list(knots), "d": d, **stated,
                "worth": found}  # fmt: skip

    example = by_knot((100, 0), (301, 7), (5, -5))
    knots = (1024, 3072, 8192)
    yield of("example", "section 'Conditions'", knots, 2048, by_knot((100,), (301,), (0,)))
    yield of("example with beta", "section 'Conditions'", knots, 2048,
             by_knot((100,), (301,), (0,)), by_knot((0,), (7,), (0,)), 21845)  # fmt: skip
    for d in (1024, 1025, 3071, 3072, 3073, 8191, 8192):
        yield of(f"d {d}", "at, just below and just above knots", knots, d, example)
    halves = by_knot((0, 1, 2, -1, -2, -3, 5), (1, 2, 3, 0, -1, -2, -4))
    yield of("ties", "half to even, of both signs", (10, 12), 11, halves)
    quarters = by_knot((0, 0, 1, -1, 3, -3), (2, -2, 0, 0, 1, -1))
    for d in range(4, 9):
        yield of(f"quarters, {d - 4} of 4", "ties and others", (4, 8), d, quarters)
    yield of("two knots", "the least number of them, a step apart", (1, 2), 2, by_knot((7,), (-9,)))
    many = tuple(range(5, 5 + 3 * 64, 3))
    rows = Noise(14).array((64, 2), -1000, 1000)
    for d in (5, 6, 100, 191, 194):
        yield of(f"64 knots, d {d}", "the largest number of them", many, d, rows)
    ends = by_knot((LARGEST_BIAS, -LARGEST_BIAS, LARGEST_BIAS), (LARGEST_BIAS, LARGEST_BIAS, 1))
    yield of("largest", "2^30 at knots as far apart as can be", (1, 65535), 40000, ends)
    other = by_knot((-LARGEST_BIAS, LARGEST_BIAS, 3), (-LARGEST_BIAS, 1 - LARGEST_BIAS, 4))
    for beta in (0, 1, 32767, 32768, 65534, 65535):
        yield of(f"largest, beta {beta}", "a dividend of up to 62 bits", (1, 65535), 40000, ends,
                 other, beta)  # fmt: skip
    yield of("ties of beta", "halves of the set's conditions", (2, 4), 3,
             by_knot((9, 9, 9, 9), (9, 9, 9, 9)), by_knot((1, 3, 0, 0), (0, 2, -1, -3)),
             65535)  # fmt: skip
    noise = Noise(15)
    knots, divisor = (3, 3 + 65521), ONE * 65521  # odd, so that there are no ties
    found = 0
    while found < 4:
        rest = (divisor + 1) // 2 if found % 2 else (divisor - 1) // 2
        d, beta = noise.integer(4, 65000), noise.integer(1, ONE - 1)
        factor = (ONE - beta) * (knots[1] - d)
        rows, others = (noise.array((2, 1), -LARGEST_BIAS, LARGEST_BIAS) for _ in range(2))
        if math.gcd(factor, divisor) > 1:
            continue
        others_part = (ONE - beta) * rows[1, 0] * (d - knots[0]) + beta * (
            others[0, 0] * (knots[1] - d) + others[1, 0] * (d - knots[0])
        )
        first = (rest - others_part) * pow(factor, -1, divisor) % divisor
        dividend = factor * first + others_part
        assert dividend % divisor == rest
        if first <= LARGEST_BIAS and rne(Fraction(dividend, divisor)) != round(
            float(dividend) / float(divisor)
        ):
            found += 1
            rows = by_knot((first,), (rows[1, 0],))
            yield of(f"beside a half, {found}", "quotients that binary64 takes for another integer",
                     knots, d, rows, others, beta)  # fmt: skip


def multiplier_cases() -> Iterator[Json]:
    noise = Noise(16)

    def of(name: str, shows: str, pairs: Sequence[tuple[Number, int]]) -> Json:
        stored = vector(*(fl32(m) for m, _ in pairs), type="float32")
        values = [v for _, v in pairs]
        products = vector(*(fl32(m * v) for m, v in zip(stored.values, values, strict=True)),
                          type="float32")  # fmt: skip
        assert all(m < 2**24 for m in products.values)
        x = [noise.integer(-(2**30), 2**30) for _ in pairs]
        rounded = [
            sat(rne(fl32(fl32(n) * m)), -LARGEST_VALUE, LARGEST_VALUE)
            for n, m in zip(x, products.values, strict=True)
        ]
        return {
            "name": name, "shows": shows, "stored": array_to_json(stored, stored=True),
            "worth": values, "in_force": array_to_json(products, stored=True),
            "sums": x, "requantized": rounded,
        }  # fmt: skip

    tenth = Fraction(1, 10)
    yield of("exact", "powers of 2", [(Fraction(1, 2**20), 2**n) for n in (0, 1, 10, 23)])
    yield of("rounded", "the product of binary32, once", [(tenth, n) for n in (1, 3, 7, 11, 999)])
    yield of("ends", "the largest and the least conditions",
             [(fl32(1) / 2**24, 2**24 - 1), (fl32(Fraction(1, 3)) / 2**20, 2**24 - 1), (7, 0),
              (fl32(Fraction(2**24 - 1, 2**24)), 2**24 - 1)])  # fmt: skip
    odd = [(fl32(Fraction(noise.integer(1, 10**6), 10**6)) / 2**20, noise.integer(1, 2**24 - 1))
           for _ in range(12)]  # fmt: skip
    yield of("any", "two roundings, of the multiplier and of what it multiplies", odd)


def channel_step_cases() -> Iterator[Json]:
    noise = Noise(17)

    def of(
        name: str, shows: str, g: int, step: Json, rows: Array, knots: Sequence[int], d: int,
        thresholds: Sequence[int], scale: Array, mean: Array, symbols: Array,
    ) -> Json:  # fmt: skip
        by_channel = worth(rows, knots, d).values
        steps = [by_channel[c] for c in coded_channels(step)]
        indexes = array(
            scale.shape, lambda *p: scale_index(scale[p], 2**g, steps[p[0]], thresholds)
        )
        decoded = array(
            scale.shape, lambda *p: sat(symbols[p] * steps[p[0]] + mean[p], LATENT_LOW, LATENT_HIGH)
        )
        return {
            "name": name, "shows": shows, "latent_fraction_bits": g, "knots": list(knots), "d": d,
            "step": step, "conditions": array_to_json(rows, stored=True),
            "thresholds": list(thresholds), "scale": array_to_json(scale, stored=False),
            "mean": array_to_json(mean, stored=False),
            "symbols": array_to_json(symbols, stored=False), "steps": steps,
            "scale_indexes": array_to_json(indexes, stored=False),
            "decoded": array_to_json(decoded, stored=False),
        }  # fmt: skip

    flat = array((3, 1, 3), lambda c, r, q: (99, 100, 101)[q])
    zero = array((3, 1, 3), lambda *_: 0)
    yield of(
        "equal scales", "a step for each channel, whatever its scales are", 4,
        {"start": 0, "stop": 3}, by_knot((16, 8, 32), (32, 16, 48)), (1, 3), 2, [50, 100, 150],
        flat, zero, array((3, 1, 3), lambda *p: 1),
    )  # fmt: skip
    yield of(
        "largest steps", "2^15, and latents that are cut off", 0, {"start": 0, "stop": 1},
        by_knot((2**15,), (2**15,)), (1, 9), 4, [1, 2**24 - 1],
        plane(0, 1, 2**15, 2**15 + 1, 2**24 - 1, -(2**15)), plane(0, -1, 7, 0, 0, 0),
        plane(0, 1, -1, 2, -32767, 0),
    )  # fmt: skip
    rows = noise.array((4, 9), 1, 2000)
    for name, step in (
        ("a slice", {"start": 4, "stop": 7}),
        ("phases", {"phases": [3, 5, 7, 3], "count": 2}),
        ("the other phases", {"phases": [5, 7, 3, 5], "count": 2}),
    ):
        shape = (len(coded_channels(step)), 2, 2)
        yield of(
            name, "steps of these channels, in the order of mean's", 6, step, rows,
            (16, 64, 256, 768), 100, sorted(noise.integer(1, 3000) for _ in range(7)),
            noise.array(shape, 0, 2**14), noise.array(shape, LATENT_LOW, LATENT_HIGH),
            noise.array(shape, -40, 40),
        )  # fmt: skip


def band_cases() -> Iterator[Json]:
    knots, rows = (16, 100, 768), by_knot((1, 2, 1), (4, 9, 1), (100, 30, 9999))
    medians, symbols = (0, -3, 5), (-2, 3, 1)
    for name, bands, d in (
        ("one band", (), 99),
        ("below all", (17, 100, 300), 16),
        ("at the first", (17, 100, 300), 17),
        ("just below the second", (17, 100, 300), 99),
        ("at the second", (17, 100, 300), 100),
        ("at the last, d_high", (17, 768), 768),
    ):
        steps = worth(rows, knots, d).values
        band = band_of(d, bands)
        yield {
            "name": name, "hyper_bands": list(bands), "knots": list(knots), "d": d,
            "conditions": array_to_json(rows, stored=True), "medians": list(medians),
            "symbols": list(symbols), "tables": [band * 3 + c for c in range(3)],
            "hyper_steps": list(steps),
            "hyper_latents": [q * s + m for q, s, m in zip(symbols, steps, medians, strict=True)],
        }  # fmt: skip
