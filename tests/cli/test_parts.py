"""`decode --crop`, `--scale`, `--thumbnail`, and `encode --crop`, `--resize`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import licodec
from licodec.batches import manifest
from licodec.images.views import Crop, reduced
from tests.cli.conftest import ON_REFERENCE, Run, one_error


def picture(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def test_decoding_parts_and_reductions(run: Run, lic: Path, tmp_path: Path) -> None:
    whole = licodec.decode(lic, backend="reference").pixels
    cases = {
        ("--crop", "5x7+12+26"): whole[26:33, 12:17],
        ("--scale", "1/4"): reduced(whole, None, 4)[0],
        ("--crop", "9x9+1+2", "--scale", "1/2"): reduced(whole[2:11, 1:10], None, 2)[0],
    }
    for options, expected in cases.items():
        done = run("decode", "photo.lic", "-f", "-o", "out.png", *options, *ON_REFERENCE)
        assert (done.exit_code, done.stderr) == (0, "")
        np.testing.assert_array_equal(picture(tmp_path / "out.png"), expected)
        assert f"{expected.shape[1]}x{expected.shape[0]}, " in done.stdout
    done = run("decode", "photo.lic", "-o", "t.png", "--thumbnail", "20", *ON_REFERENCE)
    assert done.exit_code == 0
    assert picture(tmp_path / "t.png").shape == (20, 10, 3)


def test_python_takes_the_same(lic: Path) -> None:
    whole = licodec.decode(lic, backend="reference").pixels
    for crop in ("5x7+12+26", (5, 7, 12, 26)):
        found = licodec.decode(lic, crop=crop, backend="reference").pixels
        np.testing.assert_array_equal(found, whole[26:33, 12:17])
    scaled = licodec.decode(lic, scale=0.5, backend="reference").pixels
    np.testing.assert_array_equal(scaled, licodec.decode(lic, scale="1/2").pixels)


def test_encoding_parts_and_sizes(run: Run, photo: Path, tmp_path: Path) -> None:
    pixels = picture(photo)
    options = ("--crop", "9x20+3+4", "-d", "8", *ON_REFERENCE)
    done = run("encode", "photo.png", "-o", "cut.lic", "--metadata", "none", *options)
    assert done.exit_code == 0
    expected = licodec.encode(np.ascontiguousarray(pixels[4:24, 3:12]), d=8, backend="reference")
    assert (tmp_path / "cut.lic").read_bytes() == expected
    run("encode", "photo.png", "-o", "half.lic", "--resize", "50%", *options)
    info = licodec.read_info(tmp_path / "half.lic")
    assert (info["width"], info["height"]) == (5, 10)


def test_the_crop_is_of_the_upright_picture(run: Run, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    pixels = np.arange(6 * 4 * 3).reshape(4, 6, 3).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "turned.png", exif=exif)
    done = run("encode", "turned.png", "--crop", "2x3+1+3", *ON_REFERENCE)
    assert done.exit_code == 0
    upright = np.rot90(pixels, -1)[3:6, 1:3]
    expected = licodec.encode(np.ascontiguousarray(upright), backend="reference")
    found = licodec.decode(tmp_path / "turned.lic", backend="reference").pixels
    np.testing.assert_array_equal(found, licodec.decode(expected, backend="reference").pixels)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("decode", "photo.lic", "--crop", "18x1+0+0"), 2, "is not within the picture of 17x33"),
        (("decode", "photo.lic", "--crop", "5x5"), 2, "--crop '5x5': give WxH+X+Y"),
        (("decode", "photo.lic", "--scale", "1/3"), 2, "--scale"),
        (("decode", "photo.lic", "--thumbnail", "0"), 2, "--thumbnail"),
        (("decode", "photo.lic", "--scale", "1/2", "--thumbnail", "9"), 2, "exclude each other"),
        (("encode", "photo.png", "-o", "x.lic", "--crop", "1x1+17+0"), 2, "is not within"),
        (("encode", "photo.png", "-o", "x.lic", "--resize", "0"), 2, "--resize '0': give WxH"),
        (("encode", "photo.png", "-o", "x.lic", "--resize", "70000"), 6, "over the limit"),
        (("batch", "folder", "--decode", "--plan", "small"), 2, "--model and --plan are for"),
        (("batch", "folder", "--decode", "--model", "base"), 2, "--model and --plan are for"),
        (("batch", "folder", "--scale", "1/2"), 2, "--scale and --thumbnail are for --decode"),
        (("batch", "folder", "--decode", "--resize", "9"), 2, "--resize is for encoding"),
    ],
)
def test_refused(
    run: Run, photo: Path, lic: Path, tmp_path: Path, arguments: tuple[str, ...], code: int,
    message: str,
) -> None:  # fmt: skip
    (tmp_path / "folder").mkdir()
    done = run(*arguments)
    assert done.exit_code == code
    assert message in one_error(done)
    assert not (tmp_path / "x.lic").exists()


def test_a_batch_of_thumbnails(run: Run, lic: Path, tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "a.lic").write_bytes(lic.read_bytes())
    command = ("batch", "files", "--decode", "-o", "small", "--jobs", "1", *ON_REFERENCE)
    assert run(*command, "--scale", "1/2").exit_code == 0
    assert picture(tmp_path / "small" / "a.png").shape == (17, 9, 3)
    made = run(*command, "--thumbnail", "11", "--json")  # made anew: an option has changed
    assert made.exit_code == 0
    told = json.loads(made.stdout.splitlines()[0])
    assert (told["pixels"], told["bytes"]) == (33 * 17, lic.stat().st_size)  # of the .lic file
    assert told["bpp"] == 8 * told["bytes"] / told["pixels"]
    assert picture(tmp_path / "small" / "a.png").shape == (11, 6, 3)


def test_a_batch_of_crops(run: Run, lic: Path, tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "a.lic").write_bytes(lic.read_bytes())
    whole = licodec.decode(lic, backend="reference").pixels
    command = ("batch", "files", "--decode", "-o", "cut", "--jobs", "1", "--json", *ON_REFERENCE)
    for crop, reason in (("5x7+12+26", "new"), ("5x7+2+6", "other settings (crop)")):
        done = run(*command, "--crop", crop)
        assert done.exit_code == 0
        assert json.loads(done.stdout.splitlines()[0])["reason"] == reason
        part = Crop.of(crop).cut(whole)
        np.testing.assert_array_equal(picture(tmp_path / "cut" / "a.png"), part)
    assert "would skip" in run(*command[:-3], "-n", "--crop", "5x7+2+6").stdout
    outside = run(*command, "--crop", "5x7+13+26")
    assert outside.exit_code == 1
    told = json.loads(outside.stdout.splitlines()[0])
    assert "crop 5x7+13+26 is not within the picture of 17x33 pixels" in told["error"]
    np.testing.assert_array_equal(picture(tmp_path / "cut" / "a.png"), part)  # as it was


def test_a_batch_of_parts_and_sizes(run: Run, photo: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    photo.rename(tmp_path / "in" / "a.png")
    command = ("batch", "in", "-o", "out", "--jobs", "1", *ON_REFERENCE)
    framing = ("--crop", "9x20+3+4", "--resize", "50%")
    assert run("encode", "in/a.png", "-o", "a.lic", *framing, *ON_REFERENCE).exit_code == 0
    assert run(*command, *framing).exit_code == 0
    made = tmp_path / "out" / "a.lic"
    assert made.read_bytes() == (tmp_path / "a.lic").read_bytes()
    for options, planned in (
        (framing, "would skip"),
        (framing[:2], "would encode in/a.png -> out/a.lic: other settings (resize)"),
        (framing[2:], "would encode in/a.png -> out/a.lic: other settings (crop)"),
        ((), "would encode in/a.png -> out/a.lic: other settings (crop, resize)"),
    ):
        assert planned in run(*command, "--dry-run", *options).stdout
    # No file tells which part it is, so without the manifest it is made again and compared.
    (tmp_path / "out" / manifest.NAME).unlink()
    done = run(*command, *framing)
    assert (done.exit_code, "1 of the skipped files" in done.stderr) == (0, True)
    (tmp_path / "out" / manifest.NAME).unlink()
    other = run(*command, "--crop", "9x20+4+4", "--resize", "50%")
    assert other.exit_code == 1
    assert "out/a.lic: exists, and is not what is made of in/a.png now" in other.stderr
