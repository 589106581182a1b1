"""The quality scale and the search for a target."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from licodec.errors import UsageError
from licodec.exact.gains import GAIN_ONE, Gains
from licodec.rate import (
    SEARCH_GAIN,
    SEARCH_RATIO,
    Rate,
    RateMode,
    RateScale,
    Setting,
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
    scale = RateScale("lite", schedule, ("d", "alpha"))
    found = search(scale, target, lambda setting: setting.d, measure)
    assert found.setting == Setting(found.result)

    def met(d: int) -> bool:
        return measure(d) <= value if kind is TargetKind.SIZE else measure(d) >= value

    every = [d for d in range(16, 4097) if met(d)]
    assert found.met == bool(every)
    if kind is TargetKind.SIZE:
        best = min(every) if every else 4096
        assert best <= found.result <= max(best * SEARCH_RATIO, best + 1)
    else:
        best = max(every) if every else 16
        assert best >= found.result >= min(best / SEARCH_RATIO, best - 1)


@pytest.mark.parametrize(("value", "met"), [(5e5, True), (2e6, True), (100, False)])
def test_a_pack_without_d_is_searched_over_alpha(value: float, met: bool) -> None:
    scale = RateScale("cheng-attn", tiny.pack().schedule, ("alpha",))
    target = Target(TargetKind.SIZE, value)

    def size(setting: Setting) -> float:
        assert setting.d == 64
        return 1e6 - 15 * setting.gains.alpha

    found = search(scale, target, size, lambda size: size)
    assert found.met == met
    assert found.result == size(found.setting)
    if value == 5e5:
        assert value - 15 * SEARCH_GAIN <= found.result <= value
    else:
        assert found.setting.gains.alpha == (0 if met else GAIN_ONE)


def test_rates_become_what_files_state() -> None:
    schedule = tiny.pack().schedule
    both = RateScale("stf (standard)", schedule, ("d", "alpha", "beta"))
    assert both.setting(Rate(RateMode.D, 2)) == Setting(128)
    assert both.setting(Rate(RateMode.QUALITY, 50)) == Setting(256)
    assert both.setting(Rate(RateMode.ALPHA, 1, 0.2)) == Setting(64, Gains(GAIN_ONE, 13107))
    assert both.setting(Rate(RateMode.BETA, 1)) == Setting(64, Gains(0, GAIN_ONE))
    assert both.setting(Rate(RateMode.BPP, 1)) is None
    alone = RateScale("cheng-attn (standard)", schedule, ("alpha",))
    assert alone.setting(Rate()) == Setting(64)
    assert alone.setting(Rate(RateMode.QUALITY, 0)) == Setting(64, Gains(GAIN_ONE))
    assert alone.setting(Rate(RateMode.PSNR, 30)) is None
    for rate in (Rate(RateMode.ALPHA, 1.01), Rate(RateMode.BETA, float("nan"))):
        with pytest.raises(UsageError, match="out of range: give 0 to 1"):
            RateScale("stf", schedule, ("alpha", "beta")).setting(rate)


@pytest.mark.parametrize(
    ("rate", "modes", "message"),
    [
        (Rate(RateMode.D, 2), ("alpha",), "the pack x has no d; it has alpha"),
        (Rate(RateMode.QUALITY, 50), (), "the pack x has no d; it has one rate only"),
        (Rate(RateMode.BPP, 1), (), "the pack x has no d; it has one rate only"),
        (Rate(RateMode.ALPHA, 0), ("d",), r"the pack x has no alpha; it has d \(also"),
        (Rate(RateMode.ALPHA, 1, 1), ("d", "alpha"), "the pack x has no beta; it has d .*, alpha"),
    ],
)
def test_modes_that_a_pack_lacks(rate: Rate, modes: tuple[str, ...], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        RateScale("x", tiny.pack().schedule, modes).setting(rate)


def test_bits_per_pixel_are_bytes_of_the_file() -> None:
    assert target_of(Rate(RateMode.BPP, 0.5), 64, 32) == Target(TargetKind.SIZE, 128)


def test_one_rate_mode_at_a_time() -> None:
    def chosen(**values: float) -> Rate:
        return choose_rate({m: values.get(m.value) for m in RateMode}, lambda m: m.value)

    assert chosen() == Rate(RateMode.D, 1.0)
    assert chosen(alpha=0.5, beta=1) == Rate(RateMode.ALPHA, 0.5, 1)
    assert chosen(beta=1) == Rate(RateMode.BETA, 1)
    with pytest.raises(UsageError, match=r"(alpha and d|d and alpha) exclude"):
        chosen(alpha=0.5, beta=1, d=2)
    with pytest.raises(UsageError, match="quality and target_size exclude each other"):
        chosen(quality=50, target_size=100)
    for target in ("target_bpp", "target_size", "target_psnr"):
        for value in (0, -1, float("inf"), float("nan")):
            with pytest.raises(UsageError, match=f"{target} .*: give a number above 0"):
                chosen(**{target: value})
