"""Parts of pictures: a crop is the same pixels as of the whole, with bands and without."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from licodec.codec import Codec, session
from licodec.container import LicFile, read_file
from licodec.entropy import banded, regions
from licodec.errors import UsageError
from licodec.images import Picture
from licodec.images.views import Crop, View
from licodec.rate.setting import Setting
from tests import tiny, tiny_base
from tests.test_codec import picture

PACKS = {"lite": tiny.pack, "base": tiny_base.pack}


@cache
def codec(name: str) -> Codec:
    return Codec(PACKS[name](), "reference")


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is cut for large pictures alone is cut here, too."""
    monkeypatch.setattr(regions, "CHUNK_POSITIONS", 60)


@cache
def made(name: str, height: int, width: int, banded_from: int, d: float = 2) -> tuple[LicFile, Picture]:
    """A file with an alpha plane, and what it decodes to."""
    own = codec(name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "BANDED_PIXELS", banded_from)
        coded = own.at(Setting(round(d * own.pack.schedule.d_unit))).encode(
            picture(height, width, 3, alpha=True)
        )
    return read_file(coded.data), own.decode(read_file(coded.data))


@pytest.mark.parametrize("name", PACKS)
@pytest.mark.parametrize("sides", [(450, 70), (70, 450)])
def test_bands(name: str, sides: tuple[int, int]) -> None:
    plain, expected = made(name, *sides, 2**30)
    lic, decoded = made(name, *sides, 0)
    assert plain.bands is None and lic.bands is not None
    assert lic.bands.columns == (sides[1] > sides[0])
    assert np.array_equal(decoded.pixels, expected.pixels)
    for crop in [Crop(1, 1, 0, 0), Crop(20, 30, 45, 33), Crop(70, 70, 0, 0), Crop(3, 2, 67, 68)]:
        for own in (plain, lic):
            part = codec(name).decode(own, View(crop))
            rows, columns = slice(crop.top, crop.top + crop.height), slice(crop.left, crop.left + crop.width)
            assert np.array_equal(part.pixels, expected.pixels[rows, columns])
            assert np.array_equal(part.alpha, expected.alpha[rows, columns])
