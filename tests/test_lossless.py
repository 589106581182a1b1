"""Lossless files, and the choice between them and a network's."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

import licodec
from licodec import choice
from licodec.codec import Codec, decode_lossless, encode_lossless
from licodec.codec.lossless import quick_bytes
from licodec.container import Grid, LosslessFile, read_file, smallest_grid, write_file
from licodec.container.limits import MAX_PIECE_PIXELS, MAX_PIECE_SIDE
from licodec.errors import LicodecError, UsageError
from licodec.images import Picture
from licodec.images.graphics import may_be_smaller
from licodec.images.lossless import compress_piece
from licodec.rate.modes import Rate, RateMode
from tests import tiny

ROOT = Path(__file__).resolve().parent.parent
SIDES = st.integers(1, 40)


def drawing(height: int = 120, width: int = 160) -> np.ndarray:
    """(height, width, 3) uint8: boxes and thin lines of few colours."""
    y, x = np.mgrid[:height, :width]
    pixels = np.full((height, width, 3), 255, np.uint8)
    pixels[(x // 23 + y // 17) % 5 == 0] = (30, 90, 160)
    pixels[(y % 11 == 3) & (x * 7 % 13 < 6)] = (20, 20, 20)
    return pixels


@pytest.fixture(scope="module")
def photograph() -> Picture:
    with Image.open(ROOT / "examples" / "coffee.png") as image:
        return Picture(np.asarray(image.convert("RGB"))[100:260, 200:440].copy())


@pytest.fixture(scope="module")
def codec() -> Codec:
    return Codec(tiny.pack(), "reference")


def same(a: Picture, b: Picture) -> bool:
    alphas = (a.alpha is None) == (b.alpha is None) and (
        a.alpha is None or b.alpha is None or np.array_equal(a.alpha, b.alpha)
    )
    others = (a.icc, a.exif, a.xmp) == (b.icc, b.exif, b.xmp)
    return alphas and others and np.array_equal(a.pixels, b.pixels)


# The file ----------------------------------------------------------------------------------------


@given(st.data())
@settings(max_examples=40)
def test_every_picture_comes_back(data: st.DataObject) -> None:
    height, width, channels = data.draw(SIDES), data.draw(SIDES), data.draw(st.sampled_from([1, 3]))
    samples = st.sampled_from([0, 1, 127, 254, 255]) | st.integers(0, 255)
    pixels = data.draw(arrays.arrays(np.uint8, (height, width, channels), elements=samples))
    planes = st.none() | arrays.arrays(np.uint8, (height, width), elements=samples)
    picture = Picture(pixels, data.draw(planes), xmp=data.draw(st.none() | st.just(b"<x/>")))
    coded = encode_lossless(picture)
    assert same(licodec.decode(coded.data), picture)
    lic = read_file(coded.data)
    assert isinstance(lic, LosslessFile) and write_file(lic) == coded.data


@pytest.mark.parametrize("shape", [(1, 16_384), (16_400, 1), (2, 65_535), (1, 16_383)])
def test_sides_that_webp_cannot_hold(shape: tuple[int, int]) -> None:
    pixels = (np.arange(shape[0] * shape[1]) // 7 % 251).astype(np.uint8).reshape(*shape, 1)
    picture = Picture(pixels, pixels[:, :, 0][:, ::-1])
    lic = read_file(encode_lossless(picture).data)
    assert isinstance(lic, LosslessFile)
    assert lic.grid.count == -(-max(shape) // 16_383)
    assert same(decode_lossless(lic), picture)


def test_grids_of_any_writer_are_read() -> None:
    pixels, grid = drawing(13, 17), Grid(3, 2)
    whole = read_file(encode_lossless(Picture(pixels)).data)
    assert isinstance(whole, LosslessFile)
    pieces = tuple(
        compress_piece(pixels[p.top : p.top + p.height, p.left : p.left + p.width], None)
        for p in grid.pieces(17, 13)
    )
    cut = read_file(write_file(replace(whole, grid=grid, pieces=pieces)))
    assert isinstance(cut, LosslessFile)
    assert np.array_equal(decode_lossless(cut).pixels, pixels)


@given(st.integers(1, 65_535), st.integers(1, 65_535))
def test_the_smallest_grid_is_within_the_limits(width: int, height: int) -> None:
    height = min(height, 2**28 // width)
    for piece in smallest_grid(width, height).pieces(width, height):
        assert max(piece.width, piece.height) <= MAX_PIECE_SIDE
        assert piece.width * piece.height <= MAX_PIECE_PIXELS


def test_a_file_is_a_hundred_bytes_above_webp_at_most() -> None:
    stream = io.BytesIO()
    options = {"lossless": True, "exact": True, "quality": 100, "method": 6}
    Image.fromarray(drawing()).save(stream, "WEBP", **options)
    assert len(encode_lossless(Picture(drawing())).data) <= len(stream.getvalue()) + 100


def test_what_it_says_of_itself() -> None:
    data = licodec.encode(drawing()[:, :, :1], lossless=True)
    info = licodec.read_info(data)
    assert (info["lossless"], info["coding"], info["channels"]) == (True, "webp", 1)
    assert info["pieces"] == {"columns": 1, "rows": 1}
    assert info["size"] == len(data) == info["piece_bytes"] + info["overhead_bytes"]
    assert {info[name] for name in ("backbone", "weights_id", "d", "plan", "streams")} == {None}
    assert info.keys() == licodec.read_info(next((ROOT / "tests/golden").rglob("n*d*.lic"))).keys()


# The choice --------------------------------------------------------------------------------------


def test_a_drawing_is_lossless_where_that_is_smaller(codec: Codec) -> None:
    picture = Picture(drawing())
    for rate in (Rate(), Rate(RateMode.QUALITY, 90), Rate(RateMode.PSNR, 30.0)):
        encoded = choice.encode_with_network(codec, picture, rate)
        by_network = codec.encode_at(picture, rate).result
        assert encoded.met and not encoded.forced and encoded.coded.d is None
        assert len(encoded.coded.data) < len(by_network.data)
        assert same(licodec.decode(encoded.coded.data), picture)
        never = replace(rate, lossless=False)
        assert choice.encode_with_network(codec, picture, never).coded.data == by_network.data


def test_a_size_that_a_lossless_file_fits_into(codec: Codec) -> None:
    picture = Picture(drawing())
    size = len(encode_lossless(picture).data)
    rate = Rate(RateMode.SIZE, size)
    found = choice.encode_without_network(picture, rate)
    assert found is not None and found.codec is None and len(found.coded.data) == size
    bpp = Rate(RateMode.BPP, 8 * size / (120 * 160))
    assert choice.encode_without_network(picture, bpp) is not None
    for other in (Rate(RateMode.SIZE, size - 1), replace(rate, lossless=False), Rate()):
        assert choice.encode_without_network(picture, other) is None


def test_hidden_colours_that_need_not_be_kept_cost_nothing() -> None:
    alpha = np.where(np.indices((120, 160)).sum(0) % 60 < 20, 0, 255).astype(np.uint8)
    noise = np.random.default_rng(4).integers(0, 256, (120, 160, 3), dtype=np.uint8)
    hiding = Picture(np.where(alpha[:, :, None] == 0, noise, drawing()), alpha)
    black = len(
        encode_lossless(replace(hiding, pixels=hiding.pixels * (alpha[:, :, None] > 0))).data
    )
    found = choice.encode_without_network(hiding, Rate(RateMode.SIZE, black), keep_hidden=False)
    assert found is not None and len(found.coded.data) == black
    demanded = licodec.encode(hiding, lossless=True)
    assert same(licodec.decode(demanded), hiding) and len(demanded) > black


def test_a_psnr_that_no_network_reaches(codec: Codec, photograph: Picture) -> None:
    small = Picture(photograph.pixels[:40, :40].copy())
    rate = Rate(RateMode.PSNR, 90.0)
    encoded = choice.encode_with_network(codec, small, rate)
    assert encoded.met and encoded.forced and same(licodec.decode(encoded.coded.data), small)
    assert not choice.encode_with_network(codec, small, replace(rate, lossless=False)).met


def test_photographs_are_what_they_were(
    photograph: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choice, "quick_bytes", lambda picture: pytest.fail("a try was made"))
    for d in (0.25, 1.0, 8.0):
        assert licodec.encode(photograph, d=d) == licodec.encode(photograph, d=d, lossless=False)


def test_a_large_profile_does_not_make_a_photograph_a_drawing(photograph: Picture) -> None:
    described = replace(photograph, icc=bytes(2**20))
    assert not choice.may_be_lossless(described, 2**20 + 10_000)
    assert choice.may_be_lossless(Picture(drawing(), icc=bytes(2**20)), 2**20 + 10_000)


def test_a_hopeless_try_ends_early(monkeypatch: pytest.MonkeyPatch) -> None:
    picture = Picture(drawing())
    monkeypatch.setattr(choice, "encode_lossless", lambda picture: pytest.fail("went on"))
    assert (
        choice.encode_without_network(picture, Rate(RateMode.SIZE, quick_bytes(picture) // 2))
        is None
    )


def test_without_webp(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("licodec.images.lossless.features.check", lambda feature: False)
    with pytest.raises(LicodecError, match="Pillow cannot read or write WebP"):
        licodec.encode(drawing(), lossless=True)
    assert licodec.read_info(licodec.encode(drawing()[:32, :32]))["lossless"] is False


def test_requests_that_exclude_each_other() -> None:
    with pytest.raises(UsageError, match="takes no rate"):
        licodec.encode(drawing(), lossless=True, d=2)
    with pytest.raises(UsageError, match="takes no rate"):
        licodec.encode(drawing(), lossless=True, objective="mse")
    with pytest.raises(UsageError, match="no model"):
        licodec.encode(drawing(), lossless=True, plan="small")


# The cheap test ----------------------------------------------------------------------------------


def antialiased() -> np.ndarray:
    """A drawing at a third of its size."""
    large = drawing(360, 480).reshape(120, 3, 160, 3, 3)
    return large.mean((1, 3)).astype(np.uint8)


def tiled() -> np.ndarray:
    """A pattern of noise, again and again, as in pixel art."""
    tile = np.random.default_rng(3).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    return np.tile(tile, (8, 10, 1))


def dithered() -> np.ndarray:
    """A ramp in black and white, by an ordered matrix."""
    y, x = np.mgrid[:120, :160]
    return np.where((x * 16 // 160) > (x * 5 + y * 3) % 16, 255, 0).astype(np.uint8)[:, :, None]


@pytest.mark.parametrize("make", [drawing, antialiased, tiled, dithered])
def test_graphics_are_tried(make: object) -> None:
    pixels = make()  # type: ignore[operator]
    assert may_be_smaller(pixels, len(compress_piece(pixels, None)))


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 9, 1), (9, 1, 3), (2, 3, 1), (3, 3, 3)])
def test_tiny_pictures_are_judged(shape: tuple[int, int, int]) -> None:
    assert may_be_smaller(np.zeros(shape, np.uint8), 60)
