"""The picture as the codec sees it, and measures on it."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from licodec.errors import BadInputError, UsageError

METADATA_KINDS = ("icc", "exif", "xmp")

# Rows are compared about this many samples at a time.
_BAND_SAMPLES = 2**20


@dataclass(frozen=True, eq=False)
class Picture:
    """Pixels and what travels with them.

    pixels  (H, W, C) uint8; C = 1 grey, 3 RGB
    alpha   (H, W) uint8, 255 is opaque; None where the picture has no alpha
    icc     ICC profile
    exif    Exif block from its TIFF header on, without the "Exif" prefix
    xmp     XMP packet
    notes   what was lost on the way in, one phrase each
    """

    pixels: np.ndarray
    alpha: np.ndarray | None = None
    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        pixels, alpha = self.pixels, self.alpha
        if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] not in (1, 3):
            raise BadInputError(
                f"pixels are {pixels.dtype} of shape {pixels.shape}; "
                "give uint8 of shape (height, width, 1 or 3)"
            )
        if 0 in pixels.shape:
            raise BadInputError(f"a picture of shape {pixels.shape} has no pixels")
        if alpha is not None and (alpha.dtype != np.uint8 or alpha.shape != pixels.shape[:2]):
            raise BadInputError(
                f"alpha is {alpha.dtype} of shape {alpha.shape}; "
                f"give uint8 of the picture's shape {pixels.shape[:2]}"
            )

    @property
    def height(self) -> int:
        return self.pixels.shape[0]

    @property
    def width(self) -> int:
        return self.pixels.shape[1]

    @property
    def channels(self) -> int:
        return self.pixels.shape[2]

    def to_image(self) -> Image.Image:
        """The pixels as a Pillow image, L, LA, RGB or RGBA."""
        image = Image.fromarray(self.pixels[:, :, 0] if self.channels == 1 else self.pixels)
        if self.alpha is not None:
            image.putalpha(Image.fromarray(self.alpha))
        return image


def metadata_subset(picture: Picture, keep: set[str] | frozenset[str]) -> Picture:
    """The picture with only the metadata named in `keep`, of "icc", "exif", "xmp".

    Raises UsageError for other names.
    """
    unknown = sorted(set(keep) - set(METADATA_KINDS))
    if unknown:
        raise UsageError(
            f'no metadata is called "{unknown[0]}"; choose among {", ".join(METADATA_KINDS)}'
        )
    dropped: dict[str, Any] = {kind: None for kind in METADATA_KINDS if kind not in keep}
    return dataclasses.replace(picture, **dropped)


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    """Peak signal-to-noise ratio in dB of two uint8 arrays of one shape; inf where equal.

    Raises BadInputError where they are not that.
    """
    if a.shape != b.shape or a.dtype != np.uint8 or b.dtype != np.uint8 or a.size == 0:
        raise BadInputError(
            f"PSNR takes two uint8 arrays of one shape, not {a.dtype} {a.shape} "
            f"and {b.dtype} {b.shape}"
        )
    # By bands of rows: the differences of a large picture would take four times its size.
    rows = max(1, _BAND_SAMPLES * len(a) // a.size)
    squares = 0
    for top in range(0, len(a), rows):
        difference = a[top : top + rows].astype(np.int32) - b[top : top + rows]
        squares += int(np.square(difference).sum(dtype=np.int64))
    return math.inf if squares == 0 else 10 * math.log10(255**2 * a.size / squares)
