"""The Python interface: encode, decode, read_info.

The same options, results and errors as the command line of the same names.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from licodec.codec import Library
from licodec.container import describe, read_file
from licodec.errors import BadInputError, UsageError
from licodec.images import Picture, read_picture
from licodec.packs import choose_pack
from licodec.rate import Target, TargetKind, d_from_quality, d_to_units, target_from_bpp

if TYPE_CHECKING:
    from PIL import Image


@lru_cache(maxsize=4)
def _library(backend: str | None) -> Library:
    return Library(backend)


def encode(
    image: np.ndarray | Image.Image | Picture | str | Path,
    *,
    d: float | None = None,
    quality: float | None = None,
    target_bpp: float | None = None,
    target_size: int | None = None,
    target_psnr: float | None = None,
    model: str = "lite",
    plan: str = "standard",
    backend: str | None = None,
) -> bytes:
    """Encode a picture into the bytes of a .lic file.

    `image` is uint8 (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), a Pillow image, a Picture, or
    the path of a picture file. At most one of `d` (> 0; 1 is the default, larger is smaller),
    `quality` (0-100), `target_bpp`, `target_size` (bytes) and `target_psnr` (dB) is given; a
    target out of reach gives the nearest file. Raises licodec.errors.
    """
    picture = as_picture(image)
    choices = {
        "d": d,
        "quality": quality,
        "target_bpp": target_bpp,
        "target_size": target_size,
        "target_psnr": target_psnr,
    }
    given = [name for name, value in choices.items() if value is not None]
    if len(given) > 1:
        raise UsageError(f"{given[0]} and {given[1]} exclude each other")
    codec = _library(backend).open(choose_pack(model, plan))
    height, width = picture.pixels.shape[:2]
    target: Target | None = None
    if target_bpp is not None:
        target = target_from_bpp(target_bpp, width, height)
    elif target_size is not None:
        target = Target(TargetKind.SIZE, target_size)
    elif target_psnr is not None:
        target = Target(TargetKind.PSNR, target_psnr)
    if target is not None:
        return codec.encode_to_target(picture, target).result.data
    if quality is not None:
        d = d_from_quality(quality)
    units = d_to_units(1.0 if d is None else d, codec.pack.schedule)
    return codec.encode(picture, units).data


def decode(data: bytes | str | Path, *, backend: str | None = None) -> Picture:
    """Decode the bytes, or the file at a path, of a .lic file.

    Raises CorruptFileError, LimitError, WeightsMissingError, PixelChecksumError.
    """
    return _library(backend).decode(_as_bytes(data))


def read_info(data: bytes | str | Path) -> dict[str, Any]:
    """Every header field of a .lic file, without decoding it or importing torch."""
    return describe(read_file(_as_bytes(data)))


def as_picture(image: np.ndarray | Image.Image | Picture | str | Path) -> Picture:
    """What `encode` takes, as a Picture. Raises BadInputError."""
    if isinstance(image, Picture):
        return image
    if isinstance(image, (str, Path)):
        return read_picture(Path(image), str(image))
    array = np.asarray(image)
    if array.ndim == 2:
        array = array[:, :, None]
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] not in (1, 3, 4):
        raise BadInputError(
            f"array of {array.dtype} {array.shape}: expected uint8 (H, W), (H, W, 1), "
            "(H, W, 3) or (H, W, 4)"
        )
    if not array.size:
        raise BadInputError("the picture has no pixels")
    if array.shape[2] == 4:
        return Picture(np.ascontiguousarray(array[:, :, :3]), np.ascontiguousarray(array[:, :, 3]))
    return Picture(np.ascontiguousarray(array))


def _as_bytes(data: bytes | str | Path) -> bytes:
    return Path(data).read_bytes() if isinstance(data, (str, Path)) else bytes(data)
