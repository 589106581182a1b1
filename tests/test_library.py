"""Which codec takes a picture: the reference first, then the fastest."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from licodec.codec import REFERENCE
from licodec.container import read_file
from licodec.images import Picture
from licodec.library import ATTEMPTS, Library, PackCodecs
from licodec.packs import read_name, write_pack
from licodec.rate.modes import Rate, RateMode
from tests import tiny

FAST = "float32"  # what the tests take for the fastest


@pytest.fixture(autouse=True)
def no_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no native code, no int8 and no GPU decide what the fastest is."""
    monkeypatch.setattr("licodec.exact.interpreter.BACKENDS", (FAST, REFERENCE))
    monkeypatch.setattr("licodec.exact.backends.native.obstacle", lambda: "no compiler")


def work_of_a_decoding() -> float:
    """Of a picture of one pixel, for the tiny pack: the least start that takes it."""
    low, high = 0.0, 1e9
    while high - low > 1:
        middle = (low + high) / 2
        on_reference = PackCodecs(tiny.pack(), None, middle).to_decode(1, 1).backend == REFERENCE
        low, high = (low, middle) if on_reference else (middle, high)
    return high


def test_the_reference_does_what_is_little() -> None:
    work = work_of_a_decoding()
    codecs = PackCodecs(tiny.pack(), None, 2.5 * work)
    used = [codecs.to_decode(2, 2).backend for _ in range(4)]
    assert used == [REFERENCE, REFERENCE, FAST, FAST]
    assert codecs.to_decode(1, 1).backend == FAST  # it has started
    assert codecs.reference.backend == REFERENCE


@pytest.mark.parametrize(("width", "height"), [(1, 1), (64, 1), (1, 64), (64, 64)])
def test_work_is_that_of_the_padded_picture(width: int, height: int) -> None:
    work = work_of_a_decoding()
    for start, backend in ((work, REFERENCE), (0.9 * work, FAST)):
        assert PackCodecs(tiny.pack(), None, start).to_decode(width, height).backend == backend


def test_encoding_is_more_and_a_search_is_much_more() -> None:
    work = work_of_a_decoding()
    start = 1.2 * work
    assert PackCodecs(tiny.pack(), None, start).to_decode(1, 1).backend == REFERENCE
    assert PackCodecs(tiny.pack(), None, start).to_encode(1, 1, Rate()).backend == FAST
    start = ATTEMPTS * work
    target = Rate(RateMode.PSNR, 30.0)
    assert PackCodecs(tiny.pack(), None, start).to_encode(1, 1, Rate()).backend == REFERENCE
    assert PackCodecs(tiny.pack(), None, start).to_encode(1, 1, target).backend == FAST


@pytest.mark.parametrize("backend", [FAST, REFERENCE])
def test_what_is_asked_for_is_taken(backend: str) -> None:
    assert PackCodecs(tiny.pack(), backend).to_decode(9, 9).backend == backend
    assert PackCodecs(tiny.pack(), backend).fastest.backend == backend


def test_without_a_start_the_fastest_does_all() -> None:
    assert PackCodecs(tiny.pack(), None, 0).to_decode(1, 1).backend == FAST


def test_both_give_the_same_file_and_pixels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "tiny.safetensors"
    write_pack(tiny.pack(), path)
    monkeypatch.setenv("LICODEC_WEIGHTS", str(tmp_path))
    picture = Picture(np.random.default_rng(1).integers(0, 256, (40, 70, 3), np.uint8))
    used, files, decoded = [], [], []
    for library in (Library(), Library(None, 0)):
        codec = library.open(read_name(path)).to_encode(70, 40, Rate())
        files.append(codec.neutral.encode(picture).data)
        used += [codec.backend, library.codec_for(read_file(files[0])).backend]
        decoded.append(library.decode(files[0]).pixels)
    assert used == [REFERENCE, REFERENCE, FAST, FAST]
    assert files[0] == files[1]
    assert np.array_equal(*decoded)


def test_native_code_does_everything_from_the_beginning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("licodec.exact.backends.native.obstacle", lambda: None)
    assert PackCodecs(tiny.pack()).to_decode(1, 1).backend == FAST
