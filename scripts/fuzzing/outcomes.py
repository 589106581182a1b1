"""What decoding a changed file ends in."""

from __future__ import annotations

import contextlib
import io
import json
import signal
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from types import FrameType

import numpy as np
from PIL import Image

from licodec.container import LicFile, LosslessFile, describe, read_file
from licodec.errors import (
    CorruptFileError,
    LicodecError,
    LimitError,
    PixelChecksumError,
    UsageError,
    WeightsMissingError,
)
from licodec.images import OUTPUT_FORMATS, Picture, encode_picture
from licodec.images.views import View
from licodec.library import Library

DOCUMENTED = (CorruptFileError, LimitError, PixelChecksumError, WeightsMissingError)
LONGEST_MESSAGE = 300
RIGHT = "right pixels"
LARGE = "a larger picture, not decoded"


@dataclass(frozen=True)
class Outcome:
    """How a file ended, in a word; `fault` says what is wrong with that, if anything."""

    name: str
    fault: str | None = None


class TooSlow(BaseException):
    """Nothing that handles errors handles this."""


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise TooSlow in what takes more processor time: how much of it there is, others decide."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise TooSlow

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def outcome_of(
    data: bytes,
    honest: Picture,
    library: Library,
    most_pixels: int,
    seconds: float,
    view: View,
) -> Outcome:
    """Read, describe and decode a file, write what was decoded in every format, and decode a view.

    The one legal picture is the honest one, and of a file that has it the view is the same cut out
    of that. Pictures of more than `most_pixels` are read and described alone.
    """
    try:
        with time_limit(seconds):
            return _outcome_of(data, honest, library, most_pixels, view)
    except TooSlow:
        return Outcome("too slow", f"not done within {seconds:g} s of processor time")
    except Exception as error:
        return Outcome(type(error).__name__, traceback.format_exc())


def _outcome_of(
    data: bytes, honest: Picture, library: Library, most_pixels: int, view: View
) -> Outcome:
    try:
        lic = read_file(data)
        json.dumps(describe(lic))
    except LicodecError as error:
        return Outcome(type(error).__name__, wrong_with(error, DOCUMENTED))
    if lic.header.width * lic.header.height > most_pixels:
        return Outcome(LARGE)
    try:
        picture = library.decode(data)
    except LicodecError as error:
        fault = wrong_with(error, DOCUMENTED) or _wrong_with_view(lic, library, view, error)
        return Outcome(type(error).__name__, fault)
    if not (_equal(picture.pixels, honest.pixels) and _equal(picture.alpha, honest.alpha)):
        return Outcome("wrong pixels", "decoded to other pixels than were encoded")
    for output in OUTPUT_FORMATS:
        try:
            written = encode_picture(picture, output)
        except LicodecError as error:
            if fault := wrong_with(error, (LicodecError,)):
                return Outcome(f"not written as {output}", fault)
        else:
            if output == "PNG" and not _holds(written, picture):
                return Outcome("wrong pixels", "the PNG holds other pixels than were decoded")
    if fault := _wrong_with_view(lic, library, view, picture):
        return Outcome("wrong view", fault)
    return Outcome(RIGHT)


def _wrong_with_view(
    lic: LicFile | LosslessFile, library: Library, view: View, whole: Picture | LicodecError
) -> str | None:
    """What is wrong with decoding a view of a file whose whole decodes to that, or to an error.

    Where the whole is damaged and a crop is not, the crop may decode; all else is checked.
    """
    try:
        found = library.decode_with(library.codec_for(lic), lic, view)
    except UsageError as error:
        within = view.crop is None or (
            view.crop.left + view.crop.width <= lic.header.width
            and view.crop.top + view.crop.height <= lic.header.height
        )
        return f"{view}: {error}" if within else wrong_with(error, (UsageError,))
    except LicodecError as error:
        if isinstance(whole, Picture):
            return f"{view}: {error}, though the whole decodes"
        return wrong_with(error, DOCUMENTED)
    if isinstance(whole, Picture):
        cut = view.of(whole)
        same = _equal(found.pixels, cut.pixels) and _equal(found.alpha, cut.alpha)
        return None if same else f"{view}: other pixels than those of the whole"
    if view.crop is None or isinstance(lic, LosslessFile):
        return f"{view}: decoded, though the whole gives: {whole}"
    return None


def wrong_with(error: LicodecError, legal: tuple[type[LicodecError], ...]) -> str | None:
    """What is wrong with an error where those alone may be."""
    message = str(error)
    if not isinstance(error, legal):
        return f"a {type(error).__name__}: {message}"
    if not message.isprintable() or len(message) > LONGEST_MESSAGE:
        return f"a message that is no short line: {message!r}"
    return None


def _equal(a: np.ndarray | None, b: np.ndarray | None) -> bool:
    return a is b or (a is not None and b is not None and np.array_equal(a, b))


def _holds(png: bytes, picture: Picture) -> bool:
    with Image.open(io.BytesIO(png)) as image:
        samples = np.asarray(image)
    planes = [picture.pixels, *([] if picture.alpha is None else [picture.alpha[:, :, None]])]
    return np.array_equal(samples.reshape(*picture.pixels.shape[:2], -1), np.concatenate(planes, 2))
