"""The scripts: what they compute, and that training resumes exactly."""

from __future__ import annotations

import copy
import importlib
import io
import itertools
import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, features

from licodec.codec import Codec
from licodec.container import read_file
from licodec.entropy.quantization import COST_UNIT
from licodec.errors import BadInputError, LicodecError, UsageError
from licodec.images import Picture, encode_picture, psnr, read_picture
from licodec.networks.base_transforms import BaseConfig
from licodec.packing.lite import LiteForm
from licodec.packs import read_pack, write_pack
from licodec.rate.setting import Setting, d_to_units
from tests import tiny, tiny_base, tiny_published

ROOT = Path(__file__).parents[1]
SCRIPTS = ROOT / "scripts"


@pytest.fixture(scope="module", autouse=True)
def scripts_folder() -> Iterator[None]:
    """The scripts' folder on the path, as when one of them runs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(SCRIPTS))
        yield


def script(name: str) -> ModuleType:
    return importlib.import_module(name)


def textured(height: int, width: int, channels: int = 3) -> np.ndarray:
    random = np.random.default_rng((height, width))
    waves = 120 + 70 * np.sin(np.arange(height)[:, None, None] / 5 + np.arange(width)[:, None] / 9)
    noisy = waves + random.normal(0, 6, (height, width, channels))
    return np.clip(noisy, 0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    "name",
    [
        "benchmark",
        "compare_states",
        "evaluate",
        "exactness",
        "fmpq_report",
        "fuzz_files",
        "add_adapters",
        "make_pack",
        "other_pictures",
        "peer_suite",
        "prepare_data",
        "published_snr",
        "published_speed",
        "search_faults",
        "side_by_side",
        "start_up",
        "train",
        "train_adapters",
        "train_perception",
        "validation_table",
    ],
)
def test_help(name: str) -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, str(SCRIPTS / f"{name}.py"), "--help"],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    assert "usage:" in done.stdout


# Evaluation --------------------------------------------------------------------------------


def curve(name: str, bpp: list[float], psnr: list[float]) -> Any:
    return script("evaluation.curves").Curve(
        name, tuple(range(len(bpp))), tuple(bpp), tuple(psnr), None, ()
    )


RATES = [0.1, 0.25, 0.5, 1.0, 2.0]


def logarithmic(rates: list[float], factor: float = 1.0) -> list[float]:
    """Six dB for each doubling of the rate, from 30 dB at `factor` bits per pixel."""
    return [30 + 6 * math.log2(rate / factor) for rate in rates]


def test_saving_is_the_ratio_of_rates_at_equal_quality() -> None:
    curves = script("evaluation.curves")
    anchor = curve("anchor", RATES, logarithmic(RATES))
    rates = [0.75 * rate for rate in (0.15, 0.3, 0.6, 1.2)]
    test = curve("test", rates, logarithmic(rates, 0.75))
    found = curves.saving(test, anchor, "PSNR")
    assert found.percent == pytest.approx(-25, abs=0.2)
    assert (found.low, found.high) == pytest.approx((test.psnr[0], test.psnr[-1]))
    assert found.covered == pytest.approx(1)


def test_saving_states_the_overlap() -> None:
    curves = script("evaluation.curves")
    anchor = curve("anchor", RATES, logarithmic(RATES))
    test = curve("test", [1.0, 2.0, 4.0], logarithmic([1.0, 2.0, 4.0]))
    found = curves.saving(test, anchor, "PSNR")
    assert found.percent == pytest.approx(0, abs=0.01)
    assert (found.low, found.high) == pytest.approx((30, 36))
    assert found.covered == pytest.approx(0.5)


def test_saving_without_overlap_or_points() -> None:
    curves = script("evaluation.curves")
    low = curve("low", [0.1, 0.2], [20, 22])
    high = curve("high", [0.1, 0.2], [30, 32])
    assert curves.saving(low, high, "PSNR").percent is None
    assert curves.saving(low, curve("one", [0.1], [20]), "PSNR") is None
    assert curves.saving(low, high, "MS-SSIM") is None


def test_points_that_cost_more_and_give_no_more_are_left_out() -> None:
    rising = script("evaluation.curves").rising
    points = ((1.0, 33.0), (0.5, 30.0), (0.7, 29.0), (1.0, 34.0), (2.0, 34.0), (3.0, 36.0))
    assert rising(points) == ((0.5, 30.0), (1.0, 34.0), (3.0, 36.0))


def test_mean_curve_takes_ms_ssim_from_the_pictures_that_have_it() -> None:
    samples = script("evaluation.samples")
    large, small = samples.Sample(1.0, 30.0, 0.9), samples.Sample(3.0, 40.0, None)
    mean = script("evaluation.curves").mean_curve("x", (1.0,), {1.0: [large, small]})
    assert (mean.bpp, mean.psnr) == ((2.0,), (35.0,))
    assert (mean.ms_ssim, mean.ms_ssim_bpp) == ((0.9,), (1.0,))
    assert mean.points("MS-SSIM") == ((1.0, pytest.approx(10.0)),)


def test_equal_pictures_are_no_point_of_a_curve() -> None:
    samples = script("evaluation.samples")
    equal = samples.Sample(1.0, math.inf, 1.0)
    mean = script("evaluation.curves").mean_curve("x", (1.0,), {1.0: [equal]})
    assert mean.points("PSNR") == mean.points("MS-SSIM") == ()
    assert script("evaluate").without_infinity({"psnr": [math.inf, 30.0]}) == {"psnr": [None, 30.0]}


def test_ms_ssim() -> None:
    ms_ssim = script("evaluation.samples").ms_ssim
    pixels = textured(170, 161)
    assert ms_ssim(pixels, pixels) == pytest.approx(1)
    noisy = np.clip(pixels.astype(int) + 20 * (np.indices((170, 161, 3)).sum(0) % 2), 0, 255)
    assert 0.5 < ms_ssim(pixels, noisy.astype(np.uint8)) < 0.999
    assert ms_ssim(pixels[:160], pixels[:160]) is None


def test_published_curves(tmp_path: Path) -> None:
    path = tmp_path / "published.json"
    curves = {
        "_about": "where from",
        "A": {"bpp": [1, 2], "psnr": [30, 33], "ms_ssim": [0.9, 0.99]},
        "B": {"bpp": [1, 2], "mssim": [0.9, 0.99]},
    }
    path.write_text(json.dumps(curves))
    read = script("evaluation.curves").published_curves
    a, b = read(path).values()
    assert a.name == "A (published)"
    assert a.points("PSNR") == ((1, 30), (2, 33))
    assert b.points("PSNR") == ()
    assert b.points("MS-SSIM") == ((1, pytest.approx(10)), (2, pytest.approx(20)))
    path.write_text(json.dumps({"A": {"bpp": [1, 2], "psnr": [30]}}))
    with pytest.raises(SystemExit, match="lists"):
        read(path)


@pytest.mark.parametrize("name", ["jpeg", "webp", "avif"])
@pytest.mark.parametrize("channels", [1, 3])
def test_pillow_codecs(name: str, channels: int) -> None:
    source = script("evaluation.sources").PILLOW_SOURCES[name]
    if not features.check("jpg" if name == "jpeg" else name):
        pytest.skip(f"this Pillow has no {name}")
    pixels = textured(40, 56, channels)
    coded = dict(source.code(pixels, (10, 90)))
    (rough,), (fine,) = coded[10], coded[90]
    assert 0 < rough.bpp < fine.bpp < 24
    assert 15 < rough.psnr < fine.psnr
    assert rough.ms_ssim is None
    assert source.curves[0].lower() == name
    assert source.curves[0] in source.identity


def test_pillow_codec_is_measured_on_the_decoded_file() -> None:
    pixels = textured(40, 56)
    source = script("evaluation.sources").PILLOW_SOURCES["jpeg"]
    ((_, (sample,)),) = source.code(pixels, (50,))
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=50, optimize=True)
    assert sample.bpp == 8 * len(buffer.getvalue()) / (40 * 56)
    assert sample.psnr == psnr(pixels, np.asarray(Image.open(buffer)))


@pytest.mark.parametrize("weight", [None, 20 * COST_UNIT])
@pytest.mark.parametrize("channels", [1, 3])
def test_float_coder_differs_from_the_exact_one_by_arithmetic_alone(
    weight: int | None, channels: int
) -> None:
    pack = replace(tiny.pack(), distortion_weight=weight)
    coder = script("evaluation.floating").FloatCoder(tiny.network(), pack)
    codec = Codec(pack, "reference")
    picture = Picture(textured(50, 70)[:, :, :channels])
    analysed = coder.analyse(picture.pixels)
    for d in (0.5, 8.0):
        bits, decoded = coder.code(analysed, d)
        coded = codec.at(Setting(d_to_units(d, pack.schedule))).encode(picture)
        exact = sum(len(s.rans) for s in read_file(coded.data).streams) * 8
        assert bits == pytest.approx(exact, rel=0.05, abs=100)
        assert psnr(decoded, coded.picture.pixels) > 30


@pytest.fixture
def tiny_pack(tmp_path: Path) -> Path:
    path = tmp_path / "lite-tiny.safetensors"
    write_pack(tiny.pack(), path)
    return path


@pytest.fixture
def picture_file(tmp_path: Path) -> Path:
    path = tmp_path / "pictures" / "waves.png"
    path.parent.mkdir()
    path.write_bytes(encode_picture(Picture(textured(40, 56)), "PNG"))
    return path


def test_evaluation_from_end_to_end(
    tmp_path: Path,
    tiny_pack: Path,
    picture_file: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    evaluate = script("evaluate")
    report = tmp_path / "report.json"
    command = [str(picture_file.parent), "--model", str(tiny_pack), "--ds", "0.5,1,2,8"]
    command += ["--codecs", "jpeg", "--jobs", "1", "--json", str(report)]
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    evaluate.run(evaluate.parse_arguments(command))
    assert "too small for it" in capsys.readouterr().out
    figures = json.loads(report.read_text())
    ours = figures["curves"]["licodec lite"]
    assert ours["values"] == [0.5, 1, 2, 8]
    assert ours["bpp"] == sorted(ours["bpp"], reverse=True)
    assert set(figures["curves"]) == {"licodec lite", "JPEG"}
    assert {found["anchor"] for found in figures["bd_rates"]} == {"JPEG"}

    def refuse(*anything: object) -> None:
        raise AssertionError("coded again")

    monkeypatch.setattr(evaluate, "ProcessPoolExecutor", refuse)
    evaluate.run(evaluate.parse_arguments(command))
    assert json.loads(report.read_text()) == figures


def test_evaluation_of_several_packs(
    tmp_path: Path, tiny_pack: Path, picture_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packs = [tmp_path / "first.safetensors", tmp_path / "second.safetensors"]
    for path in packs:
        path.write_bytes(tiny_pack.read_bytes())
    evaluate = script("evaluate")
    report = tmp_path / "report.json"
    command = [str(picture_file), "--model", str(tiny_pack), "--codecs", "", "--jobs", "1"]
    command += ["--ds", "1,4", "--json", str(report), "--packs", *map(str, packs)]
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    evaluate.run(evaluate.parse_arguments(command))
    figures = json.loads(report.read_text())
    names = ["licodec lite", "licodec lite, first", "licodec lite, second"]
    assert set(figures["curves"]) == set(names)
    compared = {(found["test"], found["anchor"]) for found in figures["bd_rates"]}
    assert compared == {(test, anchor) for anchor, test in itertools.combinations(names, 2)}
    assert [found["percent"] for found in figures["bd_rates"]] == pytest.approx([0] * 3)
    with pytest.raises(LicodecError, match="files of different names"):
        evaluate.run(evaluate.parse_arguments([*command, str(packs[0])]))


def test_evaluation_of_adapter_sets(
    tmp_path: Path, picture_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_pack(tiny.adapted_pack(), tmp_path / "lite-tiny.safetensors")
    model = ["--model", str(tmp_path / "lite-tiny.safetensors")]
    evaluate = script("evaluate")
    report, tables = tmp_path / "report.json", tmp_path / "tables.md"
    command = [str(picture_file), *model, "--ds", "1,3,20", "--codecs", "", "--jobs", "1"]
    command += ["--alphas", "0.3,1", "--betas", "0,1", "--below", "6"]
    command += ["--json", str(report), "--tables", str(tables)]
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    evaluate.run(evaluate.parse_arguments(command))
    figures = json.loads(report.read_text())
    names = [f"licodec lite, alpha, {own}" for own in ("mse", "ms-ssim", "perceptual")]
    names.append(f"{names[-1]}, beta 1")
    assert set(figures["curves"]) == {"licodec lite", *names}
    for name in names:
        bpp = figures["curves"][name]["bpp"]
        assert bpp[0] > bpp[1]
        assert f"### {name}\n\n| alpha | bpp | PSNR |\n" in tables.read_text()
    compared = {(found["test"], found["anchor"]) for found in figures["bd_rates"]}
    assert compared >= {(name, "licodec lite") for name in names}
    assert compared >= {(name, names[0]) for name in names[1:]}
    assert {found["below"] for found in figures["bd_rates"]} == {None, 6}
    assert set(figures["pack"]["adapters"]) == set(tiny.SETS)
    for refused, message in (
        (["--objectives", "lpips"], "no adapters for 'lpips'; the pack has mse"),
        (["--plot-perception", "x.png"], "needs --perceptual"),
        (["--ds", "", "--alphas", ""], "neither --ds nor --alphas"),
    ):
        with pytest.raises(LicodecError, match=message):
            evaluate.run(evaluate.parse_arguments([*command, *refused]))


def test_curves_are_cut_off_at_a_rate() -> None:
    cut_off = script("evaluation.curves").cut_off
    points = ((0.1, 20.0), (0.2, 30.0), (0.8, 50.0))
    assert cut_off(points, None) == cut_off(points, 0.8) == points
    assert cut_off(points, 0.4) == (*points[:2], (0.4, pytest.approx(40)))
    assert cut_off(points, 0.2) == points[:2]
    assert cut_off(points, 0.05) == ()


def test_saving_below_a_rate() -> None:
    saving = script("evaluation.curves").saving
    anchor = curve("anchor", RATES, logarithmic(RATES))
    # A quarter less up to 0.5 bits per pixel, nothing beyond.
    better = [0.75 * rate if rate <= 0.5 else rate for rate in RATES]
    test = curve("test", better, logarithmic(RATES))
    whole, low = saving(test, anchor, "PSNR"), saving(test, anchor, "PSNR", 0.4)
    assert (whole.below, low.below) == (None, 0.4)
    assert low.percent == pytest.approx(-25, abs=1) and whole.percent > -20
    assert low.high == pytest.approx(30 + 6 * math.log2(0.4), abs=0.1)


def test_the_perceptual_measure() -> None:
    pytest.importorskip("ssimulacra2")
    measured = script("evaluation.perceptual").ssimulacra2
    original = textured(64, 80)
    noise = np.random.default_rng(1).normal(0, 12, original.shape)
    noisy = np.clip(original + noise, 0, 255).astype(np.uint8)
    assert measured(original, original) == pytest.approx(100)
    assert measured(original, noisy) < 90
    assert measured(original[:, :, :1], original[:, :, :1]) == pytest.approx(100)
    assert measured(original[:4], noisy[:4]) is None


def test_settings_are_shown_side_by_side(tmp_path: Path) -> None:
    shown = script("side_by_side")
    write_pack(tiny.adapted_pack(), tmp_path / "p.safetensors")
    pixels = textured(64, 100)
    (tmp_path / "a.png").write_bytes(encode_picture(Picture(pixels), "PNG"))
    out = tmp_path / "out.png"
    command = [str(tmp_path / "a.png"), "--model", str(tmp_path / "p.safetensors"), "-o", str(out)]
    rates = ["--rates", "d=2", "alpha=0.5,objective=ms-ssim", "alpha=1,beta=0.5", "alpha=1,d=2"]
    shown.main([*command, "--crop", "10,20,40,30", *rates])
    sheet = read_picture(out, "out.png").pixels
    assert sheet.shape == (60 + shown.LABEL_HEIGHT, 5 * 80 + 4 * shown.GAP, 3)
    np.testing.assert_array_equal(sheet[:60:2, :80:2], pixels[20:50, 10:50])
    crops = [sheet[:60:2, i * 86 : i * 86 + 80 : 2] for i in range(5)]
    assert all(np.any(a != b) for a, b in itertools.combinations(crops, 2))
    for wrong, message in (
        (["--crop", "10,20,40", "--rates", "d=2"], "give LEFT,TOP,WIDTH,HEIGHT"),
        (["--crop", "80,0,40,10", "--rates", "d=2"], "not within the picture's 100x64 pixels"),
        (["--crop", "0,0,8,8", "--rates", "beta=1"], "give d=D or alpha=A"),
        (["--crop", "0,0,8,8", "--rates", "d=two"], "give d=D or alpha=A"),
    ):
        with pytest.raises(SystemExit, match=message):
            shown.main([*command, *wrong])


def test_adapters_are_added_to_packs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make_pack, add_adapters = script("make_pack"), script("add_adapters")
    network = tiny.adapted_network("lite_8_1_transforms")
    for module in (make_pack, add_adapters):
        monkeypatch.setattr(module, "load_network", lambda path: copy.deepcopy(network))
    monkeypatch.setattr(make_pack, "training_of", lambda path: {})
    (tmp_path / "a.png").write_bytes(encode_picture(Picture(textured(64, 64)), "PNG"))
    made, grown = tmp_path / "made.safetensors", tmp_path / "grown.safetensors"
    calibrate = ["--calibrate", str(tmp_path / "a.png")]
    make_pack.main(["state.pt", *calibrate, "-o", str(made)])
    command = [*calibrate, "--adapters", "mse=a.pt", "-o"]
    add_adapters.main([str(made), *command, str(grown)])
    anchor, adapted = read_pack(made), read_pack(grown)
    assert adapted.weights_id == anchor.weights_id
    assert list(adapted.adapter_ids) == ["mse"] and not anchor.adapters
    assert adapted.adapter_ids["mse"].hex() in capsys.readouterr().out
    other = tmp_path / "other.safetensors"
    write_pack(replace(anchor, plan_name="other"), other)
    folder = tmp_path / "both"
    add_adapters.main([str(made), str(other), *command, str(folder)])
    assert read_pack(folder / "made.safetensors").adapter_ids == adapted.adapter_ids
    assert read_pack(folder / "other.safetensors").plan_name == "other"
    with pytest.raises(SystemExit, match="have the same name"):
        add_adapters.main([str(made), str(made), *command, str(folder)])
    for entries in (["mse"], ["Mse=a.pt"], ["mse=a.pt", "mse=b.pt"]):
        with pytest.raises(UsageError, match="give NAME=FILE"):
            add_adapters.adapter_states(entries)


def test_packs_are_made_in_a_searched_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_pack = script("make_pack")
    network = tiny.network()
    monkeypatch.setattr(make_pack, "load_anchor", lambda path: network)
    monkeypatch.setattr(make_pack, "load_network", lambda path: copy.deepcopy(network))
    monkeypatch.setattr(make_pack, "training_of", lambda path: {})
    (tmp_path / "a.png").write_bytes(encode_picture(Picture(textured(64, 64)), "PNG"))
    parts = LiteForm(network).parts()
    plan = {f"{program}.{name}": 2 for program in parts for name in layers_of(parts[program])}
    figures = {"plan": plan, "crops": [1, 64], "seed": 1, "measured_loss": 0.5, "rule": "greedy"}
    searched, made = tmp_path / "searched.safetensors", tmp_path / "made.safetensors"
    write_pack(replace(tiny.pack(), card={"quantization": figures}), searched)
    command = ["finished.pt", "--calibrate", str(tmp_path / "a.png"), "-o", str(made)]
    with pytest.raises(SystemExit, match="go together"):
        make_pack.main([*command, "--widths-of", str(searched)])
    make_pack.main([*command, "--widths-of", str(searched), "--searched-for", "run.pt"])
    pack = read_pack(made)
    weights = [pack.widths[name] for name in pack.widths if name.startswith("synthesis.")]
    assert weights.count(2) == len(layers_of(network.synthesis))
    found = pack.card["quantization"]
    assert found["rule"] == "greedy" and found["finished"] and found["plan"] == plan
    assert found["measured_loss"] != 0.5


def layers_of(module: torch.nn.Module) -> list[str]:
    return [name for name, m in module.named_modules() if isinstance(m, torch.nn.Conv2d)]


def test_decoded_pictures_are_exported_with_a_manifest(
    tmp_path: Path, tiny_pack: Path, picture_file: Path
) -> None:
    evaluate = script("evaluate")
    command = [str(picture_file), "--model", str(tiny_pack), "--export", str(tmp_path / "out")]
    evaluate.run(evaluate.parse_arguments([*command, "--ds", "1,2.5"]))
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    entries = manifest["pictures"]
    assert [entry["settings"] for entry in entries] == [{"d": 1}, {"d": 2.5}]
    codec = Codec(tiny.pack())
    for entry, d in zip(entries, (64, 160), strict=True):
        assert entry["name"] == picture_file.name
        coded = codec.at(Setting(d)).encode(Picture(read_picture(picture_file, "").pixels))
        decoded = read_picture(tmp_path / "out" / entry["file"], "")
        np.testing.assert_array_equal(decoded.pixels, coded.picture.pixels)
        assert entry["bpp"] == pytest.approx(8 * len(coded.data) / (40 * 56))
    twin = picture_file.with_suffix(".jpg")
    twin.write_bytes(picture_file.read_bytes())
    for refused, message in (
        ([str(twin), *command], "called waves"),
        ([*command, "--alphas", "0.5"], "has no alpha"),
        ([*command, "--ds", "x"], "numbers separated by commas"),
    ):
        with pytest.raises(LicodecError, match=message):
            evaluate.run(evaluate.parse_arguments(refused))


def test_noise_of_the_synthesis_at_every_setting_that_a_network_takes() -> None:
    snr = script("published_snr")
    sides = ["--side", "64", "--height", "64", "--width", "64"]
    arguments = snr.parse_arguments([*sides, "--backend", "float32"])
    network = copy.deepcopy(tiny_published.adapted_network("cheng_8_1_all"))
    found = list(snr.ratios(network, 8, arguments))
    assert [name for name, *_ in found] == ["anchor", "alpha 0.5", "alpha 1"]
    for _, picture, noise in found:
        assert min(picture, noise) > 25
        assert max(picture, noise) < 60  # of weights of 8 bits


def test_evaluation_refuses_unknown_codecs_and_empty_folders(
    tmp_path: Path, tiny_pack: Path, picture_file: Path
) -> None:
    evaluate = script("evaluate")
    common = ["--model", str(tiny_pack), "--ds", "1"]
    arguments = evaluate.parse_arguments([str(picture_file), *common, "--codecs", "bpg"])
    with pytest.raises(LicodecError, match="bpg"):
        evaluate.run(arguments)
    empty = tmp_path / "empty"
    empty.mkdir()
    arguments = evaluate.parse_arguments([str(empty), *common, "--codecs", ""])
    with pytest.raises(LicodecError, match="no pictures"):
        evaluate.run(arguments)
    published = tmp_path / "published.json"
    published.write_text(json.dumps({"A": {"bpp": [1], "psnr": [30]}}))
    names = ["--published", str(published), "--published-names", "A,B"]
    with pytest.raises(LicodecError, match="no curve 'B'; there are A"):
        evaluate.run(evaluate.parse_arguments([str(picture_file), *common, *names]))


def test_damaged_cache_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "out.cache.json"
    path.write_text("{")
    with pytest.raises(BadInputError, match="delete it"):
        script("evaluation.cache").Cache(path)


# Benchmark ---------------------------------------------------------------------------------


@pytest.mark.parametrize("bits", [0.2, 1.0, 3.0])
def test_deviation_for_an_entropy(bits: float) -> None:
    deviation = script("benchmarking.rivals").deviation_for(bits)
    values = np.rint(np.random.default_rng(0).normal(0, deviation, 200_000))
    _, counts = np.unique(values, return_counts=True)
    share = counts / counts.sum()
    assert -(share * np.log2(share)).sum() == pytest.approx(bits, rel=0.02)


def test_ratios_are_taken_within_rounds() -> None:
    benchmark = script("benchmark")
    ours = benchmark.Timing("ours", 1, (2.0, 4.0, 2.0), (1.0, 2.0, 1.0))
    theirs = benchmark.Timing("theirs", 1, (3.0, 6.0), (5.0, 6.0))
    decode, both = benchmark.ratios([ours, theirs])
    assert (decode.least, decode.median, decode.largest) == (3.0, 4.0, 5.0)
    assert (both.least, both.median, both.largest) == (3.0, 3.5, 4.0)


def test_profile_charges_all_of_a_decode() -> None:
    profiling = script("benchmarking.profiling")
    codec = Codec(tiny.pack(), "float32")
    lic = read_file(codec.neutral.encode(Picture(textured(64, 64))).data)
    entries = profiling.profile(lambda: codec.session_of(lic).decode(lic), 2)
    kinds = dict(profiling.summed(entries, lambda entry: entry.purpose))
    assert {"convolve", "finish", "entropy/rans"} <= kinds.keys()
    assert "synthesise" in kinds["convolve"]
    total = sum(entry.seconds for entry in entries)
    rows = profiling.with_rest(list(kinds.items()), 0.1 * total)
    assert rows[-1][0] == "all others"
    assert sum(sum(row.values()) for _, row in rows) == pytest.approx(total)


def test_large_picture_is_a_picture(tmp_path: Path) -> None:
    path = tmp_path / "large.ppm"
    script("benchmarking.memory").write_large_picture(path, 60)
    pixels = read_picture(path, "large").pixels
    assert pixels.shape == (60, 60, 3)
    assert pixels.std() > 10


def test_memory_is_measured_in_another_process(tiny_pack: Path, picture_file: Path) -> None:
    benchmark, memory = script("benchmark"), script("benchmarking.memory")
    assert memory.peak_bytes() > 2**20
    job = {"pack": str(tiny_pack), "backend": "reference", "threads": 1, "d": 1.0}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))
        peaks = benchmark.our_memory(picture_file, "waves", job, picture_file.parent)
    assert all(peak.peak >= peak.before > 2**20 for peak in peaks.values())


# Training ----------------------------------------------------------------------------------


@pytest.fixture
def tiles(tmp_path: Path) -> Path:
    """Shards of two tiles each, photographs and graphics, and one tile held out."""
    for number, shard in enumerate(("a", "b", "held-out")):
        (tmp_path / shard).mkdir()
        for name in ("cid", "g_plot"):
            path = tmp_path / shard / f"{name}-{number}-0-0.png"
            Image.fromarray(textured(256, 256 + 32 * number)).save(path)
    return tmp_path


@pytest.mark.parametrize("optimizer", ["adamw", "soap"])
def test_training_resumes_exactly(
    optimizer: str, tiles: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five steps against the same five resumed after the second."""
    train, run = script("train"), script("training.run")
    monkeypatch.setattr(train, "BaseConfig", partial(BaseConfig, **asdict(tiny_base.CONFIG)))
    monkeypatch.setattr(run, "VISUAL_FROM", 2)
    monkeypatch.setattr(train.Trainer, "validate", lambda trainer, label: None)
    threads = torch.get_num_threads()

    def trained(state: Path, steps: int) -> dict[str, Any]:
        arguments = [str(tiles), "--state", str(state), "--steps", str(steps), "--plan", "3x64"]
        arguments += ["--optimizer", optimizer, "--threads", "1", "--device", "cpu"]
        monkeypatch.setattr(sys, "argv", ["train.py", *arguments])
        train.main()
        return torch.load(state, weights_only=True)

    try:
        whole = trained(tiles / "whole.pt", 5)
        trained(tiles / "cut.pt", 2)
        resumed = trained(tiles / "cut.pt", 5)
    finally:
        torch.set_num_threads(threads)
    assert whole["pixels"] == 5 * 3 * 64**2
    del whole["core_seconds"], resumed["core_seconds"]
    assert_same(whole, resumed)


