"""The Python interface: encode, decode, read_info.

The same options, results and errors as the command line of the same names.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from licodec.container import describe, read_file
from licodec.errors import BadInputError
from licodec.images import Picture, read_picture
from licodec.library import Library
from licodec.packs import choose_pack
from licodec.rate import RateMode, choose_rate

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
    alpha: float | None = None,
    beta: float | None = None,
    objective: str | None = None,
    model: str = "lite",
    plan: str = "standard",
    backend: str | None = None,
) -> bytes:
    """Encode a picture into the bytes of a .lic file.

    `image` is uint8 (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), a Pillow image, a Picture, or
    the path of a picture file. At most one of `d` (> 0; 1 is the default, larger is smaller),
    `quality` (0-100), `target_bpp`, `target_size` (bytes), `target_psnr` (dB) and
    `alpha` (0-1, larger is smaller) is given; a target out of reach gives the nearest file.
    `beta` (0-1, more realism) goes with any of them, and `d` with `alpha`. `objective` is what
    the adapters were trained for ("mse", "ms-ssim", "perceptual"); with it, quality and targets
    go over alpha. A pack that lacks a mode or an objective is a UsageError, which lists what it
    has. Raises licodec.errors.
    """
    picture = as_picture(image)
    values = {
        RateMode.D: d,
        RateMode.QUALITY: quality,
        RateMode.BPP: target_bpp,
        RateMode.SIZE: target_size,
        RateMode.PSNR: target_psnr,
        RateMode.ALPHA: alpha,
        RateMode.BETA: beta,
    }
    rate = choose_rate(values, lambda mode: mode.value, objective)
    codecs = _library(backend).open(choose_pack(model, plan))
    codec = codecs.to_encode(picture.width, picture.height, rate)
    return codec.encode_at(picture, rate).result.data


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
