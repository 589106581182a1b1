"""The page: whole, safe, the same every time, and alone in the world; and its plots."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from licodec.compare.crops import CropSize
from licodec.compare.figures import MEASURES, groups_of
from licodec.compare.matching import Equal
from licodec.compare.page import Report, render
from licodec.compare.plots import plot, series_styles, ticks
from tests.compare.samples import GridCodec, compared, plan

VOID = {"meta", "input", "img", "link", "br"}


class Document(HTMLParser):
    """Elements with their attributes, and a check that each one that is opened is closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("style", "script"):
            self.text += data

    def having(self, name: str, value: str) -> list[dict[str, str | None]]:
        return [own for _, own in self.elements if value in (own.get(name) or "").split()]


def report(*names: str, equal: Equal = Equal.SIZE, **changes: object) -> Report:
    of = plan(equal=equal, **changes)
    pictures = tuple(compared(name, of) for name in names)
    libraries = {"licodec": "9.9", **{peer.name: peer.library for peer in of.peers}}
    return Report(pictures, equal, "licodec 9.9", libraries)


def test_the_crops_are_on_it_and_lossless() -> None:
    made = report("folder/photo.png")
    document = Document(render(made))
    (picture,) = made.pictures
    crops = document.having("class", "crop")
    assert [(own["data-codec"], own["data-level"]) for own in crops] == [
        ("original", "any"), ("licodec", "0"), ("Grid", "0"), ("licodec", "1"), ("Grid", "1"),
    ]  # fmt: skip
    sources = [own["src"] for tag, own in document.elements if tag == "img"]
    shown = [Image.open(io.BytesIO(base64.b64decode(s.partition(",")[2]))) for s in sources]
    expected = [picture.crop] + [c.crop for level in picture.levels for c in level.codings]
    assert all(map(np.array_equal, map(np.asarray, shown), expected))
    assert all(own["alt"] for tag, own in document.elements if tag == "img")


def test_it_loads_nothing() -> None:
    page = render(report("a.png", "b.png"))
    without_data = re.sub(r'"data:image/[^"]*"', "", page)
    assert "http" not in without_data.replace("http-equiv", "")
    elements = Document(page).elements
    sources = [own[name] for _, own in elements for name in ("src", "href") if name in own]
    assert all(source.startswith(("data:image/", "#")) for source in sources)
    assert "default-src 'none'" in page


def test_it_is_the_same_every_time() -> None:
    assert render(report("a.png")) == render(report("a.png"))


def test_names_are_text() -> None:
    name = '<img src=x onerror=alert(1)> & "$title".png'
    document = Document(render(report(name)))
    assert name in document.text
    assert not any("onerror" in own for _, own in document.elements)


def test_names_lose_the_folder_that_all_are_in() -> None:
    document = Document(render(report("/home/me/in/a.png", "/home/me/b.png")))
    assert "in/a.png" in document.text and "/home" not in document.text
    assert "b.png" in Document(render(report("/home/me/b.png"))).text
    assert "/x/b.png" in Document(render(report("/x/b.png", "a.png"))).text


def test_several_pictures_have_means_and_a_list() -> None:
    one, two = Document(render(report("a.png"))), Document(render(report("a.png", "b.png")))
    assert "Means over 2 pictures" in two.text and "Means" not in one.text
    assert [own["href"] for tag, own in two.elements if tag == "a"] == ["#picture-1", "#picture-2"]
    identifiers = [own["id"] for _, own in two.elements if "id" in own]
    assert identifiers == ["picture-1", "picture-2"]


def test_where_the_crop_is() -> None:
    assert Document(render(report("a.png"))).having("class", "place")
    whole = report("a.png", crop=CropSize(99, 99))
    assert not Document(render(whole)).having("class", "place")


def test_notes_are_on_it() -> None:
    made = report("a.png")
    noted = replace(made.pictures[0], notes=("alpha is left out",))
    assert "alpha is left out" in Document(render(replace(made, pictures=(noted,)))).text


@pytest.mark.parametrize(
    ("equal", "words"), [(Equal.SIZE, "file size"), (Equal.QUALITY, "by PSNR")]
)
def test_what_is_equal_is_said(equal: Equal, words: str) -> None:
    text = Document(render(report("a.png", equal=equal))).text
    assert f"at nearly the same {'' if equal is Equal.SIZE else 'quality '}{words}" in text


def test_differences_and_the_best() -> None:
    page = render(report("a.png", ds=(1.0,), equal=Equal.QUALITY))
    # The peer's grid of 8, which takes it 1860 bytes.
    assert "<strong>1,000</strong>" in page and "1,860 <small>+86.0 %</small>" in page
    by_size = render(report("a.png", ds=(1.0,)))
    assert re.search(r"<strong>\d\d\.\d\d</strong> <small></small>", by_size)
    assert re.search(r"\d\d\.\d\d <small>&minus;\d+\.\d\d</small>", by_size)


def test_without_other_codecs() -> None:
    document = Document(render(report("a.png", peers=[])))
    assert "licodec at d 1 and 4." in document.text


# Plots -----------------------------------------------------------------------------------------


def test_a_plot_has_a_point_for_each_coding() -> None:
    groups = groups_of(compared(of=plan(peers=[GridCodec(), GridCodec("Other")])))
    styles = series_styles(["licodec", "Grid", "Other"])
    root = ElementTree.fromstring(plot(groups, MEASURES[0], styles))
    lines = [e.get("points").split() for e in root.iter("polyline")]
    assert [len(points) for points in lines] == [2, 2, 2]
    titles = [e.text for e in root.iter("title")]
    assert titles[0].startswith("licodec, d 4: 2.083 bpp, ")
    words = [e.text for e in root.iter("text")]
    assert "PSNR (dB)" in words and "bits per pixel" in words
    for points in lines:
        for point in points:
            x, y = map(float, point.split(","))
            assert 0 <= x <= 360 and 0 <= y <= 270


def test_what_has_no_number_is_not_drawn() -> None:
    groups = groups_of(compared(of=plan(ds=(0.125, 1.0), peers=[])))
    root = ElementTree.fromstring(plot(groups, MEASURES[0], {"licodec": 0}))
    (line,) = root.iter("polyline")
    assert len(line.get("points").split()) == 1  # the other's PSNR is infinite
    assert plot(groups, MEASURES[1], {"licodec": 0}) == ""


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 1.13, [0, 0.2, 0.4, 0.6, 0.8, 1.0, 1.2]),
        (-10.6, 79, [-20, 0, 20, 40, 60, 80]),
        (31, 31, [31, 31.01, 31.02, 31.03, 31.04]),
    ],
)
def test_ticks(low: float, high: float, expected: list[float]) -> None:
    found = ticks(low, high)
    assert found[0] <= low and found[-1] >= high and found[0] < found[-1]
    if low < high:
        assert found == pytest.approx(expected)
