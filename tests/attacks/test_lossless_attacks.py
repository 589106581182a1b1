"""Hostile lossless files end in one clear line, in the package and in the second decoder."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest

from licodec.container import Grid, read_file
from licodec.errors import CorruptFileError, LimitError, PixelChecksumError
from licodec.library import Library
from tests.attacks.lossless import DECODED, HONEST, READ, RGB, lossless_file
from tests.conformance.second_decoder import decoder


def refused_by_the_second_decoder(data: bytes) -> str:
    with pytest.raises(decoder.Fault) as caught:
        decoder.decode_lossless(decoder.read_file(data))
    return str(caught.value)


@pytest.mark.parametrize("name", READ)
def test_refused_before_anything_is_decoded(name: str) -> None:
    data, message = READ[name]
    tracemalloc.start()
    try:
        with pytest.raises(CorruptFileError) as caught:
            read_file(data)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    told = str(caught.value)
    assert message in told
    assert told.isprintable() and len(told) < 200
    assert peak < 500_000
    assert "corrupt file: " in refused_by_the_second_decoder(data)


@pytest.mark.parametrize("name", DECODED)
def test_refused_as_it_is_decoded(name: str) -> None:
    data, message = DECODED[name]
    read_file(data)
    with pytest.raises(CorruptFileError, match=message) as caught:
        Library().decode(data)
    assert str(caught.value).isprintable()
    assert "corrupt file: " in refused_by_the_second_decoder(data)


def test_limits() -> None:
    many = lossless_file(*[b""] * 1089, grid=Grid(33, 33), width=33, height=33)
    with pytest.raises(LimitError, match="1089 pieces, over the limit of 1024"):
        read_file(many)
    assert "over a limit" in refused_by_the_second_decoder(many)
    with pytest.raises(LimitError, match="payload of"):
        read_file(lossless_file(RGB + bytes(200_000)))


def test_other_pixels_than_the_encoder_had() -> None:
    with pytest.raises(PixelChecksumError, match="checksum 00000000"):
        Library().decode(HONEST)
    assert "checksum mismatch" in refused_by_the_second_decoder(HONEST)


def test_every_cut_is_refused(tmp_path: Path) -> None:
    for size in range(len(HONEST)):
        with pytest.raises(CorruptFileError):
            read_file(HONEST[:size])
