"""Guards around Pillow: its errors become ours, its limits make way for ours."""

from __future__ import annotations

import contextlib
import errno
import struct
import threading
import zlib
from collections.abc import Iterator
from types import ModuleType

from PIL import Image, PngImagePlugin, TiffImagePlugin, UnidentifiedImageError

from licodec.container.limits import MAX_METADATA_BYTES
from licodec.errors import BadInputError, LicodecError, LimitError
from licodec.files import display_name
from licodec.images.formats import INPUT_FORMATS_TEXT, damaged_format, foreign_format

# What Pillow raises on damaged files, plugin by plugin; it promises no common class.
PILLOW_ERRORS = (
    OSError,
    EOFError,
    SyntaxError,
    ValueError,
    TypeError,
    AttributeError,
    AssertionError,
    LookupError,
    ArithmeticError,
    RuntimeError,
    struct.error,
    zlib.error,
)

# What of an AVIF need not be damage, by how Pillow says it.
_NOT_CONVERTED = "Conversion from YUV failed"
_NOT_ACCEPTED = "Failed to decode image: Invalid"

# Of an OSError: Pillow's own have none, and a damaged file may lead to a place before its start.
_ERRNOS_OF_DAMAGE = (None, errno.EINVAL)


@contextlib.contextmanager
def pillow_errors(name: str, head: bytes) -> Iterator[None]:
    """Turn what Pillow raises while it reads into our errors, and begin all of them with `name`;
    `head` is the file's first bytes.

    What the system raises because the file cannot be read passes, see `files.open_input`.
    """
    try:
        yield
    except LicodecError as error:
        raise type(error)(f"{name}: {error}") from error
    except UnidentifiedImageError:
        raise BadInputError(f"{name}: {_unidentified(head)}") from None
    except Image.DecompressionBombError as error:
        raise LimitError(f"{name}: {one_line(error)}") from error
    except MemoryError as error:
        raise LimitError(f"{name}: not enough memory to decode the picture") from error
    except PILLOW_ERRORS as error:
        if isinstance(error, OSError) and error.errno not in _ERRNOS_OF_DAMAGE:
            raise  # the file could not be read, which is not Pillow's to say
        why = "it may be damaged or cut short"
        if _NOT_CONVERTED in str(error):
            why = "its colours are coded by a matrix that libavif does not convert"
        elif _NOT_ACCEPTED in str(error):
            why = "it is damaged, or departs from its standard, which libavif refuses"
        raise BadInputError(f"{name}: cannot be decoded, {why} ({one_line(error)})") from error


def _unidentified(head: bytes) -> str:
    """What a file is that Pillow does not recognize."""
    kind = damaged_format(head)
    if kind is not None:
        strict = ", or departs from its standard, which libavif refuses" if kind == "AVIF" else ""
        return f"{_with_article(kind)} file that is damaged or cut short{strict}"
    foreign = foreign_format(head)
    if foreign is not None:
        file = f"{_with_article(foreign)} file"
        return f"{file}, which licodec does not read; it reads {INPUT_FORMATS_TEXT}"
    return f"not a picture that licodec reads; it reads {INPUT_FORMATS_TEXT}"


def _with_article(name: str) -> str:
    return f"{'an' if name[0] in 'AIOaio' else 'a'} {name}"


def one_line(error: Exception) -> str:
    """The error's text on one line, or its class where it has none."""
    return display_name(" ".join(str(error).split()) or type(error).__name__)


class _Setting:
    """A global of Pillow that has another value while any thread is inside of its context.

    Counted, so that threads may overlap and the last one restores the value.
    """

    def __init__(self, module: ModuleType, name: str, value: object) -> None:
        self._module, self._name, self._value = module, name, value
        self._lock = threading.Lock()
        self._depth = 0
        self._before: object = None

    @contextlib.contextmanager
    def __call__(self) -> Iterator[None]:
        with self._lock:
            if self._depth == 0:
                self._before = getattr(self._module, self._name)
                setattr(self._module, self._name, self._value)
            self._depth += 1
        try:
            yield
        finally:
            with self._lock:
                self._depth -= 1
                if self._depth == 0:
                    setattr(self._module, self._name, self._before)


_no_pixel_limit = _Setting(Image, "MAX_IMAGE_PIXELS", None)
_text_limit = _Setting(PngImagePlugin, "MAX_TEXT_CHUNK", MAX_METADATA_BYTES)
# TIFFs without compression are for libtiff, too, while this is entered.
libtiff_for_all = _Setting(TiffImagePlugin, "READ_LIBTIFF", True)


@contextlib.contextmanager
def pillow_limits_lifted() -> Iterator[None]:
    """Put Pillow's limits, which are global, out of the way of ours while we read.

    Our check of the size comes before anything is decoded, and Pillow's would refuse or warn
    below it; a profile in a PNG may be as large as all metadata.
    """
    with _no_pixel_limit(), _text_limit():
        yield
