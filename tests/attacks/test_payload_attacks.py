"""Files that are well formed and say what their pack or their symbols do not bear out."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from licodec.codec import REFERENCE
from licodec.container import LicFile, Stream, read_file
from licodec.container.chunks import write_chunks
from licodec.entropy import forms, rans
from licodec.errors import (
    CorruptFileError,
    LicodecError,
    LimitError,
    PixelChecksumError,
    WeightsMissingError,
)
from licodec.exact import native
from licodec.images import Picture
from licodec.library import Library
from licodec.packs import read_name
from licodec.rate.setting import Setting

EMPTY = Stream(bytes(8), b"")
ESCAPES_TOO_LARGE = b"\xff\xff\x03"  # of symbols beyond 2^15


@pytest.fixture(scope="module")
def library(pack_path: Path) -> Library:
    library = Library(REFERENCE)
    library.open(read_name(pack_path))
    return library


@pytest.fixture(scope="module")
def honest(library: Library, pack_path: Path) -> LicFile:
    """A file with many escapes: what alternates from pixel to pixel is not what packs expect."""
    checker = np.indices((40, 56)).sum(0)[:, :, None] % 2 * 255
    picture = Picture(checker.repeat(3, 2).astype(np.uint8))
    lic = read_file(library.open(read_name(pack_path)).fastest.at(Setting(16)).encode(picture).data)
    assert len(lic.streams[0].escapes) > 50
    return lic


def decoded(library: Library, lic: LicFile) -> Picture:
    # Not by write_file, which writes no illegal file.
    return library.decode(write_chunks(lic.to_chunks()))


STREAMS: dict[str, tuple[Callable[[Stream], Stream], str]] = {
    "no symbols": (lambda s: Stream(b"", s.escapes), "length is not legal"),
    "half a word": (lambda s: Stream(s.rans + b"ab", s.escapes), "length is not legal"),
    "too many words": (lambda s: Stream(s.rans + bytes(2**16), s.escapes), "length is not legal"),
    "a state of zeros": (lambda s: Stream(bytes(8) + s.rans[8:], s.escapes), "first state"),
    "a state of ones": (lambda s: Stream(b"\xff" * 8 + s.rans[8:], s.escapes), "first state"),
    "no escapes": (lambda s: Stream(s.rans, b""), "escape stream is damaged"),
    "fewer escapes": (lambda s: Stream(s.rans, s.escapes[:-1]), "escape stream is damaged"),
    "more escapes": (lambda s: Stream(s.rans, s.escapes + b"\0"), "bytes left over"),
    "an endless escape": (lambda s: Stream(s.rans, b"\xff" * 2000), "escape stream is damaged"),
    "padded escapes": (lambda s: Stream(s.rans, b"\x80\0" * 2000), "escape stream is damaged"),
    "a large escape": (lambda s: Stream(s.rans, ESCAPES_TOO_LARGE * 500), "escape stream"),
    "a word too few": (lambda s: Stream(s.rans[:-4], s.escapes), "ends before its last symbol"),
    "a word too many": (lambda s: Stream(s.rans + bytes(4), s.escapes), "does not end with its"),
    "escapes for symbols": (lambda s: Stream(s.escapes, s.rans), "payload"),
}


@pytest.mark.parametrize("form", [forms.NATIVE, forms.PLAIN], ids=["native", "plain"])
@pytest.mark.parametrize("name", STREAMS)
def test_streams(
    library: Library,
    honest: LicFile,
    name: str,
    form: forms.Form,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if form is forms.NATIVE and native.library() is None:
        pytest.skip(str(native.reason()))
    monkeypatch.setattr(rans, "fastest", lambda: form)
    change, message = STREAMS[name]
    with pytest.raises(CorruptFileError, match=message):
        decoded(library, replace(honest, streams=(change(honest.streams[0]),)))


@pytest.mark.parametrize("count", [0, 2, 1024])
def test_numbers_of_streams(library: Library, honest: LicFile, count: int) -> None:
    with pytest.raises(CorruptFileError, match="stream"):
        decoded(library, replace(honest, streams=(*honest.streams, *[EMPTY] * 1023)[:count]))


FIELDS: dict[str, tuple[dict[str, object], type[LicodecError], str]] = {
    "a finer d": ({"d": 15}, CorruptFileError, "disagrees"),
    "a coarser d": ({"d": 4097}, CorruptFileError, "disagrees"),
    "another d": ({"d": 17}, LicodecError, "payload|pixels"),
    "another unit": ({"d_fraction_bits": 5}, CorruptFileError, "disagrees"),
    "another backbone": ({"backbone": "stf"}, CorruptFileError, "disagrees"),
    "another pack": ({"weights_id": b"8 bytes."}, WeightsMissingError, "382062797465732e"),
    "an adapter set that is not there": (
        {"alpha": 1, "adapter_id": b"8 bytes."},
        WeightsMissingError,
        "382062797465732e",
    ),
    "grey": ({"channels": 1}, PixelChecksumError, "pixels"),
    "one row less": ({"height": 39}, PixelChecksumError, "pixels"),
    "the sides exchanged": ({"width": 40, "height": 56}, PixelChecksumError, "pixels"),
    "twice the height": ({"height": 80}, CorruptFileError, "payload"),
}


@pytest.mark.parametrize("name", FIELDS)
def test_headers(library: Library, honest: LicFile, name: str) -> None:
    fields, error, message = FIELDS[name]
    with pytest.raises(error, match=message):
        decoded(library, replace(honest, header=replace(honest.header, **fields)))


def test_an_adapter_set_that_the_file_was_not_made_with(library: Library, honest: LicFile) -> None:
    pack = library.codecs_for(honest).pack
    for own in pack.adapters:
        for gains in ({"alpha": 30000}, {"beta": 30000}):
            header = replace(honest.header, adapter_id=pack.adapter_ids[own.objective], **gains)
            with pytest.raises((CorruptFileError, PixelChecksumError)):
                decoded(library, replace(honest, header=header))


@pytest.mark.parametrize("sides", [(65535, 4096), (4096, 65535), (65535, 1), (1, 65535)])
def test_a_large_picture_in_a_few_bytes_takes_no_memory(
    library: Library, honest: LicFile, sides: tuple[int, int]
) -> None:
    header = replace(honest.header, width=sides[0], height=sides[1])
    tracemalloc.start()
    try:
        with pytest.raises(CorruptFileError, match="1 streams where the picture has"):
            decoded(library, replace(honest, header=header))
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


def test_more_payload_than_any_coding_takes(library: Library, honest: LicFile) -> None:
    stream = replace(honest.streams[0], escapes=bytes(200_000))
    with pytest.raises(LimitError, match="payload of"):
        decoded(library, replace(honest, streams=(stream,)))
