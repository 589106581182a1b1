"""A picture goes the same way however it comes: path, bytes, stream, Pillow image or array."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from dataclasses import astuple
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

import licodec
from licodec.api import as_picture
from licodec.errors import BadInputError, LimitError, UsageError
from licodec.images import INPUT_FORMATS, Picture
from licodec.packs import write_pack
from tests import tiny
from tests.images.builders import (
    RGB_PROFILE,
    exif_block,
    page,
    png_chunk,
    samples,
    saved,
    tiff,
    with_chunks,
)

XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"/>'
ALL = {"exif": b"Exif\0\0" + exif_block(6), "icc_profile": RGB_PROFILE, "xmp": XMP}
RGB = Image.fromarray(samples(24, 16, 3))


def palette(transparency: bool = False) -> bytes:
    image = Image.fromarray(samples(24, 16) % 4)
    image.putpalette(samples(4, 3).tobytes())
    return saved(image, "PNG", **({"transparency": 2} if transparency else {}))


FILES: dict[str, Callable[[], bytes]] = {
    "palette": palette,
    "transparent palette": lambda: palette(True),
    "colour key": lambda: saved(RGB, "PNG", transparency=tuple(RGB.getpixel((3, 4)))),
    "grey of 4 bits": lambda: saved(Image.fromarray(samples(24, 16) % 16), "TIFF"),
    "16 bits": lambda: saved(Image.fromarray(samples(24, 16, bits=16)), "PNG"),
    "RGBA": lambda: saved(Image.fromarray(samples(24, 16, 4)), "PNG"),
    "CMYK": lambda: saved(RGB.convert("CMYK"), "JPEG"),
    "turned": lambda: saved(RGB, "JPEG", **ALL),
    "turned WebP": lambda: saved(RGB, "WEBP", **ALL),
    "turned PNG": lambda: saved(RGB, "PNG", exif=ALL["exif"], icc_profile=RGB_PROFILE),
    "turned TIFF": lambda: saved(RGB, "TIFF", tiffinfo={274: 8, 271: "Lic"}),
    "TIFF by planes": lambda: tiff(page(samples(24, 16, 3, bits=16), 2, 16, PLANAR=[2])),
    "TIFF of YCbCr": lambda: saved(RGB.convert("YCbCr"), "TIFF"),
    "gamma": lambda: with_chunks(saved(RGB, "PNG"), png_chunk(b"gAMA", b"\0\1\x86\xa0")),
    "animation": lambda: saved(RGB, "GIF", save_all=True, append_images=[ImageOps.invert(RGB)]),
    "animated WebP": lambda: saved(
        RGB, "WEBP", save_all=True, append_images=[ImageOps.invert(RGB)], lossless=True
    ),
    "several": lambda: saved(RGB, "MPO", save_all=True, append_images=[RGB]),
    "BMP": lambda: saved(Image.fromarray(samples(24, 16) // 64).convert("P"), "BMP"),
    "PGM": lambda: b"P5 3 2 1023 " + samples(6, bits=10).astype(">u2").tobytes(),
    "damaged JPEG": lambda: saved(RGB, "JPEG")[:700] + b"\xff\xd9",
    **({"AVIF": lambda: saved(RGB, "AVIF", **ALL)} if "AVIF" in INPUT_FORMATS else {}),
}


def same(a: Picture, b: Picture) -> bool:
    def equal(x: object, y: object) -> bool:
        return np.array_equal(x, y) if isinstance(x, np.ndarray) else x == y

    mine, theirs = astuple(a), astuple(b)
    return all(equal(x, y) for x, y in zip(mine, theirs, strict=True))


@pytest.mark.parametrize("kind", FILES)
def test_files_go_the_same_way(kind: str, tmp_path: Path) -> None:
    data = FILES[kind]()
    path = tmp_path / "a.pic"
    path.write_bytes(data)
    wanted = as_picture(path)
    assert same(as_picture(str(path)), wanted)
    for given in (data, bytearray(data), memoryview(data), io.BytesIO(data)):
        assert same(as_picture(given), wanted)
    with open(path, "rb") as stream:
        assert same(as_picture(stream), wanted)
    with Image.open(path) as image:
        assert same(as_picture(image), wanted)
    with open(path, "rb") as stream:
        image = Image.open(stream)
        assert same(as_picture(image), wanted)
        image.load()  # the stream is where Pillow left it


def test_streams_that_cannot_seek(tmp_path: Path) -> None:
    data = FILES["turned"]()

    class Pipe:
        def __init__(self) -> None:
            self._inner = io.BytesIO(data)

        def read(self, size: int = -1) -> bytes:
            return self._inner.read(size)

    assert same(as_picture(Pipe()), as_picture(data))


def test_a_stream_is_read_from_where_it_is() -> None:
    data = FILES["RGBA"]()
    stream = io.BytesIO(b"before" + data)
    stream.seek(6)
    assert same(as_picture(stream), as_picture(data))


# Images that Pillow has decoded or made


@pytest.mark.parametrize("kind", ["palette", "transparent palette", "colour key", "RGBA", "turned"])
def test_decoded_images(kind: str) -> None:
    data = FILES[kind]()
    wanted = as_picture(data)
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        assert same(as_picture(image), wanted)
        assert same(as_picture(image.copy()), wanted)


def test_modes_of_images_in_memory() -> None:
    red = Image.new("RGB", (5, 4), (250, 10, 20))
    for mode in ("RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "P"):
        picture = as_picture(red.quantize(2) if mode == "P" else red.convert(mode))
        assert picture.channels == 3
        assert np.abs(picture.pixels.astype(int) - (250, 10, 20)).max() <= 3
        assert (picture.alpha is not None) == (mode == "RGBA")
    assert as_picture(red.convert("1")).pixels.max() in (0, 255)
    assert as_picture(Image.fromarray(np.full((2, 2), 65535, np.uint16))).pixels.max() == 255
    assert as_picture(red.convert("LA")).alpha is not None
    assert as_picture(Image.fromarray(samples(4, 4, 4)).quantize(method=2)).alpha is not None


@pytest.mark.parametrize("mode", ["HSV", "LAB", "I", "F"])
def test_modes_that_have_no_right_reading(mode: str) -> None:
    image = Image.new(mode, (4, 4))
    with pytest.raises(BadInputError, match=r"the Pillow image: .*convert"):
        as_picture(image)


def test_an_edited_image_is_taken_as_it_is() -> None:
    with Image.open(io.BytesIO(FILES["turned PNG"]())) as image:
        image.putpixel((0, 0), (1, 2, 3))
        assert as_picture(image).pixels[0, -1].tolist() == [1, 2, 3]
        upright = ImageOps.exif_transpose(image)
        assert np.array_equal(as_picture(upright).pixels, np.asarray(upright))
    with Image.open(io.BytesIO(FILES["turned"]())) as image:
        del image.info["icc_profile"], image.info["exif"]
        picture = as_picture(image)
        assert (picture.icc, picture.exif) == (None, None)
        assert picture.pixels.shape == (24, 16, 3)


def test_the_frame_that_was_sought() -> None:
    frames = [Image.new("L", (4, 4), value) for value in (0, 100, 200)]
    data = saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
    with Image.open(io.BytesIO(data)) as image:
        image.seek(1)
        picture = as_picture(image)
        assert (picture.pixels == 100).all()
        assert picture.notes == ("only number 2 of the 3 frames of the animation taken",)
    pages = tiff(*(page(np.full((2, 3, 1), value, np.uint8), 1, 8) for value in (7, 8)))
    with Image.open(io.BytesIO(pages)) as image:
        image.seek(1)
        picture = as_picture(image)
        assert (picture.pixels == 8).all()
        assert picture.notes == ("only page 2 of the file's 2 pages taken",)


def test_a_tiff_that_pillow_has_decoded_wrongly() -> None:
    with Image.open(io.BytesIO(FILES["TIFF by planes"]())) as image:
        image.load()
        with pytest.raises(BadInputError, match="Pillow decodes this kind of TIFF wrongly"):
            as_picture(image)


def test_sizes_of_images_are_checked() -> None:
    with pytest.raises(LimitError, match="70000x1"):
        as_picture(Image.new("L", (70_000, 1)))
    with pytest.raises(BadInputError, match="no pixels"):
        as_picture(Image.new("L", (0, 3)))


# What is no picture


@pytest.mark.parametrize(
    ("given", "part"),
    [
        (np.zeros((4, 4, 3), np.uint16), "uint16"),
        (np.zeros((4, 4, 3), np.float32), "float32"),
        (np.zeros((4, 4), bool), "bool"),
        (np.zeros((4, 4, 2), np.uint8), r"\(4, 4, 2\)"),
        (np.zeros((4, 4, 5), np.uint8), r"\(4, 4, 5\)"),
        (np.zeros(4, np.uint8), r"\(4,\)"),
        (np.zeros((1, 4, 4, 3), np.uint8), r"\(1, 4, 4, 3\)"),
        (np.zeros((0, 4, 3), np.uint8), "no pixels"),
        ([[1, 2], [3]], "list is no picture"),
        (None, "NoneType is no picture"),
        (7, "int is no picture"),
        (object(), "object is no picture"),
        (b"", "the bytes given: the file is empty"),
        (b"hello", "the bytes given: not a picture"),
        (io.BytesIO(b"hello"), "the stream given: not a picture"),
        (io.StringIO("hello"), "the stream given: not an open stream of bytes"),
        (Path("/nowhere/a.png"), "/nowhere/a.png: no such file"),
    ],
)
def test_what_is_no_picture(given: object, part: str) -> None:
    with pytest.raises(BadInputError, match=part):
        as_picture(given)


def test_closed_streams() -> None:
    stream = io.BytesIO(b"hello")
    stream.close()
    with pytest.raises(BadInputError, match="not an open stream of bytes"):
        as_picture(stream)


# encode, decode and read_info


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    path = tmp_path / "tiny.safetensors"
    write_pack(tiny.pack(), path)
    monkeypatch.setenv("LICODEC_WEIGHTS", str(path))
    return str(path)


def test_files_are_the_same_and_losses_are_told(tmp_path: Path, model: str) -> None:
    data = FILES["CMYK"]()
    path = tmp_path / "a.jpg"
    path.write_bytes(data)
    with Image.open(path) as image:
        made = []
        for given in (path, str(path), data, io.BytesIO(data), image):
            with pytest.warns(UserWarning, match="CMYK converted to RGB") as told:
                made.append(licodec.encode(given, model=model, backend="reference"))
            assert told[0].filename == __file__
    assert len(set(made)) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        licodec.encode(as_picture(data), model=model, backend="reference")
        licodec.encode(samples(8, 8), model=model, backend="reference")


def test_lic_files_of_every_form(tmp_path: Path, model: str) -> None:
    data = licodec.encode(samples(20, 30), model=model, backend="reference")
    path = tmp_path / "a.lic"
    path.write_bytes(data)
    wanted = licodec.decode(data, backend="reference")
    with open(path, "rb") as stream:
        forms = (path, str(path), bytearray(data), memoryview(data), io.BytesIO(data), stream)
        for given in forms:
            assert same(licodec.decode(given, backend="reference"), wanted)
    assert licodec.read_info(io.BytesIO(data)) == licodec.read_info(path)


class Closed(io.BytesIO):
    def read(self, size: int | None = -1) -> bytes:
        raise ValueError("I/O operation on closed file")


@pytest.mark.parametrize(
    ("given", "part"),
    [
        (Path("/nowhere/a.lic"), "no such file"),
        (Closed(b"x"), "not an open stream of bytes"),
        (7, "int is no .lic file"),
        (None, "NoneType is no .lic file"),
    ],
)
def test_what_is_no_lic_file(given: object, part: str) -> None:
    for read in (licodec.decode, licodec.read_info):
        with pytest.raises((BadInputError, UsageError), match=part):
            read(given)
