"""What an attacker does to a file: take it apart, change it, make its CRCs right again."""

from __future__ import annotations

import zlib

from licodec.container import MAGIC

HEAD_BYTES = 8
CRC_BYTES = 4

Chunks = list[tuple[bytes, bytes]]
"""Types and contents."""


def raw_chunk(chunk_type: bytes, content: bytes) -> bytes:
    """A chunk with the right length and CRC, whatever its type and content."""
    crc = zlib.crc32(chunk_type + content)
    return len(content).to_bytes(4, "big") + chunk_type + content + crc.to_bytes(4, "big")


def split_chunks(data: bytes) -> Chunks:
    """Type and content of the chunks of a file, for as long as their lengths make sense."""
    chunks = []
    position = len(MAGIC)
    while position + HEAD_BYTES + CRC_BYTES <= len(data):
        start = position + HEAD_BYTES
        end = start + int.from_bytes(data[position : position + 4], "big")
        if end + CRC_BYTES > len(data):
            break
        chunks.append((data[position + 4 : start], data[start:end]))
        position = end + CRC_BYTES
    return chunks


def join_chunks(chunks: Chunks) -> bytes:
    """A file of these chunks, in this order, with right lengths and CRCs."""
    return MAGIC + b"".join(raw_chunk(*chunk) for chunk in chunks)


def repair_checksums(data: bytes) -> bytes:
    """The same file with the CRC of every chunk that can still be told apart made right."""
    repaired = join_chunks(split_chunks(data))
    return data[: len(MAGIC)] + repaired[len(MAGIC) :] + data[len(repaired) :]


def cut_and_close(data: bytes, size: int) -> bytes:
    """The first `size` bytes of a file, with the chunk in which they end closed behind them."""
    whole = split_chunks(data[:size])
    position = len(join_chunks(whole))
    rest = data[position:size]
    if len(rest) < HEAD_BYTES:
        return join_chunks(whole)
    return join_chunks([*whole, (rest[4:HEAD_BYTES], rest[HEAD_BYTES:])])
