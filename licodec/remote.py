"""Files in object stores and on other machines, by fsspec (the extra `remote`): s3://bucket/a.png.

What a store wants to know (keys, hosts, endpoints) is taken from where its tools take it: the
environment and its configuration files. An object appears whole or not at all: stores do that by
themselves, on other systems a temporary file is given the name.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Callable, Iterator
from io import BufferedReader
from pathlib import PurePosixPath
from typing import Any, TypeGuard, TypeVar, cast

from licodec.errors import BadInputError, LicodecError, UsageError

Result = TypeVar("Result")

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://(.*)", re.DOTALL)
_WITH_PASSWORD = re.compile(r"[^/@]*:[^/@]*@")
# Where a file that is written has its name when all of it is there.
_STORES = frozenset(("abfs", "abfss", "az", "gcs", "gs", "memory", "oci", "oss", "s3", "s3a"))
# Before the second attempt and those after it; what comes of the last one counts.
_SECONDS_TO_WAIT = (0.5, 2.0, 8.0)
_CERTAIN = (  # another attempt would end alike
    FileNotFoundError,
    FileExistsError,
    IsADirectoryError,
    NotADirectoryError,
    PermissionError,
)


def is_url(name: object) -> TypeGuard[str]:
    """Whether a name is a URL. One of a drive, as C:, has one letter."""
    return isinstance(name, str) and _URL.match(name) is not None


def split(url: str) -> tuple[str, PurePosixPath]:
    """What stands before a URL's path, "s3://", and the path."""
    scheme, path = _parts(url)
    return f"{scheme}://", PurePosixPath(path)


@contextlib.contextmanager
def open_url(url: str) -> Iterator[BufferedReader]:
    """Open an object for reading; it is read as far as it is asked for.

    Raises BadInputError where it is missing or cannot be read, and as `_file_system`.
    """
    system, path = _file_system(url)
    with _said_of(url, BadInputError, "cannot be read"):
        _refuse_folder(url)
        # The whole of it is mostly read at once, and a store is asked again for each part.
        stream = _tried(lambda: system.open(path, "rb", cache_type="readahead"))
        with stream:
            yield cast(BufferedReader, stream)


def check_target(url: str, overwrite: bool) -> None:
    """Refuse a target that could not be written, as far as that is known before.

    Raises LicodecError where it exists and may not be replaced, and as `_file_system`.
    """
    system, path = _file_system(url)
    with _said_of(url, LicodecError, "cannot be written"):
        _refuse_folder(url)
        if not overwrite and _tried(lambda: system.exists(path)):
            raise FileExistsError


def save_url(url: str, data: bytes, overwrite: bool) -> None:
    """Write an object: all of it, or nothing. One that exists is replaced only with `overwrite`.

    Raises LicodecError where it cannot be done, and as `_file_system`. What `check_target` refuses
    is refused, too, without asking for it a second time.
    """
    system, path = _file_system(url)
    put = _put_into_store if _parts(url)[0] in _STORES else _put_by_renaming
    with _said_of(url, LicodecError, "cannot be written"):
        _refuse_folder(url)
        put(system, path, data, overwrite)


def _put_into_store(system: Any, path: str, data: bytes, overwrite: bool) -> None:
    mode = {} if overwrite else {"mode": "create"}

    def put() -> None:
        try:
            system.pipe_file(path, data, **mode)
        except FileExistsError:  # perhaps by an attempt whose answer was lost
            if system.cat_file(path) != data:
                raise

    _tried(put)


def _put_by_renaming(system: Any, path: str, data: bytes, overwrite: bool) -> None:
    temporary = str(PurePosixPath(path).with_name(f".licodec-{os.urandom(8).hex()}.tmp"))
    try:
        _tried(lambda: system.pipe_file(temporary, data))
        if not overwrite and system.exists(path):
            raise FileExistsError
        system.mv(temporary, path)
    finally:
        with contextlib.suppress(Exception):
            if system.exists(temporary):
                system.rm_file(temporary)


def _refuse_folder(url: str) -> None:
    """Raises IsADirectoryError for a URL of no file, which stores see by its end alone."""
    if url.endswith("/"):
        raise IsADirectoryError


def _parts(url: str) -> tuple[str, str]:
    found = _URL.fullmatch(url)
    if found is None:
        raise ValueError(f"{url!a} is no URL")
    return found[1].lower(), found[2]


def _file_system(url: str) -> tuple[Any, str]:
    """What fsspec has for a URL, and the path there. Raises UsageError for a URL with a password,
    or of a kind that there is not, and LicodecError where a package is missing or the store cannot
    be reached."""
    scheme, path = _parts(url)
    if _WITH_PASSWORD.match(path):
        raise UsageError(
            f"{scheme}://...: others can see a password in a URL; leave it to a key, an agent or "
            "the store's configuration"
        )
    try:
        from fsspec.core import url_to_fs
    except ImportError:
        raise LicodecError(
            f"{url}: {scheme}:// needs fsspec: pip install 'licodec[remote]'"
        ) from None
    try:
        system, inner = url_to_fs(f"{scheme}://{path}")
    except ImportError as error:
        raise LicodecError(
            f"{url}: {scheme}:// needs a further package ({_in_one_line(error)}); the extra "
            "'licodec[remote]' has those for s3:// and sftp://"
        ) from None
    except ValueError as error:
        raise UsageError(f"{url}: no such kind of place ({_in_one_line(error)})") from None
    except Exception as error:  # of the store's client: hosts, keys, certificates
        raise LicodecError(f"{url}: cannot be reached: {_in_one_line(error)}") from error
    return system, str(inner)


@contextlib.contextmanager
def _said_of(url: str, kind: type[LicodecError], what: str) -> Iterator[None]:
    """What a client raises, as one line of ours."""
    try:
        yield
    except LicodecError:
        raise
    except FileNotFoundError:
        raise kind(f"{url}: no such file, bucket or folder; check the name") from None
    except FileExistsError:
        raise LicodecError(
            f"{url}: exists already; use -f to overwrite it, or another name with -o"
        ) from None
    except IsADirectoryError:
        raise kind(f"{url}: a folder; name a file in it") from None
    except PermissionError as error:
        raise kind(f"{url}: permission is denied ({_in_one_line(error)})") from error
    except Exception as error:  # clients have errors of their own, which no base unites
        raise kind(f"{url}: {what}: {_in_one_line(error)}") from error


def _tried(action: Callable[[], Result]) -> Result:
    """The action's result, of another attempt where one fails for what may pass."""
    for seconds in _SECONDS_TO_WAIT:
        try:
            return action()
        except _CERTAIN:
            raise
        except OSError:
            time.sleep(seconds)
    return action()


def _in_one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
