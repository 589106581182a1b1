"""Parts of pictures: with tiles and without, a crop has the pixels that cutting the whole gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from licodec.codec import Codec, session
from licodec.container import MAX_STREAMS, LicFile, Stream, Tiles, read_file, write_file
from licodec.entropy import regions, tiled
from licodec.entropy.parts import TileOrder
from licodec.errors import CorruptFileError, LimitError, PixelChecksumError, UsageError
from licodec.images import Picture
from licodec.images.views import Crop, View
from licodec.packs import write_pack
from licodec.rate.setting import Setting
from tests import tiny, tiny_base, tiny_published
from tests.conformance.second_decoder import decode_to_pixels
from tests.test_codec import picture

PACKS = {
    "lite": tiny.pack,
    "base": tiny_base.pack,
    "stf": lambda: tiny_published.pack("stf"),
    "adapted": tiny.adapted_pack,
}


@cache
def codec(name: str) -> Codec:
    return Codec(PACKS[name]())


@pytest.fixture(autouse=True, scope="module")
def small_chunks() -> object:
    """What is cut for large pictures alone is cut here, too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(regions, "CHUNK_POSITIONS", 60)
        patch.setattr(tiled, "TILE_POSITIONS", 8)
        yield


def setting(name: str, d: float) -> Setting:
    pack = PACKS[name]()
    own = Setting(round(d * pack.schedule.d_unit))
    if name != "adapted":
        return own
    return replace(own, gains=replace(own.gains, alpha=40_000), objective="mse")


def encoded(name: str, original: Picture, d: float, tiles: Tiles | None) -> LicFile:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "TILED_PIXELS", 0)
        patch.setattr(session, "choose_tiles", lambda *_: tiles)
        return read_file(codec(name).at(setting(name, d)).encode(original).data)


