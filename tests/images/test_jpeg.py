"""JPEG: damage, kinds that are not read, and the blocks beside the picture."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from PIL import Image, features

from licodec.images import read_image
from licodec.images.metadata import exif_orientation
from tests.images.builders import RGB_PROFILE, exif_block, read, refused, saved

RAMP = np.add.outer(np.arange(64), 2 * np.arange(96))[:, :, None] + np.array([0, 30, 60])
NOISE = np.random.default_rng(3).integers(0, 32, (64, 96, 3))
PHOTO = np.clip(RAMP + NOISE, 0, 255).astype(np.uint8)

KINDS = {
    "baseline": ("RGB", {}),
    "grey": ("L", {}),
    "progressive": ("RGB", {"progressive": True}),
    "restarts": ("RGB", {"restart_marker_blocks": 3}),
    "no subsampling": ("RGB", {"subsampling": 0, "quality": 95}),
    "RGB": ("RGB", {"keep_rgb": True}),
    "CMYK": ("CMYK", {}),
}


def jpeg(mode: str = "RGB", **options) -> bytes:
    return saved(Image.fromarray(PHOTO).convert(mode), "JPEG", **options)


def with_segments(data: bytes, *segments: tuple[int, bytes]) -> bytes:
    """The JPEG with more segments behind its first marker."""
    more = b"".join(
        bytes((0xFF, marker)) + struct.pack(">H", len(body) + 2) + body for marker, body in segments
    )
    return data[:2] + more + data[2:]


def frame_at(data: bytes) -> int:
    """Where the frame header's contents begin."""
    return next(data.index(bytes((0xFF, m))) for m in (0xC0, 0xC2) if bytes((0xFF, m)) in data) + 4


def damage_notes(data: bytes) -> list[str]:
    return [note for note in read(data).notes if "damaged" in note]


