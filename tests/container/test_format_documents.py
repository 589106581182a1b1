"""What format/ says about the container is what the code does."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from licodec.container import MAGIC, Header, LicFile, Metadata, Stream, limits, write_file

FORMAT = Path(__file__).parents[2] / "format"
SPECIFICATION = (FORMAT / "SPEC.md").read_text(encoding="utf-8")
CONTENT_COLUMNS = 37

EXAMPLE = LicFile(
    header=Header(
        width=300,
        height=2,
        channels=1,
        has_alpha=False,
        backbone="lite",
        weights_id=bytes.fromhex("0123456789abcdef"),
        d_fraction_bits=8,
        d=384,
    ),
    plan=(8,) * 40,
    streams=(Stream(b"rans", b"es"),),
    pixel_crc=0xDEADBEEF,
    metadata=Metadata(icc=b"ICC"),
)


def test_example_in_the_specification() -> None:
    block = re.search(r"### Example\n.*?```\n(.*?)```", SPECIFICATION, re.DOTALL)
    assert block is not None
    shown = "".join(line[:CONTENT_COLUMNS] for line in block[1].splitlines())
    assert bytes.fromhex(shown) == write_file(EXAMPLE)


@pytest.mark.parametrize(
    ("row", "value"),
    [
        (r"width, height \| (\d+)", limits.MAX_SIDE),
        (r"width · height \| 2\^(\d+)", limits.MAX_PIXELS.bit_length() - 1),
        (r"chunks \| (\d+)", limits.MAX_CHUNKS),
        (
            r"data of all ancillary chunks together \| 2\^(\d+)",
            limits.MAX_METADATA_BYTES.bit_length() - 1,
        ),
        (r"`PLAN` \| (\d+)", limits.MAX_PLAN_BYTES),
        (r"`TILE` \| (\d+)", limits.MAX_STREAMS),
        (r"`TILE` \| \d+ groups, 2\^(\d+)", limits.MAX_TILE_CHANNELS.bit_length() - 1),
        (r"symbols of a tile \| 2\^(\d+)", limits.MAX_TILE_SYMBOLS.bit_length() - 1),
        (r"`ALPH` \| (\d+)", limits.MAX_ALPHA_BYTES_FIXED),
        (r"streams \| (\d+)", limits.MAX_STREAMS),
        (r"pieces \| (\d+)", limits.MAX_PIECES),
        (r"`DATA` \| (\d+)", limits.MAX_PAYLOAD_BYTES_FIXED),
        (r"`DATA` \| \d+ \+ (\d+) · W · H", limits.MAX_PAYLOAD_BYTES_PER_PIXEL),
        (r"backbone length \| u8 \| 1 to (\d+)", limits.MAX_BACKBONE_BYTES),
    ],
)
def test_limits_in_the_specification(row: str, value: int) -> None:
    assert re.findall(rf"^\| {row}", SPECIFICATION, re.MULTILINE) == [str(value)]


def test_file_magic() -> None:
    text = (FORMAT / "licodec.magic").read_text(encoding="ascii")
    pattern = re.search(r"^0\tstring\t(\S+)", text, re.MULTILINE)
    assert pattern is not None
    assert pattern[1].encode("ascii").decode("unicode_escape").encode("latin-1") == MAGIC


def test_mime_type() -> None:
    space = "{http://www.freedesktop.org/standards/shared-mime-info}"
    kind = ElementTree.parse(FORMAT / "licodec-mime.xml").getroot().find(f"{space}mime-type")
    assert kind is not None
    assert kind.attrib["type"] == "image/x-licodec"
    assert [glob.attrib["pattern"] for glob in kind.iter(f"{space}glob")] == ["*.lic"]
    (match,) = kind.iter(f"{space}match")
    assert match.attrib["offset"] == "0"
    assert match.attrib["value"].encode("ascii").decode("unicode_escape").encode("latin-1") == MAGIC
