"""Damage anywhere in a small file ends in a documented error or in the right pixels.

First as it happens by accident, then with the CRCs made right again, as an attacker can.
Files that get as far as their symbols take a tenth of a second each to decode, so of those
bytes only some are tried.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from licodec.codec import REFERENCE, Codec
from licodec.container import Chunk, read_file, write_file
from licodec.container.chunks import write_chunks
from licodec.errors import CorruptFileError, LicodecError, PixelChecksumError
from licodec.images import Picture
from licodec.library import Library
from licodec.packs import read_name, read_pack
from tests.attacks.tools import cut_and_close, join_chunks, repair_checksums, split_chunks

ANCILLARY = (b"icCp", b"exIf", b"xmPp", b"noTe")
SYMBOLS_TRIED = 30  # bytes of the symbols, spread evenly
INDEX_BYTES = 12  # of DATA: checksum, number of streams and their lengths


class Subject:
    """A codec, an honest file and its picture."""

    def __init__(self, pack_path: Path) -> None:
        self.codec = Codec(read_pack(pack_path), REFERENCE)
        # The way a file's pack is found, among this one.
        self.library = Library(REFERENCE)
        self.library.open(read_name(pack_path))
        random = np.random.default_rng(1)
        ramp = np.add.outer(np.arange(33) * 4, np.arange(17) * 3)
        pixels = np.stack([ramp, 255 - ramp, random.integers(0, 255, ramp.shape)], 2)
        alpha = np.where(ramp % 7 < 3, 255, 90).astype(np.uint8)
        picture = Picture(
            pixels.astype(np.uint8),
            alpha,
            icc=b"a profile",
            exif=b"II*\0\x08\0\0\0\0\0",
            xmp=b"<x/>",
        )
        coded = self.codec.neutral.encode(picture)
        self.picture = coded.picture
        *others, payload = read_file(coded.data).to_chunks()
        self.data = write_chunks([*others, Chunk(b"noTe", b"of a later version"), payload])

    def outcome(self, data: bytes) -> LicodecError | Picture:
        """What decoding gives; any exception but a documented one goes through."""
        try:
            return self.library.decode(data)
        except LicodecError as error:
            message = str(error)
            assert message.isprintable() and len(message) < 300
            return error

    def is_right(self, picture: Picture) -> bool:
        expected = self.picture
        return (
            np.array_equal(picture.pixels, expected.pixels)
            and picture.alpha is not None
            and np.array_equal(picture.alpha, expected.alpha)
        )

    def spans(self) -> Iterator[tuple[bytes, int, int]]:
        """Type, first and last byte (exclusive) of every chunk with its frame, in order."""
        position = 8
        for kind, content in split_chunks(self.data):
            end = position + 12 + len(content)
            yield kind, position, end
            position = end

    def positions(self) -> Iterator[tuple[bytes, int]]:
        """Bytes to damage with the type of their chunk: all, but of the symbols only some."""
        yield from ((b"magic", position) for position in range(8))
        for kind, start, end in self.spans():
            if kind != b"DATA":
                yield from ((kind, position) for position in range(start, end))
                continue
            symbols = range(start + 8 + INDEX_BYTES, end - 4)
            tried = set(symbols[:: max(1, len(symbols) // SYMBOLS_TRIED)])
            for position in range(start, end):
                if position not in symbols or position in tried:
                    yield kind, position


@pytest.fixture(scope="module")
def subject(pack_path: Path) -> Subject:
    return Subject(pack_path)


def flipped(data: bytes, position: int, mask: int) -> bytes:
    return data[:position] + bytes([data[position] ^ mask]) + data[position + 1 :]


def test_the_honest_file_is_decoded(subject: Subject) -> None:
    outcome = subject.outcome(subject.data)
    assert isinstance(outcome, Picture) and subject.is_right(outcome)
    assert outcome.notes == ()


def test_every_truncation_is_an_error(subject: Subject) -> None:
    for size in range(len(subject.data)):
        assert isinstance(subject.outcome(subject.data[:size]), CorruptFileError), size


def test_every_truncation_closed_with_right_checksums(subject: Subject) -> None:
    whole = len(subject.data) - 4  # only the last CRC is missing, and made again
    for size in range(len(subject.data)):
        data = cut_and_close(subject.data, size)
        if size == whole:
            assert data == subject.data
        else:
            assert isinstance(subject.outcome(data), LicodecError), size


def test_a_flip_of_every_byte(subject: Subject) -> None:
    spared = 0
    for kind, start, end in [(b"magic", 0, 8), *subject.spans()]:
        for position in range(start, end):
            data = flipped(subject.data, position, 1 << position % 8)
            is_content = kind in ANCILLARY and start + 8 <= position < end
            if is_content and position % 6:
                continue  # these decode whole; a sixth of them will do
            outcome = subject.outcome(data)
            if isinstance(outcome, Picture):
                assert kind in ANCILLARY and subject.is_right(outcome), (kind, position)
                assert any("damaged" in note for note in outcome.notes)
                spared += 1
            else:
                assert not is_content, (kind, position)
    assert spared > 0


def test_a_flip_with_right_checksums(subject: Subject) -> None:
    errors: set[type[LicodecError]] = set()
    for kind, position in subject.positions():
        if kind in ANCILLARY and position % 6:
            continue
        data = repair_checksums(flipped(subject.data, position, 1 << (position * 5) % 8))
        outcome = subject.outcome(data)
        if isinstance(outcome, Picture):
            assert subject.is_right(outcome), (kind, position)
        else:
            errors.add(type(outcome))
    assert {CorruptFileError, PixelChecksumError} <= errors


def test_symbols_of_zeros_and_of_ones(subject: Subject) -> None:
    *others, (kind, payload) = split_chunks(subject.data)
    head, symbols = payload[:INDEX_BYTES], payload[INDEX_BYTES:]
    for filler in (b"\x00", b"\xff", b"\x80"):
        data = join_chunks([*others, (kind, head + filler * len(symbols))])
        assert isinstance(subject.outcome(data), LicodecError)


def test_another_d_or_another_checksum_is_caught_in_the_pixels(subject: Subject) -> None:
    lic = read_file(subject.data)
    other_d = replace(lic, header=replace(lic.header, d=lic.header.d + 1))
    other_checksum = replace(lic, pixel_crc=lic.pixel_crc ^ 1)
    for changed in (other_d, other_checksum):
        assert isinstance(
            subject.outcome(write_file(changed)), PixelChecksumError | CorruptFileError
        )
