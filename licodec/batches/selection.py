"""Which files are meant: patterns of names and paths, as shells have them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

from licodec.errors import UsageError


@dataclass(frozen=True)
class Selection:
    """The files that match one of `include`, where there is any, and none of `exclude`.

    A pattern without a slash is compared with names, one with slashes with paths below the
    folder that is searched, where ** stands for any number of folders. One that matches a folder
    matches all that is in it.
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Raises UsageError for a pattern that is empty."""
        for option, patterns in (("--include", self.include), ("--exclude", self.exclude)):
            if not all(map(_parts, patterns)):
                raise UsageError(f"{option}: the pattern is empty; give one such as '*.png'")

    def excludes(self, path: str) -> bool:
        """Whether a file or folder is left out by itself; `path` is relative, with slashes."""
        return any(_matches(pattern, path) for pattern in self.exclude)

    def takes(self, path: str) -> bool:
        """Whether a file is meant that is in no folder that is left out."""
        if self.excludes(path):
            return False
        places = [path, *map(str, PurePosixPath(path).parents)][: path.count("/") + 1]
        return not self.include or any(
            _matches(pattern, place) for pattern in self.include for place in places
        )


def _parts(pattern: str) -> list[str]:
    return [part for part in pattern.split("/") if part not in ("", ".")]


def _matches(pattern: str, path: str) -> bool:
    names = path.split("/")
    if "/" not in pattern.rstrip("/"):
        return fnmatchcase(names[-1], pattern.rstrip("/"))
    return _match_parts(_parts(pattern), names)


def _match_parts(pattern: Sequence[str], names: Sequence[str]) -> bool:
    if not pattern:
        return not names
    first, rest = pattern[0], pattern[1:]
    if first == "**":
        return any(_match_parts(rest, names[count:]) for count in range(len(names) + 1))
    return bool(names) and fnmatchcase(names[0], first) and _match_parts(rest, names[1:])
