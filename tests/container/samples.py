"""Sample files and hypothesis strategies for container tests."""

from __future__ import annotations

from string import ascii_letters, ascii_lowercase, digits

from hypothesis import strategies as st

from licodec.container import Chunk, Header, LicFile, Metadata, Stream, Tiles
from licodec.container.file import EXIF, ICC, XMP
from licodec.container.plan import WIDTHS

PLAIN_HEADER = Header(
    width=768,
    height=512,
    channels=3,
    has_alpha=False,
    backbone="lite",
    weights_id=bytes.fromhex("0123456789abcdef"),
    d_fraction_bits=8,
    d=256,
)

PLAIN_FILE = LicFile(
    header=PLAIN_HEADER,
    plan=(8,) * 40,
    streams=(Stream(b"symbols of the picture", b"esc"),),
    pixel_crc=0x12345678,
)

# Every kind of chunk, and still small enough to try every byte.
FULL_FILE = LicFile(
    header=Header(
        width=300,
        height=2,
        channels=1,
        has_alpha=True,
        backbone="cheng-attn",
        weights_id=bytes(range(8)),
        d_fraction_bits=6,
        d=200,
        alpha=65535,
        beta=7,
        adapter_id=b"adapters",
    ),
    plan=(8,) * 33 + (4, 16, 2),
    streams=(Stream(b"first stream", b""), Stream(b"second", b"escapes")),
    pixel_crc=0xDEADBEEF,
    alpha_plane=b"alpha plane",
    metadata=Metadata(icc=b"profile", exif=b"II*\x00", xmp=b"<x/>"),
    tiles=Tiles(((4, 1), (16, 0)), ((-3, 200), (0, 0))),
    unknown=(Chunk(b"moRe", b"unknown"),),
)

_names = st.tuples(
    st.sampled_from(ascii_lowercase), st.text(ascii_lowercase + digits + "-", max_size=14)
).map("".join)
_identifiers = st.binary(min_size=8, max_size=8)
_metadata = st.none() | st.binary(max_size=40)

plans = st.lists(
    st.tuples(st.sampled_from(WIDTHS), st.integers(1, 70)), min_size=1, max_size=20
).map(lambda runs: tuple(width for width, length in runs for _ in range(length)))


_scales = st.integers(1 - 2**24, 2**24 - 1)
tiles = st.builds(
    Tiles,
    st.lists(
        st.integers(1, 65_535).flatmap(
            lambda length: st.tuples(st.just(length), st.integers(0, length - 1))
        ),
        min_size=1,
        max_size=4,
    ).map(tuple),
    st.lists(st.tuples(_scales, _scales).map(lambda pair: tuple(sorted(pair))), max_size=4).map(
        tuple
    ),
)


@st.composite
def headers(draw: st.DrawFn) -> Header:
    """Any legal header."""
    width = draw(st.integers(1, 65_535))
    height = draw(st.integers(1, min(65_535, 2**28 // width)))
    alpha, beta = draw(st.tuples(st.integers(0, 65_535), st.integers(0, 65_535)))
    return Header(
        width=width,
        height=height,
        channels=draw(st.sampled_from((1, 3))),
        has_alpha=draw(st.booleans()),
        backbone=draw(_names),
        weights_id=draw(_identifiers),
        d_fraction_bits=draw(st.integers(0, 15)),
        d=draw(st.integers(1, 65_535)),
        alpha=alpha,
        beta=beta,
        adapter_id=draw(_identifiers) if alpha or beta else None,
    )


def _is_undefined(name: bytes) -> bool:
    critical = (b"LHDR", b"PLAN", b"TILE", b"ALPH", b"DATA")
    return name not in (ICC, EXIF, XMP) and name.upper() not in critical


_unknown_types = (
    st.tuples(st.sampled_from(ascii_lowercase), st.text(ascii_letters, min_size=3, max_size=3))
    .map(lambda letters: "".join(letters).encode("ascii"))
    .filter(_is_undefined)
)


@st.composite
def files(draw: st.DrawFn) -> LicFile:
    """Any legal file with small contents."""
    header = draw(headers())
    streams = st.builds(Stream, st.binary(max_size=200), st.binary(max_size=20))
    return LicFile(
        header=header,
        plan=draw(st.none() | plans),
        streams=tuple(draw(st.lists(streams, min_size=1, max_size=4))),
        pixel_crc=draw(st.integers(0, 2**32 - 1)),
        alpha_plane=draw(st.binary(max_size=100)) if header.has_alpha else None,
        metadata=draw(st.builds(Metadata, _metadata, _metadata, _metadata)),
        tiles=draw(st.none() | tiles),
        unknown=tuple(
            draw(st.lists(st.builds(Chunk, _unknown_types, st.binary(max_size=20)), max_size=3))
        ),
    )
