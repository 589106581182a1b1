"""`licodec encode`."""

from __future__ import annotations

import os
import re
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from licodec.container import read_file
from tests.cli.conftest import ON_REFERENCE, Run, one_error, pixels, png


def header_of(path: Path):
    return read_file(path.read_bytes()).header


# Names -----------------------------------------------------------------------------------------


def test_the_output_stands_beside_the_picture(run: Run, photo: Path, tmp_path: Path) -> None:
    result = run("encode", "photo.png", *ON_REFERENCE)
    assert result.exit_code == 0
    assert (tmp_path / "photo.lic").is_file()
    assert re.fullmatch(
        r"photo\.png -> photo\.lic: \d+ bytes, \d+\.\d{3} bpp, d 1, \d+\.\d\d s\n", result.stdout
    )
    assert result.stderr == ""


def test_a_named_output_and_its_psnr(run: Run, photo: Path, tmp_path: Path) -> None:
    result = run("encode", "photo.png", "-o", "other.lic", "--d", "8", "--psnr", *ON_REFERENCE)
    assert result.exit_code == 0
    assert re.search(r", d 8, \d+\.\d\d dB, ", result.stdout)
    assert header_of(tmp_path / "other.lic").d_value == 8


def test_several_inputs_go_into_a_folder(run: Run, photo: Path, tmp_path: Path) -> None:
    Image.fromarray(pixels(5, 7)).save(tmp_path / "other.bmp")
    result = run("encode", "photo.png", "other.bmp", "-o", "out/new", *ON_REFERENCE)
    assert result.exit_code == 0
    assert sorted(os.listdir(tmp_path / "out" / "new")) == ["other.lic", "photo.lic"]
    assert len(result.stdout.splitlines()) == 2


