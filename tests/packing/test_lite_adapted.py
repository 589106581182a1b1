"""Adapter sets in the exact form of `lite`: several in one pack, whose anchor they leave alone."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from licodec.codec import Codec
from licodec.container import read_file
from licodec.errors import CorruptFileError
from licodec.images import Picture
from licodec.networks.adapter_sets import PRESETS
from licodec.networks.lite import PIXEL_UNIT, LiteNetwork
from licodec.packs import PackAdapters, read_name, read_pack, write_pack
from licodec.rate.gains import GAIN_ONE, Gains
from licodec.rate.modes import Rate, RateMode
from licodec.rate.setting import Setting
from tests import tiny
from tests.conformance import second_decoder

TRANSFORMS = {"analysis", "synthesis"}
RATES = (
    Rate(RateMode.ALPHA, 0.35),
    Rate(RateMode.ALPHA, 1.0, objective="ms-ssim"),
    Rate(RateMode.ALPHA, 0.6, beta=1.0),
    Rate(RateMode.ALPHA, 0.5, d=2.0, objective="mse"),
    Rate(RateMode.BETA, 0.5),
)


@cache
def codec(backend: str = "float32") -> Codec:
    return Codec(tiny.adapted_pack(), backend)


def picture() -> Picture:
    rows, columns = np.mgrid[:50, :90]
    noise = np.random.default_rng(4).normal(0, 12, (50, 90, 3))
    smooth = np.stack([rows * 3, columns * 2, 200 - rows * columns / 40], 2)
    return Picture((smooth + noise).clip(0, 255).astype(np.uint8))


@pytest.mark.parametrize("rate", RATES)
def test_round_trip_is_the_same_everywhere(rate: Rate, tmp_path: Path) -> None:
    found = codec().encode_at(picture(), rate)
    coded, header = found.result, found.result.header
    own = found.setting.objective
    assert own == (rate.objective or ("perceptual" if rate.beta or rate.value == 0.5 else "mse"))
    assert header.adapter_id == tiny.adapted_pack().adapter_ids[own]
    alpha = rate.value if rate.mode is RateMode.ALPHA else 0
    assert header.alpha == round(alpha * GAIN_ONE)
    largest = PRESETS[tiny.SETS[own][0]].d
    assert header.d == (128 if rate.d else round(64 * largest**alpha))

    write_pack(tiny.adapted_pack(), tmp_path / "p.safetensors")
    slow = Codec(read_pack(tmp_path / "p.safetensors"), "reference")
    decoded = slow.decode(read_file(coded.data))
    np.testing.assert_array_equal(decoded.pixels, coded.picture.pixels)
    pack = tmp_path / "p.safetensors"
    pixels = second_decoder.decode_to_pixels(coded.data, pack, tmp_path)
    np.testing.assert_array_equal(pixels, coded.picture.pixels)


def test_sets_change_nothing_of_the_anchor(tmp_path: Path) -> None:
    adapted, plain = tiny.adapted_pack(), tiny.anchor_pack()
    assert adapted.weights_id == plain.weights_id
    assert adapted.rate_modes == ("d", "alpha", "beta")
    assert len(set(adapted.adapter_ids.values())) == len(adapted.adapters) == 3
    write_pack(adapted, tmp_path / "p.safetensors")
    name = read_name(tmp_path / "p.safetensors")
    assert [(own.objective, own.modes) for own in name.adapters] == [
        ("mse", ("alpha",)),
        ("ms-ssim", ("alpha",)),
        ("perceptual", ("alpha", "beta")),
    ]


def test_a_set_holds_what_was_trained() -> None:
    pack = tiny.adapted_pack()
    for adapters in pack.adapters:
        preset = PRESETS[tiny.SETS[adapters.objective][0]]
        assert adapters.d == round(preset.d * 64)
        assert len(adapters.step_shares) == len(pack.schedule.steps)
        assert bool(adapters.beta_step_shares) == (adapters.objective == "perceptual")
        own = set(adapters.programs)
        everything = adapters.objective != "ms-ssim"
        # Where values go further than the anchor's grids other programs have stand-ins too.
        assert own == {*pack.schedule.program_order, "analysis", "hyper_analysis"} or (
            not everything and own >= TRANSFORMS
        )


def test_the_trunk_s_weights_are_stored_once() -> None:
    pack = tiny.adapted_pack()
    stand_ins = pack.adapters_named("ms-ssim").programs
    for plain, name in ((plain, stand_ins[plain]) for plain in TRANSFORMS):
        own, trunk = (
            {o.tensors["weight"] for o in pack.programs[n].operations if o.kind == "conv2d"}
            for n in (name, plain)
        )
        shared, more = (
            sum(pack.tensors[tensor].size for tensor in names)
            for names in (own & trunk, own - trunk)
        )
        assert shared > 2 * more


@pytest.mark.parametrize(("objective", "beta"), [("mse", 0), ("perceptual", 1)])
def test_stand_ins_follow_the_float_network(objective: str, beta: float) -> None:
    """Transforms and hyper-transforms as in float, at an alpha that no calibration saw."""
    alpha, index = 0.9, list(tiny.SETS).index(objective)
    network = tiny.adapted_network(*tiny.SETS[objective], seed=index)
    network.set_rate(alpha=alpha, beta=beta or None)
    gains = Gains(round(alpha * GAIN_ONE), round(beta * GAIN_ONE))
    session = codec().at(Setting(64, gains, objective))
    analysed = session.analyse(picture())
    pixels = np.pad(picture().pixels, ((0, 14), (0, 38), (0, 0)), mode="edge")
    with torch.no_grad():
        y = network.analyse(torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255)
        latents = torch.from_numpy(analysed.latents)[None] / 64
        z = network.hyper_analysis(latents)[0].numpy()
        expected = network.synthesis(latents)[0] * PIXEL_UNIT + 127.5
    assert np.abs(analysed.latents / 64 - y[0].numpy()).mean() < 0.05
    assert np.abs(analysed.hyper_latents - z.clip(-128, 127)).mean() < 0.35  # they are rounded
    runner = session.runner(tiny.adapted_pack().schedule.synthesis)
    (samples,) = runner({"latents": analysed.latents})
    assert np.abs(samples - expected.clamp(0, 255).numpy()).mean() < 1


def entropy_means(network: LiteNetwork, latents: torch.Tensor) -> list[np.ndarray]:
    features, block_means = network.hyper_synthesis(torch.round(network.hyper_analysis(latents)))
    return [
        network.slice_parameters[i](features, seen)[0][0].numpy()
        for i, seen in enumerate((block_means, latents[:, :3], latents[:, :11]))
    ]


def test_means_are_predicted_as_by_the_float_network() -> None:
    network = tiny.adapted_network(*tiny.SETS["mse"], seed=0)
    network.set_rate(alpha=0.9)
    gains = Gains(round(0.9 * GAIN_ONE))
    session = codec().at(Setting(64, gains, "mse"))
    analysed = session.analyse(picture())
    latents = torch.from_numpy(analysed.latents)[None] / 64
    with torch.no_grad():
        expected = entropy_means(network, latents)
    model = session.entropy_model
    features, block_means = model.runners["hyper_synthesis"](
        {"hyper_latents": analysed.hyper_latents}
    )
    for i, name in enumerate(("block_means", "previous", "previous")):
        seen = block_means if i == 0 else analysed.latents[: (0, 3, 11)[i]]
        mean, *_ = model.runners[f"parameters.{i}"]({"features": features, name: seen})
        error = np.abs(mean / 64 - expected[i])
        assert error.mean() < 0.02 + 0.03 * np.abs(expected[i]).mean()


def test_targets_and_quality_go_over_alpha() -> None:
    at = codec().encode_at(picture(), Rate(RateMode.QUALITY, 55, objective="mse")).result
    found = codec().encode_at(picture(), Rate(RateMode.SIZE, len(at.data), objective="ms-ssim"))
    assert found.met and len(found.result.data) <= len(at.data)
    assert at.header.alpha > 0 and at.header.d == round(64 * 2 ** (20 / 12.5))


def test_sets_that_do_not_fit_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pack = tiny.adapted_pack()
    mse = pack.adapters_named("mse")
    swapped = dict(mse.programs) | {"parameters.1": "mse.parameters.2"}
    for adapters, message in (
        (PackAdapters("mse", swapped, 64), "mse.parameters.2 does not fit"),
        (PackAdapters("mse", {"analysis": "mse.analysis"}, 64), "neither alpha nor beta"),
        (replace(mse, step_shares=(1, 2)), "step shares of mse do not fit the slices"),
        (replace(mse, beta_step_shares=(1, 2, 3)), "step shares of mse are for a beta it lacks"),
    ):
        with pytest.raises(CorruptFileError, match=message):
            write_pack(replace(pack, adapters=(adapters,)), tmp_path / "p.safetensors")
    outside = replace(mse, step_shares=(-1, 0, 2**16))
    for damaged in ((mse, mse), (mse, replace(mse, objective="No such")), (outside,)):
        path = tmp_path / "damaged.safetensors"
        with pytest.raises(CorruptFileError, match="description is damaged"):
            write_pack(replace(pack, adapters=damaged), path)
        with monkeypatch.context() as unchecked:
            unchecked.setattr("licodec.packs.storage._as_described", lambda *given: pack)
            unchecked.setattr("licodec.packs.storage._described", lambda *given: {})
            write_pack(replace(pack, adapters=damaged), path)
        with pytest.raises(CorruptFileError, match="description is damaged"):
            read_pack(path)
        with pytest.raises(second_decoder.decoder.Fault, match="corrupt file"):
            second_decoder.decoder.read_pack(path.read_bytes())


def test_beta_leads_from_one_set_of_steps_to_another() -> None:
    pack = tiny.adapted_pack()
    adapters = pack.adapters_named("perceptual")
    assert adapters.step_shares_at(0) == adapters.step_shares
    assert adapters.step_shares_at(GAIN_ONE) == adapters.beta_step_shares != adapters.step_shares
    codec = Codec(pack, "float32")
    models = [
        codec.at(Setting(800, Gains(GAIN_ONE, beta), adapters.objective)).entropy_model
        for beta in (0, 20000, GAIN_ONE)
    ]
    first, between, last = (model.step_range(0) for model in models)
    assert first < between < last  # each (lo, hi) of one number


def test_step_shares_are_part_of_a_set_s_id() -> None:
    pack = tiny.adapted_pack()
    (first, *_) = pack.adapters
    for shares in ({"step_shares": ()}, {"step_shares": (1, 2, 3)}, {"beta_step_shares": (1,)}):
        other = replace(pack, adapters=(replace(first, **shares),))
        assert other.weights_id == pack.weights_id
        assert other.adapter_ids[first.objective] != pack.adapter_ids[first.objective]
