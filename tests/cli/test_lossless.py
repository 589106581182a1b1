"""`--lossless`, `--no-lossless` and the choice, as they are typed."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from licodec.container import read_file
from tests.attacks.lossless import DECODED, READ
from tests.cli.conftest import ON_REFERENCE, Run, one_error, png
from tests.cli.test_info import fields_of


@pytest.fixture
def drawing(tmp_path: Path) -> Path:
    """drawing.png: boxes, of which those of an alpha of 0 have colours, too."""
    y, x = np.mgrid[:48, :64]
    boxes = np.stack([x // 9 % 2 * 200, y // 7 % 2 * 150, x // 9 % 3 * 80, y // 16 % 2 * 255], 2)
    path = tmp_path / "drawing.png"
    path.write_bytes(png(boxes.astype(np.uint8)))
    return path


def samples(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def test_there_and_back(run: Run, drawing: Path, tmp_path: Path) -> None:
    result = run("encode", "drawing.png", "--lossless", "--psnr", "-v")
    assert result.exit_code == 0
    assert result.stdout.count("lossless") == 1
    assert result.stderr == "lossless WebP, without a network\n"  # and of hidden colours nothing
    assert run("verify", "drawing.lic").stdout.startswith("drawing.lic: ok, 64x48, lossless, ")
    assert run("decode", "drawing.lic", "-o", "back.png").exit_code == 0
    assert np.array_equal(samples(tmp_path / "back.png"), samples(drawing))


def test_no_weights_are_needed(
    run: Run, drawing: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("licodec.packs.finding.installed_packs", lambda: iter(()))
    assert run("encode", "drawing.png", "--lossless").exit_code == 0
    assert run("decode", "drawing.lic", "-o", "back.png").exit_code == 0
    assert run("info", "drawing.lic").exit_code == 0


def test_a_psnr_that_makes_a_file_lossless_is_told(run: Run, photo: Path, drawing: Path) -> None:
    out_of_reach = ("--target-psnr", "99", "--backend", "reference")
    result = run("encode", "photo.png", *out_of_reach)
    assert result.exit_code == 0 and ", lossless, " in result.stdout
    (warning,) = result.stderr.splitlines()
    start = "warning: photo.png: --target-psnr 99 is more than the network reaches"
    assert warning.startswith(start)
    result = run("encode", "drawing.png", *out_of_reach)  # which is smaller without loss
    assert ", lossless, " in result.stdout and "target" not in result.stderr


def test_the_default_takes_what_is_smaller(run: Run, drawing: Path, tmp_path: Path) -> None:
    sizes = {}
    for name, options in {"a": (), "b": ("--no-lossless",), "c": ("--lossless",)}.items():
        result = run("encode", "drawing.png", "-o", f"{name}.lic", *options, *ON_REFERENCE)
        assert result.exit_code == 0
        sizes[name] = (tmp_path / f"{name}.lic").stat().st_size
    assert sizes["a"] <= sizes["c"] < sizes["b"]  # which keeps what is hidden, too
    fits = run("encode", "drawing.png", "-f", "--target-size", str(sizes["c"]), *ON_REFERENCE)
    assert ", lossless, " in fits.stdout


def test_info(run: Run, drawing: Path) -> None:
    run("encode", "drawing.png", "--lossless")
    shown = fields_of(run("info", "drawing.lic").stdout)
    assert shown["coding"] == "lossless (webp)"
    assert shown["alpha plane"] == "in the payload"
    assert shown["payload"].startswith("1 piece, ")
    assert "backbone" not in shown
    (described,) = json.loads(run("info", "--json", "-v", "drawing.lic").stdout)
    assert described["lossless"] is True and described["pack"] is None
    assert described["layers"] is None and described["backbone"] is None
    assert "plan by layer" not in run("info", "-v", "drawing.lic").stdout


@pytest.mark.parametrize(
    "options",
    [
        ("-q", "50"),
        ("-d", "1"),
        ("--target-size", "1k"),
        ("--beta", "1"),
        ("--objective", "mse"),
        ("--model", "base"),
        ("--plan", "small"),
    ],
)
def test_what_goes_not_with_it(run: Run, drawing: Path, options: tuple[str, str]) -> None:
    for command in (("encode", "drawing.png"), ("batch", ".")):
        result = run(*command, "--lossless", *options)
        assert result.exit_code == 2
        assert "lossless" in one_error(result)


def test_batches_know_it(run: Run, drawing: Path, tmp_path: Path) -> None:
    once = run("batch", ".", "-o", "out", "--lossless", "--jobs", "1")
    assert once.exit_code == 0
    made = (tmp_path / "out" / "drawing.lic").read_bytes()
    assert read_file(made).header.coding == "webp"
    again = run("batch", ".", "-o", "out", "--lossless", "-n")
    assert "skip" in again.stdout
    other = run("batch", ".", "-o", "out", "--no-lossless", "-n")
    assert "skip" not in other.stdout.split("\n")[0]
    (tmp_path / "out" / ".licodec-batch.jsonl").unlink()
    without = run("batch", ".", "-o", "out", "--lossless", "-n")
    assert "made without this manifest" in without.stdout
    refused = run("batch", ".", "-o", "out", "--no-lossless", "-n")
    assert "is lossless" in refused.stdout + refused.stderr


def test_a_lossless_file_of_another_picture_is_not_kept(
    run: Run, drawing: Path, tmp_path: Path
) -> None:
    run("batch", ".", "-o", "out", "--lossless", "--jobs", "1")
    (tmp_path / "out" / ".licodec-batch.jsonl").unlink()
    changed = samples(drawing).copy()
    changed[5, 7] ^= 1
    Image.fromarray(changed).save(drawing)
    os.utime(drawing, (0, 0))  # not to be told by the time
    result = run("batch", ".", "-o", "out", "--lossless", "-n")
    assert result.exit_code == 1
    assert "out/drawing.lic: exists and has other pixels; see --force" in result.stderr


@pytest.mark.parametrize("name", ["a PNG", "an animation", "another size", *DECODED])
def test_hostile_files_are_one_line_and_code_3(run: Run, tmp_path: Path, name: str) -> None:
    data, message = {**READ, **DECODED}[name]
    (tmp_path / "bad.lic").write_bytes(data)
    for command in ("decode", "verify"):
        result = run(command, "bad.lic")
        assert result.exit_code == 3
        assert message in one_error(result)
    assert not (tmp_path / "bad.png").exists()
