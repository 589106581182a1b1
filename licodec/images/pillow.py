"""Guards around Pillow: its errors become ours, its limits make way for ours."""

from __future__ import annotations

import contextlib
import errno
import struct
import threading
import zlib
from collections.abc import Iterator

from PIL import Image, PngImagePlugin, UnidentifiedImageError

from licodec.container.limits import MAX_METADATA_BYTES
from licodec.errors import BadInputError, LicodecError, LimitError

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

# Of an OSError: Pillow's own have none, and a damaged file may lead to a place before its start.
_ERRNOS_OF_DAMAGE = (None, errno.EINVAL)

# Of the formats whose first bytes leave no doubt.
_KNOWN_STARTS = (
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"GIF8", "GIF"),
    (b"II*\x00", "TIFF"),
    (b"MM\x00*", "TIFF"),
)


@contextlib.contextmanager
def pillow_errors(name: str, head: bytes, accepted: str) -> Iterator[None]:
    """Turn what Pillow raises while it reads into our errors.

    `head` is the file's first bytes, `accepted` names the formats that are read. What the system
    raises because the file cannot be read passes, see `files.open_input`.
    """
    try:
        yield
    except LicodecError:
        raise
    except UnidentifiedImageError:
        kind = next((kind for start, kind in _KNOWN_STARTS if head.startswith(start)), None)
        if kind is not None:
            raise BadInputError(f"{name}: a {kind} file that is damaged or cut short") from None
        raise BadInputError(
            f"{name}: not a picture that licodec reads; it reads {accepted}"
        ) from None
    except Image.DecompressionBombError as error:
        raise LimitError(f"{name}: {one_line(error)}") from error
    except MemoryError as error:
        raise LimitError(f"{name}: not enough memory to decode the picture") from error
    except PILLOW_ERRORS as error:
        if isinstance(error, OSError) and error.errno not in _ERRNOS_OF_DAMAGE:
            raise  # the file could not be read, which is not Pillow's to say
        raise BadInputError(
            f"{name}: cannot be decoded, it may be damaged or cut short ({one_line(error)})"
        ) from error


def one_line(error: Exception) -> str:
    """The error's text on one line, or its class where it has none."""
    return " ".join(str(error).split()) or type(error).__name__


_lift_lock = threading.Lock()
_lift_depth = 0
_lifted_values: tuple[int | None, int] = (None, 0)


@contextlib.contextmanager
def pillow_limits_lifted() -> Iterator[None]:
    """Put Pillow's limits, which are global, out of the way of ours while we read.

    Our check of the size comes before anything is decoded, and Pillow's would refuse or warn
    below it; a profile in a PNG may be as large as all metadata. Counted, so that threads
    may overlap and the last one restores the values.
    """
    global _lift_depth, _lifted_values
    with _lift_lock:
        if _lift_depth == 0:
            _lifted_values = (Image.MAX_IMAGE_PIXELS, PngImagePlugin.MAX_TEXT_CHUNK)
            Image.MAX_IMAGE_PIXELS = None
            PngImagePlugin.MAX_TEXT_CHUNK = MAX_METADATA_BYTES
        _lift_depth += 1
    try:
        yield
    finally:
        with _lift_lock:
            _lift_depth -= 1
            if _lift_depth == 0:
                Image.MAX_IMAGE_PIXELS, PngImagePlugin.MAX_TEXT_CHUNK = _lifted_values
