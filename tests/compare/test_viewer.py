"""What the page's script does, in a headless Chromium where there is one."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from licodec.compare.page import render
from tests.compare.samples import GridCodec
from tests.compare.test_page import report

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)

OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--window-size=900,700", "--virtual-time-budget=5000", "--dump-dom"),
)

# What a person would do, and after each thing what is to be seen.
SCRIPT = """
const find = (selector) => document.querySelector(selector), seen = [];
const look = () => seen.push([find(".tag.left").textContent, find(".tag.right").textContent,
  Number(find(".wipe").value), find(".crop.left").dataset.codec, find("tbody.now").dataset.level]);
const choose = (element, value) => { element.value = value;
  element.dispatchEvent(new Event("change", { bubbles: true })); };
const point = (type, share) => { const box = find(".sheet").getBoundingClientRect();
  find(".stage").dispatchEvent(new PointerEvent(type, { bubbles: true, pointerId: 1, button: 0,
    pointerType: "mouse", clientX: box.left + share * box.width, clientY: box.top + 5 })); };
find(".stage").setPointerCapture = () => {};
find(".stage").hasPointerCapture = () => true;
look();
point("pointerdown", 0.25); look(); point("pointermove", 0.75); look();
point("pointermove", 7); look();
find(".wipe").value = 10; find(".wipe").dispatchEvent(new Event("input")); look();
find(".swap").click(); look();
choose(find(".side-right"), "original"); look();
document.querySelectorAll("[data-choice=level]")[0].click(); look();
const clip = find(".crop.left").style.clipPath;
document.querySelectorAll("[data-choice=zoom]")[3].click();
const width = find(".sheet").getBoundingClientRect().width;
document.title = JSON.stringify({ seen, clip, width, text: find(".readout .left").textContent,
  spoken: find(".wipe").getAttribute("aria-valuetext"), hidden: find(".controls").hidden });
"""


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium")
def test_the_viewer(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    text = render(report("a.png", peers=[GridCodec()]))
    page.write_text(text.replace("</body>", f"<script>{SCRIPT}</script></body>"))
    found = _title_after(page, tmp_path)
    ours, theirs = "licodec, d 4", "Grid, quality 13"
    assert found["seen"] == [
        [ours, theirs, 50, "licodec", "1"],
        [ours, theirs, 25, "licodec", "1"],
        [ours, theirs, 75, "licodec", "1"],
        [ours, theirs, 100, "licodec", "1"],
        [ours, theirs, 10, "licodec", "1"],
        [theirs, ours, 10, "Grid", "1"],
        [theirs, "Original", 10, "Grid", "1"],
        ["Grid, quality 50", "Original", 10, "Grid", "0"],
    ]
    # The crop of 16 pixels is shown at twice its size, and a tenth of it is the left codec's.
    assert found["clip"].replace("0px", "0") == "inset(0 calc(100% - 3.2px) 0 0)"
    assert found["width"] == 16 * 4
    assert found["text"].startswith("Grid, quality 50") and "1,000 bytes" in found["text"]
    assert found["spoken"] == "Grid on the left 10 percent, then Original"
    assert found["hidden"] is False


def _title_after(page: Path, folder: Path) -> dict[str, Any]:
    """What a page's scripts leave as its title, in JSON."""
    assert CHROMIUM is not None
    done = subprocess.run(
        [CHROMIUM, *OPTIONS, f"--user-data-dir={folder / 'chromium'}", page.as_uri()],
        capture_output=True,
        text=True,
        timeout=300,
    )
    title = re.search(r"<title>(.*?)</title>", done.stdout, re.DOTALL)
    if title is None:
        pytest.skip(f"Chromium does not run here: {done.stderr[-300:]}")
    return json.loads(html.unescape(title[1]))
