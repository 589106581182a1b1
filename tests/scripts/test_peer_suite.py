"""scripts/peer_suite.py: what it calls right, refused and wrong, with readers made for the test."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from licodec.images import Picture
from tests.scripts.conftest import script


def gradient(channels: int, dtype: str = "uint8") -> np.ndarray:
    values = np.linspace(0, np.iinfo(dtype).max, 12 * 9 * channels)
    return values.astype(dtype).reshape(9, 12, channels)


def reading(samples: np.ndarray, maximum: float | None = 255.0, **facts: Any) -> Any:
    return script("peers.readers").Reading(samples, maximum, **facts)


def by_pillow(path: Path) -> Any:
    """A second reader for the test: Pillow's own pixels of a whole file."""
    with Image.open(path) as image:
        return reading(np.atleast_3d(np.asarray(image)), pictures=getattr(image, "n_frames", 1))


def unable(path: Path) -> Any:
    raise script("peers.readers").UnableError("cannot read it")


def run(
    monkeypatch: pytest.MonkeyPatch, folder: Path, *reads: Callable[[Path], Any], format: str
) -> int:
    """The script's exit code with these second readers for the format."""
    readers = script("peers.readers")
    made = tuple(readers.Reader(f"reader {i}", read) for i, read in enumerate(reads, 1))
    monkeypatch.setitem(readers.READERS, format, made)
    return script("peer_suite").main([str(folder)])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A colour picture and, below it, a grey one with alpha."""
    Image.fromarray(gradient(3)).save(tmp_path / "colour.png")
    (tmp_path / "below").mkdir()
    Image.fromarray(gradient(2), "LA").save(tmp_path / "below" / "grey.PNG")
    (tmp_path / "notes.txt").write_text("no picture")
    return tmp_path


def test_lossless(
    monkeypatch: pytest.MonkeyPatch, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "damaged.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    assert script("peer_suite").main([str(folder), "--lossless"]) == 0
    counts = re.findall(r"\d+", capsys.readouterr().out.splitlines()[-1])
    assert counts == ["2", "1", "0", "0", "3"]
    lossless = script("peers.lossless")
    monkeypatch.setattr(lossless, "MOST_BYTES_MORE", 10)
    assert script("peer_suite").main([str(folder), "--lossless"]) == 1
    assert "bytes more than WebP" in capsys.readouterr().out
    picture = Picture(gradient(3), gradient(1)[:, :, 0], b"icc", b"exif")
    other = Picture(255 - gradient(3), None, b"icc", b"Exif")
    assert lossless.differences(picture, picture) == []
    assert lossless.differences(picture, other) == ["pixels", "alpha", "exif"]


def test_right(
    monkeypatch: pytest.MonkeyPatch, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, folder, by_pillow, format="PNG") == 0
    lines = capsys.readouterr().out.splitlines()
    cells = [cell.strip() for cell in lines[-1].split("|")[1:-1]]
    assert cells == ["all", "2", "0", "0", "0", "2"]
    assert not any("png" in line for line in lines)


def test_a_second_reader_that_disagrees(
    monkeypatch: pytest.MonkeyPatch, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def off_by_one(path: Path) -> Any:
        right = by_pillow(path)
        return replace(right, samples=right.samples ^ 1)

    assert run(monkeypatch, folder, off_by_one, format="PNG") == 1
    out = capsys.readouterr().out
    assert "WRONG  colour.png: reader 1: pixels differ: mean 1, 99 % within 1, most 1" in out
    assert "WRONG  below/grey.PNG" in out
    # Another that agrees is enough, and one that only complains is not.
    assert run(monkeypatch, folder, off_by_one, by_pillow, format="PNG") == 0
    complaining = lambda path: replace(by_pillow(path), complaint="odd")  # noqa: E731
    assert run(monkeypatch, folder, complaining, format="PNG") == 0
    assert "only one reader  colour.png: reader 1, same pixels: odd" in capsys.readouterr().out


def test_refusals(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(gradient(3)).save(tmp_path / "whole.png")
    data = (tmp_path / "whole.png").read_bytes()
    (tmp_path / "whole.png").unlink()
    (tmp_path / "cut.png").write_bytes(data[:60])
    assert run(monkeypatch, tmp_path, unable, format="PNG") == 0
    assert "refused  cut.png: refused, " in capsys.readouterr().out
    mended = lambda path: reading(gradient(3), complaint="ends early")  # noqa: E731
    assert run(monkeypatch, tmp_path, mended, format="PNG") == 0
    whole = lambda path: reading(gradient(3))  # noqa: E731
    assert run(monkeypatch, tmp_path, whole, format="PNG") == 1
    assert "reader 1: 12x9, 3 of uint8, RGB, nothing wrong" in capsys.readouterr().out
    # Damage is not what the second reader finds here: the refusal names the wrong reason.
    several = lambda path: reading(gradient(3), pictures=2)  # noqa: E731
    assert run(monkeypatch, tmp_path, several, format="PNG") == 1
    assert run(monkeypatch, tmp_path, several, mended, format="PNG") == 0


def test_what_is_corrupt_by_its_name_has_to_be_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(gradient(3)).save(tmp_path / "xabn2c08.png")
    assert run(monkeypatch, tmp_path, by_pillow, format="PNG") == 1
    assert "WRONG  xabn2c08.png: is corrupt by its name, and read" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("pixels", "right"),
    [
        (lambda wide: wide >> 8, True),
        (lambda wide: (wide.astype(int) * 255 + 32767) // 65535, True),
        (lambda wide: np.minimum((wide >> 8) + 1, 255), False),
        (lambda wide: wide & 255, False),
    ],
    ids=["high bytes", "rounded", "a level too high", "low bytes"],
)
def test_sixteen_bits(pixels: Callable[[np.ndarray], np.ndarray], right: bool) -> None:
    comparison = script("peers.comparison")
    wide = gradient(3, "uint16")
    picture = Picture(pixels(wide).astype(np.uint8))
    fault = comparison.fault_of_pixels(picture, reading(wide, 65535.0), comparison.EXACT)
    assert (fault == "") == right


def test_lossy_formats_have_a_tolerance() -> None:
    comparison = script("peers.comparison")
    pixels = np.full((20, 20, 3), 100, np.uint8)
    close, edge = pixels + np.uint8(1), pixels.copy()
    edge[0, :2] = 250  # half a percent: an edge's chroma upsampled otherwise
    for samples in (close, edge):
        second = reading(samples)
        assert not comparison.fault_of_pixels(Picture(pixels), second, comparison.LOSSY)
        assert comparison.fault_of_pixels(Picture(pixels), second, comparison.EXACT)
    far = reading(pixels + np.uint8(4))
    assert comparison.fault_of_pixels(Picture(pixels), far, comparison.LOSSY)
    assert comparison.tolerance_of("JPEG", b"") is comparison.LOSSY
    assert comparison.tolerance_of("WEBP", b"RIFF1234WEBPVP8 ") is comparison.LOSSY
    assert comparison.tolerance_of("WEBP", b"RIFF1234WEBPVP8L") is comparison.EXACT


def test_colours_are_compared_where_they_can_be_seen() -> None:
    comparison = script("peers.comparison")
    picture = Picture(gradient(3), np.zeros((9, 12), np.uint8))
    hidden = np.dstack([255 - gradient(3), np.zeros((9, 12), np.uint8)])
    assert not comparison.fault_of_pixels(picture, reading(hidden), comparison.EXACT)
    assert comparison.fault_of_pixels(picture, reading(gradient(3)), comparison.EXACT)  # opaque
    half = replace(picture, alpha=np.full((9, 12), 51, np.uint8))
    products = np.dstack([gradient(3) // 5, half.alpha])
    second = reading(products, premultiplied=True)
    assert not comparison.fault_of_pixels(half, second, comparison.EXACT)
    assert comparison.fault_of_pixels(half, reading(products), comparison.EXACT)


def test_nothing_may_be_lost_in_silence() -> None:
    comparison = script("peers.comparison")
    picture = Picture(gradient(3))
    second = reading(gradient(3), bits=16, metadata=frozenset({"icc"}))
    assert "icc" in comparison.fault_of_silence(picture, second)
    noted = replace(picture, notes=("damaged ICC profile left out",))
    assert "16 bits" in comparison.fault_of_silence(noted, second)
    both = replace(noted, notes=(*noted.notes, "16-bit samples reduced to 8"))
    assert comparison.fault_of_silence(both, second) == ""


@pytest.mark.parametrize("orientation", range(1, 9))
def test_tifffile_reads_upright(tmp_path: Path, orientation: int) -> None:
    pytest.importorskip("tifffile")
    image = Image.fromarray(gradient(3))
    image.getexif()[274] = orientation
    image.save(tmp_path / "picture.tif", exif=image.getexif())
    second = script("peers.readers").TIFFFILE.read(tmp_path / "picture.tif")
    assert np.array_equal(second.samples, np.asarray(ImageOps.exif_transpose(image)))
    assert (second.maximum, second.bits, second.colours) == (255.0, 8, "RGB")
