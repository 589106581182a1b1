"""Bytes in and out: input files, the standard streams, and outputs that appear whole or not at all.

An output is written to a temporary file in its own folder and then given its name, so that no
reader ever sees half a file and nothing is left behind on an error or Ctrl-C. What is not a
regular file (`/dev/null`, a named pipe) or is open already (`/dev/fd/3`) is written to directly: it
cannot be replaced.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import stat
import sys
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO

from licodec.descriptors import (
    STANDARD_ERROR,
    STANDARD_OUTPUT,
    input_descriptor,
    is_standard_input,
    output_descriptor,
)
from licodec.errors import BadInputError, LicodecError, LimitError, UsageError
from licodec.remote import check_target, is_url, open_url, save_url

_READ_SIZE = 2**20
_NO_SPACE = {errno.ENOSPC, errno.EDQUOT}
_NO_PERMISSION = {errno.EACCES, errno.EPERM, errno.EROFS}
# What link(2) answers on file systems without hard links (FAT, some network file systems).
_NO_HARD_LINKS = {
    errno.EPERM,
    errno.EACCES,
    errno.ENOSYS,
    errno.EOPNOTSUPP,
    errno.ENOTSUP,
    errno.EMLINK,
    errno.EXDEV,
}


def display_name(path: str | Path) -> str:
    """The path as a message may show it: on one line, whatever characters it holds, if any."""
    text = str(path)
    return text if text and text.isprintable() else ascii(text)


@contextlib.contextmanager
def open_input(path: str | Path) -> Iterator[BufferedReader]:
    """Open an input file, or what a URL names, for reading.

    Raises BadInputError where it is missing, a directory or not readable, be it in the middle.
    """
    if is_url(path):
        with open_url(path) as remote:
            yield remote
        return
    name = display_name(path)
    try:
        stream = open(path, "rb")  # noqa: SIM115 (the `with` below closes it)
    except FileNotFoundError:
        raise BadInputError(f"{name}: no such file; check the name") from None
    except IsADirectoryError:
        raise BadInputError(
            f"{name}: a directory, not a file; name a file in it, or use `licodec batch`"
        ) from None
    except PermissionError:
        raise BadInputError(f"{name}: permission to read it is denied") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL character in the name
        raise BadInputError(f"{name}: cannot be opened: {reason(error)}") from error
    with stream:
        try:
            yield stream
        except OSError as error:
            if error.errno is None:  # not the system's, but of a library that read it
                raise
            raise BadInputError(f"{name}: cannot be read: {reason(error)}") from error


def is_missing(path: str | Path) -> bool:
    """Whether there is no such file; what stands in its way otherwise, reading it says."""
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError, ValueError):  # ValueError: a NUL character
        return True
    except OSError:
        return False
    return False


def check_input(source: str | Path) -> None:
    """Refuse a file that cannot be read, before its output is looked at.

    Raises BadInputError. Pipes and devices are left alone: opening one is an event for others. So
    are URLs: reading one comes before anything is written.
    """
    if input_descriptor(source) is not None or is_url(source):
        return
    if not os.path.exists(source) or os.path.isfile(source) or os.path.isdir(source):
        with open_input(source):
            pass


def read_bytes(source: str | Path, limit: int) -> bytes:
    """All bytes of a file, or of the standard input where `source` is a name of it.

    Raises LimitError beyond `limit` bytes (without reading more than that), BadInputError
    where the file cannot be read, UsageError where the standard input is a terminal.
    """
    if is_standard_input(source):
        return read_at_most(_standard_input(), limit, "standard input")
    with open_input(source) as stream:
        return read_at_most(stream, limit, display_name(source))


def read_at_most(stream: BinaryIO, limit: int, name: str) -> bytes:
    """All bytes of a stream; `name` is for messages.

    Raises LimitError beyond `limit` bytes, BadInputError on a read error, and TypeError where it
    gives anything but bytes.
    """
    blocks: list[bytes] = []
    room = limit
    try:
        # Block by block: read(limit) would allocate the limit, whatever the file's size.
        while (block := stream.read(min(_READ_SIZE, room + 1))) != b"":
            if block is None:  # a pipe that does not block: nothing is there yet
                _wait(stream, select.POLLIN)
                continue
            if not isinstance(block, bytes):  # of a stream of text, which never ends in b""
                raise TypeError(f"it gives {type(block).__name__}")
            if len(block) > room:
                raise LimitError(f"{name}: larger than the limit of {limit} bytes")
            room -= len(block)
            blocks.append(block)
    except OSError as error:
        raise BadInputError(f"{name}: cannot be read: {reason(error)}") from error
    return b"".join(blocks)


def check_output(target: str | Path, overwrite: bool) -> None:
    """Refuse a target that could not be written, before work is spent on its contents.

    Raises UsageError for a closed descriptor and for a terminal; LicodecError for a directory, an
    existing file without permission to overwrite it, a missing folder or one that cannot be
    written to.
    """
    if is_url(target):
        check_target(target, overwrite)
        return
    name = display_name(target)
    descriptor = output_descriptor(target)
    if descriptor is not None:
        _check_descriptor(descriptor, name)
        return
    try:
        mode = os.stat(target).st_mode
    except FileNotFoundError:
        pass
    except (OSError, ValueError) as error:
        raise LicodecError(_write_error(error, target)) from error
    else:
        if stat.S_ISDIR(mode):
            raise LicodecError(f"{name}: a directory; name the file to write in it with -o")
        if not stat.S_ISREG(mode):
            return
        if not overwrite:
            raise LicodecError(_exists_message(target))
    folder = _final_path(target).parent
    if not os.path.isdir(folder):
        missing = FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        raise LicodecError(_write_error(missing, target))
    # By the identity that will write, not the one that started the program, where they differ.
    effective = os.access in os.supports_effective_ids
    if not os.access(folder, os.W_OK | os.X_OK, effective_ids=effective):
        denied = PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        raise LicodecError(_write_error(denied, target))


def make_folder(folder: Path) -> None:
    """Make a folder and those above it. Raises LicodecError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise LicodecError(f"{display_name(folder)}: a file, not a folder") from None
    except OSError as error:
        raise LicodecError(
            f"{display_name(folder)}: the folder cannot be made: {error.strerror}; "
            "name another one with -o"
        ) from error