@pytest.mark.parametrize("kind", KINDS)
def test_whole_files_are_not_called_damaged(kind: str) -> None:
    mode, options = KINDS[kind]
    assert damage_notes(jpeg(mode, **options)) == []


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("part", [0.3, 0.5])
def test_bytes_missing_from_the_middle(kind: str, part: float) -> None:
    mode, options = KINDS[kind]
    data = jpeg(mode, **options)
    start = data.rindex(b"\xff\xda") + 14  # of the only scan, or the last
    at = start + int((len(data) - start) * part)
    (note,) = damage_notes(data[:at] + data[at + (len(data) - start) // 3 :])
    assert note.startswith("the JPEG is damaged (")
    assert note.endswith("): parts of the picture may be wrong")


def test_bytes_overwritten() -> None:
    data = bytearray(jpeg(quality=90))
    for at in range(len(data) // 2, len(data) // 2 + 60):
        data[at] = (at * 73) % 251
    assert len(damage_notes(bytes(data))) == 1


def test_an_end_marker_alone_behind_a_cut() -> None:
    data = jpeg()
    assert len(damage_notes(data[: len(data) * 2 // 3] + b"\xff\xd9")) == 1
    refused(data[: len(data) * 2 // 3], "truncated")


@pytest.mark.parametrize("kind", KINDS)
def test_an_end_marker_that_is_missing(kind: str) -> None:
    mode, options = KINDS[kind]
    data = jpeg(mode, **options)
    assert data.endswith(b"\xff\xd9")
    whole = read(data)
    note = "the JPEG has no end marker; all of its pixels are there"
    for cut in (1, 2):
        picture = read(data[:-cut])
        assert np.array_equal(picture.pixels, whole.pixels)
        assert picture.notes == (*whole.notes, note)
    opened = read_image(Image.open(io.BytesIO(data[:-2])), "in.pic")
    assert np.array_equal(opened.pixels, whole.pixels)
    assert note in opened.notes
    refused(data[:-6], "truncated")


def test_scans_that_are_missing_with_the_end_marker() -> None:
    data = jpeg(progressive=True)
    scans = [at for at in range(len(data)) if data[at : at + 2] == b"\xff\xda"]
    assert len(scans) > 3
    for at in scans[1:]:
        refused(data[: data.rindex(b"\xff\xc4", 0, at)], "truncated")


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({0: 12}, "a 12-bit JPEG"),
        ({5: 2}, "a 2-component JPEG"),
        ({5: 5}, "a 5-component JPEG"),
        ({0: 12, -3: 0xC3}, "a 12-bit lossless JPEG"),
        ({-3: 0xC5}, "a hierarchical JPEG"),
        ({-3: 0xF7}, "a lossless (LS) JPEG"),
    ],
)
def test_kinds_that_are_not_read(change: dict[int, int], part: str) -> None:
    data = bytearray(jpeg())
    frame = frame_at(bytes(data))
    for offset, value in change.items():
        data[frame + offset] = value
    refused(bytes(data), part, "not read", "convert it to an 8-bit one")


@pytest.mark.parametrize("channels", [1, 3])
def test_lossless(channels: int) -> None:
    imagecodecs = pytest.importorskip("imagecodecs")
    if int((features.version("libjpeg_turbo") or "0").partition(".")[0]) < 3:
        pytest.skip("this Pillow does not decode it")
    pixels = PHOTO[:, :, :channels]
    data = (
        imagecodecs.ljpeg_encode(pixels[:, :, 0])
        if channels == 1
        else imagecodecs.jpeg8_encode(pixels, lossless=True)
    )
    picture = read(data)
    assert np.array_equal(picture.pixels, pixels)
    assert picture.notes == ()
    opened = read_image(Image.open(io.BytesIO(data)), "in.pic")
    assert np.array_equal(opened.pixels, pixels)
    # Cut behind its start, with a marker for its end, so that Pillow decodes what there is.
    cut = data[: len(data) * 2 // 3] + b"\xff\xd9"
    assert any("the JPEG is damaged" in note for note in read(cut).notes)


def test_colour_transforms() -> None:
    """RGB without transform, CMYK as it is and as YCCK: all give their colours."""
    imagecodecs = pytest.importorskip("imagecodecs")
    red = np.full((16, 16, 3), (200, 30, 40), np.uint8)
    assert (
        np.abs(read(saved(Image.fromarray(red), "JPEG", keep_rgb=True)).pixels - 0.0 - red).max()
        < 4
    )
    inks = np.full((16, 16, 4), (20, 200, 180, 30), np.uint8)
    wanted = np.asarray(Image.fromarray(inks, "CMYK").convert("RGB")).astype(int)
    for transform in ("CMYK", "YCCK"):
        data = imagecodecs.jpeg8_encode(
            255 - inks, level=98, colorspace="CMYK", outcolorspace=transform
        )
        picture = read(data)
        assert np.abs(picture.pixels - wanted).max() < 6
        assert "CMYK converted to RGB" in picture.notes


def test_cmyk_without_a_marker() -> None:
    data = jpeg("CMYK")
    start = data.index(b"\xff\xeeAdobe"[:2])
    length = struct.unpack(">H", data[start + 2 : start + 4])[0]
    picture = read(data[:start] + data[start + 2 + length :])
    assert "no marker says whether its CMYK is inverted; taken as Adobe has it" in picture.notes


# Blocks


def icc_segment(number: int, count: int, body: bytes) -> tuple[int, bytes]:
    return 0xE2, b"ICC_PROFILE\0" + bytes((number, count)) + body


def test_profiles() -> None:
    half = len(RGB_PROFILE) // 2
    first, second = RGB_PROFILE[:half], RGB_PROFILE[half:]
    whole = with_segments(jpeg(), icc_segment(2, 2, second), icc_segment(1, 2, first))
    assert (read(whole).icc, read(whole).notes) == (RGB_PROFILE, ())
    for segment in (icc_segment(1, 2, first), icc_segment(2, 2, second)):
        picture = read(with_segments(jpeg(), segment))
        assert picture.icc is None
        assert picture.notes == ("ICC profile that is incomplete left out",)


@pytest.mark.parametrize(
    ("segment", "note"),
    [
        (
            (0xED, b"Photoshop 3.0\x008BIM\x04\x04\0\0\0\0\0\x04\x1c\x02\x05\0"),
            "IPTC left out",
        ),
        (
            (0xE1, b"http://ns.adobe.com/xmp/extension/\0" + b"0" * 32 + bytes(8) + b"<x/>"),
            "extended XMP left out",
        ),
        (
            (0xE1, b'http://ns.adobe.com/xap/1.0/\0<x hdrgm:Version="1.0"/>'),
            "HDR gain map left out",
        ),
        ((0xEB, b"JP\0\1c2pa"), "JUMBF data (content credentials or such) left out"),
    ],
)
def test_blocks_that_are_not_kept(segment: tuple[int, bytes], note: str) -> None:
    assert read(with_segments(jpeg(), segment)).notes == (note,)


def test_bytes_behind_the_picture() -> None:
    assert read(jpeg() + b"video!").notes == ("6 bytes behind the end of the picture left out",)
    assert read(jpeg() + bytes(100)).notes == ()
    thumbnail = exif_block(1, thumbnail=b"\xff\xd8\xff\xd9")
    assert read(jpeg(exif=b"Exif\0\0" + thumbnail)).notes == ()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("order", ["<", ">"])
def test_thumbnail_and_sides_in_exif(orientation: int, order: str) -> None:
    small = b"\xff\xd8" + bytes(50) + b"\xff\xd9"
    exif = exif_block(orientation, order, sides=(96, 64), thumbnail=small)
    picture = read(jpeg(exif=b"Exif\0\0" + exif))
    upright = (64, 96) if orientation > 4 else (96, 64)
    assert (picture.width, picture.height) == upright
    assert picture.exif is not None
    tags = Image.Exif()
    tags.load(picture.exif)
    inner = tags.get_ifd(0x8769)
    assert (tags[0x100], tags[0x101]) == upright
    assert (inner[0xA002], inner[0xA003]) == upright
    assert exif_orientation(picture.exif) == 1
    if orientation == 1:
        assert picture.exif == exif
        assert picture.notes == ()
    else:
        assert picture.notes == ("the thumbnail in Exif left out, it is not upright",)
        assert tags.get_ifd(1) == {}
        assert small not in picture.exif


def test_sides_that_are_another_picture_s_stay() -> None:
    exif = exif_block(6, sides=(4000, 3000))
    picture = read(jpeg(exif=b"Exif\0\0" + exif))
    assert picture.exif == exif_block(1, sides=(4000, 3000))


@pytest.mark.filterwarnings("ignore")
def test_cut_exif_with_a_thumbnail() -> None:
    exif = exif_block(6, sides=(96, 64), thumbnail=b"\xff\xd8\xff\xd9")
    for length in range(8, len(exif)):
        picture = read(jpeg(exif=b"Exif\0\0" + exif[:length]))
        assert picture.exif is None or exif_orientation(picture.exif) in (None, 1)


def test_the_first_picture_of_several_is_checked_alone() -> None:
    image = Image.fromarray(PHOTO)
    data = saved(image, "MPO", save_all=True, append_images=[image])
    assert read(data).notes == ("only the first of the 2 pictures in the MPO file taken",)
    with Image.open(io.BytesIO(data)) as opened:
        assert opened.format == "MPO"
