"""`import licodec.pillow`: .lic files in Pillow, and in what stands on it."""

from __future__ import annotations

import io
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile, UnidentifiedImageError

import licodec
import licodec.pillow
from licodec.images.views import reduced
from tests.cli.conftest import pixels


@pytest.fixture(autouse=True)
def the_only_pack(pack_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LICODEC_WEIGHTS", str(pack_path))


def image(mode: str = "RGB") -> Image.Image:
    made = Image.fromarray(pixels(40, 24)).convert(mode)
    if "A" in mode:
        made.putalpha(Image.fromarray(np.arange(40 * 24).reshape(40, 24).astype(np.uint8)))
    return made


@pytest.mark.parametrize("mode", ["L", "RGB", "LA", "RGBA"])
def test_round_trip_by_name(mode: str, tmp_path: Path) -> None:
    path = tmp_path / "photo.lic"
    image(mode).save(path, d=4)
    assert path.read_bytes() == licodec.encode(image(mode), d=4)
    expected = licodec.decode(path)
    with Image.open(path) as opened:
        assert (opened.format, opened.mode, opened.size) == ("LIC", mode, (24, 40))
        assert opened.get_format_mimetype() == "image/x-licodec"
        found = np.asarray(opened).reshape(40, 24, -1)
    np.testing.assert_array_equal(found[:, :, : expected.channels], expected.pixels)
    if expected.alpha is not None:
        np.testing.assert_array_equal(found[:, :, -1], expected.alpha)


def test_memory_and_metadata() -> None:
    stream, exif = io.BytesIO(), Image.Exif()
    exif[0x010E] = "a title"
    image().save(stream, "LIC", quality=30, exif=exif, xmp=b"<x/>")
    opened = Image.open(io.BytesIO(stream.getvalue()))
    assert opened.getexif()[0x010E] == "a title"
    assert opened.info["xmp"] == b"<x/>"
    again = io.BytesIO()
    opened.save(again, "LIC", d=8, xmp=None)
    assert licodec.read_info(again.getvalue())["metadata"]["exif"] is not None
    assert licodec.read_info(again.getvalue())["metadata"]["xmp"] is None
    assert licodec.read_info(again.getvalue())["d"] == 8


def test_pixels_are_decoded_when_they_are_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    honest = licodec.pillow._decoded
    monkeypatch.setattr(
        licodec.pillow, "_decoded", lambda *given: calls.append(given[1]) or honest(*given)
    )
    opened = Image.open(io.BytesIO(licodec.encode(image())))
    assert opened.size == (24, 40) and calls == []
    opened.load()
    opened.load()
    assert calls == [1]
    assert opened.crop((1, 1, 5, 6)).size == (4, 5)


def test_thumbnails_decode_means() -> None:
    data = licodec.encode(image())
    opened = Image.open(io.BytesIO(data))
    assert opened.draft(None, (6, 10)) == ("RGB", (0, 0, 6, 10))
    expected = reduced(licodec.decode(data).pixels, None, 4)[0]
    np.testing.assert_array_equal(np.asarray(opened), expected)
    opened = Image.open(io.BytesIO(data))
    opened.thumbnail((8, 8))
    assert opened.size == (5, 8)
    assert Image.open(io.BytesIO(data)).draft("L", (25, 1)) == ("RGB", (0, 0, 24, 40))


def test_what_is_no_lic_file(tmp_path: Path) -> None:
    with pytest.raises(UnidentifiedImageError):
        Image.open(io.BytesIO(b"nothing of the kind"))
    with pytest.raises(SyntaxError, match=r"not a \.lic file"):
        licodec.pillow.LicImageFile(io.BytesIO(b"nothing of the kind"))


def test_damaged_files() -> None:
    data = licodec.encode(image())
    with pytest.raises(OSError, match="truncated"):
        Image.open(io.BytesIO(data[:-5]))
    crc = data.index(b"DATA") + 4  # of the pixels
    from tests.attacks.tools import repair_checksums

    wrong = repair_checksums(data[:crc] + bytes([data[crc] ^ 1]) + data[crc + 1 :])
    opened = Image.open(io.BytesIO(wrong))
    with pytest.raises(OSError, match="do not match the file's checksum"):
        opened.load()


@pytest.mark.parametrize("options", [{"d": -1}, {"d": 1, "quality": 5}, {"plan": "no such"}])
def test_bad_options(options: dict[str, object], tmp_path: Path) -> None:
    with pytest.raises(ValueError):
        image().save(tmp_path / "x.lic", **options)
    assert not (tmp_path / "x.lic").exists()


@pytest.mark.parametrize("name", ["icc_profile", "exif", "xmp"])
def test_metadata_of_other_types(name: str, tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=f"{name} is int, not bytes"):
        image().save(tmp_path / "x.lic", **{name: 5})
    assert not (tmp_path / "x.lic").exists()


@pytest.mark.parametrize("size", [50, 10_000])
def test_a_file_that_comes_in_parts(size: int) -> None:
    data, parser = licodec.encode(image()), ImageFile.Parser()
    for start in range(0, len(data), size):
        parser.feed(data[start : start + size])
    np.testing.assert_array_equal(np.asarray(parser.close()), licodec.decode(data).pixels)


def test_pickled_images() -> None:
    data = licodec.encode(image())
    again = pickle.loads(pickle.dumps(Image.open(io.BytesIO(data))))
    np.testing.assert_array_equal(np.asarray(again), licodec.decode(data).pixels)
    assert again.draft("RGB", (6, 10)) is None
    again.thumbnail((8, 8))
    assert again.size == (5, 8)


def test_what_cannot_be_written() -> None:
    with pytest.raises(OSError, match="floating"):
        image().convert("F").save(io.BytesIO(), "LIC")


def test_imageio(tmp_path: Path) -> None:
    imageio = pytest.importorskip("imageio.v3")
    path = tmp_path / "photo.lic"
    imageio.imwrite(path, pixels(40, 24), plugin="pillow", d=4)
    np.testing.assert_array_equal(
        imageio.imread(path, plugin="pillow"), licodec.decode(path).pixels
    )


def test_registering_imports_nothing_heavy() -> None:
    code = (
        "import sys, licodec.pillow; "
        "print(sorted({'torch', 'licodec.api', 'licodec.codec', 'numpy.linalg.lapack_lite'}"
        " & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "torch" not in done.stdout and "licodec.codec" not in done.stdout
