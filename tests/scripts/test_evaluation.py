"""scripts/evaluate.py."""

from __future__ import annotations

import io
import itertools
import json
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, features

from licodec.codec import Codec
from licodec.container import read_file
from licodec.entropy.quantization import COST_UNIT
from licodec.errors import BadInputError, LicodecError
from licodec.images import Picture, encode_picture, psnr, read_picture
from licodec.packs import write_pack
from licodec.rate.setting import Setting, d_to_units
from tests import tiny
from tests.scripts.conftest import ROOT, script, textured


def curve(name: str, bpp: list[float], psnr: list[float]) -> Any:
    values = tuple(range(len(bpp)))
    return script("evaluation.curves").Curve(name, values, {"PSNR": bpp}, {"PSNR": psnr})


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
    assert (found.low, found.high) == pytest.approx((test.means["PSNR"][0], test.means["PSNR"][-1]))
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
    large, small = (
        samples.Sample(30.0, 0.9, None, bpp=1.0),
        samples.Sample(40.0, None, None, bpp=3.0),
    )
    mean = script("evaluation.curves").mean_curve("x", (1.0,), {1.0: [large, small]})
    assert mean.rates == {"PSNR": (2.0,), "MS-SSIM": (1.0,)}
    assert mean.means == {"PSNR": (35.0,), "MS-SSIM": (0.9,)}
    assert mean.points("MS-SSIM") == ((1.0, pytest.approx(10.0)),)


def test_equal_pictures_are_no_point_of_a_curve() -> None:
    samples = script("evaluation.samples")
    equal = samples.Sample(math.inf, 1.0, None, bpp=1.0)
    mean = script("evaluation.curves").mean_curve("x", (1.0,), {1.0: [equal]})
    assert mean.points("PSNR") == mean.points("MS-SSIM") == ()
    assert script("evaluate").without_infinity({"psnr": [math.inf, 30.0]}) == {"psnr": [None, 30.0]}


def test_savings_over_some_qualities() -> None:
    curves = script("evaluation.curves")
    anchor = curve("anchor", RATES, logarithmic(RATES))
    # A quarter less up to 30 dB, and beyond that half.
    rates = [rate * (0.75 if rate <= 1 else 0.5) for rate in RATES]
    test = curve("test", rates, logarithmic(RATES))
    found = curves.saving(test, anchor, "PSNR", over=(20, 29))
    assert found.percent == pytest.approx(-25, abs=1)
    assert (found.low, found.high) == (20, 29)
    assert curves.saving(test, anchor, "PSNR", over=(60, 70)) is None


def test_points_within_some_qualities() -> None:
    within = script("evaluation.curves").within
    points = ((0.5, 30.0), (1.0, 36.0), (2.0, 42.0))
    assert within(points, (30, 42)) == points
    assert within(points, None) == points
    assert within(points, (33, 37)) == (
        (pytest.approx(2**-0.5), 33), (1.0, 36.0), (pytest.approx(2 ** (1 / 6)), 37)
    )  # fmt: skip
    assert within(points, (36, 99)) == ((1.0, 36.0), (2.0, 42.0))
    assert within(points, (43, 44)) == ()


def test_mean_of_pictures_savings() -> None:
    curves = script("evaluation.curves")
    anchors = [curve("anchor", RATES, logarithmic(RATES, factor)) for factor in (1, 4)]
    tests = [
        curve("test", [share * rate for rate in RATES], logarithmic(RATES, factor))
        for share, factor in ((0.75, 1), (0.5, 4))
    ]
    found = curves.mean_saving(tests, anchors, "PSNR")
    assert (found.percent, found.pictures) == (pytest.approx(-37.5, abs=0.2), 2)
    assert curves.mean_saving(tests, anchors, "MS-SSIM") is None


def test_less_of_butteraugli_is_better() -> None:
    samples, curves = script("evaluation.samples"), script("evaluation.curves")
    own = {q: [samples.Sample(q, None, None, bpp=q / 30, butteraugli=60 / q)] for q in (30.0, 40.0)}
    mean = curves.mean_curve("x", (30.0, 40.0), own)
    assert mean.points("Butteraugli") == ((1.0, -2.0), (pytest.approx(4 / 3), -1.5))


