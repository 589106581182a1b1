"""`licodec decode`."""

from __future__ import annotations

import io
import os
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from licodec.container import read_file, write_file
from tests.attacks.builders import VARINT_2_31, with_size
from tests.attacks.tools import join_chunks, split_chunks
from tests.cli.conftest import ON_REFERENCE, Run, one_error, pixels


def test_the_picture_stands_beside_the_file(run: Run, lic: Path, tmp_path: Path) -> None:
    result = run("decode", "photo.lic", *ON_REFERENCE)
    assert (result.exit_code, result.stderr) == (0, "")
    assert re.fullmatch(r"photo\.lic -> photo\.png: 17x33, \d+ bytes, \d+\.\d\d s\n", result.stdout)
    with Image.open(tmp_path / "photo.png") as image:
        assert image.size == (17, 33)
        assert "icc_profile" in image.info


def test_an_original_of_that_name_is_left_alone(run: Run, photo: Path, lic: Path) -> None:
    original = photo.read_bytes()
    assert run("decode", "photo.lic", *ON_REFERENCE).exit_code == 0
    again = run("decode", "photo.lic", *ON_REFERENCE)
    assert again.exit_code == 1
    assert "photo.decoded.png: exists already; use -f" in one_error(again)
    assert run("decode", "-f", "photo.lic", *ON_REFERENCE).exit_code == 0
    assert photo.read_bytes() == original
    assert sorted(p.name for p in photo.parent.iterdir()) == [
        "photo.decoded.png",
        "photo.lic",
        "photo.png",
    ]


def test_encode_and_decode_one_after_the_other(run: Run, photo: Path, tmp_path: Path) -> None:
    assert run("encode", "photo.png", "-o", "photo.lic", "--d", "8", *ON_REFERENCE).exit_code == 0
    assert run("decode", "photo.lic", *ON_REFERENCE).exit_code == 0
    with Image.open(tmp_path / "photo.decoded.png") as image:
        difference = np.asarray(image).astype(int) - pixels()
    assert np.abs(difference).mean() < 40


@pytest.mark.parametrize(
    ("arguments", "name", "kind"),
    [
        (("-o", "x.webp"), "x.webp", "WEBP"),
        (("-o", "x.JPG"), "x.JPG", "JPEG"),
        (("--format", "tiff"), "photo.tif", "TIFF"),
        (("--format", "jpg", "-o", "out/"), "out/photo.jpg", "JPEG"),
        (("--format", "ppm", "-o", "plain"), "plain", "PPM"),
    ],
)
def test_formats(
    run: Run, lic: Path, tmp_path: Path, arguments: tuple[str, ...], name: str, kind: str
) -> None:
    (tmp_path / "out").mkdir()
    assert run("decode", "photo.lic", *arguments, *ON_REFERENCE).exit_code == 0
    with Image.open(tmp_path / name) as image:
        assert (image.format, image.size) == (kind, (17, 33))


@pytest.mark.parametrize(
    ("arguments", "name", "magic"),
    [
        (("-o", "x.ppm"), "x.ppm", b"P6"),
        (("-o", "x.pgm"), "x.pgm", b"P5"),
        (("-o", "x.pnm"), "x.pnm", b"P5"),
        (("--format", "ppm"), "grey.ppm", b"P6"),
        (("--format", "PGM", "-o", "x.pnm"), "x.pnm", b"P5"),
    ],
)
def test_a_grey_picture_as_netpbm(
    run: Run, tmp_path: Path, arguments: tuple[str, ...], name: str, magic: bytes
) -> None:
    Image.fromarray(pixels()[:, :, 0]).save(tmp_path / "grey.png")
    assert run("encode", "grey.png", *ON_REFERENCE).exit_code == 0
    assert run("decode", "grey.lic", *arguments, *ON_REFERENCE).exit_code == 0
    assert (tmp_path / name).read_bytes().startswith(magic + b"\n17 33\n")


def test_a_colour_picture_is_no_pgm(run: Run, lic: Path, tmp_path: Path) -> None:
    for arguments in (("-o", "x.pgm"), ("--format", "pgm", "-o", "x")):
        result = run("decode", "photo.lic", *arguments, *ON_REFERENCE)
        assert result.exit_code == 2
        assert "photo.lic: PGM holds grey pictures alone" in one_error(result)
    assert os.listdir(tmp_path) == ["photo.lic"]


def test_devices_need_no_suffix(run: Run, lic: Path) -> None:
    for arguments in (("-o", "/dev/null"), ("-o", "/dev/null", "--format", "ppm")):
        assert run("decode", "photo.lic", *arguments, *ON_REFERENCE).exit_code == 0


def test_the_input_is_looked_at_before_the_output(run: Run, lic: Path) -> None:
    result = run("decode", "none/photo.lic")
    assert result.exit_code == 3
    assert one_error(result) == "error: none/photo.lic: no such file; check the name"


