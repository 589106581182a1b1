"""Lossless WebP by Pillow: one piece of a picture, all samples kept, those under full transparency
included."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image, features

from licodec.errors import CorruptFileError, LicodecError, LimitError
from licodec.images.pillow import PILLOW_ERRORS, one_line, pillow_limits_lifted


@dataclass(frozen=True)
class Effort:
    """Of libwebp's encoder: more is slower and smaller."""

    quality: int
    method: int


BEST = Effort(quality=100, method=6)
QUICK = Effort(quality=75, method=4)  # a twentieth of the time; 1.0 to 1.2 times, seldom 1.5


def has_webp() -> bool:
    """Whether Pillow reads and writes WebP here."""
    return bool(features.check("webp"))


def require_webp() -> None:
    """Raise LicodecError where Pillow has no WebP."""
    if not has_webp():
        raise LicodecError("this Pillow cannot read or write WebP; install one that can")


def compress_piece(pixels: np.ndarray, alpha: np.ndarray | None, effort: Effort = BEST) -> bytes:
    """Pixels uint8 (H, W, 1 or 3) and alpha uint8 (H, W) as a lossless WebP file.

    Raises LicodecError where Pillow has no WebP, LimitError where memory does not suffice.
    """
    require_webp()
    height, width = pixels.shape[:2]
    image = Image.fromarray(np.broadcast_to(pixels, (height, width, 3)))
    if alpha is not None:
        image.putalpha(Image.fromarray(alpha))
    stream = io.BytesIO()
    try:
        # exact: else the colours of transparent pixels are replaced.
        image.save(stream, format="WEBP", lossless=True, exact=True, **vars(effort))
    except MemoryError as error:
        raise LimitError(f"not enough memory to code {width}x{height} pixels as WebP") from error
    except PILLOW_ERRORS as error:
        raise LicodecError(
            f"{width}x{height} pixels cannot be coded as lossless WebP ({one_line(error)})"
        ) from error
    return stream.getvalue()


def decompress_piece(
    data: bytes, height: int, width: int, channels: int, has_alpha: bool
) -> tuple[np.ndarray, np.ndarray | None]:
    """Pixels uint8 (height, width, channels), and where there is alpha its plane (height, width).

    `data` is a lossless WebP file that states this size (`container.pieces` has looked). Raises
    CorruptFileError for what is damaged, or in colour where it should be grey; LimitError where
    memory does not suffice, LicodecError where Pillow has no WebP.
    """
    require_webp()
    try:
        with pillow_limits_lifted(), Image.open(io.BytesIO(data), formats=("WEBP",)) as image:
            if image.size != (width, height):
                raise CorruptFileError(f"the WebP inside has {image.width}x{image.height} pixels")
            samples = np.asarray(image)
    except MemoryError as error:
        raise LimitError(f"not enough memory for {width}x{height} pixels of WebP") from error
    except (Image.DecompressionBombError, *PILLOW_ERRORS) as error:
        raise CorruptFileError(f"the WebP inside is damaged ({one_line(error)})") from error
    pixels, alpha = samples[:, :, :3], None
    if has_alpha:
        opaque = samples.shape[2] == 3
        alpha = np.full((height, width), 255, np.uint8) if opaque else samples[:, :, 3]
    if channels == 1:
        if not (pixels == pixels[:, :, :1]).all():
            raise CorruptFileError("the WebP inside has colours, and the header says grey")
        pixels = pixels[:, :, :1]
    return pixels, alpha
