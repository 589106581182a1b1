"""Names of outputs."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from licodec.cli.naming import LIC_SUFFIX, aside, decoded_name, distinct_names, encoded_name


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("a/photo.png", "a/photo.lic"),
        ("photo.JPeG", "photo.lic"),
        ("photo", "photo.lic"),
        ("scan.v1.2", "scan.v1.2.lic"),
        ("two.dots.tif", "two.dots.lic"),
        (".png", ".png.lic"),
    ],
)
def test_encoded(source: str, target: str) -> None:
    assert encoded_name(Path(source)) == Path(target)


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("a/photo.lic", "a/photo.png"),
        ("photo.LIC", "photo.png"),
        ("photo.png.lic", "photo.png"),
        ("photo.jpg.lic", "photo.jpg.png"),
        ("photo.bin", "photo.bin.png"),
    ],
)
def test_decoded(source: str, target: str) -> None:
    assert decoded_name(Path(source), ".png") == Path(target)


def test_aside() -> None:
    assert aside(Path("a/b.c.png")) == Path("a/b.c.decoded.png")


@pytest.mark.parametrize(
    ("sources", "targets"),
    [
        (["a.png", "b.png"], ["a.lic", "b.lic"]),
        (["a.jpg", "a.png", "b.png"], ["a.jpg.lic", "a.png.lic", "b.lic"]),
        # What keeps its suffix may take the name that another would have had.
        (["a.jpg", "a.png", "a.jpg.png"], ["a.jpg.lic", "a.png.lic", "a.jpg.png.lic"]),
        # Where letter case does not count, these would be one file.
        (["A.png", "a.jpg"], ["A.png.lic", "a.jpg.lic"]),
    ],
)
def test_distinct(sources: list[str], targets: list[str]) -> None:
    names = distinct_names([Path(s) for s in sources], encoded_name, LIC_SUFFIX)
    assert list(names.values()) == [Path(target) for target in targets]


def test_distinct_on_the_way_back() -> None:
    sources = [Path("a.lic"), Path("a.png.lic")]
    names = distinct_names(sources, partial(decoded_name, suffix=".png"), ".png")
    assert list(names.values()) == [Path("a.lic.png"), Path("a.png.lic.png")]
