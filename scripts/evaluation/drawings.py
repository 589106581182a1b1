"""Pictures of other kinds than photographs: what a codec trained on those may fail at.

Scanned text, a drawing, a logo and a colour wheel from scikit-image (the test extra has it),
and a page of text, a window with controls and a chart, drawn here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from skimage import data

TEXT = (
    "the quick brown fox jumps over a lazy dog while every good codec keeps edges of letters "
    "sharp and thin lines straight even where few bits are left for them"
)
WORDS = TEXT.split()
INK, PAPER, ACCENT, SHADE = (25, 25, 30), (255, 255, 255), (36, 98, 200), (232, 234, 238)


def from_scikit_image() -> Iterator[tuple[str, Image.Image]]:
    """Named pictures, as RGB on white."""
    for name in ("page", "text", "horse", "logo", "colorwheel", "clock"):
        pixels = getattr(data, name)()
        if pixels.dtype == bool:
            pixels = pixels.astype(np.uint8) * 255
        picture = Image.fromarray(pixels)
        backdrop = Image.new("RGBA", picture.size, PAPER)
        yield name, Image.alpha_composite(backdrop, picture.convert("RGBA")).convert("RGB")


def text_page() -> Image.Image:
    """Lines of text in sizes from 10 to 28 pixels."""
    page = Image.new("RGB", (640, 800), PAPER)
    draw = ImageDraw.Draw(page)
    top, line = 24, 0
    while top < 760:
        font = ImageFont.load_default(10 + 3 * (line // 6))
        words = [WORDS[(7 * line + i) % len(WORDS)] for i in range(12)]
        draw.text((24, top), " ".join(words), INK, font)
        top += round(font.size * 1.5)
        line += 1
    return page


def window() -> Image.Image:
    """A window with a list, buttons and fields in flat colours."""
    screen = Image.new("RGB", (800, 600), (58, 110, 165))
    draw = ImageDraw.Draw(screen)
    small, large = ImageFont.load_default(13), ImageFont.load_default(18)
    draw.rectangle((60, 40, 740, 560), PAPER, INK)
    draw.rectangle((60, 40, 740, 72), ACCENT)
    draw.text((74, 46), "Preferences", PAPER, large)
    for row, word in enumerate(WORDS[:18]):
        top = 84 + 25 * row
        draw.rectangle((70, top, 250, top + 24), SHADE if row % 2 else PAPER)
        draw.text((80, top + 4), word, INK, small)
    for row in range(8):
        top = 90 + 44 * row
        draw.text((280, top + 5), f"{WORDS[row + 9]} {WORDS[row + 3]}", INK, small)
        draw.rounded_rectangle((470, top, 700, top + 28), 5, SHADE, INK)
        draw.text((480, top + 6), str(7**row), INK, small)
    for column, word in enumerate(("Cancel", "Apply", "Close")):
        left = 400 + 105 * column
        draw.rounded_rectangle((left, 510, left + 95, 542), 6, ACCENT if column else SHADE)
        draw.text((left + 22, 518), word, PAPER if column else INK, small)
    return screen


def chart() -> Image.Image:
    """Thin lines and curves, a grid, and filled bars."""
    sheet = Image.new("RGB", (720, 480), PAPER)
    draw = ImageDraw.Draw(sheet)
    for step in range(11):
        draw.line((60, 40 + 38 * step, 690, 40 + 38 * step), SHADE)
        draw.text((24, 34 + 38 * step), str(100 - 10 * step), INK, ImageFont.load_default(11))
    for bar in range(12):
        height = 150 + 120 * math.sin(bar / 2)
        draw.rectangle((70 + 52 * bar, 420 - height, 100 + 52 * bar, 420), (120, 170 - 8 * bar, 60))
    for phase, colour in enumerate((ACCENT, (200, 40, 40), INK)):
        curve = [
            (x, 220 + 140 * math.sin(x / 60 + phase) * math.cos(x / 230)) for x in range(60, 690)
        ]
        draw.line(curve, colour, 1 + phase)
    return sheet


def write_pictures(folder: Path) -> None:
    """All of them as PNG files."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn = (("text_page", text_page()), ("window", window()), ("chart", chart()))
    for name, picture in (*from_scikit_image(), *drawn):
        picture.save(folder / f"{name}.png")
