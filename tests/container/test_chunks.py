"""Magic and chunks."""

from __future__ import annotations

import zlib
from string import ascii_letters

import pytest
from hypothesis import given
from hypothesis import strategies as st

from licodec.container.chunks import MAGIC, Chunk, read_chunks, write_chunks
from licodec.container.limits import MAX_CHUNKS, MAX_METADATA_BYTES
from licodec.errors import CorruptFileError, LimitError

LAST = Chunk(b"DATA", b"payload")

chunk_types = st.text(ascii_letters, min_size=4, max_size=4).map(str.encode)
chunk_lists = st.lists(
    st.builds(Chunk, chunk_types.filter(lambda name: name != b"DATA"), st.binary(max_size=50)),
    max_size=10,
).map(lambda chunks: [*chunks, LAST])


@given(chunk_lists)
def test_round_trip(chunks: list[Chunk]) -> None:
    assert list(read_chunks(write_chunks(chunks))) == chunks


def test_bytes_of_a_chunk() -> None:
    data = write_chunks([Chunk(b"DATA", b"xyz")])
    crc = zlib.crc32(b"DATAxyz").to_bytes(4, "big")
    assert data == b"\x89LIC\r\n\x1a\n" + b"\x00\x00\x00\x03" + b"DATA" + b"xyz" + crc


@given(chunk_lists, st.data())
def test_truncation_is_always_seen(chunks: list[Chunk], data: st.DataObject) -> None:
    whole = write_chunks(chunks)
    cut = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(CorruptFileError, match=r"truncated|empty"):
        list(read_chunks(whole[:cut]))


@given(st.binary(max_size=300))
def test_any_bytes_after_the_magic_end_in_an_error(garbage: bytes) -> None:
    with pytest.raises((CorruptFileError, LimitError)):
        list(read_chunks(MAGIC + garbage))


def test_damaged_ancillary_chunk_is_marked() -> None:
    whole = bytearray(write_chunks([Chunk(b"noTe", b"abc"), LAST]))
    whole[len(MAGIC) + 8] ^= 1
    assert list(read_chunks(bytes(whole))) == [Chunk(b"noTe", b"`bc", intact=False), LAST]


def test_damaged_critical_chunk_is_an_error() -> None:
    whole = bytearray(write_chunks([Chunk(b"NOTE", b"abc"), LAST]))
    whole[len(MAGIC) + 8] ^= 1
    with pytest.raises(CorruptFileError, match="chunk NOTE at byte 8 is damaged"):
        list(read_chunks(bytes(whole)))


def test_the_most_chunks_and_one_more() -> None:
    most = [Chunk(b"noTe", b"")] * (MAX_CHUNKS - 1)
    assert len(list(read_chunks(write_chunks([*most, LAST])))) == MAX_CHUNKS
    with pytest.raises(LimitError, match="more than 64 chunks"):
        list(read_chunks(write_chunks([*most, Chunk(b"noTe", b""), LAST])))


def test_the_most_metadata_and_one_byte_more() -> None:
    half = Chunk(b"noTe", bytes(MAX_METADATA_BYTES // 2))
    list(read_chunks(write_chunks([half, half, LAST])))
    with pytest.raises(LimitError, match="metadata of 16777217 bytes"):
        list(read_chunks(write_chunks([half, half, Chunk(b"noTe", b"1"), LAST])))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "file is empty"),
        (b"\x89LI", "truncated: it ends after 3 bytes"),
        (MAGIC, "truncated: it ends at byte 8 without its DATA chunk"),
        (MAGIC.replace(b"\r\n", b"\n") + b"rest", "text-mode transfer"),
        (MAGIC.replace(b"\n", b"\r\n") + b"rest", "text-mode transfer"),
        (MAGIC.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"), "text-mode transfer"),
        (MAGIC.replace(b"\r", b"\n") + b"rest", "text-mode transfer"),
        (bytes(byte & 0x7F for byte in MAGIC), "text-mode transfer"),
        (MAGIC.decode("latin-1").encode("utf-8"), "text-mode transfer"),
        (MAGIC.decode("utf-8", "replace").encode("utf-8"), "text-mode transfer"),
        (b"\x89PNG\r\n\x1a\n", "this is a PNG picture"),
        (b"\xff\xd8\xff\xe0", "this is a JPEG picture"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "this is a WebP picture"),
        (b"\x00\x00\x00\x20ftypavif", "this is an AVIF picture"),
        (b"hello, world", "it starts with 68 65 6c 6c 6f 2c 20 77"),
        (MAGIC + b"\x00\x00\x00\x00DA7A\x00\x00\x00\x00", "damaged type"),
        (MAGIC + b"\xff\xff\xff\xffDATA\x00\x00\x00\x00", "says 4294967295 bytes where 0 remain"),
        (write_chunks([LAST]) + b"\n", "1 bytes follow the end of the file"),
    ],
)
def test_messages(data: bytes, message: str) -> None:
    with pytest.raises(CorruptFileError, match=message):
        list(read_chunks(data))