def write_bytes(target: str | Path, data: bytes, overwrite: bool) -> None:
    """Write a file as `save_atomically` does, what a URL names, or to the standard output where
    target names that. Raises as `save_atomically`.
    """
    if is_url(target):
        save_url(target, data, overwrite)
        return
    if output_descriptor(target) != STANDARD_OUTPUT:
        save_atomically(Path(target), data, overwrite)
        return
    stream = _standard_output()
    try:
        stream.flush()
        # What a buffer could not pass on would be tried again on the way out.
        _write_whole(getattr(stream, "raw", stream), data)
    except OSError as error:
        if error.errno in _NO_SPACE:
            raise LicodecError("standard output: no space left on the device") from error
        raise LicodecError(f"standard output: not all could be written: {reason(error)}") from error


def save_atomically(path: Path, data: bytes, overwrite: bool) -> None:
    """Write `data` to `path`: all of it, or nothing and no trace.

    An existing file is replaced only with `overwrite`, and its permission bits are kept; a
    symbolic link is followed. Raises LicodecError with the reason where it cannot be done, and
    UsageError for a closed descriptor and for a terminal.
    """
    check_output(path, overwrite)
    descriptor = output_descriptor(path)
    if descriptor is not None or _is_special(path):
        _write_through(path, descriptor, data)
        return
    final = _final_path(path)
    # The name is fixed before the file exists, so that no interrupt can come between them.
    temporary = final.with_name(f".licodec-{os.urandom(8).hex()}.tmp")
    try:
        with open(temporary, "xb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())  # or a loss of power could leave the name without the data
        if overwrite:
            _replace(temporary, final)
        else:
            _put_new(temporary, final)
    except FileExistsError as error:
        raise LicodecError(_exists_message(path)) from error
    except OSError as error:
        raise LicodecError(_write_error(error, path)) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def _replace(temporary: Path, final: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.chmod(temporary, stat.S_IMODE(os.stat(final).st_mode))
    os.replace(temporary, final)


def _put_new(temporary: Path, final: Path) -> None:
    """Give the file its name only if nothing has that name; raises FileExistsError."""
    try:
        # A link fails where the name exists, also when it appeared after the first check;
        # a rename would overwrite it.
        os.link(temporary, final)
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        if os.path.lexists(final):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST)) from error
        os.replace(temporary, final)


