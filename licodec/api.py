"""The Python interface: encode, decode, read_info.

The same options, results and errors as the command line of the same names.
"""

from __future__ import annotations

import os
import warnings
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

from licodec.choice import encode_with_network, encode_without_network
from licodec.codec import encode_lossless
from licodec.container import MAX_LIC_FILE_BYTES, describe, read_file
from licodec.errors import BadInputError, UsageError
from licodec.files import display_name, open_input, read_at_most, read_bytes
from licodec.images import (
    MAX_PICTURE_FILE_BYTES,
    Picture,
    read_image,
    read_picture,
    stream_bytes,
)
from licodec.images.pillow import one_line
from licodec.images.resizing import Framing, make_framing
from licodec.images.transparency import Transparency, parse_colour
from licodec.images.views import make_view
from licodec.library import Library
from licodec.packs import choose_pack
from licodec.rate.modes import Rate, RateMode, choose_rate
from licodec.remote import is_url
from licodec.wording import missed_target

DEFAULT_MODEL, DEFAULT_PLAN = "lite", "standard"

# A file: its path, its bytes, or a binary stream, which is read to its end.
File = str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO


@lru_cache(maxsize=4)
def shared_library(backend: str | None) -> Library:
    """The codecs of this process on a backend, None being the fastest."""
    return Library(backend)


def encode(
    image: np.ndarray | Image.Image | Picture | File,
    *,
    d: float | None = None,
    quality: float | None = None,
    target_bpp: float | None = None,
    target_size: int | None = None,
    target_psnr: float | None = None,
    alpha: float | None = None,
    beta: float | None = None,
    objective: str | None = None,
    background: str | None = None,
    keep_hidden_colors: bool = False,
    crop: str | tuple[int, int, int, int] | None = None,
    resize: str | int | tuple[int, int] | None = None,
    lossless: bool | None = None,
    model: str | os.PathLike[str] = DEFAULT_MODEL,
    plan: str = DEFAULT_PLAN,
    backend: str | None = None,
) -> bytes:
    """Encode a picture into the bytes of a .lic file.

    `image` is the path of a picture file, its bytes or a binary stream of them, a Pillow image, a
    Picture, or an array of uint8, (H, W), (H, W, 1), (H, W, 3) or (H, W, 4). All go the same way:
    orientation, alpha and metadata are kept, and Python's warnings tell what is lost.

    At most one of `d` (> 0; 1 is the default, larger is smaller), `quality` (0-100),
    `target_bpp`, `target_size` (bytes), `target_psnr` (dB) and `alpha` (0-1, larger is smaller)
    is given; a target out of reach gives the nearest file, and a warning of Python's. `beta` (0-1,
    more realism) goes with any of them, and `d` with `alpha`. `objective` is what adapters were
    trained for ("mse", "ms-ssim", "perceptual"); with it, quality and targets go over alpha.
    `lossless` True keeps every pixel, hidden ones too, and takes no rate. None, the default, does
    so where that is no larger than the file asked for, as with most screenshots, where it fits into
    a target size, and where no network reaches a target PSNR, with a warning where that takes more
    bytes. False never does.

    `crop` ("WxH+X+Y", or width, height, left, top) takes a part of the upright picture, and
    `resize` ("WxH", "W", "xH", "50%", a width or both sides; 0 keeps the shape) resizes that.
    `background`, the name of a colour, #rgb or #rrggbb, is what alpha is flattened onto. Else alpha
    is kept unless it is opaque, and what it hides only with `keep_hidden_colors`.

    Raises licodec.errors.
    """
    behind = None if background is None else parse_colour(background)
    transparency = Transparency(behind, keep_hidden_colors or lossless is True)
    picture = _prepared(image, make_framing(crop, resize), transparency)
    rate = choose_rate(
        _mode_name,
        d=d,
        quality=quality,
        target_bpp=target_bpp,
        target_size=target_size,
        target_psnr=target_psnr,
        alpha=alpha,
        beta=beta,
        objective=objective,
        lossless=lossless,
    )
    return _encoded(picture, rate, transparency.keep_hidden, model, plan, backend)


def _mode_name(mode: RateMode) -> str:
    return mode.value


def _prepared(
    image: np.ndarray | Image.Image | Picture | File, framing: Framing, transparency: Transparency
) -> Picture:
    """The picture to code; Python's warnings tell what its maker cannot have seen."""
    given = as_picture(image)
    picture = transparency.applied(framing.of(given))
    for note in picture.notes:
        if not isinstance(image, Picture) or note not in given.notes:
            warnings.warn(note, stacklevel=3)
    return picture


