"""Quantization steps and scale indexes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction

from oracle.arrays import (
    LATENT_HIGH,
    LATENT_LOW,
    Array,
    Json,
    Noise,
    array,
    array_to_json,
    plane,
    rne,
    sat,
)


def steps_case(
    name: str, shows: str, g: int, d: int, step: tuple[int, int], scale: Array, mean: Array,
    thresholds: Sequence[int], symbols: Array,
) -> Json:  # fmt: skip
    unit = 2**g
    i, count = step
    low, high = unit, unit
    if d >= unit:
        high = unit + rne(Fraction((d - unit) * (i + 1), count))
    else:
        low = d + rne(Fraction((unit - d) * i, count))

    def delta(c: int, row: int, column: int) -> int:
        channel = [
            v for v, index in zip(scale.values, scale.indexes(), strict=True) if index[0] == c
        ]
        least, largest = min(channel), max(channel)
        if least == largest:
            return high
        part = Fraction((scale[c, row, column] - least) * (high - low), largest - least)
        return high - rne(part)

    steps = array(scale.shape, delta)
    indexes = array(scale.shape, lambda *p: sum(scale[p] * unit > t * steps[p] for t in thresholds))
    decoded = array(
        scale.shape, lambda *p: sat(symbols[p] * steps[p] + mean[p], LATENT_LOW, LATENT_HIGH)
    )
    return {
        "name": name,
        "shows": shows,
        "latent_fraction_bits": g,
        "d": d,
        "step": i,
        "step_count": count,
        "thresholds": list(thresholds),
        "scale": array_to_json(scale, stored=False),
        "mean": array_to_json(mean, stored=False),
        "symbols": array_to_json(symbols, stored=False),
        "lo": low,
        "hi": high,
        "steps": array_to_json(steps, stored=False),
        "scale_indexes": array_to_json(indexes, stored=False),
        "decoded": array_to_json(decoded, stored=False),
    }


def steps_cases() -> Iterator[Json]:
    few, ties, ends = plane(100, 200, 350), plane(0, 1, 2, 3, 4), plane(-32768, -1, 0, 1, 32767)
    flat = array((3, 1, 2), lambda c, r, q: (7, 7, 0, 0, -5, -5)[2 * c + q])
    near = array((1, 2, 4), lambda c, r, q: (40, 41, 42, 79, 80, 81, 82, 160)[4 * r + q])
    for name, shows, g, d, step, scale, thresholds, symbols in (
        ("example", "section 'Scale index'", 6, 96, (1, 4), few, [100, 150, 200, 300], None),
        ("ties", "the share of the largest scale falls on halves", 2, 6, (0, 1), ties, [1, 2, 3],
         None),
        ("ties of hi", "(d - u)(i + 1) / K is 1/2, 3/2, ...", 4, 17, (0, 2), ties, [1], None),
        ("ties of hi, odd", "3/2 becomes 2", 4, 17, (2, 2), ties, [1], None),
        ("ties of lo", "(u - d) i / K is 3/2", 4, 13, (1, 2), ties, [1], None),
        ("flat channels", "all scales equal, also 0 and below", 3, 24, (0, 2), flat, [1, 6, 7, 8],
         None),
        ("negative scales", "the difference of two needs 17 bits", 6, 4096, (4, 5), ends,
         [1, 100, 300, 30000], plane(1, -1, 3, 8, -9)),
        ("thresholds", "scales just below, at and above a threshold", 5, 32, (0, 5), near,
         [40, 80, 160], None),
    ):  # fmt: skip
        zeros = array(scale.shape, lambda *_: 0)
        yield steps_case(name, shows, g, d, step, scale, zeros, thresholds, symbols or zeros)
    noise = Noise(5)
    for d in (1, 16, 33, 63, 64, 65, 100, 1000, 32768):
        i = noise.integer(0, 4)
        shape = (2, 2, 3)
        scale = noise.array(shape, 0, 2**17)
        thresholds = sorted({noise.integer(1, 2**17) for _ in range(9)})
        yield steps_case(
            f"d {d}", f"step {i} of 5; sat of the latents", 6, d, (i, 5), scale,
            noise.array(shape, LATENT_LOW, LATENT_HIGH), thresholds, noise.array(shape, -999, 999),
        )  # fmt: skip


def even_steps_cases() -> Iterator[Json]:
    for name, g, d, share in (
        ("no share", 6, 4096, 0),
        ("all of it", 6, 4096, 65535),
        ("rounded down", 6, 96, 30000),
        ("rounded up", 6, 96, 31000),
        ("d below 1 makes finer steps", 6, 16, 40000),
        ("the least step", 6, 1, 65535),
        ("just over a half", 1, 3, 32768),
        ("just under a half", 1, 3, 32767),
    ):
        unit = 2**g
        step = unit + rne(Fraction((d - unit) * share, 65535))
        yield {
            "name": name, "latent_fraction_bits": g, "d": d, "step_share": share, "delta": step,
        }  # fmt: skip


def shares_between_cases() -> Iterator[Json]:
    for name, share, other, beta in (
        ("beta 0", 20000, 60000, 0),
        ("beta 1", 20000, 60000, 65535),
        ("rising", 0, 65535, 12345),
        ("falling", 60000, 3, 40000),
        ("rounded up", 100, 101, 32768),
        ("rounded down", 100, 101, 32767),
        ("falling, rounded", 101, 100, 32768),
    ):
        between = share + rne(Fraction((other - share) * beta, 65535))
        yield {
            "name": name, "step_share": share, "beta_step_share": other, "beta": beta,
            "share_in_force": between,
        }  # fmt: skip
