"""Hostile files, each with the error it must end in.

Every file here has right CRCs unless its point is a wrong one: an attacker can compute them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from licodec.container import MAGIC, Header, LicFile, Stream, write_file
from licodec.container.header import pack_header
from licodec.errors import CorruptFileError, LicodecError, LimitError
from tests.attacks.tools import join_chunks, raw_chunk, split_chunks

HEADER = Header(
    width=17,
    height=33,
    channels=3,
    has_alpha=False,
    backbone="lite",
    weights_id=bytes(8),
    d_fraction_bits=8,
    d=256,
)
HONEST = write_file(LicFile(HEADER, (8, 8), (Stream(b"rans", b""),), pixel_crc=0))

LHDR, PLAN, DATA = split_chunks(HONEST)
SIZE_OFFSET = 1  # of the width in LHDR, after the format version


@dataclass(frozen=True)
class Attack:
    """A hostile file, its error, the exit code of that error and words of its message."""

    name: str
    build: Callable[[], bytes]
    error: type[LicodecError]
    exit_code: int
    message: str


def with_size(width: bytes, height: bytes) -> bytes:
    """The honest file with other encoded sides in its header."""
    content = LHDR[1]
    sides = content[:SIZE_OFFSET] + width + height + content[SIZE_OFFSET + 2 :]
    return join_chunks([(b"LHDR", sides), PLAN, DATA])


def with_chunks(*chunks: tuple[bytes, bytes]) -> bytes:
    """The honest file's header, these chunks, and its payload."""
    return join_chunks([LHDR, *chunks, DATA])


def with_payload(content: bytes) -> bytes:
    """The honest file with another content of its DATA chunk."""
    return join_chunks([LHDR, PLAN, (b"DATA", content)])


def with_alpha_flag(*chunks: tuple[bytes, bytes]) -> bytes:
    """A file whose header says that it has an alpha plane."""
    header = pack_header(HEADER).replace(b"\x08\x03\x00", b"\x08\x03\x01")
    return join_chunks([(b"LHDR", header), *chunks, DATA])


def with_length_of_data(length: int) -> bytes:
    """The honest file with another length in its DATA chunk's head."""
    head = HONEST.rindex(b"DATA") - 4
    return HONEST[:head] + length.to_bytes(4, "big") + HONEST[head + 4 :]


def _corrupt(name: str, build: Callable[[], bytes], message: str) -> Attack:
    return Attack(name, build, CorruptFileError, 3, message)


def _limit(name: str, build: Callable[[], bytes], message: str) -> Attack:
    return Attack(name, build, LimitError, 6, message)


VARINT_2_31 = b"\x80\x80\x80\x80\x08"
TILES = (b"TILE", b"\1\4\0\0")
STREAM_OF_4 = b"\x04\x00rans"