def _encoded(
    picture: Picture,
    rate: Rate,
    keep_hidden: bool,
    model: str | os.PathLike[str],
    plan: str,
    backend: str | None,
) -> bytes:
    if rate.lossless:
        if (model, plan) != (DEFAULT_MODEL, DEFAULT_PLAN):
            raise UsageError("lossless coding takes no model and no plan; leave them out")
        return encode_lossless(picture).data
    codecs = shared_library(backend).open(choose_pack(model, plan))
    codecs.pack.rate_scale.setting(rate)  # refuses what the pack lacks, whatever is chosen
    encoded = encode_without_network(picture, rate, keep_hidden)
    if encoded is None:
        codec = codecs.to_encode(picture.width, picture.height, rate)
        encoded = encode_with_network(codec, picture, rate, keep_hidden)
    for line in missed_target(encoded, picture, rate, _mode_name, "lossless=False"):
        warnings.warn(line, stacklevel=3)
    return encoded.coded.data


def decode(
    data: File,
    *,
    crop: str | tuple[int, int, int, int] | None = None,
    scale: str | float | None = None,
    thumbnail: int | None = None,
    backend: str | None = None,
) -> Picture:
    """Decode a .lic file: its path, its bytes, or a binary stream of them.

    `crop` ("WxH+X+Y", or width, height, left, top) takes a part of it, for which no more is decoded
    than it takes; the pixels' checksum, which is that of all, is then not compared. `scale` ("1/2",
    "1/4", "1/8") divides the sides by exact means of blocks; `thumbnail` makes the longer side that
    many pixels, if it has more. Both come behind the crop.

    Raises BadInputError, CorruptFileError, LimitError, WeightsMissingError, PixelChecksumError, and
    UsageError for a crop that is not within the picture.
    """
    view = make_view(crop, scale, thumbnail)
    return shared_library(backend).decode(_file_bytes(data), view)


def read_info(data: File) -> dict[str, Any]:
    """Every header field of a .lic file, without decoding it or importing torch."""
    return describe(read_file(_file_bytes(data)))


def as_picture(image: np.ndarray | Image.Image | Picture | File) -> Picture:
    """What `encode` takes, as a Picture. Raises BadInputError, LimitError."""
    if isinstance(image, Picture):
        return image
    if isinstance(image, Image.Image):
        return read_image(image, _name(getattr(image, "filename", None), "the Pillow image"))
    if isinstance(image, (str, os.PathLike)):
        name = display_name(os.fspath(image))
        if is_url(image):
            return read_picture(read_bytes(image, MAX_PICTURE_FILE_BYTES), name)
        return read_picture(Path(image), name)
    if isinstance(image, (bytes, bytearray, memoryview)):
        return read_picture(bytes(image), "the bytes given")
    if isinstance(image, np.ndarray) or not hasattr(image, "read"):
        return _picture_of_array(image)
    return read_picture(image, _name(getattr(image, "name", None), "the stream given"))


def _picture_of_array(image: object) -> Picture:
    try:
        array = np.asarray(image)
    except Exception as error:  # whatever an object's own conversion raises
        raise BadInputError(f"{_wanted(type(image).__name__)}: {one_line(error)}") from error
    if array.dtype == object or not array.ndim:
        raise BadInputError(_wanted(type(image).__name__))
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


def _wanted(given: str) -> str:
    return (
        f"{given} is no picture: give a path, the bytes of a picture file or a binary stream of "
        "them, a Pillow image, a Picture, or an array of uint8"
    )


def _file_bytes(data: File) -> bytes:
    """The bytes of a .lic file, however it is given. Raises BadInputError, LimitError."""
    if isinstance(data, (bytes, bytearray, memoryview)):
        return bytes(data)
    if isinstance(data, (str, os.PathLike)):
        path = data if is_url(data) else Path(data)
        with open_input(path) as stream:
            return read_at_most(stream, MAX_LIC_FILE_BYTES, display_name(os.fspath(data)))
    if hasattr(data, "read"):
        name = _name(getattr(data, "name", None), "the stream given")
        return stream_bytes(data, MAX_LIC_FILE_BYTES, name)
    raise BadInputError(
        f"{type(data).__name__} is no .lic file: give its path, its bytes or a binary stream"
    )


def _name(of_file: object, otherwise: str) -> str:
    """What messages call an input: its file's name where it has one."""
    return display_name(of_file) if isinstance(of_file, str) and of_file else otherwise