def _is_special(path: Path) -> bool:
    try:
        return not stat.S_ISREG(os.stat(path).st_mode)
    except OSError:
        return False


def _write_through(path: Path, descriptor: int | None, data: bytes) -> None:
    """Write into what is there: through the descriptor that `path` stands for, if it does."""
    name = display_name(path)
    opened = path if descriptor is None else descriptor
    try:
        with open(opened, "wb", buffering=0, closefd=descriptor is None) as stream:
            if stream.isatty():
                raise UsageError(_terminal_message(name))
            _write_whole(stream, data)
    except OSError as error:
        raise LicodecError(_write_error(error, path)) from error


def _write_whole(stream: BinaryIO, data: bytes) -> None:
    """Write all of `data` to a stream without a buffer, which may take less at a time."""
    view = memoryview(data)
    while view:
        written = stream.write(view)
        if written is None:  # a pipe that does not block: it is full
            _wait(stream, select.POLLOUT)
        else:
            view = view[written:]


def _wait(stream: BinaryIO, event: int) -> None:
    poll = select.poll()
    poll.register(stream, event)
    poll.poll()


def _final_path(path: str | Path) -> Path:
    """Where a symbolic link leads; other paths as they are given."""
    return Path(os.path.realpath(path) if os.path.islink(path) else path)


def _check_descriptor(descriptor: int, name: str) -> None:
    if descriptor == STANDARD_OUTPUT:
        _standard_output()
        return
    try:
        os.fstat(descriptor)
        closed = descriptor == STANDARD_ERROR and sys.stderr is None
    except OSError:
        closed = True
    if closed:
        raise UsageError(f"{name}: not an open descriptor; name a file with -o")
    if os.isatty(descriptor):
        raise UsageError(_terminal_message(name))


def _standard_input() -> BinaryIO:
    if sys.stdin is None:
        raise UsageError("standard input is closed; name a file")
    if sys.stdin.isatty():
        raise UsageError("standard input is a terminal; name a file, or redirect one with `<`")
    return sys.stdin.buffer


def _standard_output() -> BinaryIO:
    if sys.stdout is None:
        raise UsageError("standard output is closed; name a file with -o")
    if sys.stdout.isatty():
        raise UsageError(_terminal_message("standard output"))
    return sys.stdout.buffer


def _terminal_message(name: str) -> str:
    return f"{name}: a terminal, and the output is binary; name a file with -o, or redirect it"


def _exists_message(path: str | Path) -> str:
    return f"{display_name(path)}: exists already; use -f to overwrite it, or another name with -o"


def _write_error(error: OSError | ValueError, path: str | Path) -> str:
    """What is wrong with the target, in one line that says what to do."""
    name = display_name(path)
    folder = _folder_name(path) if isinstance(error, OSError) else ""
    match error:
        case OSError(errno=code) if code in _NO_SPACE:
            return f"{name}: no space left in {folder}; free some, or name another folder with -o"
        case OSError(errno=code) if code in _NO_PERMISSION:
            return f"{name}: {folder} is not writable; name another folder with -o"
        case OSError(errno=errno.ENOENT) if not os.path.isdir(_final_path(path).parent):
            return f"{name}: the folder {folder} does not exist; create it first"
        case OSError(errno=errno.ENAMETOOLONG):
            return (
                f"{name}: cannot be written: {reason(error)}; name a shorter one with -o, or "
                "rename the input"
            )
        case OSError(errno=errno.ENOTDIR):
            return f"{name}: a part of the path is a file, not a folder; check the name"
        case _:
            return f"{name}: cannot be written: {reason(error)}"


def _folder_name(path: str | Path) -> str:
    folder = _final_path(path).parent
    try:
        return display_name(os.path.realpath(folder))
    except OSError:  # the working directory is gone
        return display_name(folder)


def reason(error: Exception) -> str:
    """What an error says, in one line."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(text.split()) or type(error).__name__
