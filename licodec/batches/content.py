"""What a file holds: its SHA-256, and the marks by which it need not be read again."""

from __future__ import annotations

import hashlib
import os
import time
from dataclasses import dataclass, replace
from pathlib import Path

from licodec.errors import BadInputError
from licodec.files import display_name, open_input

# Clocks of file systems tick slowly, FAT's every 2 seconds: what has just been written may be
# written again within the same tick, and would look the same.
_SETTLED_NS = 2_000_000_000


@dataclass(frozen=True, slots=True)
class Stamp:
    """What the file system says of a file, without reading it.

    Where all of it is the same, so is the content: programs can set the time of modification,
    but not `ctime_ns`, the time of the last change of any kind. It is 0, which agrees with no
    file, where a later change could go unnoticed.
    """

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int


@dataclass(frozen=True, slots=True)
class Content:
    """A file's content, and its stamp when it was read."""

    stamp: Stamp
    sha256: str

    @property
    def settled(self) -> Content:
        """The same for later runs: without a mark to rely on where the file is too young."""
        youngest = max(self.stamp.mtime_ns, self.stamp.ctime_ns)
        if youngest + _SETTLED_NS < time.time_ns():
            return self
        return replace(self, stamp=replace(self.stamp, ctime_ns=0))


def stamp_of(path: str | Path) -> Stamp:
    """Raises OSError, ValueError where there can be no such name."""
    return _stamp(os.stat(path))


def content_of(path: str | Path) -> Content:
    """Read a regular file. Raises BadInputError."""
    with open_input(path) as stream:
        try:
            stamp = _stamp(os.fstat(stream.fileno()))
            return Content(stamp, hashlib.file_digest(stream, "sha256").hexdigest())
        except OSError as error:
            raise BadInputError(
                f"{display_name(path)}: cannot be read: {error.strerror}"
            ) from error


def same_content(known: Content, path: str | Path) -> tuple[bool, Content]:
    """Whether a file still holds what is known of it, and its content now.

    It is read only where its stamp is another. Raises BadInputError, OSError.
    """
    if known.stamp == stamp_of(path):
        return True, known
    now = content_of(path)
    return now.sha256 == known.sha256, now


def _stamp(status: os.stat_result) -> Stamp:
    return Stamp(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