def test_a_decay_leaves_the_stable_weights(tiles: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are written before it, in pieces too; what it ends with is a file of its own."""
    train, state = script("train"), script("training.state")
    monkeypatch.setattr(train, "BaseConfig", partial(BaseConfig, **asdict(tiny_base.CONFIG)))
    monkeypatch.setattr(train.Trainer, "validate", lambda trainer, label: None)
    arguments = [str(tiles), "--state", str(tiles / "run.pt"), "--steps", "2", "--plan", "2x64"]
    arguments += ["--decay-seconds", "600", "--pieces", str(tiles / "pieces"), "--device", "cpu"]
    arguments += ["--threads", str(torch.get_num_threads())]
    monkeypatch.setattr(sys, "argv", ["train.py", *arguments])
    train.main()
    assert state.read_state(tiles / "run.pt")["step"] == 0
    assert state.read_state(tiles / "run.decayed.pt")["step"] == 2
    stable, decayed = (state.read_state(tiles / name) for name in ("pieces", "decayed"))
    assert (stable["step"], decayed["step"]) == (0, 2)
    assert decayed["network"]["steps.log_steps"].dtype == torch.float16


def test_training_goes_on_from_a_pack(tiles: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A state becomes a pack, whose files decode, and the pack the beginning of another run."""
    train, make = script("train"), script("make_pack")
    monkeypatch.setattr(train, "BaseConfig", partial(BaseConfig, **asdict(tiny_base.CONFIG)))
    monkeypatch.setattr(train.Trainer, "validate", lambda trainer, label: None)
    common = ["--plan", "2x64", "--threads", str(torch.get_num_threads()), "--device", "cpu"]

    def run(name: str, *arguments: str) -> dict[str, Any]:
        state = str(tiles / name)
        monkeypatch.setattr(sys, "argv", ["train.py", str(tiles), "--state", state, *arguments])
        train.main()
        return torch.load(state, weights_only=True)

    first = run("run.pt", "--steps", "3", *common)
    pack = tiles / "base.safetensors"
    options = ["--calibrate", str(tiles / "a"), "--pictures", "1", "--crop", "64"]
    make.main([str(tiles / "run.pt"), "-o", str(pack), *options])
    assert Codec(read_pack(pack), "reference").neutral.encode(Picture(textured(40, 50))).data
    second = run("again.pt", "--steps", "4", "--from", str(pack), *common)
    assert (first["step"], second["step"]) == (3, 4)
    assert second["pixels"] == 4 * 2 * 64**2
    assert second["bands"].shape == first["bands"].shape
    name = "synthesis.coarse.1.weight"
    torch.testing.assert_close(second["network"][name], first["network"][name], atol=0.02, rtol=0.1)


def test_tables_compare_rates_at_equal_quality() -> None:
    validation = script("training.validation")
    rows = [{"bpp": 2.0**-i, "psnr": 40.0 - 3 * i} for i in range(5)]
    other = [{**row, "bpp": 0.9 * row["bpp"]} for row in rows]
    np.testing.assert_allclose(validation.rate_changes(rows, other, "psnr"), [-10] * 4, atol=1e-6)


def test_the_trained_error_is_near_the_published_one() -> None:
    """Of pictures blurred or made noisy, against the package that follows the definition."""
    ssimulacra2 = pytest.importorskip("ssimulacra2")
    visual = script("training.visual")
    clean = np.asarray(Image.open(ROOT / "examples" / "coffee.png").convert("RGB"))[:256, :256]
    noise = np.random.default_rng(1).normal(0, 6, clean.shape)
    for damaged in (noise + clean, ndimage_blur(clean)):
        damaged = np.rint(np.clip(damaged, 0, 255)).astype(np.uint8)
        folder = Path(tempfile.mkdtemp())
        for name, picture in (("a", clean), ("b", damaged)):
            Image.fromarray(picture).save(folder / f"{name}.png")
        expected = ssimulacra2.compute_ssimulacra2(str(folder / "a.png"), str(folder / "b.png"))
        x, y = (
            torch.from_numpy(levels.copy()).permute(2, 0, 1)[None].float() / 255
            for levels in (clean, damaged)
        )
        assert abs(visual.score(x, y).item() - expected) < 3
        assert visual.score(x, x).item() > 99.8


def ndimage_blur(picture: np.ndarray) -> np.ndarray:
    """Means of 3x3 neighbourhoods."""
    padded = np.pad(picture.astype(float), ((1, 1), (1, 1), (0, 0)), mode="edge")
    rows, columns = picture.shape[:2]
    shifted = [padded[i : i + rows, j : j + columns] for i in range(3) for j in range(3)]
    return np.mean(shifted, 0)


def test_validation_holds_out_whole_sources(tiles: Path) -> None:
    module = script("training.tiles")
    photographs, graphics = module.validation_paths(tiles, further_graphics=1)
    assert [p.name for p in photographs] == ["cid-2-0-0.png"]
    assert [p.parent.name for p in graphics] == ["held-out", "a"]
    held = [*photographs, *graphics]
    assert len(module.Tiles(tiles, "ab", held, "cpu", None)) == 3


def assert_same(a: Any, b: Any) -> None:
    """Equal to the bit, whatever it is made of."""
    assert type(a) is type(b)
    if isinstance(a, torch.Tensor):
        assert torch.equal(a, b)
    elif isinstance(a, dict):
        assert a.keys() == b.keys()
        for key in a:
            assert_same(a[key], b[key])
    elif isinstance(a, (list, tuple)):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            assert_same(x, y)
    else:
        assert a == b


def test_validations_are_tabulated(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = script("validation_table")
    log, earlier = tmp_path / "run.log", tmp_path / "earlier.log"
    points = {1.0: (0.8, 38.0), 4.0: (0.4, 35.0), 12.0: (0.2, 32.0)}

    def lines(step: int, factor: float) -> str:
        rows = [
            {"step": step, "d": d, "bpp": b * factor, "psnr": p} for d, (b, p) in points.items()
        ]
        return "".join(json.dumps(row) + "\n" for row in rows)

    earlier.write_text("step 100  loss\n" + lines(100, 3) + lines(200, 1))
    log.write_text(lines(500, 0.9) + "step 600  loss\n" + lines(1000, 0.81))
    table.main([str(log), "--against", str(earlier)])
    *_, first, second = capsys.readouterr().out.splitlines()
    assert first == "| 500 | 0.7200, 38.00 | 0.3600, 35.00 | 0.1800, 32.00 | \N{MINUS SIGN}10.0 % |"
    assert second.endswith("| \N{MINUS SIGN}19.0 % |")
    table.main([str(log)])
    *_, first, second = capsys.readouterr().out.splitlines()
    assert first.endswith("| +0.0 % |") and second.endswith("| \N{MINUS SIGN}10.0 % |")
    earlier.write_text("step 100  loss\n")
    with pytest.raises(SystemExit, match="no validations"):
        table.main([str(earlier)])


class Scripted:
    """In the place of a float network: known rates, and errors of known size everywhere."""

    ALIGNMENT = 64

    def set_rate(self, d: float | None = None, alpha: float | None = None) -> None:
        self.error, self.bpp = (0.01 * d, 2 / d) if d else (0.03, 0.6 - 0.1 * alpha)

    def __call__(self, pixels: torch.Tensor) -> dict[str, Any]:
        likelihood = torch.full_like(pixels[:, :1], 2**-self.bpp)
        sign = torch.where(pixels < 0.5, 1, -1)  # so that nothing is clamped
        return {"x_hat": pixels + sign * self.error, "likelihoods": {"y": likelihood}}


def test_states_are_compared_with_the_curve_over_d(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    compare = script("compare_states")
    monkeypatch.setattr(compare, "load_backbone", lambda path, backbone: Scripted())
    Image.fromarray(np.full((70, 65, 3), 90, np.uint8)).save(tmp_path / "grey.png")
    threads = ["--threads", str(torch.get_num_threads())]
    common = [str(tmp_path), "--anchor", "anchor.pt", *threads]
    compare.main([*common, "--ds", "2,3,4", "run.pt@0,1"])
    *_, same, less = capsys.readouterr().out.splitlines()
    # At the error of d = 3, where the anchor takes 2 / 3 of a bit.
    assert same == "| run.pt | 0 | 0.6000 | 30.46 | \N{MINUS SIGN}10.0 % |"
    assert less == "| run.pt | 1 | 0.5000 | 30.46 | \N{MINUS SIGN}25.0 % |"
    compare.main([*common, "--ds", "4,5", "run.pt@1"])
    assert capsys.readouterr().out.endswith("| 30.46 | beyond it |\n")
    with pytest.raises(SystemExit, match="STATE@ALPHAS"):
        compare.main([*common, "run.pt"])


def test_rates_between_two_points_lie_on_a_line_of_logarithms() -> None:
    compare = script("compare_states")
    curve = [compare.Point(0.4, 34.0), compare.Point(0.1, 30.0)]
    assert compare.rate_change(compare.Point(0.19, 32.0), curve) == pytest.approx(-0.05)
