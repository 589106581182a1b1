"""One batch at a time in a folder of outputs."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from licodec.errors import LicodecError
from licodec.files import display_name

NAME = ".licodec-batch.lock"
_SECONDS_BETWEEN_LOOKS = 0.5
_NOT_OF_THE_FILE = {errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE}
_NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL}


@contextlib.contextmanager
def locked(folder: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Keep other batches out of a folder, which exists; waits while one is at work in it.

    The lock goes with the process, however that ends. `say` is told why it takes long, and where
    the file system has no locks. Raises LicodecError where the folder cannot be written to, or
    something else stands in the lock's place.
    """
    name = display_name(folder)
    lock = FileLock(folder / NAME)
    try:
        try:
            lock.acquire(timeout=0)
        except Timeout:
            say(f"{name}: waiting for another batch that writes here")
            lock.acquire(poll_interval=_SECONDS_BETWEEN_LOOKS)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise LicodecError(_obstacle(folder, error)) from error
        say(f"{name}: has no locks ({error.strerror}); let no other batch write here meanwhile")
    try:
        yield
    finally:
        lock.release()


def _obstacle(folder: Path, error: OSError) -> str:
    """What keeps the lock from being made, in one line that says what to do."""
    lock = folder / NAME
    if not os.path.lexists(lock) or error.errno in _NOT_OF_THE_FILE:
        return (
            f"{display_name(folder)}: cannot be written to: {error.strerror}; "
            "name another folder with -o"
        )
    what = f"cannot be opened ({error.strerror})"
    if os.path.islink(lock):
        what = "a link"
    elif os.path.isdir(lock):
        what = "a folder"
    return (
        f"{display_name(lock)}: {what}, and a batch keeps its lock there; "
        "move it away, or name another folder with -o"
    )
