"""Names of outputs."""

from __future__ import annotations

from pathlib import Path

import pytest

from licodec.cli.naming import aside, decoded_name, encoded_name


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("a/photo.png", "a/photo.lic"),
        ("photo.JPeG", "photo.lic"),
        ("photo", "photo.lic"),
        ("scan.v1.2", "scan.v1.2.lic"),
        ("two.dots.tif", "two.dots.lic"),
        (".png", ".png.lic"),
        (".", ".lic"),
        ("/", "/.lic"),
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
