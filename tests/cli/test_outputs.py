"""Pictures out of `decode`, and into `encode`: sizes, alpha and metadata through every option."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import licodec
from licodec.codec import encode_lossless
from licodec.container import read_file
from licodec.images import Picture, read_picture
from licodec.images.transparency import flattened
from licodec.images.views import Crop, reduced
from tests.cli.conftest import ON_REFERENCE, Run, one_error, pixels
from tests.images.test_views import exif_of

WIDTH, HEIGHT = 17, 33
XMP = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>"
ICC = (132).to_bytes(4, "big") + bytes(12) + b"RGB XYZ " + bytes(12) + b"acsp" + bytes(92)
NO_THUMBNAIL = "the thumbnail in Exif left out, it shows the whole picture"


def full(channels: int = 3) -> Picture:
    """A picture with alpha of all kinds and all metadata."""
    alpha = np.random.default_rng(2).integers(0, 256, (HEIGHT, WIDTH)).astype(np.uint8)
    alpha[:5], alpha[-5:] = 0, 255
    planes = np.ascontiguousarray(pixels(HEIGHT, WIDTH)[:, :, :channels])
    return Picture(planes, alpha, ICC if channels == 3 else None, exif_of(WIDTH, HEIGHT), XMP)


@pytest.fixture
def exact(tmp_path: Path) -> Path:
    """full.lic, the picture without loss."""
    path = tmp_path / "full.lic"
    path.write_bytes(encode_lossless(full()).data)
    return path


@pytest.fixture
def png(tmp_path: Path) -> Path:
    """full.png, the same."""
    picture = full()
    exif = b"Exif\0\0" + (picture.exif or b"")
    picture.to_image().save(tmp_path / "full.png", icc_profile=ICC, exif=exif)
    return tmp_path / "full.png"


def decoded(run: Run, name: str, *options: str) -> tuple[Picture, str]:
    """What is read of the output again, and what was said meanwhile."""
    done = run("decode", "full.lic", "-f", "-o", name, *options, *ON_REFERENCE)
    assert done.exit_code == 0
    return read_picture(Path(name), name), done.stderr


def same(found: Picture, expected: Picture) -> None:
    np.testing.assert_array_equal(found.pixels, expected.pixels)
    assert (found.alpha is None) == (expected.alpha is None)
    if found.alpha is not None and expected.alpha is not None:
        np.testing.assert_array_equal(found.alpha, expected.alpha)


@pytest.mark.parametrize("name", ["a.png", "a.webp", "a.tif"])
def test_outputs_without_loss(run: Run, exact: Path, name: str) -> None:
    found, told = decoded(run, name)
    same(found, full())  # the colours under transparent pixels, too
    assert (found.icc, found.xmp, told) == (ICC, XMP, "")
    assert found.exif == full().exif or name == "a.tif"  # which has directories of its own


@pytest.mark.parametrize("quality", [None, 60])
@pytest.mark.parametrize("kind", ["webp", "avif", "jpg"])
def test_outputs_of_a_quality(run: Run, exact: Path, kind: str, quality: int | None) -> None:
    options = () if quality is None else ("--output-quality", str(quality))
    options += ("--background", "#102030") if kind == "jpg" else ()
    found, told = decoded(run, "plain", "--format", kind, *options)
    assert (found.width, found.height, told) == (WIDTH, HEIGHT, "")
    assert (found.icc, found.exif, found.xmp) == (ICC, full().exif, XMP)
    with Image.open("plain") as image:
        assert image.format == {"jpg": "JPEG"}.get(kind, kind.upper())
    expected = flattened(full(), (16, 32, 48)) if kind == "jpg" else full()
    seen = np.s_[-5:]  # where alpha is opaque
    difference = found.pixels[seen].astype(int) - expected.pixels[seen]
    assert np.abs(difference).mean() < (0.01 if (kind, quality) == ("webp", None) else 12)
    assert (found.alpha is None) == (kind == "jpg")
    if found.alpha is not None and expected.alpha is not None:
        off = np.abs(found.alpha.astype(int) - expected.alpha).max()
        assert off <= (0 if kind == "webp" else 8 if quality is None else 64)


def test_a_grey_picture_with_alpha(run: Run, tmp_path: Path) -> None:
    (tmp_path / "full.lic").write_bytes(encode_lossless(full(1)).data)
    for name in ("a.png", "a.webp", "a.avif", "a.tif"):
        found, _ = decoded(run, name)
        assert (found.width, found.height) == (WIDTH, HEIGHT)
        assert (found.exif is not None, found.xmp) == (True, XMP)
        off = found.pixels[-5:].astype(int) - full(1).pixels[-5:]
        assert np.abs(off).max() <= (6 if name == "a.avif" else 0)


@pytest.mark.parametrize(
    ("options", "sides", "cut"),
    [
        (("--crop", "9x11+3+4"), (9, 11), True),
        (("--crop", "9x11+3+4", "--scale", "1/2"), (5, 6), True),
        (("--crop", "9x11+3+4", "--thumbnail", "5"), (4, 5), True),
        (("--scale", "1/2"), (9, 17), False),
        (("--thumbnail", "20"), (10, 20), False),
        (("--crop", f"{WIDTH}x{HEIGHT}+0+0"), (WIDTH, HEIGHT), False),
    ],
)
@pytest.mark.parametrize("name", ["a.png", "a.webp", "a.jpg"])
def test_exif_of_parts(
    run: Run, exact: Path, options: tuple[str, ...], sides: tuple[int, int], cut: bool, name: str
) -> None:
    found, told = decoded(run, name, *options, "--background", "white")
    assert (found.width, found.height) == sides
    assert told == (f"warning: full.lic: {NO_THUMBNAIL}\n" if cut else "")
    assert_sides(found.exif, sides, cut)


def assert_sides(exif: bytes | None, sides: tuple[int, int], cut: bool) -> None:
    """What Exif says of a picture, and whether it has its thumbnail."""
    assert exif is not None
    read = Image.Exif()
    read.load(exif)
    directory = read.get_ifd(0x8769)
    assert (directory[0xA002], directory[0xA003]) == sides
    assert (b"jpeg" in exif) == (not cut)
    assert (exif[22:26] == bytes(4)) == cut  # no second directory


@pytest.mark.parametrize(
    ("options", "sides", "cut"),
    [
        (("--crop", "9x11+3+4"), (9, 11), True),
        (("--resize", "50%"), (9, 17), False),
        (("--resize", "34"), (34, 66), False),
        (("--crop", "9x11+3+4", "--resize", "x22"), (18, 22), True),
    ],
)
@pytest.mark.parametrize("lossless", [(), ("--lossless",)])
def test_exif_of_what_is_coded(
    run: Run, png: Path, options: tuple[str, ...], sides: tuple[int, int], cut: bool,
    lossless: tuple[str, ...],
) -> None:  # fmt: skip
    done = run("encode", "full.png", *options, *lossless, *ON_REFERENCE)
    assert done.exit_code == 0
    assert (NO_THUMBNAIL in done.stderr) == cut
    lic = read_file(Path("full.lic").read_bytes())
    assert (lic.header.width, lic.header.height) == sides
    assert_sides(lic.metadata.exif, sides, cut)


def test_a_background_without_loss(run: Run, png: Path) -> None:
    done = run("encode", "full.png", "--lossless", "--background", "#123", *ON_REFERENCE)
    assert (done.exit_code, done.stderr) == (0, "")
    same(licodec.decode(Path("full.lic")), flattened(full(), (0x11, 0x22, 0x33)))


def test_parts_of_a_picture_with_alpha(run: Run, png: Path, exact: Path) -> None:
    crop, whole = Crop(9, 30, 8, 2), full()
    assert whole.alpha is not None
    part = Picture(crop.cut(whole.pixels), crop.cut(whole.alpha))
    same(decoded(run, "a.png", "--crop", str(crop))[0], part)
    half = Picture(*reduced(part.pixels, part.alpha, 2))
    same(decoded(run, "a.png", "--crop", str(crop), "--scale", "1/2")[0], half)
    options = ("--crop", str(crop), "--lossless", *ON_REFERENCE)
    assert run("encode", "full.png", "-f", *options).exit_code == 0
    same(licodec.decode(Path("full.lic")), part)
    # By the network alpha is exact, too.
    assert run("encode", "full.png", "-f", *options[:2], "--no-lossless").exit_code == 0
    found = licodec.decode(Path("full.lic"), backend="reference")
    np.testing.assert_array_equal(found.alpha, part.alpha)


BORDERS = [
    *(f"1x1+{x}+{y}" for x in (0, WIDTH - 1) for y in (0, HEIGHT - 1)),
    *(f"{WIDTH}x1+0+{y}" for y in (0, HEIGHT - 1)),
    *(f"1x{HEIGHT}+{x}+0" for x in (0, WIDTH - 1)),
    *(f"{WIDTH}x{HEIGHT}+0+0", f"{WIDTH - 1}x{HEIGHT - 1}+1+1", f"{WIDTH - 1}x{HEIGHT - 1}+0+0"),
]
BEYOND = [
    *(f"{WIDTH + 1}x1+0+0", f"1x{HEIGHT + 1}+0+0", f"1x1+{WIDTH}+0", f"1x1+0+{HEIGHT}"),
    *(f"{WIDTH}x1+1+0", f"1x{HEIGHT}+0+1", f"{WIDTH}x{HEIGHT}+1+0", "999999999x1+0+0"),
    *("1x1+999999999+999999999", f"2x1+{WIDTH - 1}+0", f"1x2+0+{HEIGHT - 1}"),
]


@pytest.mark.parametrize("text", BORDERS)
def test_crops_at_borders(run: Run, photo: Path, lic: Path, text: str) -> None:
    crop = Crop.of(text)
    whole = licodec.decode(lic, backend="reference").pixels
    done = run("decode", "photo.lic", "-o", "a.png", "--crop", text, *ON_REFERENCE)
    assert (done.exit_code, done.stderr) == (0, "")
    np.testing.assert_array_equal(read_picture(Path("a.png"), "a.png").pixels, crop.cut(whole))
    assert run("encode", "photo.png", "-fo", "a.lic", "--lossless", "--crop", text).exit_code == 0
    np.testing.assert_array_equal(licodec.decode(Path("a.lic")).pixels, crop.cut(pixels()))


@pytest.mark.parametrize("text", BEYOND)
def test_crops_beyond_borders(run: Run, photo: Path, lic: Path, exact: Path, text: str) -> None:
    for arguments in (
        ("decode", "photo.lic", "-o", "a.png"),
        ("decode", "full.lic", "-o", "a.png"),
        ("encode", "photo.png", "-o", "a.lic", "--lossless"),
        ("encode", "photo.png", "-o", "a.lic"),
    ):
        refused = run(*arguments, "--crop", text)
        assert refused.exit_code == 2
        outside = f"{arguments[1]}: crop {text} is not within the picture of {WIDTH}x{HEIGHT}"
        assert outside in one_error(refused)
        assert not list(photo.parent.glob("a.*"))


def test_the_standard_output(run: Run, exact: Path) -> None:
    options = ("--format", "webp", "--crop", "9x11+3+4", "--metadata", "icc")
    done = run("decode", "full.lic", "-o", "-", *options)
    assert done.exit_code == 0
    found = read_picture(io.BytesIO(done.stdout_bytes), "-")
    same(found, Picture(*(Crop(9, 11, 3, 4).cut(x) for x in (full().pixels, full().alpha))))
    assert (found.icc, found.exif, found.xmp) == (ICC, None, None)
