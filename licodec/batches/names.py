"""Names of outputs within one folder: never two inputs in one file."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePath
from typing import Protocol, TypeVar

AnyPath = TypeVar("AnyPath", bound=PurePath)


class Derive(Protocol):
    """The output of an input's own name, before it is known whether it is alone in that."""

    def __call__(self, source: AnyPath, /) -> AnyPath: ...


def whole_name(source: AnyPath, suffix: str) -> AnyPath:
    """The name with a suffix behind all that it has; a folder such as "." has none."""
    return source.parent / (source.name + suffix)


def distinct_names(
    sources: Iterable[Path], derive: Derive, suffix: str, known: Mapping[Path, Path]
) -> dict[Path, Path]:
    """An output for every source, no two the same: whole names where derived ones would be.

    A source that has an output already, `known`, keeps its name, whatever has come beside it;
    only there two may still be the same. Names that differ in letter case alone, or in how they
    write an accent, count as the same, as some file systems have it.
    """
    names = {source: known.get(source) or derive(source) for source in sources}
    while True:
        uses = Counter(folded(name) for name in names.values())
        changed = False
        for source, name in names.items():
            whole = whole_name(source, suffix)
            if uses[folded(name)] > 1 and name != whole and source not in known:
                names[source] = whole
                changed = True
        if not changed:
            return names


def folded(name: str | Path) -> str:
    """What names of one file have in common where a file system folds them."""
    return unicodedata.normalize("NFC", str(name)).casefold()