def test_spans() -> None:
    spans = script("evaluate").spans
    assert spans("psnr:27:38,ssimulacra2:30:85") == {"PSNR": (27, 38), "SSIMULACRA 2": (30, 85)}
    for wrong in ("psnr", "psnr:38:27", "vmaf:1:2", "psnr:a:b"):
        with pytest.raises(ValueError):
            spans(wrong)


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
    if not features.check("jpg" if name == "jpeg" else name):
        pytest.skip(f"this Pillow has no {name}")
    source = script("evaluation.sources").peer_source(name)
    pixels = textured(40, 56, channels)
    coded = dict(source.code(pixels, (10, 90)))
    measure = script("evaluation.samples").measure
    rough, fine = (measure(pixels, *coded[quality][0]) for quality in (10, 90))
    assert 0 < rough.bpp < fine.bpp < 24
    assert 15 < rough.psnr < fine.psnr
    assert rough.ms_ssim is None
    assert source.curves[0].lower() == name
    assert source.curves[0] in source.identity


def test_pillow_codec_is_measured_on_the_decoded_file() -> None:
    pixels = textured(40, 56)
    source = script("evaluation.sources").peer_source("jpeg")
    ((_, ((decoded, size),)),) = source.code(pixels, (50,))
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=50, optimize=True)
    assert size == len(buffer.getvalue())
    np.testing.assert_array_equal(decoded, np.asarray(Image.open(buffer)))


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
    assert ours["rates"]["PSNR"] == sorted(ours["rates"]["PSNR"], reverse=True)
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
        bpp = figures["curves"][name]["rates"]["PSNR"]
        assert bpp[0] > bpp[1]
        assert re.search(rf"### {name}\n\n\| alpha \| bpp +\| PSNR +\|\n", tables.read_text())
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


def test_settings_are_shown_side_by_side(tmp_path: Path) -> None:
    evaluate, export = script("evaluate"), script("evaluation.export")
    write_pack(tiny.adapted_pack(), tmp_path / "p.safetensors")
    pixels = textured(64, 100)
    (tmp_path / "a.png").write_bytes(encode_picture(Picture(pixels), "PNG"))
    out = tmp_path / "out"
    command = [str(tmp_path / "a.png"), "--model", str(tmp_path / "p.safetensors")]
    command += ["--export", str(out), "--ds", "2"]
    command += ["--alphas", "1", "--betas", "0.5", "--objectives", "ms-ssim,perceptual"]
    evaluate.main([*command, "--crop", "40x30+10+20"])
    sheet = read_picture(out / "a-crop.png", "").pixels
    assert sheet.shape == (60 + export.LABEL_HEIGHT, 4 * 80 + 3 * export.GAP, 3)
    np.testing.assert_array_equal(sheet[:60:2, :80:2], pixels[20:50, 10:50])
    crops = [sheet[:60:2, i * 86 : i * 86 + 80 : 2] for i in range(4)]
    assert all(np.any(a != b) for a, b in itertools.combinations(crops, 2))
    decoded = read_picture(out / "d-2" / "a.png", "").pixels
    np.testing.assert_array_equal(crops[1], decoded[20:50, 10:50])
    with pytest.raises(SystemExit, match="not within the picture's 100x64 pixels"):
        evaluate.main([*command, "--crop", "40x10+80+0"])
    with pytest.raises(SystemExit, match=r"give WIDTHxHEIGHT\+LEFT\+TOP"):
        evaluate.main([*command, "--crop", "10,20,40"])


def test_pictures_of_other_kinds_are_written(tmp_path: Path) -> None:
    script("evaluation.drawings").write_pictures(tmp_path / "others")
    written = sorted((tmp_path / "others").iterdir())
    assert len(written) == 9
    assert all(read_picture(path, "").pixels.std() > 10 for path in written)


def test_decoded_pictures_are_exported_with_a_manifest(
    tmp_path: Path, tiny_pack: Path, picture_file: Path, capsys: pytest.CaptureFixture[str]
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
    ):
        with pytest.raises(LicodecError, match=message):
            evaluate.run(evaluate.parse_arguments(refused))
    with pytest.raises(SystemExit):
        evaluate.parse_arguments([*command, "--ds", "x"])
    assert "numbers separated by commas" in capsys.readouterr().err


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