ATTACKS = (
    # Not the file it says it is
    _corrupt("empty", lambda: b"", "file is empty"),
    _corrupt("png", lambda: b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "this is a PNG picture"),
    _corrupt("text", lambda: b"Hello, reader of files\n", "not a .lic file"),
    _corrupt("zeros", lambda: bytes(1000), "not a .lic file"),
    _corrupt(
        "line_ends_to_unix",
        lambda: HONEST.replace(b"\r\n", b"\n"),
        "damaged by a text-mode transfer",
    ),
    _corrupt(
        "line_ends_to_dos",
        lambda: HONEST.replace(b"\n", b"\r\n"),
        "damaged by a text-mode transfer",
    ),
    _corrupt(
        "seven_bits",
        lambda: bytes(byte & 0x7F for byte in HONEST),
        "damaged by a text-mode transfer",
    ),
    _corrupt("magic_alone", lambda: MAGIC, "truncated"),
    # Sizes
    _limit("2^31_by_2^31", lambda: with_size(VARINT_2_31, VARINT_2_31), "2147483648x2147483648"),
    _limit("side_65536", lambda: with_size(b"\x80\x80\x04", b"\x01"), "65536x1"),
    _limit("area_over", lambda: with_size(b"\xff\xff\x03", b"\xff\xff\x03"), "65535x65535"),
    _limit(
        "too_large_and_nothing_else",
        lambda: join_chunks([split_chunks(with_size(VARINT_2_31, VARINT_2_31))[0]]),
        "2147483648x2147483648",
    ),
    _corrupt("no_pixels", lambda: with_size(b"\x00", b"\x01"), "0x1 pixels"),
    _corrupt("padded_integer", lambda: with_size(b"\x91\x00", b"\x21"), "shortest form"),
    _corrupt("integer_2^32", lambda: with_size(b"\x80\x80\x80\x80\x10", b"\x21"), "2^32 or more"),
    _corrupt("endless_integer", lambda: with_size(b"\x80" * 100_000, b""), "longer than 5 bytes"),
    # Header
    _corrupt("empty_header", lambda: join_chunks([(b"LHDR", b""), DATA]), "ends inside"),
    _corrupt(
        "header_goes_on",
        lambda: join_chunks([(b"LHDR", LHDR[1] + bytes(100_000)), DATA]),
        "goes on after its last field",
    ),
    _corrupt(
        "terminal_escapes_in_backbone",
        lambda: join_chunks([(b"LHDR", LHDR[1].replace(b"lite", b"\x1b[2J")), DATA]),
        r"backbone '\x1b[2J' is not a name",
    ),
    # Chunks
    _corrupt(
        "chunk_length_2^32-1",
        lambda: with_length_of_data(2**32 - 1),
        "says 4294967295 bytes where 11 remain",
    ),
    _corrupt("chunk_length_0", lambda: with_length_of_data(0), "chunk DATA at byte 58 is damaged"),
    _limit(
        "thousands_of_chunks",
        lambda: with_chunks(*[(b"noTe", b"")] * 5000),
        "more than 64 chunks",
    ),
    _limit(
        "huge_metadata", lambda: with_chunks((b"icCp", bytes(2**24 + 1))), "metadata of 16777217"
    ),
    _limit(
        "huge_metadata_in_parts",
        lambda: with_chunks((b"icCp", bytes(2**23)), (b"noTe", bytes(2**23)), (b"noTf", b"1")),
        "metadata of 16777217",
    ),
    _limit(
        "huge_metadata_with_wrong_crc",
        lambda: join_chunks([LHDR]) + (2**24 + 1).to_bytes(4, "big") + b"icCp" + bytes(2**24 + 5),
        "metadata of 16777217",
    ),
    _corrupt("two_headers", lambda: with_chunks(LHDR), "second chunk LHDR"),
    _corrupt("two_plans", lambda: with_chunks(PLAN, PLAN), "second chunk PLAN"),
    _corrupt(
        "two_profiles", lambda: with_chunks((b"icCp", b"1"), (b"icCp", b"2")), "second chunk icCp"
    ),
    _corrupt("two_payloads", lambda: with_chunks(PLAN, DATA), "bytes follow the end of the file"),
    _corrupt("no_header", lambda: join_chunks([PLAN, DATA]), "starts with chunk PLAN"),
    _corrupt("payload_alone", lambda: join_chunks([DATA]), "starts with chunk DATA"),
    _corrupt("header_last", lambda: join_chunks([PLAN, LHDR, DATA]), "starts with chunk PLAN"),
    _corrupt("metadata_first", lambda: join_chunks([(b"icCp", b""), LHDR, DATA]), "chunk icCp"),
    _corrupt("no_payload", lambda: join_chunks([LHDR, PLAN]), "without its DATA chunk"),
    _corrupt(
        "plan_after_metadata",
        lambda: with_chunks((b"icCp", b"1"), PLAN),
        "chunk PLAN stands after a chunk that it must precede",
    ),
    _corrupt(
        "plan_after_alpha",
        lambda: with_alpha_flag((b"ALPH", b"plane"), PLAN),
        "chunk PLAN stands after a chunk that it must precede",
    ),
    _corrupt("unknown_critical", lambda: with_chunks((b"ANIM", b"")), "critical chunk ANIM"),
    _corrupt("critical_metadata", lambda: with_chunks((b"IcCp", b"")), "critical chunk IcCp"),
    _corrupt("lower_case_plan", lambda: with_chunks((b"pLAN", PLAN[1])), "letter case"),
    _corrupt("mixed_case_plan", lambda: with_chunks((b"Plan", PLAN[1])), "letter case"),
    _corrupt(
        "lower_case_payload", lambda: join_chunks([LHDR, PLAN, (b"dATA", DATA[1])]), "letter case"
    ),
    _corrupt(
        "lower_case_header", lambda: join_chunks([(b"lhdr", LHDR[1]), DATA]), "starts with chunk"
    ),
    _corrupt("type_of_digits", lambda: with_chunks((b"no7e", b"")), "damaged type"),
    _corrupt("type_of_zeros", lambda: with_chunks((bytes(4), b"")), "damaged type"),
    _corrupt("type_of_accents", lambda: with_chunks((b"\xe9\xe8\xea\xeb", b"")), "damaged type"),
    _corrupt("trailing_garbage", lambda: HONEST + bytes(1000), "1000 bytes follow"),
    _corrupt("trailing_newline", lambda: HONEST + b"\n", "1 bytes follow"),
    _corrupt("two_files", lambda: HONEST + HONEST, "bytes follow the end of the file"),
    _corrupt("trailing_chunk", lambda: HONEST + raw_chunk(b"noTe", b""), "12 bytes follow the end"),
    # Plan
    _corrupt("empty_plan", lambda: with_chunks((b"PLAN", b"")), "chunk PLAN is empty"),
    _corrupt("split_run", lambda: with_chunks((b"PLAN", b"\x06\x06")), "two runs of one width"),
    _limit("long_plan", lambda: with_chunks((b"PLAN", bytes(65))), "chunk PLAN of 65 bytes"),
    # Tiles
    _corrupt("empty_tiles", lambda: with_chunks((b"TILE", b"")), "ends inside its count"),
    _corrupt("tiles_of_nothing", lambda: with_chunks((b"TILE", b"\0\0")), "has no group"),
    _corrupt("tiles_of_0_rows", lambda: with_chunks((b"TILE", b"\1\0\0\0")), "has no rows"),
    _corrupt("tiles_lacking_all", lambda: with_chunks((b"TILE", b"\1\4\4\0")), "lacks more"),
    _corrupt(
        "tiles_of_2^32-1_rows",
        lambda: with_chunks((b"TILE", b"\1\xff\xff\xff\xff\x0f\0\0")),
        "a tile has no rows",
    ),
    _corrupt("tiles_go_on", lambda: with_chunks((b"TILE", b"\1\4\0\0!")), "goes on after"),
    _corrupt("fewer_groups", lambda: with_chunks((b"TILE", b"\x90\x03\4\0")), "ends inside"),
    _limit(
        "2^32-1_groups",
        lambda: with_chunks((b"TILE", b"\xff\xff\xff\xff\x0f" + bytes(100_000))),
        "4294967295 groups",
    ),
    _limit(
        "2^32-1_scales",
        lambda: with_chunks((b"TILE", b"\1\4\0\xff\xff\xff\xff\x0f" + bytes(100_000))),
        "4294967295 channels",
    ),
    _corrupt(
        "scales_of_2^31",
        lambda: with_chunks((b"TILE", b"\1\4\0\1\0" + VARINT_2_31)),
        "scales that are out of range",
    ),
    _corrupt("two_tiles", lambda: with_chunks(*[TILES] * 2), "second chunk TILE"),
    _corrupt("tiles_after_metadata", lambda: with_chunks((b"icCp", b"1"), TILES), "must precede"),
    _corrupt("lower_case_tiles", lambda: with_chunks((b"tILE", b"\1\4\0\0")), "letter case"),
    # Alpha
    _corrupt("alpha_missing", with_alpha_flag, "no chunk ALPH"),
    _corrupt("alpha_unannounced", lambda: with_chunks((b"ALPH", b"plane")), "has a chunk ALPH"),
    _limit(
        "huge_alpha", lambda: with_alpha_flag((b"ALPH", bytes(100_000))), "alpha plane of 100000"
    ),
    # Payload
    _corrupt("empty_payload", lambda: with_payload(b""), "ends inside its pixel checksum"),
    _corrupt("no_stream_count", lambda: with_payload(bytes(4)), "ends inside its stream count"),
    _corrupt("no_stream", lambda: with_payload(bytes(4) + b"\x00"), "has no stream"),
    _limit(
        "2^32-1_streams",
        lambda: with_payload(bytes(4) + b"\xff\xff\xff\xff\x0f" + bytes(100_000)),
        "4294967295 streams",
    ),
    _corrupt(
        "more_streams_than_data",
        lambda: with_payload(bytes(4) + b"\x80\x08" + b"\x00" * 5),
        "ends inside its",
    ),
    _corrupt(
        "stream_beyond_data",
        lambda: with_payload(bytes(4) + b"\x01\x05\x00rans"),
        "say 5 bytes where 4 are present",
    ),
    _corrupt(
        "stream_of_2^32-1",
        lambda: with_payload(bytes(4) + b"\x01\xff\xff\xff\xff\x0f\xff\xff\xff\xff\x0frans"),
        "say 8589934590 bytes where 4 are present",
    ),
    _corrupt(
        "data_beyond_streams",
        lambda: with_payload(bytes(4) + b"\x01" + STREAM_OF_4 + b"!"),
        "say 4 bytes where 5 are present",
    ),
    _corrupt(
        "padded_stream_length",
        lambda: with_payload(bytes(4) + b"\x01\x84\x00\x00rans"),
        "rans length is not in its shortest form",
    ),
    _limit("huge_payload", lambda: with_payload(bytes(200_000)), "payload of 200000 bytes"),
)
