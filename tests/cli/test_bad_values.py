"""Bad values of the options of pictures: one clear line, exit code 2, and nothing written."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import licodec
from tests.cli.conftest import Run, one_error, pixels

DIGITS = "\u0665x\u0665+\u0660+\u0660", "\uff11x\uff11+\uff10+\uff10"  # of other scripts
CROPS = [
    *("", "5x5", "5x5+0", "-1x5+0+0", "0x5+0+0", "5x0+0+0", "5x5+-1+0", "5x5-1-1", "5 x 5+0+0"),
    *("nanxnan+0+0", "5.5x5+0+0", "5x5+0+0+0", "5,5,0,0", "1x1+0+0;", "9" * 5000, *DIGITS),
]
SIZES = [
    *("", "0", "0x0", "-5", "x", "%", "0%", "-5%", "nan", "nan%", "inf", "5.5", "1e3", "5x5x5"),
    *("50 %", "50%%", "x-5", "9" * 40, "9" * 40 + "%", "\u0665", "\uff11\uff10%"),
]
COLOURS = [
    *("", "#", "#12", "#12345", "#0008", "#ggg", "nan", "-1", " white", "transparent", "0xffffff"),
    *("rgb(300,0,0)", "rgb(1,2)", "rgba(1,2,3,4)", "#\uff11\uff11\uff11", "a" * 5000),
]
SCALES = ["", "0", "2", "1/3", "1/16", "0.5", "-1/2", "nan", " 1/2", "\u00bd", "\u0661/\u0662"]
NUMBERS = ["", "-1", "nan", "inf", "1e3", "5.5", "0x10", "five", "9" * 30]  # of whole ones
FORMATS = ["", ".", "png ", "gif", "jxl", "lic", "image/png", "../png", "\uff11", "p" * 500]
DECODING = {
    "--crop": CROPS,
    "--scale": SCALES,
    "--thumbnail": [*NUMBERS, "0", "65536"],
    "--background": COLOURS,
    "--output-quality": [*NUMBERS, "101"],
    "--compress": [*NUMBERS, "10"],
    "--format": FORMATS,
}
ENCODING = {"--crop": CROPS, "--resize": SIZES, "--background": COLOURS}


@pytest.fixture
def folder(tmp_path: Path, photo: Path) -> Path:
    """photo.png, exact.lic, and a folder with each."""
    (tmp_path / "exact.lic").write_bytes(licodec.encode(pixels(), lossless=True))
    for name in ("photo.png", "exact.lic"):
        (tmp_path / name[:5]).mkdir()
        shutil.copy(tmp_path / name, tmp_path / name[:5])
    return tmp_path


def refuse(run: Run, folder: Path, option: str, *arguments: str) -> None:
    before = sorted(folder.rglob("*"))
    done = run(*arguments)
    assert done.exit_code == 2, arguments
    assert option in one_error(done)
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize("option", DECODING)
def test_of_decode_and_batch(run: Run, folder: Path, option: str) -> None:
    for value in DECODING[option]:
        quality = ("--format", "webp") if option == "--output-quality" else ()
        refuse(run, folder, option, "decode", "exact.lic", option, value, *quality)
        refuse(run, folder, option, "batch", "exact", "--decode", option, value, *quality)


@pytest.mark.parametrize("option", ENCODING)
def test_of_encode_and_batch(run: Run, folder: Path, option: str) -> None:
    for value in ENCODING[option]:
        refuse(run, folder, option, "encode", "photo.png", "--lossless", option, value)
        refuse(run, folder, option, "batch", "photo", option, value)


def test_of_compare(run: Run, folder: Path) -> None:
    for value in CROPS:
        if value != "5x5":  # where most detail is
            command = ("compare", "photo.png", "-o", "x.html", "--codecs", "webp")
            refuse(run, folder, "--crop", *command, "--crop", value)


@pytest.mark.parametrize(
    ("command", "named"),
    [
        ("decode exact.lic --scale 1/2 --thumbnail 5", "--scale and --thumbnail exclude"),
        ("decode exact.lic --compress 3 --format jpg", "--compress is of PNG"),
        ("decode exact.lic --compress 3 --output-quality 3", "--output-quality is of JPEG"),
        ("decode exact.lic --format png -o x.jpg", "x.jpg: not a name for the format PNG"),
        ("decode exact.lic --resize 50%", "No such option: --resize"),
        ("encode photo.png --scale 1/2", "No such option: --scale"),
        ("encode photo.png --background red --keep-hidden-colors", "--keep-hidden-colors"),
        ("batch photo --thumbnail 5", "--thumbnail are for --decode; encoding takes --resize"),
        ("batch photo --compress 5", "--compress is for --decode"),
        ("batch exact --decode --resize 5", "--resize is for encoding; --decode takes --scale"),
        ("batch exact --decode --scale 1/2 --thumbnail 5", "exclude each other"),
        ("info exact.lic --crop 1x1+0+0", "No such option: --crop"),
    ],
)
def test_together_or_out_of_place(run: Run, folder: Path, command: str, named: str) -> None:
    refuse(run, folder, named, *command.split())
