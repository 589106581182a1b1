"""The files of a folder and its subfolders, and what is passed over on the way."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from licodec.batches.selection import Selection
from licodec.errors import BadInputError, LicodecError, UsageError
from licodec.files import display_name, reason
from licodec.remote import is_url


@dataclass(frozen=True)
class Found:
    """What a folder holds; paths are relative to it, with slashes, in order.

    sources     the files that are wanted
    unselected  files of the same kinds beside them that patterns leave out
    others      files of other kinds
    errors      a line for each file or folder that could not be looked at, by its whole path
    warnings    what was passed over
    """

    sources: tuple[str, ...]
    unselected: tuple[str, ...]
    others: tuple[str, ...]
    errors: Mapping[str, str]
    warnings: tuple[str, ...]


def check_folders(root: str, output: str | None) -> None:
    """Refuse what is no folder to take files from, or to write them into.

    Raises UsageError, BadInputError, LicodecError.
    """
    if "" in (root, output):
        raise UsageError("the name of a folder is empty; name one, or . for the current one")
    if url := next(filter(is_url, (root, output)), None):
        raise UsageError(
            f"{display_name(url)}: batch takes folders of this machine; `licodec encode` and "
            "`decode` take URLs"
        )
    name = display_name(root)
    try:
        if not stat.S_ISDIR(os.stat(root).st_mode):
            raise BadInputError(
                f"{name}: a file, not a folder; `licodec encode` and `decode` take files"
            )
    except FileNotFoundError:
        raise BadInputError(f"{name}: no such folder; check the name") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL character in the name
        raise BadInputError(f"{name}: cannot be opened: {reason(error)}") from error
    if output is None:
        return
    name = display_name(output)
    try:
        if not stat.S_ISDIR(os.stat(output).st_mode):
            raise LicodecError(f"{name}: a file, not a folder; choose one with -o")
    except FileNotFoundError:
        pass
    except (OSError, ValueError) as error:
        raise LicodecError(
            f"{name}: cannot be opened: {reason(error)}; choose another with -o"
        ) from error


def find(root: Path, output: Path, suffixes: frozenset[str], selection: Selection) -> Found:
    """The files below a folder, of those that are selected, whose suffix is wanted.

    Names that begin with a dot are passed over, links to folders are not followed, and the
    folder of the outputs, where it lies within, is not searched.
    """
    sources: list[str] = []
    unselected: list[str] = []
    others: list[str] = []
    errors: dict[str, str] = {}
    warnings: list[str] = []
    real_root, real_output = Path(os.path.realpath(root)), Path(os.path.realpath(output))

    def unreadable(error: OSError) -> None:
        errors[error.filename] = f"{display_name(error.filename)}: cannot be read: {error.strerror}"

    for parent, folders, files in os.walk(root, onerror=unreadable):
        place = Path(parent).relative_to(root)
        deeper: list[str] = []
        for name in sorted(_visible(folders)):
            path = (place / name).as_posix()
            if selection.excludes(path) or real_root / path == real_output:
                continue
            if os.path.islink(root / path):
                warnings.append(f"{display_name(root / path)}: a link to a folder, not followed")
            else:
                deeper.append(name)
        folders[:] = deeper
        for name in sorted(_visible(files)):
            path = (place / name).as_posix()
            wanted = Path(name).suffix.lower() in suffixes
            if not selection.takes(path):
                unselected += [path] if wanted else []
                continue
            if not wanted:
                others.append(path)
                continue
            try:
                mode = os.stat(str(root / path)).st_mode
            except OSError as error:
                unreadable(error)
                continue
            if stat.S_ISREG(mode):
                sources.append(path)
            else:
                warnings.append(f"{display_name(root / path)}: {_kind(mode)}, passed over")
    return Found(tuple(sources), tuple(unselected), tuple(others), errors, tuple(warnings))


def _visible(names: list[str]) -> list[str]:
    return [name for name in names if not name.startswith(".")]


def _kind(mode: int) -> str:
    for test, kind in (
        (stat.S_ISFIFO, "a named pipe"),
        (stat.S_ISSOCK, "a socket"),
        (stat.S_ISCHR, "a device"),
        (stat.S_ISBLK, "a device"),
    ):
        if test(mode):
            return kind
    return "not a file"