def test_metadata_that_the_format_lacks_is_named(run: Run, lic: Path) -> None:
    result = run("decode", "photo.lic", "-o", "x.bmp", *ON_REFERENCE)
    assert result.exit_code == 0
    assert result.stderr == "warning: photo.lic: BMP holds no icc; left out\n"
    quiet = run("decode", "photo.lic", "-o", "y.bmp", "--quiet", *ON_REFERENCE)
    assert quiet.output == ""
    left_out = run("decode", "photo.lic", "-o", "z.bmp", "--metadata", "none", *ON_REFERENCE)
    assert left_out.stderr == ""


def test_standard_streams_give_png(run: Run, encoded: bytes, tmp_path: Path) -> None:
    result = run("decode", "-", *ON_REFERENCE, input=encoded)
    assert result.exit_code == 0
    with Image.open(io.BytesIO(result.stdout_bytes)) as image:
        assert (image.format, image.size) == ("PNG", (17, 33))
    assert result.stderr.startswith("standard input -> standard output: 17x33, ")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("photo.lic", "x.png"), "x.png: the output is named with -o: licodec decode photo.lic"),
        (("photo.lic", "-o", "x.lic"), '".lic" names no picture format that licodec writes'),
        (("photo.lic", "-o", "x.doc"), 'x.doc: ".doc" names no picture format that licodec writes'),
        (("photo.lic", "-o", "x.pbm"), '".pbm" names no picture format that licodec writes'),
        (("photo.lic", "--format", "pgm", "-o", "x.ppm"), "x.ppm: not a name for the format PGM"),
        (("photo.lic", "-o", "x"), "a name without a suffix names no picture format"),
        (("photo.lic", "--format", "doc"), "--format 'doc': not written by licodec; give"),
        (("photo.lic", "--format", "png", "-o", "x.jpg"), "x.jpg: not a name for the format PNG"),
        (("photo.lic", "--metadata", "gps"), "--metadata 'gps': give all, none"),
        (("photo.lic", "./photo.lic"), "photo.lic would both become photo.png"),
    ],
)
def test_options_that_make_no_sense(
    run: Run, lic: Path, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    result = run("decode", *arguments)
    assert result.exit_code == 2
    assert message in one_error(result)
    assert os.listdir(tmp_path) == ["photo.lic"]


def test_alpha_needs_a_format_that_holds_it(run: Run, tmp_path: Path) -> None:
    image = Image.fromarray(pixels(9, 9))
    image.putalpha(200)
    image.save(tmp_path / "in.png")
    assert run("encode", "in.png", *ON_REFERENCE).exit_code == 0
    result = run("decode", "in.lic", "-o", "out.jpg", *ON_REFERENCE)
    assert result.exit_code == 2
    assert "in.lic: JPEG cannot hold the picture's alpha" in one_error(result)
    assert not (tmp_path / "out.jpg").exists()


# Files that do not decode ------------------------------------------------------------------------


def test_a_picture_is_no_lic_file(run: Run, photo: Path) -> None:
    result = run("decode", "photo.png")
    assert result.exit_code == 3
    assert "photo.png: not a .lic file: this is a PNG picture" in one_error(result)


def test_a_file_cut_short(run: Run, lic: Path, encoded: bytes) -> None:
    lic.write_bytes(encoded[:-20])
    result = run("decode", "photo.lic")
    assert result.exit_code == 3
    assert one_error(result).startswith("error: photo.lic: file is truncated or damaged")


def test_missing_weights(run: Run, lic: Path, encoded: bytes, tmp_path: Path) -> None:
    file = read_file(encoded)
    header = replace(file.header, weights_id=bytes.fromhex("0011223344556677"))
    lic.write_bytes(write_file(replace(file, header=header)))
    result = run("decode", "photo.lic")
    assert result.exit_code == 4
    line = one_error(result)
    assert line.startswith(
        "error: photo.lic: no installed weights pack has the id 0011223344556677 (backbone lite)"
    )
    assert "licodec models" in line
    assert os.listdir(tmp_path) == ["photo.lic"]


def test_other_pixels_than_promised(run: Run, lic: Path, encoded: bytes, tmp_path: Path) -> None:
    file = read_file(encoded)
    lic.write_bytes(write_file(replace(file, pixel_crc=file.pixel_crc ^ 1)))
    result = run("decode", "photo.lic", *ON_REFERENCE)
    assert result.exit_code == 5
    assert "photo.lic: the decoded pixels do not match the file's checksum" in one_error(result)
    assert os.listdir(tmp_path) == ["photo.lic"]


def test_a_picture_of_2_31_pixels_a_side(run: Run, tmp_path: Path) -> None:
    (tmp_path / "huge.lic").write_bytes(with_size(VARINT_2_31, VARINT_2_31))
    result = run("decode", "huge.lic")
    assert result.exit_code == 6
    assert "huge.lic: picture of 2147483648x2147483648 pixels is over the limit" in one_error(
        result
    )


def test_damaged_metadata_costs_a_warning(run: Run, lic: Path, encoded: bytes) -> None:
    place = encoded.index(b"icCp") + 10
    lic.write_bytes(encoded[:place] + b"\xff" + encoded[place + 1 :])
    result = run("decode", "photo.lic", *ON_REFERENCE)
    assert result.exit_code == 0
    assert result.stderr.startswith("warning: photo.lic: chunk icCp is damaged")


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")  # Pillow's own
@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tif"])
def test_hostile_metadata_ends_in_a_picture_or_an_error(
    run: Run, lic: Path, encoded: bytes, suffix: str
) -> None:
    """Blocks with right CRCs that are no profile, no Exif, no XMP."""
    chunks = [chunk for chunk in split_chunks(encoded) if chunk[0] != b"icCp"]
    hostile = [(b"icCp", b"\0\xff" * 60), (b"exIf", b"II*\0\xff\xff\xff\xff\x01"), (b"xmPp", b"\0")]
    lic.write_bytes(join_chunks([*chunks[:-1], *hostile, chunks[-1]]))
    result = run("decode", "photo.lic", "-o", f"x.{suffix}", *ON_REFERENCE)
    assert result.exit_code in (0, 1)
    if result.exit_code:
        assert "--metadata" in one_error(result)


def test_the_worst_code_of_several(run: Run, lic: Path, tmp_path: Path, encoded: bytes) -> None:
    (tmp_path / "short.lic").write_bytes(encoded[:50])
    (tmp_path / "huge.lic").write_bytes(with_size(VARINT_2_31, VARINT_2_31))
    result = run("decode", "short.lic", "huge.lic", "photo.lic", *ON_REFERENCE)
    assert result.exit_code == 6
    assert [line.split(": ")[1] for line in result.stderr.splitlines()] == ["short.lic", "huge.lic"]
    assert (tmp_path / "photo.png").is_file()


def test_compression_of_png(run: Run, lic: Path) -> None:
    sizes, pixels = [], set()
    for level in ("0", "9"):
        assert run("decode", "photo.lic", "-o", f"{level}.png", "--compress", level).exit_code == 0
        sizes.append((lic.parent / f"{level}.png").stat().st_size)
        with Image.open(lic.parent / f"{level}.png") as image:
            pixels.add(image.tobytes())
    assert sizes[0] > sizes[1]
    assert len(pixels) == 1
    assert run("decode", "photo.lic", "-o", "a.png", "--compress", "10").exit_code == 2
    result = run("decode", "photo.lic", "-o", "a.jpg", "--compress", "1")
    assert result.exit_code == 2
    assert one_error(result) == "error: --compress is of PNG, and a.jpg is JPEG"


@pytest.mark.parametrize("name", ["a.jpg", "a.webp", "a.avif"])
def test_output_quality(run: Run, lic: Path, name: str) -> None:
    sizes = []
    for quality in ("0", "30", "85", "100"):
        result = run("decode", "-f", "photo.lic", "-o", name, "--output-quality", quality)
        assert result.exit_code == 0
        sizes.append((lic.parent / name).stat().st_size)
        with Image.open(lic.parent / name) as image:
            assert image.size == (17, 33)
            assert image.info["icc_profile"]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[-1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("-o", "a.png", "--output-quality", "50"), "--output-quality is of JPEG, AVIF, WEBP, and"),
        (("--output-quality", "50"), "and photo.png is PNG"),
        (("-o", "a.tif", "--output-quality", "50"), "and a.tif is TIFF"),
        (("-o", "a.jpg", "--output-quality", "101"), "101 is not in the range"),
        (("-o", "a.jpg", "--output-quality", "-1"), "-1 is not in the range"),
        (("-o", "a.jpg", "--output-quality", "high"), "high"),
        (("-o", "a.jpg", "--background", "lucid"), "--background: 'lucid' is no colour; give a"),
    ],
)
def test_writing_options_that_are_refused(
    run: Run, lic: Path, arguments: tuple[str, ...], message: str
) -> None:
    result = run("decode", "photo.lic", *arguments)
    assert result.exit_code == 2
    assert message in one_error(result)
    assert os.listdir(lic.parent) == ["photo.lic"]


def test_a_background_for_alpha(run: Run, tmp_path: Path) -> None:
    alpha = np.zeros((16, 16), np.uint8)
    alpha[:, 8:] = 255
    Image.fromarray(np.dstack([pixels(16, 16), alpha])).save(tmp_path / "in.png")
    assert run("encode", "in.png", *ON_REFERENCE).exit_code == 0
    for name in ("a.ppm", "a.png", "a.jpg"):
        done = run("decode", "in.lic", "-o", name, "--background", "#0f8", *ON_REFERENCE)
        assert (done.exit_code, done.stderr) == (0, "")
        with Image.open(tmp_path / name) as image:
            assert image.mode == "RGB"
            behind = np.asarray(image)[:, :7].astype(int)
        assert np.abs(behind - (0, 255, 136)).max() <= (40 if name == "a.jpg" else 0)
