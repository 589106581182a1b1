"""Guards around Pillow: its errors become ours, its settings are ours while we read."""

from __future__ import annotations

import contextlib
import struct
import threading
import zlib
from collections.abc import Iterator

from PIL import Image, PngImagePlugin, TiffImagePlugin, UnidentifiedImageError

from licodec.container.limits import MAX_METADATA_BYTES
from licodec.errors import BadInputError, LicodecError, LimitError
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


@contextlib.contextmanager
def pillow_errors(name: str, head: bytes) -> Iterator[None]:
    """Turn what Pillow raises while it reads into our errors; `head` is the file's first bytes."""
    try:
        yield
    except LicodecError:
        raise
    except UnidentifiedImageError:
        raise BadInputError(f"{name}: {_unidentified(head)}") from None
    except Image.DecompressionBombError as error:
        raise LimitError(f"{name}: {one_line(error)}") from error
    except MemoryError as error:
        raise LimitError(f"{name}: not enough memory to decode the picture") from error
    except PILLOW_ERRORS as error:
        raise BadInputError(
            f"{name}: cannot be decoded, it may be damaged or cut short ({one_line(error)})"
        ) from error


def _unidentified(head: bytes) -> str:
    """What a file is that Pillow does not recognize."""
    kind = damaged_format(head)
    if kind is not None:
        article = "an" if kind[0] == "A" else "a"
        return f"{article} {kind} file that is damaged or cut short"
    foreign = foreign_format(head)
    if foreign is not None:
        return f"a {foreign} file, which licodec does not read; it reads {INPUT_FORMATS_TEXT}"
    return f"not a picture that licodec reads; it reads {INPUT_FORMATS_TEXT}"


def one_line(error: Exception) -> str:
    """The error's text on one line, or its class where it has none."""
    return " ".join(str(error).split()) or type(error).__name__


_lock = threading.Lock()
_depth = 0
_values_before: tuple[int | None, int, bool] = (None, 0, False)


@contextlib.contextmanager
def pillow_settings() -> Iterator[None]:
    """Set what is global in Pillow as reading wants it, and restore it.

    Its limits make way for ours: our check of the size comes before anything is decoded, and
    Pillow's would refuse or warn below it; a profile in a PNG may be as large as all metadata.
    TIFFs without compression are for libtiff, too: Pillow's own reading of them mistakes planes
    of 16 bits and subsampled YCbCr. Counted, so that threads may overlap and the last one
    restores the values.
    """
    global _depth, _values_before
    with _lock:
        if _depth == 0:
            _values_before = (
                Image.MAX_IMAGE_PIXELS,
                PngImagePlugin.MAX_TEXT_CHUNK,
                TiffImagePlugin.READ_LIBTIFF,
            )
            Image.MAX_IMAGE_PIXELS = None
            PngImagePlugin.MAX_TEXT_CHUNK = MAX_METADATA_BYTES
            TiffImagePlugin.READ_LIBTIFF = True
        _depth += 1
    try:
        yield
    finally:
        with _lock:
            _depth -= 1
            if _depth == 0:
                (
                    Image.MAX_IMAGE_PIXELS,
                    PngImagePlugin.MAX_TEXT_CHUNK,
                    TiffImagePlugin.READ_LIBTIFF,
                ) = _values_before