def chosen(name: str, original: Picture) -> Tiles | None:
    model = codec(name).neutral.entropy_model
    alignment = model.schedule.alignment
    positions = alignment // model.schedule.hyper_stride
    rows, columns = (-(-n // alignment) * positions for n in (original.height, original.width))
    return tiled.choose_tiles(model, (rows, columns))


@cache
def made(name: str, height: int, width: int, d: float = 2) -> tuple[LicFile, LicFile, Picture]:
    """A file without tiles, one with ours, and what both decode to."""
    original = picture(height, width, 3, alpha=True)
    plain = encoded(name, original, d, None)
    with_tiles = encoded(name, original, d, chosen(name, original))
    return plain, with_tiles, codec(name).decode(plain)


def assert_same_part(part: Picture, whole: Picture, crop: Crop) -> None:
    rows = slice(crop.top, crop.top + crop.height)
    columns = slice(crop.left, crop.left + crop.width)
    np.testing.assert_array_equal(part.pixels, whole.pixels[rows, columns])
    if whole.alpha is not None:
        np.testing.assert_array_equal(part.alpha, whole.alpha[rows, columns])


@pytest.mark.parametrize("d", [1, 2, 0.5])
@pytest.mark.parametrize("name", PACKS)
@pytest.mark.parametrize("sides", [(330, 70), (70, 330)])
def test_tiles_change_no_pixel(name: str, sides: tuple[int, int], d: float, tmp_path: Path) -> None:
    plain, lic, whole = made(name, *sides, d)
    assert plain.tiles is None and lic.tiles is not None
    assert len(lic.streams) > len(lic.tiles.groups)
    np.testing.assert_array_equal(codec(name).decode(lic).pixels, whole.pixels)
    if name in ("lite", "base") and d == 2:
        write_pack(PACKS[name](), tmp_path / "pack.safetensors")
        original = picture(*sides)
        bare = encoded(name, original, d, chosen(name, original))
        found = decode_to_pixels(write_file(bare), tmp_path / "pack.safetensors", tmp_path)
        np.testing.assert_array_equal(found, whole.pixels)


def crops(height: int, width: int) -> list[Crop]:
    """At every corner and edge, one pixel, one row and column, and the middle."""
    return [
        Crop(w, h, x, y)
        for w, h in [(1, 1), (17, 40), (width, 1), (1, height), (width - 1, height - 1)]
        for x in {0, (width - w) // 2, width - w}
        for y in {0, (height - h) // 2, height - h}
    ]


@pytest.mark.parametrize("name", PACKS)
@pytest.mark.parametrize("sides", [(330, 70), (70, 330)])
def test_crops_at_every_border(name: str, sides: tuple[int, int]) -> None:
    plain, lic, whole = made(name, *sides)
    for crop in crops(*sides):
        assert_same_part(codec(name).decode(lic, View(crop)), whole, crop)
    for crop in crops(*sides)[::7]:
        assert_same_part(codec(name).decode(plain, View(crop)), whole, crop)


def test_crops_in_strips(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("licodec.codec.programs.STRIP_PIXELS", 64 * 128)
    split = Codec(tiny.pack())
    for lic in made("lite", 330, 70)[:2]:
        for crop in (Crop(33, 200, 20, 77), Crop(70, 330, 0, 0)):
            assert_same_part(split.decode(lic, View(crop)), made("lite", 330, 70)[2], crop)


def test_grey_crops() -> None:
    original = picture(330, 70, 1)
    for tiles in (None, chosen("lite", original)):
        lic = encoded("lite", original, 2, tiles)
        whole = codec("lite").decode(lic)
        for crop in crops(330, 70)[::4]:
            assert_same_part(codec("lite").decode(lic, View(crop)), whole, crop)


@st.composite
def any_tiles(draw: st.DrawFn) -> Tiles:
    """Any legal tiles, whether a crop gains by them or not."""
    lengths = st.integers(1, 40)
    count = len(codec("base").neutral.entropy_model.group_shapes((8, 2)))
    groups = []
    for _ in range(count):
        length = draw(lengths)
        groups.append((length, draw(st.integers(0, length - 1))))
    return Tiles(tuple(groups))


@given(any_tiles(), st.data())
@settings(max_examples=8)
def test_any_tiles(tiles: Tiles, data: st.DataObject) -> None:
    whole = made("base", 330, 70)[2]
    lic = encoded("base", picture(330, 70, 3, alpha=True), 2, tiles)
    np.testing.assert_array_equal(codec("base").decode(lic).pixels, whole.pixels)
    left, top = data.draw(st.integers(0, 69)), data.draw(st.integers(0, 329))
    width, height = data.draw(st.integers(1, 70 - left)), data.draw(st.integers(1, 330 - top))
    crop = Crop(width, height, left, top)
    assert_same_part(codec("base").decode(lic, View(crop)), whole, crop)


@pytest.mark.parametrize("scale", [2, 4, 8])
def test_scales_are_those_of_the_whole(scale: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("licodec.codec.programs.STRIP_PIXELS", 64 * 128)
    split = Codec(tiny.pack())
    for lic in made("lite", 330, 70)[:2]:
        for crop in (None, Crop(33, 201, 20, 77)):
            view = View(crop, scale)
            found, expected = split.decode(lic, view), view.of(made("lite", 330, 70)[2])
            np.testing.assert_array_equal(found.pixels, expected.pixels)
            np.testing.assert_array_equal(found.alpha, expected.alpha)


def test_a_scaled_picture_is_checked_whole() -> None:
    lic = made("lite", 330, 70)[0]
    wrong = replace(lic, pixel_crc=lic.pixel_crc ^ 1)
    with pytest.raises(PixelChecksumError):
        codec("lite").decode(wrong, View(scale=8))
    with pytest.raises(PixelChecksumError):
        codec("lite").decode(wrong, View(Crop(70, 330, 0, 0)))
    codec("lite").decode(wrong, View(Crop(69, 330, 0, 0)))  # which cannot be


@pytest.mark.parametrize(
    "crop", [Crop(71, 1, 0, 0), Crop(1, 451, 0, 0), Crop(1, 1, 70, 0), Crop(1, 1, 0, 330)]
)
def test_crops_that_are_not_within(crop: Crop) -> None:
    for lic in made("lite", 330, 70)[:2]:
        with pytest.raises(UsageError, match="is not within the picture of 70x330 pixels"):
            codec("lite").decode(lic, View(crop))


# Hostile files ---------------------------------------------------------------------------------


def _with_group(number: int, group: tuple[int, int]) -> Callable[[Tiles], Tiles]:
    def change(tiles: Tiles) -> Tiles:
        groups = list(tiles.groups)
        groups[number] = group
        return replace(tiles, groups=tuple(groups))

    return change


TILES: dict[str, tuple[Callable[[Tiles], Tiles | None], str]] = {
    "none": (lambda b: None, "streams where the picture has"),
    "a group less": (lambda b: replace(b, groups=b.groups[:-1]), "not those of the file's pack"),
    "a group more": (lambda b: replace(b, groups=(*b.groups, (16, 0))), "of the file's pack"),
    "no scales": (lambda b: replace(b, extremes=()), "not those of the file's pack"),
    "scales more": (lambda b: replace(b, extremes=b.extremes * 2), "not those of the file's pack"),
    "shorter tiles": (_with_group(1, (3, 0)), "streams where the picture has"),
    "longer tiles": (_with_group(0, (4000, 0)), "streams where the picture has"),
    "tiles elsewhere": (_with_group(2, (16, 5)), "payload"),
    "no spread": (lambda b: replace(b, extremes=((0, 0),) * len(b.extremes)), "payload|pixels"),
    "a wide spread": (
        lambda b: replace(b, extremes=((1 - 2**24, 2**24 - 1),) * len(b.extremes)),
        "payload|pixels",
    ),
    "scales far below": (
        lambda b: replace(b, extremes=((1 - 2**24, 2 - 2**24),) * len(b.extremes)),
        "payload|pixels",
    ),
}


@pytest.mark.parametrize("name", TILES)
def test_hostile_tiles(name: str) -> None:
    """The whole is refused. A crop is refused too, or is what the file says, as far as it reads."""
    lic = made("lite", 330, 70)[1]
    change, message = TILES[name]
    hostile = replace(lic, tiles=change(lic.tiles))
    with pytest.raises((CorruptFileError, PixelChecksumError), match=message):
        codec("lite").decode(hostile)
    for crop in crops(330, 70)[::5]:
        try:
            codec("lite").decode(hostile, View(crop))
        except CorruptFileError:
            continue
        assert "payload" in message


def test_a_wavefront_has_no_tiles() -> None:
    own = Codec(tiny_published.pack("cheng-attn"), "reference")
    lic = read_file(own.neutral.encode(picture(40, 40)).data)
    assert tiled.choose_tiles(own.neutral.entropy_model, (40, 10)) is None
    with pytest.raises(CorruptFileError, match="not those of the file's pack"):
        own.decode(replace(lic, tiles=Tiles(((4, 0),) * 2)))
    assert_same_part(own.decode(lic, View(Crop(9, 7, 30, 33))), own.decode(lic), Crop(9, 7, 30, 33))


def test_a_tile_over_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiled, "MAX_TILE_SYMBOLS", 200)
    lic = made("lite", 330, 70)[1]
    with pytest.raises(LimitError, match=r"a tile of \d+ symbols is over the limit of 200"):
        codec("lite").decode(lic)
    assert chosen("lite", picture(330, 70)) is None


def test_streams_by_tile_that_are_damaged() -> None:
    """Each is seen by the crop that reads it, as far as it reads."""
    lic = made("lite", 330, 70)[1]
    for number in range(len(lic.streams)):
        streams = list(lic.streams)
        streams[number] = Stream(bytes(8) + streams[number].rans[8:], streams[number].escapes)
        hostile = replace(lic, streams=tuple(streams))
        for view in (View(), View(Crop(1, 1, 0, 0))):
            with pytest.raises(CorruptFileError, match="first state"):
                codec("lite").decode(hostile, view)


def test_many_tiles_are_made_longer() -> None:
    model = codec("base").neutral.entropy_model
    tiles, shapes = tiled.choose_tiles(model, (90, 60)), model.group_shapes((90, 60))
    assert tiles is not None
    counts = [len(list(TileOrder(tiles).parts(n, shape))) for n, shape in enumerate(shapes)]
    assert counts == [tiles.count(n, *shape[1:]) for n, shape in enumerate(shapes)]
    assert sum(counts) <= MAX_STREAMS
    assert tiles.groups[1][0] > 8


def test_small_pictures_have_none() -> None:
    lic = read_file(codec("lite").neutral.encode(picture(64, 64)).data)
    assert lic.tiles is None
    assert session.TILED_PIXELS == 1 << 24
