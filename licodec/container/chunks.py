"""The outer layer of a .lic file: the magic, then chunks of length, type, data and CRC-32.

Normative in format/SPEC.md, "File layout" and "Chunks". Nothing here knows what a chunk holds.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import construct

from licodec.container.limits import MAX_CHUNKS, check_metadata_size
from licodec.errors import CorruptFileError, LimitError

MAGIC = b"\x89LIC\r\n\x1a\n"

LAST_CHUNK = b"DATA"

_HEAD = construct.Struct("length" / construct.Int32ub, "type" / construct.Bytes(4))
_CRC = construct.Int32ub

FRAME_BYTES = _HEAD.sizeof() + _CRC.sizeof()

# What text-mode transfers make of the magic: line ends changed, the top bit cleared, or the
# bytes taken for Latin-1 or broken UTF-8 and written as UTF-8.
_TEXT_MODE = re.compile(rb"(?:\x89|\x09|\xc2\x89|\xef\xbf\xbd)LIC[\r\n]+\x1a[\r\n]+")

_OTHER_FORMATS = (
    (re.compile(rb"\x89PNG"), "a PNG picture"),
    (re.compile(rb"\xff\xd8\xff"), "a JPEG picture"),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), "a WebP picture"),
    (re.compile(rb"GIF8"), "a GIF picture"),
    (re.compile(rb"II\*\x00|MM\x00\*"), "a TIFF picture"),
    (re.compile(rb"....ftypavi[fs]", re.DOTALL), "an AVIF picture"),
)


@dataclass(frozen=True)
class Chunk:
    """One chunk: its type (4 ASCII letters), its data, and whether its CRC was right.

    Only an ancillary chunk is ever read with `intact` false: what it holds is not to be used.
    """

    type: bytes
    data: bytes
    intact: bool = True

    @property
    def name(self) -> str:
        return self.type.decode("ascii")

    @property
    def critical(self) -> bool:
        return is_critical(self.type)


def is_critical(chunk_type: bytes) -> bool:
    """Whether a decoder must know this chunk: the first letter is upper case."""
    return chunk_type[:1].isupper()


def read_chunks(data: bytes) -> Iterator[Chunk]:
    """Yield the chunks of a whole file in order; the last is `DATA`, and nothing follows it.

    Lazy, so that a reader can refuse a file on its first chunk. Raises CorruptFileError, and
    LimitError for too many chunks or too much metadata.
    """
    _check_magic(data)
    position = len(MAGIC)
    metadata = 0
    for _ in range(MAX_CHUNKS):
        chunk = _read_chunk(data, position)
        position += FRAME_BYTES + len(chunk.data)
        if not chunk.critical:
            metadata += len(chunk.data)
            check_metadata_size(metadata)
        yield chunk
        if chunk.type == LAST_CHUNK:
            if position < len(data):
                raise CorruptFileError(
                    f"{len(data) - position} bytes follow the end of the file at byte {position}"
                )
            return
    raise LimitError(f"file has more than {MAX_CHUNKS} chunks, the limit")


def write_chunks(chunks: Iterable[Chunk]) -> bytes:
    """The bytes of a whole file: magic, then each chunk with its CRC."""
    return MAGIC + b"".join(_write_chunk(chunk) for chunk in chunks)


def _check_magic(data: bytes) -> None:
    if data.startswith(MAGIC):
        return
    if not data:
        raise CorruptFileError("file is empty")
    if MAGIC.startswith(data):
        raise CorruptFileError(f"file is truncated: it ends after {len(data)} bytes of its magic")
    if _TEXT_MODE.match(data):
        raise CorruptFileError(
            "file was damaged by a text-mode transfer; transfer it again in binary mode"
        )
    for pattern, what in _OTHER_FORMATS:
        if pattern.match(data):
            raise CorruptFileError(f"not a .lic file: this is {what}")
    raise CorruptFileError(f"not a .lic file: it starts with {data[:8].hex(' ')}")


def _read_chunk(data: bytes, position: int) -> Chunk:
    remaining = len(data) - position
    if remaining == 0:
        raise CorruptFileError(
            f"file is truncated: it ends at byte {position} without its DATA chunk"
        )
    if remaining < FRAME_BYTES:
        raise CorruptFileError(f"file is truncated inside the chunk at byte {position}")
    start = position + _HEAD.sizeof()
    head = _HEAD.parse(data[position:start])
    if not head.type.isalpha():
        raise CorruptFileError(
            f"chunk at byte {position} has a damaged type ({head.type.hex(' ')})"
        )
    name = head.type.decode("ascii")
    if head.length > remaining - FRAME_BYTES:
        raise CorruptFileError(
            f"file is truncated or damaged: chunk {name} at byte {position} says {head.length} "
            f"bytes where {remaining - FRAME_BYTES} remain"
        )
    end = start + head.length
    content = data[start:end]
    intact = _CRC.parse(data[end : end + _CRC.sizeof()]) == _checksum(head.type, content)
    if not intact and is_critical(head.type):
        raise CorruptFileError(f"chunk {name} at byte {position} is damaged (its CRC is wrong)")
    return Chunk(head.type, content, intact)


def _write_chunk(chunk: Chunk) -> bytes:
    head = _HEAD.build({"length": len(chunk.data), "type": chunk.type})
    return head + chunk.data + _CRC.build(_checksum(chunk.type, chunk.data))


def _checksum(chunk_type: bytes, content: bytes) -> int:
    """CRC-32 over type and data; a wrong length shows as a CRC read from a wrong place."""
    return zlib.crc32(content, zlib.crc32(chunk_type))
