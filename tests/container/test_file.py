"""Whole files: round trips, and every damage that is small enough to try them all."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from licodec.container import (
    Chunk,
    Header,
    LicFile,
    Metadata,
    Stream,
    Tiles,
    describe,
    pixel_checksum,
    read_file,
    write_file,
)
from licodec.errors import CorruptFileError, LimitError
from tests.attacks.tools import cut_and_close, repair_checksums, split_chunks
from tests.container.samples import FULL_FILE, PLAIN_FILE, files, headers

FULL_BYTES = write_file(FULL_FILE)


def without_ancillary(lic: LicFile) -> LicFile:
    """All of a file that can change a pixel."""
    return replace(lic, metadata=Metadata(), unknown=(), damaged=())


@given(files())
def test_round_trip(lic: LicFile) -> None:
    data = write_file(lic)
    assert read_file(data) == lic
    assert describe(lic)["size"] == len(data)


def test_order_of_chunks() -> None:
    names = [name for name, _ in split_chunks(FULL_BYTES)]
    first = [b"LHDR", b"PLAN", b"TILE", b"ALPH"]
    assert names == [*first, b"icCp", b"exIf", b"xmPp", b"moRe", b"DATA"]


def test_bytes_of_a_payload() -> None:
    assert split_chunks(FULL_BYTES)[-1][1] == (
        bytes.fromhex("deadbeef 02 0c00 0607") + b"first stream" + b"second" + b"escapes"
    )


def test_bytes_of_tiles() -> None:
    assert split_chunks(FULL_BYTES)[2][1] == bytes.fromhex("02 0401 1000 02 05cb01 0000")


@pytest.mark.parametrize(
    ("length", "offset", "size", "expected"),
    [  # the table of SPEC.md
        (16, 0, 40, [(0, 16), (16, 32), (32, 40)]),
        (16, 5, 40, [(0, 11), (11, 27), (27, 40)]),
        (16, 8, 8, [(0, 8)]),
        (1, 0, 2, [(0, 1), (1, 2)]),
    ],
)
def test_cuts_of_tiles(
    length: int, offset: int, size: int, expected: list[tuple[int, int]]
) -> None:
    tiles = Tiles(((length, offset),))
    assert tiles.cuts(0, size) == expected
    for start, stop in expected:
        for place in range(start, stop):
            begin, end = tiles.tile_at(0, place)
            assert (begin, min(end, size)) == (start, stop)


@given(headers())
def test_overhead_of_any_plain_picture(header: Header) -> None:
    plain = replace(header, has_alpha=False, alpha=0, beta=0, adapter_id=None)
    stream = Stream(bytes(20_000), bytes(20_000))
    size = len(write_file(LicFile(plain, (8, 4) * 32, (stream,), 0)))
    assert size - 40_000 - 64 <= 96


def test_largest_overhead_of_a_plain_picture() -> None:
    header = replace(PLAIN_FILE.header, width=16_384, height=16_384, backbone="a" * 15, d=65_535)
    stream = Stream(bytes(20_000), bytes(20_000))
    largest = LicFile(header, (8,), (stream,), 0)
    assert describe(largest)["overhead_bytes"] == 96


@pytest.mark.parametrize("size", range(len(FULL_BYTES)))
def test_truncation_at_every_byte(size: int) -> None:
    with pytest.raises(CorruptFileError):
        read_file(FULL_BYTES[:size])
    closed = cut_and_close(FULL_BYTES, size)
    # A cut in the last CRC leaves nothing to do but to make that right again.
    if closed != FULL_BYTES:
        with pytest.raises(CorruptFileError):
            read_file(closed)


@pytest.mark.parametrize("place", range(len(FULL_BYTES)))
def test_change_of_every_byte(place: int) -> None:
    for flip in (0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0xFF):
        changed = bytearray(FULL_BYTES)
        changed[place] ^= flip
        try:
            lic = read_file(bytes(changed))
        except (CorruptFileError, LimitError):
            continue
        assert len(lic.damaged) == len(lic.warnings) == 1
        assert without_ancillary(lic) == without_ancillary(FULL_FILE)


@pytest.mark.parametrize("place", range(len(FULL_BYTES)))
def test_change_of_every_byte_with_right_checksums(place: int) -> None:
    for flip in (0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0xFF):
        changed = bytearray(FULL_BYTES)
        changed[place] ^= flip
        repaired = repair_checksums(bytes(changed))
        try:
            lic = read_file(repaired)
        except (CorruptFileError, LimitError):
            continue
        # Right checksums make it another legal file, and then it is the one encoding of what
        # it says (but for the order of ancillary chunks, which is free).
        assert sorted(split_chunks(write_file(lic))) == sorted(split_chunks(repaired))


@given(st.lists(st.tuples(st.integers(0, len(FULL_BYTES) - 1), st.integers(0, 255)), max_size=12))
def test_many_changes_at_once(changes: list[tuple[int, int]]) -> None:
    changed = bytearray(FULL_BYTES)
    for place, value in changes:
        changed[place] = value
    for data in (bytes(changed), repair_checksums(bytes(changed))):
        try:
            read_file(data)
        except (CorruptFileError, LimitError) as error:
            assert "\n" not in str(error)


def test_damaged_metadata_is_left_out_with_a_warning() -> None:
    data = FULL_BYTES.replace(b"profile", b"pr0file")
    lic = read_file(data)
    assert lic.metadata == Metadata(exif=b"II*\x00", xmp=b"<x/>")
    assert lic.warnings == (
        "chunk icCp is damaged (its CRC is wrong) and was left out; it does not affect pixels",
    )
    assert describe(lic)["size"] == len(data)
    assert read_file(write_file(lic)) == replace(lic, damaged=())


def test_metadata_can_be_stripped() -> None:
    stripped = write_file(without_ancillary(FULL_FILE))
    assert read_file(stripped) == without_ancillary(FULL_FILE)


@pytest.mark.parametrize(
    ("lic", "error"),
    [
        (replace(PLAIN_FILE, streams=()), CorruptFileError),
        (replace(PLAIN_FILE, streams=(Stream(b"", b""),) * 2049), LimitError),
        (replace(PLAIN_FILE, alpha_plane=b"plane"), CorruptFileError),
        (replace(FULL_FILE, alpha_plane=None), CorruptFileError),
        (replace(FULL_FILE, alpha_plane=bytes(1024 + 2 * 600 + 1)), LimitError),
        (replace(FULL_FILE, streams=(Stream(bytes(600_000), b""),)), LimitError),
        (replace(PLAIN_FILE, metadata=Metadata(icc=bytes(2**24 + 1))), LimitError),
        (replace(PLAIN_FILE, unknown=(Chunk(b"icCp", b""),)), CorruptFileError),
        (replace(PLAIN_FILE, unknown=(Chunk(b"NEWS", b""),)), CorruptFileError),
        (replace(PLAIN_FILE, unknown=(Chunk(b"ne-s", b""),)), CorruptFileError),
        (replace(PLAIN_FILE, unknown=(Chunk(b"neWs", b""),) * 62), LimitError),
    ],
)
def test_what_could_not_be_read_is_not_written(lic: LicFile, error: type[Exception]) -> None:
    with pytest.raises(error):
        write_file(lic)


def test_pixel_checksum_covers_pixels_then_alpha() -> None:
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    alpha = np.arange(100, 108, dtype=np.uint8).reshape(2, 4)
    assert pixel_checksum(b"123456789", None) == 0xCBF43926
    assert pixel_checksum(pixels.data, alpha.data) == pixel_checksum(
        pixels.tobytes() + alpha.tobytes(), None
    )


def test_describe() -> None:
    description = json.loads(json.dumps(describe(FULL_FILE)))
    chunks = description.pop("chunks")
    assert [chunk["type"] for chunk in chunks] == [
        "LHDR", "PLAN", "TILE", "ALPH", "icCp", "exIf", "xmPp", "moRe", "DATA",
    ]  # fmt: skip
    assert description == {
        "size": len(FULL_BYTES),
        "format_version": 1,
        "width": 300,
        "height": 2,
        "bit_depth": 8,
        "channels": 1,
        "alpha_plane": True,
        "backbone": "cheng-attn",
        "profile": "int-1",
        "weights_id": "0001020304050607",
        "lossless": False,
        "coding": None,
        "pieces": None,
        "piece_bytes": None,
        "d": 3.125,
        "d_fraction_bits": 6,
        "alpha": 1.0,
        "beta": 7 / 65_535,
        "adapter_id": b"adapters".hex(),
        "plan": {
            "operations": 36,
            "operations_by_width": {"2": 1, "4": 1, "8": 33, "16": 1},
        },
        "streams": 2,
        "tiles": {"groups": [[4, 1], [16, 0]], "scales": 2},
        "rans_bytes": 18,
        "escape_bytes": 7,
        "alpha_plane_bytes": 11,
        "metadata": {"icc": 7, "exif": 4, "xmp": 4},
        "overhead_bytes": len(FULL_BYTES) - 18 - 7 - 10 - 15 - len(b"unknown") - 5 - 12,
        "bpp": 8 * len(FULL_BYTES) / 600,
        "pixel_crc": "deadbeef",
        "warnings": [],
    }


def test_describe_without_plan() -> None:
    assert describe(replace(PLAIN_FILE, plan=None))["plan"] is None


def test_torch_is_not_imported() -> None:
    program = "import sys, licodec.container; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
