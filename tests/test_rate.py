"""The quality scale and the search for a target."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from licodec.errors import UsageError
from licodec.rate import (
    SEARCH_RATIO,
    Rate,
    RateMode,
    Target,
    TargetKind,
    choose_rate,
    d_from_quality,
    d_to_units,
    search,
    target_of,
)
from tests import tiny


def test_quality_scale() -> None:
    assert d_from_quality(75) == 1
    assert d_from_quality(100) == 0.25
    assert d_from_quality(0) == 64
    for quality in (-1, 100.5, float("nan")):
        with pytest.raises(UsageError, match="out of range"):
            d_from_quality(quality)


def test_d_in_units() -> None:
    schedule = tiny.pack().schedule
    assert d_to_units(1, schedule) == 64
    assert d_to_units(0.25, schedule) == schedule.d_low
    for d in (0, -1, 0.1, 65, float("inf"), float("nan")):
        with pytest.raises(UsageError, match=r"takes 0.25 to 64"):
            d_to_units(d, schedule)


@given(st.floats(1, 1e6), st.sampled_from(TargetKind))
def test_search_ends_beside_the_target(value: float, kind: TargetKind) -> None:
    schedule = replace(tiny.pack().schedule, d_low=16, d_high=4096)
    measure = {TargetKind.SIZE: lambda d: 1e6 / d, TargetKind.PSNR: lambda d: 5000 - d}[kind]
    target = Target(kind, value)
    found = search(schedule, target, lambda d: d, measure)
    assert found.result == found.d

    def met(d: int) -> bool:
        return measure(d) <= value if kind is TargetKind.SIZE else measure(d) >= value

    every = [d for d in range(16, 4097) if met(d)]
    assert found.met == bool(every)
    if kind is TargetKind.SIZE:
        best = min(every) if every else 4096
        assert best <= found.d <= max(best * SEARCH_RATIO, best + 1)
    else:
        best = max(every) if every else 16
        assert best >= found.d >= min(best / SEARCH_RATIO, best - 1)


def test_bits_per_pixel_are_bytes_of_the_file() -> None:
    assert target_of(Rate(RateMode.BPP, 0.5), 64, 32) == Target(TargetKind.SIZE, 128)


def test_one_rate_mode_at_a_time() -> None:
    def chosen(**values: float) -> Rate:
        return choose_rate({m: values.get(m.value) for m in RateMode}, lambda m: m.value)

    assert chosen() == Rate(RateMode.D, 1.0)
    assert chosen(alpha=0.5, beta=1) == Rate(RateMode.ALPHA, 0.5)
    with pytest.raises(UsageError, match="quality and target_size exclude each other"):
        chosen(quality=50, target_size=100)
    for target in ("target_bpp", "target_size", "target_psnr"):
        for value in (0, -1, float("inf"), float("nan")):
            with pytest.raises(UsageError, match=f"{target} .*: give a number above 0"):
                chosen(**{target: value})