def test_a_folder_is_an_output_for_one_input_too(run: Run, photo: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    assert run("encode", "photo.png", "-o", "out", *ON_REFERENCE).exit_code == 0
    assert (tmp_path / "out" / "photo.lic").is_file()


def test_standard_streams(run: Run, tmp_path: Path) -> None:
    result = run("encode", "-", *ON_REFERENCE, input=png())
    assert result.exit_code == 0
    assert read_file(result.stdout_bytes).header.height == 33
    assert result.stderr.startswith("standard input -> standard output: ")
    assert os.listdir(tmp_path) == []


def test_a_file_to_the_standard_output(run: Run, photo: Path) -> None:
    result = run("encode", "photo.png", "-o", "-", "--quiet", *ON_REFERENCE)
    assert result.exit_code == 0
    assert read_file(result.stdout_bytes).header.width == 17
    assert result.stderr == ""


def test_an_output_in_the_place_of_an_input_is_answered(run: Run, photo: Path) -> None:
    result = run("encode", "photo.png", "b c.lic")
    assert result.exit_code == 2
    assert "licodec encode photo.png -o 'b c.lic'" in one_error(result)


def test_a_lic_file_is_no_picture(run: Run, lic: Path) -> None:
    result = run("encode", "photo.lic")
    assert result.exit_code == 2
    assert "licodec decode photo.lic" in one_error(result)


def test_a_lic_file_of_another_name_is_no_picture(run: Run, lic: Path, tmp_path: Path) -> None:
    lic.rename(tmp_path / "photo.png")
    result = run("encode", "photo.png", *ON_REFERENCE)
    assert result.exit_code == 3
    assert "photo.png: not a picture that licodec reads" in one_error(result)


def test_a_pictures_suffix_is_wrong_for_the_output(run: Run, photo: Path) -> None:
    result = run("encode", "photo.png", "-o", "out.jpg")
    assert result.exit_code == 2
    assert "out.jpg: encode writes .lic files" in one_error(result)


def test_inputs_that_would_be_one_file_are_refused(run: Run, photo: Path, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "photo.jpg").write_bytes(png())
    result = run("encode", "photo.png", "sub/photo.jpg", "-o", "out")
    assert result.exit_code == 2
    assert "photo.png and sub/photo.jpg would both become out/photo.lic" in one_error(result)


@pytest.mark.parametrize("output", ["one.lic", "-"])
def test_several_inputs_do_not_go_into_a_file(run: Run, photo: Path, output: str) -> None:
    result = run("encode", "photo.png", "photo.jpg", "-o", output)
    assert result.exit_code == 2
    assert "with several inputs -o names a folder" in one_error(result)
    assert "; there is no input photo.jpg" in one_error(result)


def test_the_standard_input_stands_alone(run: Run, photo: Path) -> None:
    assert "give it alone" in one_error(run("encode", "-", "photo.png"))
    assert "name the output file" in one_error(run("encode", "-", "-o", "./", input=png()))


# Outputs that cannot be written ------------------------------------------------------------------


def test_an_output_that_exists_is_kept(run: Run, photo: Path, tmp_path: Path) -> None:
    (tmp_path / "photo.lic").write_bytes(b"mine")
    result = run("encode", "photo.png", *ON_REFERENCE)
    assert result.exit_code == 1
    assert one_error(result).startswith("error: photo.lic: exists already; use -f")
    assert (tmp_path / "photo.lic").read_bytes() == b"mine"
    assert run("encode", "photo.png", "-f", *ON_REFERENCE).exit_code == 0
    assert header_of(tmp_path / "photo.lic").width == 17


def test_the_input_is_never_the_output(run: Run, tmp_path: Path) -> None:
    (tmp_path / "photo").write_bytes(png())
    result = run("encode", "photo", "-o", "./photo", "-f")
    assert result.exit_code == 2
    assert "output and input are one file" in one_error(result)


def test_a_missing_folder(run: Run, photo: Path) -> None:
    result = run("encode", "photo.png", "-o", "none/photo.lic", *ON_REFERENCE)
    assert result.exit_code == 1
    assert "none does not exist; create it first" in one_error(result)


def test_a_folder_without_permission(
    run: Run, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda *arguments, **options: False)
    result = run("encode", "photo.png", *ON_REFERENCE)
    assert result.exit_code == 1
    assert "is not writable; name another folder with -o" in one_error(result)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is always full")
def test_no_space(run: Run, photo: Path) -> None:
    result = run("encode", "photo.png", "-o", "/dev/full", *ON_REFERENCE)
    assert result.exit_code == 1
    assert "no space left" in one_error(result)


# Inputs ------------------------------------------------------------------------------------------


def encode_array(run: Run, tmp_path: Path, image: Image.Image, name: str = "in.png"):
    image.save(tmp_path / name)
    return run("encode", name, *ON_REFERENCE)


@pytest.mark.parametrize(
    ("mode", "channels", "alpha"),
    [("1", 1, False), ("L", 1, False), ("P", 3, False), ("RGBA", 3, True), ("LA", 1, True)],
)
def test_kinds_of_samples(run: Run, tmp_path: Path, mode: str, channels: int, alpha: bool) -> None:
    image = Image.fromarray(pixels()).convert(mode)
    if alpha:
        image.putalpha(200)
    result = encode_array(run, tmp_path, image)
    assert (result.exit_code, result.stderr) == (0, "")
    header = header_of(tmp_path / "in.lic")
    assert (header.channels, header.has_alpha) == (channels, alpha)


def test_sixteen_bits_are_reduced_with_a_warning(run: Run, tmp_path: Path) -> None:
    wide = np.arange(33 * 17, dtype=np.uint16).reshape(33, 17) * 117
    result = encode_array(run, tmp_path, Image.fromarray(wide))
    assert result.exit_code == 0
    assert result.stderr == "warning: in.png: 16-bit samples reduced to 8\n"
    assert header_of(tmp_path / "in.lic").channels == 1


def test_cmyk_is_converted_with_a_warning(run: Run, tmp_path: Path) -> None:
    image = Image.fromarray(pixels()).convert("CMYK")
    result = encode_array(run, tmp_path, image, "in.tif")
    assert result.exit_code == 0
    assert result.stderr == "warning: in.tif: CMYK converted to RGB\n"
    assert header_of(tmp_path / "in.lic").channels == 3


def test_an_animated_image(run: Run, tmp_path: Path) -> None:
    frames = [Image.fromarray(pixels() // (n + 1)) for n in range(3)]
    frames[0].save(tmp_path / "in.gif", save_all=True, append_images=frames[1:])
    result = run("encode", "in.gif", *ON_REFERENCE)
    assert result.exit_code == 0
    warning = "in.gif: only the first of the 3 frames of the animation taken"
    assert result.stderr == f"warning: {warning}\n"


def test_a_non_image(run: Run, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no picture at all")
    result = run("encode", "notes.txt", *ON_REFERENCE)
    assert result.exit_code == 3
    assert "notes.txt: not a picture that licodec reads; it reads PNG, JPEG" in one_error(result)


def test_a_folder_in_place_of_a_file(run: Run, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    result = run("encode", "folder", *ON_REFERENCE)
    assert result.exit_code == 3
    assert "folder: a directory, not a file" in one_error(result)
    assert "licodec batch" in one_error(result)


def test_a_missing_file_and_good_ones_beside_it(run: Run, photo: Path, tmp_path: Path) -> None:
    result = run("encode", "none.png", "photo.png", *ON_REFERENCE)
    assert result.exit_code == 3
    assert "none.png: no such file" in one_error(result)
    assert (tmp_path / "photo.lic").is_file()


def test_a_picture_over_the_limits(run: Run, tmp_path: Path) -> None:
    # Its header says 70000 x 1; no pixel of it is ever looked at.
    data = png()
    header = b"IHDR" + (70_000).to_bytes(4, "big") + (1).to_bytes(4, "big") + data[24:29]
    (tmp_path / "in.png").write_bytes(
        data[:12] + header + zlib.crc32(header).to_bytes(4, "big") + data[33:]
    )
    result = run("encode", "in.png", *ON_REFERENCE)
    assert result.exit_code == 6
    assert "in.png: picture of 70000x1 pixels is over the limit" in one_error(result)


def test_names_from_anywhere_stay_on_one_line(run: Run, tmp_path: Path) -> None:
    name = "a\nb\x1b[31m.png"
    (tmp_path / name).write_bytes(png())
    result = run("encode", name, *ON_REFERENCE)
    assert result.exit_code == 0
    assert result.stdout.count("\n") == 1 and "\x1b" not in result.stdout


# Metadata ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kinds", "kept"),
    [
        ("none", set()),
        ("exif", {"exif"}),
        ("icc,XMP", {"icc", "xmp"}),
        ("all", {"icc", "exif", "xmp"}),
    ],
)
def test_metadata_that_is_kept(run: Run, tmp_path: Path, kinds: str, kept: set[str]) -> None:
    exif = Image.Exif()
    exif[270] = "a description"
    profile = bytes(16) + b"RGB XYZ " + bytes(12) + b"acsp" + bytes(88)
    image = Image.fromarray(pixels(8, 8))
    image.save(tmp_path / "in.jpg", exif=exif, icc_profile=profile, xmp=b"<x/>")
    assert run("encode", "in.jpg", "--metadata", kinds, *ON_REFERENCE).exit_code == 0
    metadata = read_file((tmp_path / "in.lic").read_bytes()).metadata
    assert {kind for kind in ("icc", "exif", "xmp") if getattr(metadata, kind)} == kept


# Rates -------------------------------------------------------------------------------------------


def test_quality_is_d(run: Run, photo: Path, tmp_path: Path) -> None:
    assert run("encode", "photo.png", "-q", "50", *ON_REFERENCE).exit_code == 0
    assert header_of(tmp_path / "photo.lic").d_value == 4


def test_a_target_size_is_met(run: Run, photo: Path, tmp_path: Path) -> None:
    assert run("encode", "photo.png", "-d", "4", *ON_REFERENCE).exit_code == 0
    size = (tmp_path / "photo.lic").stat().st_size
    result = run("encode", "photo.png", "-f", "--target-size", f"{size / 1000}k", *ON_REFERENCE)
    assert (result.exit_code, result.stderr) == (0, "")
    assert 0.9 * size < (tmp_path / "photo.lic").stat().st_size <= size


@pytest.mark.parametrize(
    ("option", "value", "reached"),
    [
        ("--target-size", "20", r"has \d+ bytes, at d 64"),
        ("--target-bpp", "0.01", r"has \d+\.\d{3} bpp, at d 64"),
        ("--target-psnr", "99", r"has \d+\.\d\d dB, at d 0\.25"),
    ],
)
def test_a_target_out_of_reach(
    run: Run, photo: Path, tmp_path: Path, option: str, value: str, reached: str
) -> None:
    result = run("encode", "photo.png", option, value, "--no-lossless", *ON_REFERENCE)
    assert result.exit_code == 0
    (warning,) = result.stderr.splitlines()
    start = f"warning: photo.png: {option} {value} is out of reach; the nearest file "
    assert warning.startswith(start) and re.search(reached, warning)
    assert (tmp_path / "photo.lic").is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("-d", "0"), "d = 0 is out of range: this backbone takes 0.25 to 64; --lossless keeps"),
        (("-d", "-3"), "d = -3 is out of range"),
        (("-d", "nan"), "d = nan is out of range"),
        (("-q", "101"), "quality 101 is out of range: 0 (smallest) to 100 (best)"),
        (("-d", "8", "-q", "50"), "-d and -q exclude each other"),
        (("-q", "5", "--target-bpp", "1"), "-q and --target-bpp exclude each other"),
        (("--alpha", "1", "-q", "2"), "-q and --alpha exclude each other"),
        (("--target-bpp", "0"), "--target-bpp 0: give a number above 0"),
        (("--target-psnr", "inf"), "--target-psnr inf: give a number above 0"),
        (("--target-size", "50 cows"), "give a number of bytes, such as 20000, 50k or 1.5M"),
        (("--target-size", "0"), "give a number of bytes"),
        (("--alpha", "1.5"), "alpha 1.5 is out of range: give 0 to 1"),
        (("--alpha", "0.5", "--beta", "-1"), "beta -1 is out of range"),
        (("--metadata", "gps"), "--metadata 'gps': give all, none, or some of icc,exif,xmp"),
        (("--model", "cheng"), "no weights pack for model 'cheng' with plan 'standard'; installed"),
        (("--plan", "tiny"), "no weights pack for model 'lite' with plan 'tiny'; installed: lite"),
        (("--model", "no.safetensors"), "no.safetensors: no such weights pack"),
        (("-v", "--quiet"), "-v and --quiet exclude each other"),
        (("--backend", "int8", "--device", "cuda"), "--backend int8 does not run on --device cuda"),
        (("--backend", "cuda", "--device", "cpu"), "--backend cuda does not run on --device cpu"),
    ],
)
def test_options_that_make_no_sense(
    run: Run, photo: Path, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    result = run("encode", "photo.png", *arguments)
    assert result.exit_code == 2
    assert message in one_error(result)
    assert os.listdir(tmp_path) == ["photo.png"]


def test_a_pack_by_its_path(run: Run, photo: Path, pack_path: Path) -> None:
    result = run("encode", "photo.png", "--model", str(pack_path), "-v", *ON_REFERENCE)
    assert result.exit_code == 0
    assert re.fullmatch(r"lite \(standard, [0-9a-f]{16}\) on reference\n", result.stderr)


def test_a_damaged_pack(run: Run, photo: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.safetensors").write_bytes(b"no pack")
    result = run("encode", "photo.png", "--model", "bad.safetensors")
    assert result.exit_code == 3
    assert "bad.safetensors: not a readable weights pack" in one_error(result)


# Transparency ------------------------------------------------------------------------------------


def write_transparent(path: Path, alpha: int, **options: object) -> None:
    """A picture whose left half has this alpha."""
    plane = np.full((16, 16), 255, np.uint8)
    plane[:, :8] = alpha
    Image.fromarray(np.dstack([pixels(16, 16), plane])).save(path, **options)


def test_transparency(run: Run, tmp_path: Path) -> None:
    write_transparent(tmp_path / "in.png", 0)
    results = {
        name: run("encode", "in.png", "-o", name, *arguments, *ON_REFERENCE)
        for name, arguments in (
            ("usual.lic", ()),
            ("kept.lic", ("--keep-hidden-colors",)),
            ("flat.lic", ("--background", "White")),
        )
    }
    assert {result.exit_code for result in results.values()} == {0}
    told = "warning: in.png: the colours under fully transparent pixels left out\n"
    assert [result.stderr for result in results.values()] == [told, "", ""]
    assert [header_of(tmp_path / name).has_alpha for name in results] == [True, True, False]
    assert len({(tmp_path / name).read_bytes() for name in results}) == 3


def test_opaque_alpha_makes_no_other_file(run: Run, tmp_path: Path) -> None:
    write_transparent(tmp_path / "in.png", 255)
    (tmp_path / "plain.png").write_bytes(png(pixels(16, 16)))
    for name in ("in", "plain"):
        assert run("encode", f"{name}.png", *ON_REFERENCE).exit_code == 0
    assert (tmp_path / "in.lic").read_bytes() == (tmp_path / "plain.lic").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--background", "whitish"), "--background: 'whitish' is no colour; give a name"),
        (("--background", ""), "--background: '' is no colour"),
        (("--background", "#0008"), "--background: '#0008' is no colour"),
        (("--background", "red", "--keep-hidden-colors"), "give it or --keep-hidden-colors"),
    ],
)
def test_transparency_that_makes_no_sense(
    run: Run, photo: Path, arguments: tuple[str, ...], message: str
) -> None:
    result = run("encode", "photo.png", *arguments)
    assert result.exit_code == 2
    assert message in one_error(result)
    assert os.listdir(photo.parent) == ["photo.png"]
