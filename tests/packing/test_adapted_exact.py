"""Alpha and beta in the exact forms: one pack for all their values."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import licodec
from licodec.codec import Codec
from licodec.container import read_file, write_file
from licodec.errors import CorruptFileError, UsageError, WeightsMissingError
from licodec.library import Library
from licodec.networks.adapter_sets import PRESETS, AdapterSet, attach
from licodec.packing.compiled import calibrate_network
from licodec.packs import PackAdapters, find_pack, read_name, read_pack, write_pack
from licodec.rate.gains import GAIN_ONE, Gains
from licodec.rate.setting import Setting
from tests import tiny_published as tiny
from tests.conformance import second_decoder

STF, TCM = ("stf_8_8_all", "adapt_stf_8_8_all"), ("tcm_8_1_all",)
CHENG = ("cheng_8_1_all",)
SETTINGS = [(STF, Gains(1)), (STF, Gains(40000, 65535)), (TCM, Gains(65535))]


@pytest.mark.parametrize(("sets", "gains"), SETTINGS)
def test_round_trip_is_the_same_everywhere(
    sets: tuple[str, ...], gains: Gains, tmp_path: Path
) -> None:
    write_pack(tiny.adapted_pack(*sets), tmp_path / "p.safetensors")
    fast = Codec(tiny.adapted_pack(*sets), "float32")
    coded = fast.at(Setting(64, gains)).encode(tiny.picture(50, 64))
    header = coded.header
    assert (header.alpha, header.beta) == (gains.alpha, gains.beta)
    (own,) = read_name(tmp_path / "p.safetensors").adapters
    assert header.adapter_id == own.adapter_id
    assert own.objective == ("perceptual" if len(sets) == 2 else "mse")
    assert own.modes == (("alpha", "beta") if len(sets) == 2 else ("alpha",))
    slow = Codec(read_pack(tmp_path / "p.safetensors"), "reference")
    decoded = slow.decode(read_file(coded.data))
    np.testing.assert_array_equal(decoded.pixels, coded.picture.pixels)
    pack = tmp_path / "p.safetensors"
    pixels = second_decoder.decode_to_pixels(coded.data, pack, tmp_path)
    np.testing.assert_array_equal(pixels, coded.picture.pixels)


def test_adapters_change_nothing_of_the_anchor() -> None:
    pack, plain = tiny.adapted_pack(*STF), tiny.pack("stf")
    assert pack.weights_id == plain.weights_id
    assert plain.adapters == ()
    codecs = [Codec(p, "float32") for p in (pack, plain)]
    codings = [codec.neutral.encode(tiny.picture(64, 64)).data for codec in codecs]
    assert codings[0] == codings[1]


def test_the_trunk_s_weights_are_stored_once() -> None:
    pack = tiny.adapted_pack(*STF)
    own, trunk = (
        {o.tensors["weight"] for o in pack.programs[name].operations if o.kind == "conv2d"}
        for name in ("perceptual.synthesis", "synthesis")
    )
    shared, more = (sum(pack.tensors[name].size for name in n) for n in (own & trunk, own - trunk))
    assert shared > more


@pytest.mark.parametrize(("sets", "gains"), [(STF, (0.3, 0.8)), (TCM, (1, 0))])
def test_adapted_transforms_follow_the_float_ones(
    sets: tuple[str, ...], gains: tuple[float, float]
) -> None:
    pack, network = tiny.adapted_pack(*sets), tiny.adapted_network(*sets)
    alpha, beta = gains
    network.set_rate(alpha=alpha, beta=beta or None)
    units = Gains(round(alpha * GAIN_ONE), round(beta * GAIN_ONE))
    picture = tiny.picture(128, 128)
    session = Codec(pack, "float32").at(Setting(64, units))
    analysed = session.analyse(picture)
    with torch.no_grad():
        x = torch.from_numpy(picture.pixels).permute(2, 0, 1)[None].float() / 255
        y = network.analysis(x)[0].numpy()
        pixels = network.synthesis(torch.from_numpy(analysed.latents)[None] / 64)[0]
    network.set_rate()
    with torch.no_grad():
        anchor = network.analysis(x)[0].numpy()
    error = np.abs(analysed.latents / 64 - y).mean()
    assert error < 0.1 * np.abs(y - anchor).mean() + 0.01
    expected = (255 * pixels.clamp(0, 1)).permute(1, 2, 0).numpy()
    found = session.synthesise(analysed.latents, picture.pixels.shape)
    assert np.abs(found - expected).mean() < 1.5


def test_files_and_packs_that_disagree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pack = tiny.adapted_pack(*CHENG)
    codec = Codec(pack, "float32")
    lic = read_file(codec.at(Setting(64, Gains(5))).encode(tiny.picture(20, 20)).data)
    with pytest.raises(CorruptFileError, match=r"\(beta\) disagrees with its pack"):
        codec.decode(replace(lic, header=replace(lic.header, beta=1)))
    with pytest.raises(WeightsMissingError, match=r"adapter set .* does not have"):
        Codec(replace(pack, adapters=()), "float32").decode(lic)

    write_pack(replace(pack, adapters=()), tmp_path / "a.safetensors")
    monkeypatch.setenv("LICODEC_WEIGHTS", str(tmp_path))
    with pytest.raises(WeightsMissingError, match="adapter sets there: none"):
        find_pack(pack.weights_id, "cheng-attn", pack.adapter_ids["mse"])
    write_pack(pack, tmp_path / "b.safetensors")
    found = find_pack(pack.weights_id, "cheng-attn", pack.adapter_ids["mse"])
    assert found.path.name == "b.safetensors"
    library = Library("float32")
    library.open(read_name(tmp_path / "a.safetensors"))
    assert library.decode(write_file(lic)).pixels.shape == (20, 20, 3)


def test_damaged_adapter_sets_are_refused(tmp_path: Path) -> None:
    pack = tiny.adapted_pack(*STF)
    own = {"analysis": "perceptual.analysis", "synthesis": "perceptual.synthesis"}
    for programs, d, message in (
        (own | {"synthesis": "gone"}, 64, "program gone is missing"),
        (own | {"synthesis": "synthesis"}, 64, "neither alpha nor beta"),
        (own | {"synthesis": "perceptual.analysis"}, 64, "analysis does not fit"),
        (own | {"analysis": "perceptual.synthesis"}, 64, "synthesis does not fit"),
        (own, 5000, "has a d out of range"),
    ):
        adapters = (PackAdapters("perceptual", programs, d),)
        with pytest.raises(CorruptFileError, match=message):
            write_pack(replace(pack, adapters=adapters), tmp_path / "p.safetensors")


def test_the_python_interface(tmp_path: Path) -> None:
    write_pack(tiny.adapted_pack(*CHENG), tmp_path / "p.safetensors")
    model = str(tmp_path / "p.safetensors")
    image = tiny.picture(30, 40).pixels
    info = licodec.read_info(licodec.encode(image, alpha=0.25, model=model, backend="float32"))
    assert info["alpha"] == pytest.approx(0.25, abs=1e-5)
    assert info["adapter_id"] == tiny.adapted_pack(*CHENG).adapter_ids["mse"].hex()
    with pytest.raises(UsageError, match="has no beta; it has alpha"):
        licodec.encode(image, alpha=0.2, beta=0.3, model=model)
    with pytest.raises(UsageError, match="out of range: give 0 to 1"):
        licodec.encode(image, alpha=1.5, model=model)


def test_adapters_elsewhere_have_no_exact_form() -> None:
    network = tiny.build_cheng().eval()
    attach(network, AdapterSet("alpha", 2, 1.0, ("h_a.[02]",)))
    attach(network, PRESETS["cheng_8_1_all"])
    with pytest.raises(ValueError, match="outside of analysis and synthesis"):
        calibrate_network(network, [], {"mse": network})
