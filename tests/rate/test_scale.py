"""The quality scale, and what a rate means for a pack."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from licodec.errors import UsageError
from licodec.exact.schedule import Schedule
from licodec.rate.gains import BETA, GAIN_ONE, MODES, Gains
from licodec.rate.modes import Rate, RateMode, choose_rate
from licodec.rate.scale import SEARCH_GAIN, AdapterRates, RateScale
from licodec.rate.setting import Setting, d_from_quality, d_to_units
from licodec.rate.targets import Target, TargetKind, search, target_of
from tests import tiny

MSE = AdapterRates("mse", ("alpha",), 1280)
SSIM = AdapterRates("ms-ssim", ("alpha",), 1280)
BOTH = AdapterRates("perceptual", ("alpha", "beta"), 1280)


def without_d() -> Schedule:
    return replace(tiny.pack().schedule, d_low=64, d_high=64)


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


@pytest.mark.parametrize(("value", "met"), [(5e5, True), (2e6, True), (100, False)])
def test_a_pack_without_d_is_searched_over_alpha(value: float, met: bool) -> None:
    scale = RateScale("cheng-attn", without_d(), (AdapterRates("mse", ("alpha",), 64),))
    target = Target(TargetKind.SIZE, value)

    def size(setting: Setting) -> float:
        assert setting.d == 64
        return 1e6 - 15 * setting.gains.alpha

    found = search(scale.axis(Rate()), target, size, lambda size: size)
    assert found.met == met
    assert found.result == size(found.setting)
    if value == 5e5:
        assert value - 15 * SEARCH_GAIN <= found.result <= value
    else:
        assert found.setting.gains.alpha == (0 if met else GAIN_ONE)


def test_rates_become_what_files_state() -> None:
    schedule = tiny.pack().schedule
    both = RateScale("stf (standard)", schedule, (AdapterRates("perceptual", MODES, 64),))
    assert both.setting(Rate(RateMode.D, 2)) == Setting(128)
    assert both.setting(Rate(RateMode.QUALITY, 50)) == Setting(256)
    found = both.setting(Rate(RateMode.ALPHA, 1, 0.2))
    assert found == Setting(64, Gains(GAIN_ONE, 13107), "perceptual")
    assert both.setting(Rate(RateMode.BETA, 1)) == Setting(64, Gains(0, GAIN_ONE), "perceptual")
    assert both.setting(Rate(RateMode.BPP, 1)) is None
    alone = RateScale("cheng-attn (standard)", without_d(), (AdapterRates("mse", ("alpha",), 64),))
    assert alone.setting(Rate()) == Setting(64)
    assert alone.setting(Rate(RateMode.QUALITY, 0)) == Setting(64, Gains(GAIN_ONE), "mse")
    assert alone.setting(Rate(RateMode.PSNR, 30)) is None
    for rate in (Rate(RateMode.ALPHA, 1.01), Rate(RateMode.BETA, float("nan"))):
        with pytest.raises(UsageError, match="out of range: give 0 to 1"):
            both.setting(rate)


def test_alpha_brings_its_d() -> None:
    lite = RateScale("lite (standard)", tiny.pack().schedule, (SSIM, MSE, BOTH))
    middle = Gains(round(GAIN_ONE / 2))
    d = round(64 * 20**0.5)
    assert lite.setting(Rate(RateMode.ALPHA, 0.5)) == Setting(d, middle, "mse")
    rate = Rate(RateMode.ALPHA, 0.5, objective="ms-ssim")
    assert lite.setting(rate) == Setting(d, middle, "ms-ssim")
    assert lite.setting(replace(rate, d=2)) == Setting(128, middle, "ms-ssim")
    assert lite.setting(Rate(RateMode.ALPHA, 0, objective="mse")) == Setting(64)
    found = lite.setting(Rate(RateMode.D, 3, beta=1))
    assert found == Setting(192, Gains(0, GAIN_ONE), "perceptual")


@given(st.integers(0, GAIN_ONE))
def test_alpha_and_its_d_go_both_ways(alpha: int) -> None:
    d = MSE.d_at(alpha, 64)
    assert 64 <= d <= MSE.d
    assert MSE.d_at(MSE.alpha_at(d, 64), 64) == d


def test_quality_and_targets_go_over_alpha_where_an_objective_asks() -> None:
    lite = RateScale("lite (standard)", tiny.pack().schedule, (MSE, BOTH))

    def at(quality: float) -> Setting:
        return lite.setting(Rate(RateMode.QUALITY, quality, objective="mse"))

    assert at(75) == Setting(64)
    assert at(100) == Setting(16)  # d goes on where alpha ends
    assert at(0) == Setting(4096, Gains(GAIN_ONE), "mse")
    assert at(50) == Setting(256, Gains(MSE.alpha_at(256, 64)), "mse")
    tried: list[Setting] = []

    def size(setting: Setting) -> float:
        tried.append(setting)
        return 1e6 / setting.d

    target = Rate(RateMode.SIZE, 2500, beta=1)
    found = search(lite.axis(target), target_of(target, 1, 1), size, lambda size: size)
    assert found.met and 400 <= found.setting.d <= 402
    assert found.setting == Setting(
        found.setting.d, Gains(BOTH.alpha_at(found.setting.d, 64), GAIN_ONE), "perceptual"
    )
    assert {setting.objective for setting in tried} == {"perceptual"}


@pytest.mark.parametrize(
    ("rate", "takes_d", "modes", "message"),
    [
        (Rate(RateMode.D, 2), False, ("alpha",), "the pack x has no d; it has alpha"),
        (Rate(RateMode.QUALITY, 50), False, (), "the pack x has no d; it has one rate only"),
        (Rate(RateMode.BPP, 1), False, (), "the pack x has no d; it has one rate only"),
        (Rate(RateMode.ALPHA, 0), True, (), r"the pack x has no alpha; it has d \(also"),
        (Rate(RateMode.ALPHA, 1, 1), True, ("alpha",), "x has no beta; it has d .*, alpha"),
        (
            Rate(RateMode.ALPHA, 1, objective="ms-ssim"),
            True,
            MODES,
            r"no adapters of alpha for the objective ms-ssim; it has mse \(alpha, beta\)",
        ),
        (
            Rate(RateMode.BPP, 1, objective="no-such"),
            True,
            ("alpha",),
            r"no adapters of alpha for the objective no-such; it has mse \(alpha\)",
        ),
        (Rate(RateMode.ALPHA, 0.5, d=2), False, ("alpha",), "the pack x has no d; it has alpha"),
    ],
)
def test_modes_that_a_pack_lacks(
    rate: Rate, takes_d: bool, modes: tuple[str, ...], message: str
) -> None:
    schedule = tiny.pack().schedule if takes_d else without_d()
    adapters = (AdapterRates("mse", modes, 64),) if modes else ()
    with pytest.raises(UsageError, match=message):
        RateScale("x", schedule, adapters).setting(rate)


def test_bits_per_pixel_are_bytes_of_the_file() -> None:
    assert target_of(Rate(RateMode.BPP, 0.5), 64, 32) == Target(TargetKind.SIZE, 128)


def test_an_objective_with_alpha_needs_a_rate_that_says_how_much() -> None:
    scale = RateScale("lite (standard)", tiny.pack().schedule, (MSE, BOTH))
    for d in (1.0, 2.0):
        with pytest.raises(UsageError, match="mse chooses adapters; give a rate"):
            scale.setting(Rate(RateMode.D, d, objective="mse"))


def test_an_objective_with_beta_alone_is_taken_whole() -> None:
    scale = RateScale("base", conditioned(), (AdapterRates("mse", (BETA,), 4096),), "visual")
    assert scale.modes == ("d", BETA)
    d = 2 * 4096
    assert scale.setting(Rate(RateMode.D, 2.0)) == Setting(d)
    assert scale.setting(Rate(RateMode.D, 2.0, objective="visual")) == Setting(d)
    whole = Setting(d, Gains(0, GAIN_ONE), "mse")
    assert scale.setting(Rate(RateMode.D, 2.0, objective="mse")) == whole
    half = Setting(d, Gains(0, round(GAIN_ONE / 2)), "mse")
    assert scale.setting(Rate(RateMode.D, 2.0, 0.5, objective="mse")) == half
    assert scale.setting(Rate(RateMode.D, 2.0, 0.5)) == half
    assert scale.axis(Rate(RateMode.BPP, 1.0)).setting(d) == Setting(d)
    assert scale.axis(Rate(RateMode.BPP, 1.0, objective="mse")).setting(d) == whole
    assert scale.axis(Rate(RateMode.BPP, 1.0)).objective is None
    assert scale.axis(Rate(RateMode.BPP, 1.0, objective="mse")).objective == "mse"
    with pytest.raises(UsageError, match="no adapters for the objective lpips"):
        scale.setting(Rate(RateMode.D, 2.0, objective="lpips"))


def test_quality_covers_the_range_of_a_network_that_knows_d() -> None:
    scale = RateScale("base", conditioned())
    ds = [scale.setting(Rate(RateMode.QUALITY, q)).d for q in range(101)]
    assert (ds[0], ds[75], ds[100]) == (12 * 4096, 4096, 1024)
    assert all(a > b for a, b in itertools.pairwise(ds))


def conditioned() -> Schedule:
    """A schedule of a network that knows d, from 1/4 to 12."""
    return replace(
        tiny.pack().schedule,
        d_fraction_bits=12,
        d_low=1024,
        d_high=12 * 4096,
        knots=(1024, 4096, 12 * 4096),
    )


def test_one_rate_mode_at_a_time() -> None:
    def chosen(objective: str | None = None, **values: float) -> Rate:
        return choose_rate(lambda m: m.value, objective=objective, **values)

    assert chosen() == Rate(RateMode.D, 1.0)
    assert chosen(alpha=0.5, beta=1) == Rate(RateMode.ALPHA, 0.5, 1)
    assert chosen(beta=1) == Rate(RateMode.BETA, 1)
    assert chosen(alpha=0.5, beta=1, d=2) == Rate(RateMode.ALPHA, 0.5, 1, d=2)
    assert chosen(target_bpp=0.5, beta=1) == Rate(RateMode.BPP, 0.5, 1)
    assert chosen("mse", quality=50) == Rate(RateMode.QUALITY, 50, objective="mse")
    assert chosen("mse") == Rate(RateMode.D, 1.0, objective="mse")
    with pytest.raises(UsageError, match="quality and alpha exclude"):
        chosen(alpha=0.5, quality=50)
    with pytest.raises(UsageError, match="quality and target_size exclude each other"):
        chosen(quality=50, target_size=100)
    for target in ("target_bpp", "target_size", "target_psnr"):
        for value in (0, -1, float("inf"), float("nan")):
            with pytest.raises(UsageError, match=f"{target} .*: give a number above 0"):
                chosen(**{target: value})
