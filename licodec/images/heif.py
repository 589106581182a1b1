"""HEIC, by pillow-heif: the extra `heic`."""

from __future__ import annotations

from dataclasses import replace
from typing import BinaryIO

from PIL import Image

from licodec.images.avif import examine_avif
from licodec.images.extras import extra_module
from licodec.images.metadata import Found

_GAIN_MAP = "hdrgainmap"  # in the names of Apple's auxiliary pictures


def open_heif(stream: BinaryIO) -> Image.Image:
    """The primary picture, which libheif turns upright and crops, not yet decoded.

    Raises BadInputError where the extra is not installed.
    """
    return extra_module("pillow_heif", "heic", "a HEIC").HeifImageFile(stream)


def examine_heif(image: Image.Image, stream: BinaryIO) -> Found:
    """Colour space (nclx), and what the boxes tell that is left out."""
    found = examine_avif(image, stream)
    notes = [*found.notes]
    if any(_GAIN_MAP in name.lower() for name in image.info.get("aux", ())):
        notes.append("HDR gain map left out")
    if image.info.get("depth_images"):
        notes.append("depth map left out")
    return replace(found, notes=tuple(notes))
