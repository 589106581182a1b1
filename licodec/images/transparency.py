"""What becomes of transparency: flattened onto a colour, or kept without what it hides."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import ImageColor

from licodec.errors import UsageError
from licodec.images.picture import Picture
from licodec.images.samples import row_bands

Colour = tuple[int, int, int]

_CELL = ((0, 0), (0, 1), (1, 0), (1, 1))  # the places in a cell of 2x2 pixels


@dataclass(frozen=True)
class Transparency:
    """What becomes of it when a picture is encoded.

    background   the colour that alpha is flattened onto; None: it is kept
    keep_hidden  whether the colours under fully transparent pixels are kept
    """

    background: Colour | None = None
    keep_hidden: bool = False

    @property
    def file_settings(self) -> dict[str, Any]:
        """What of it is not as usual, in JSON's types."""
        background = self.background and list(self.background)
        stated = {"background": background, "keep_hidden_colours": self.keep_hidden}
        return {name: value for name, value in stated.items() if value}

    def applied(self, picture: Picture) -> Picture:
        """The picture to encode: flattened, or without opaque alpha and without hidden colours."""
        if self.background is not None:
            return flattened(picture, self.background)
        if picture.alpha is None or picture.alpha.min() == 255:
            return dataclasses.replace(picture, alpha=None)
        return picture if self.keep_hidden else _without_hidden_colours(picture, picture.alpha > 0)


def parse_colour(text: str) -> Colour:
    """The colour of a name (of CSS), #rgb or #rrggbb. Raises UsageError."""
    try:
        red, green, blue = bytes(ImageColor.getrgb(text))  # refuses "rgb(300, 0, 0)"
    except (ValueError, TypeError, AttributeError):  # the others where it is no text
        raise UsageError(f"{text!a} is no colour; give a name (white), #rgb or #rrggbb") from None
    return red, green, blue


def flattened(picture: Picture, background: Colour) -> Picture:
    """The picture on a background, without alpha; in RGB where the background is not grey."""
    alpha = picture.alpha
    if alpha is None:
        return picture
    pixels, icc, notes = picture.pixels, picture.icc, picture.notes
    if picture.channels == 1 and len(set(background)) > 1:
        pixels = np.repeat(pixels, 3, axis=2)
        if icc is not None:
            notes += ("ICC profile for GRAY samples left out, the picture is RGB",)
        icc = None
    behind = np.array(background[: pixels.shape[2]], np.uint16)
    flat = np.empty_like(pixels)
    for rows in row_bands(*alpha.shape):
        part = alpha[rows, :, None].astype(np.uint16)
        flat[rows] = (pixels[rows] * part + behind * (255 - part) + 127) // 255
    return dataclasses.replace(picture, pixels=flat, alpha=None, icc=icc, notes=notes)


def _without_hidden_colours(picture: Picture, visible: np.ndarray) -> Picture:
    """The picture with what costs least in the place of colours that nobody sees."""
    hidden = picture.pixels[~visible]
    notes = picture.notes
    if hidden.size and (hidden != hidden[0]).any():
        notes += ("the colours under fully transparent pixels left out",)
    pixels = _filled(picture.pixels, visible) if visible.any() else np.zeros_like(picture.pixels)
    return dataclasses.replace(picture, pixels=pixels, notes=notes)


def _filled(pixels: np.ndarray, visible: np.ndarray) -> np.ndarray:
    """Pixels (H, W, C) whose hidden ones continue those around them, from coarse to fine.

    Any one colour would make edges, which cost bits and pixels beside them. In integers: the
    same bits on every machine.
    """
    if visible.all():
        return pixels
    height, width, channels = pixels.shape
    halves = (-(-height // 2), -(-width // 2))
    sums, counts = np.zeros((*halves, channels), np.uint16), np.zeros(halves, np.uint16)
    for top, left in _CELL:
        part = visible[top::2, left::2]
        rows, columns = part.shape
        counts[:rows, :columns] += part
        sums[:rows, :columns] += pixels[top::2, left::2] * part[:, :, None]
    means = (sums // np.maximum(counts, 1)[:, :, None]).astype(np.uint8)
    coarse = _filled(means, counts > 0)
    filled = pixels.copy()
    for top, left in _CELL:
        hidden = ~visible[top::2, left::2]
        rows, columns = hidden.shape
        np.copyto(filled[top::2, left::2], coarse[:rows, :columns], where=hidden[:, :, None])
    return filled
