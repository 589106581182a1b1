"""`base` compiled: the same files and pixels everywhere, near the float network's."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from licodec.codec import Codec
from licodec.container import read_file
from licodec.errors import CorruptFileError, UsageError
from licodec.fmpq.sensitivity import Trials
from licodec.images import Picture, psnr
from licodec.packing.calibration import as_tensor
from licodec.packing.packs import compile_pack
from licodec.packing.searchable import Searchable
from licodec.packs import read_pack, write_pack
from licodec.rate.conditions import PREFIX, STEPS
from licodec.rate.gains import GAIN_ONE, Gains
from licodec.rate.modes import Rate, RateMode
from licodec.rate.setting import Setting
from licodec.rate.targets import Target, TargetKind
from tests import tiny_base
from tests.conformance import second_decoder

UNIT = 1 << 12
WHOLE, HALF = Gains(0, GAIN_ONE), Gains(0, 30000)


@cache
def codec(backend: str = "float32") -> Codec:
    return Codec(tiny_base.pack(), backend)


def picture(rows: int = 50, columns: int = 100) -> Picture:
    return Picture(tiny_base.pixels(rows, columns))


@pytest.mark.parametrize(
    ("d", "gains"), [(1024, Gains()), (UNIT, WHOLE), (7000, HALF), (12 * UNIT, Gains())]
)
def test_files_and_pixels_are_the_same_on_every_backend_and_in_the_second_decoder(
    d: int, gains: Gains, tmp_path: Path
) -> None:
    path = tmp_path / "pack.safetensors"
    write_pack(tiny_base.pack(), path)
    setting = Setting(d, gains)
    fast = codec().at(setting).encode(picture())
    slow = Codec(read_pack(path), "reference").at(setting).encode(picture())
    assert fast.data == slow.data
    assert fast.header.adapter_id == (codec().pack.adapter_ids["mse"] if gains.beta else None)
    decoded = codec().decode(read_file(fast.data)).pixels
    np.testing.assert_array_equal(decoded, fast.picture.pixels)
    np.testing.assert_array_equal(
        second_decoder.decode_to_pixels(fast.data, path, tmp_path), decoded
    )


@pytest.mark.parametrize(("d", "objective"), [(0.3, 1.0), (1.0, 0.0), (6.0, 0.4)])
def test_it_follows_the_float_network(d: float, objective: float) -> None:
    """Decoding is near where d is no knot and the objective is between the two."""
    network, pixels = tiny_base.network(), tiny_base.pixels()
    network.set_conditions(torch.tensor([d]), torch.tensor([objective]))
    levels = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float()
    with torch.no_grad():
        expected = network(levels)
    gains = Gains(0, round((1 - objective) * GAIN_ONE))
    coded = codec().at(Setting(round(d * UNIT), gains)).encode(Picture(pixels))
    x_hat = expected.x_hat[0].permute(1, 2, 0).numpy().round().clip(0, 255).astype(np.uint8)
    assert abs(psnr(pixels, x_hat) - psnr(pixels, coded.picture.pixels)) < 0.4
    bits = float(expected.y_bits + expected.z_bits)
    size = 8 * sum(len(s.rans) for s in read_file(coded.data).streams)
    assert abs(size - bits) < 0.05 * bits + 200


def test_a_large_picture_in_strips_gives_the_same_file(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = codec().neutral.encode(picture(400, 70))
    monkeypatch.setattr("licodec.codec.programs.STRIP_PIXELS", 64 * 256)
    split = Codec(tiny_base.pack(), "float32")
    assert split.neutral.encode(picture(400, 70)).data == whole.data


def test_targets_are_met_by_analysing_at_every_d() -> None:
    original = picture()
    middle = codec().at(Setting(2 * UNIT, WHOLE)).encode(original)
    found = codec().encode_to_target(
        original, Target(TargetKind.SIZE, len(middle.data)), Rate(objective="mse")
    )
    assert found.met and found.setting.gains == WHOLE
    assert len(found.result.data) <= len(middle.data) < 1.02 * len(found.result.data)
    again = codec().encode_at(original, Rate(RateMode.QUALITY, 75, objective="visual")).result
    assert again.data == codec().neutral.encode(original).data


def test_places_that_were_bound_earlier_are_forgotten() -> None:
    own = Codec(tiny_base.pack(), "reference")
    sizes = [len(own.at(Setting(d)).encode(picture()).data) for d in (1024, 2048, 4096, 1024)]
    assert sizes[0] == sizes[3] > sizes[1] > sizes[2]
    assert len(own._bound) == 2


@pytest.mark.parametrize("name", [f"{PREFIX}{STEPS}", "mse.steps"])
def test_other_steps_make_another_id(name: str, tmp_path: Path) -> None:
    pack = tiny_base.pack()
    changed = replace(pack, tensors={**pack.tensors, name: pack.tensors[name] + 1})
    own = name.startswith(PREFIX)
    assert (changed.weights_id != pack.weights_id) == own
    assert changed.adapter_ids != pack.adapter_ids
    write_pack(changed, tmp_path / "pack")
    assert second_decoder.decoder.read_pack((tmp_path / "pack").read_bytes())


def test_conditions_that_cannot_be_are_refused(tmp_path: Path) -> None:
    pack = tiny_base.pack()
    bias = next(n for n in pack.tensors if n.startswith(PREFIX) and n.endswith(".bias"))
    changes = {
        f"{PREFIX}{STEPS}": lambda t: t * 0,
        bias: lambda t: t[:-1],
        "mse.steps": lambda t: t[:, :-1],
        next(n for n in pack.tensors if n.startswith(PREFIX) and n.endswith(".multiplier")): (
            lambda t: -t - 1
        ),
    }
    for name, change in changes.items():
        tensors = {**pack.tensors, name: change(pack.tensors[name])}
        with pytest.raises(CorruptFileError, match="condition"):
            write_pack(replace(pack, tensors=tensors), tmp_path / "pack")
    tensors = {n: t for n, t in pack.tensors.items() if n != f"{PREFIX}{STEPS}"}
    with pytest.raises(CorruptFileError, match="conditions of the steps are missing"):
        write_pack(replace(pack, tensors=tensors), tmp_path / "pack")


def test_the_steps_units_are_stored_once() -> None:
    programs = tiny_base.pack().programs
    weights = [
        {o.tensors["weight"] for o in programs[f"parameters.{i}"].operations if o.kind == "conv2d"}
        for i in range(1, 5)
    ]
    assert len(weights[0] & weights[1]) == len(weights[0] & weights[3]) == 4


def test_a_setting_of_another_objective_is_refused() -> None:
    with pytest.raises(UsageError, match="has no alpha"):
        codec().at(Setting(UNIT, Gains(5)))


def test_a_plan_can_be_searched_for() -> None:
    """Every layer has a loss at some width, and the pack decodes what it encodes."""
    searched = Searchable(tiny_base.network(), "tiny")
    crops = as_tensor(tiny_base.pixels(64, 64))
    trials = Trials(searched, crops, searched.settings)
    convolutions = [m for m in tiny_base.network().modules() if isinstance(m, torch.nn.Conv2d)]
    assert sum(layer.weights for layer in trials.layers) == sum(
        m.weight.numel() for m in convolutions
    )
    plan = {layer.name: layer.choices[i % 7] for i, layer in enumerate(trials.layers)}
    assert 0 < abs(trials.zeta(plan)) < 1
    corrected = trials.corrected(plan)
    settings = corrected.pack_settings("x", plan, {})
    pack = compile_pack(corrected.whole, [tiny_base.pixels()], settings)
    assert set(pack.plan) == {*range(2, 9)}
    coded = Codec(pack, "float32").at(Setting(UNIT)).encode(picture())
    decoded = Codec(pack, "reference").decode(read_file(coded.data))
    np.testing.assert_array_equal(decoded.pixels, coded.picture.pixels)
