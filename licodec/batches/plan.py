"""What is to be done with each source, and why.

    output                                  source and settings        what is done
    --------------------------------------  -------------------------  -----------------------
    none                                                               made
    one of ours, as it was left             as they were               skipped
                                            changed                    replaced
                                            another source             error
    a damaged one where ours was                                       replaced
    another one where ours was                                         error
    one that the manifest does not know                                checked: see `work`

Ours is what the manifest has the SHA-256 of. A source is the same where it holds the same, and
has changed where another content has its path in the same folder; another folder's file of the
same name is another source. With `force` whatever is there is replaced.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Any

from licodec.batches.content import Stamp, content_of, same_content, stamp_of
from licodec.batches.manifest import History, Manifest, Output, Status
from licodec.batches.names import Derive, distinct_names, folded, whole_name
from licodec.batches.sources import Found
from licodec.errors import LicodecError
from licodec.files import display_name


class Action(Enum):
    """What is done with a source."""

    MAKE = "make"
    REPLACE = "replace"
    CHECK = "check"
    SKIP = "skip"
    REFUSE = "refuse"


AHEAD = frozenset({Action.MAKE, Action.REPLACE, Action.CHECK})  # there is work to do


@dataclass(frozen=True)
class Request:
    """What a batch is to do.

    root        the folder of the sources, as it was given
    folder      the folder of the outputs, the same
    settings    all that changes the outputs, in JSON's types
    weights_id  of the networks that make them, in hexadecimal; None where sources name theirs
    force       whether everything is made, whatever is there
    preserve    whether outputs get the times of modification of their sources
    """

    root: Path
    folder: Path
    settings: Mapping[str, Any]
    weights_id: str | None = None
    force: bool = False
    preserve: bool = False

    @property
    def identity(self) -> str:
        """What tells the folder of the sources from others."""
        return os.path.realpath(self.root)


@dataclass(frozen=True)
class Naming:
    """How outputs are called.

    derive      the output of a source's name, beside it
    suffix      of all outputs, for those whose derived names would not be distinct
    is_damaged  whether a file was an output and can be none any more
    """

    derive: Derive
    suffix: str
    is_damaged: Callable[[Path], bool]


@dataclass(frozen=True)
class Decision:
    """What is done with one source.

    source    its path from the request's root
    output    the output's path from the request's folder
    reason    why, in words; of REFUSE the whole message
    replaces  the stamp of what is to be replaced or checked; None where nothing is, or anything
    entry     of SKIP: what the manifest is to say from now on
    """

    source: str
    output: str
    action: Action
    reason: str
    replaces: Stamp | None = None
    entry: Output | None = None


def plan(found: Found, manifest: Manifest, request: Request, naming: Naming) -> Iterator[Decision]:
    """Decide on every source, in order."""
    known = _known_outputs(manifest, request)
    unselected = _by_folder(found.unselected)
    for folder, sources in _by_folder(found.sources).items():
        # What patterns leave out now keeps what it has, too.
        others = [path for path in unselected.get(folder, ()) if path in known]
        outputs = _name_outputs([*sources, *others], known, naming)
        # The first of those that could be one file; a source with an output of its own before all.
        first: dict[str, Path] = {}
        for source in sorted(outputs, key=lambda source: source not in known):
            first.setdefault(folded(outputs[source]), source)
        for source in sources:
            output, other = outputs[source], first[folded(outputs[source])]
            names = source.as_posix(), output.as_posix()
            if source != other and _are_one(request.folder, output, outputs[other]):
                paths = request.root / other, request.root / source, request.folder / output
                one, two, both = map(display_name, paths)
                message = f"{one} and {two} would both become {both}; rename one of them"
                yield Decision(*names, Action.REFUSE, message)
            else:
                yield decide(*names, manifest.history(names[1]), request, naming)


def _by_folder(paths: Iterable[str]) -> Mapping[Path, list[Path]]:
    folders: dict[Path, list[Path]] = {}
    for path in map(Path, paths):
        folders.setdefault(path.parent, []).append(path)
    return folders


def _known_outputs(manifest: Manifest, request: Request) -> Mapping[Path, list[Path]]:
    """The outputs that every source of the request's root has, be they of several kinds."""
    known: dict[Path, list[Path]] = {}
    for output, history in manifest.histories.items():
        for entry in history.outputs:
            if entry.root == request.identity:
                known.setdefault(Path(entry.source), []).append(Path(output))
    return known


def _name_outputs(
    sources: list[Path], known: Mapping[Path, list[Path]], naming: Naming
) -> dict[Path, Path]:
    kept: dict[Path, Path] = {}
    for source in sources:
        for output in (whole_name(source, naming.suffix), naming.derive(source)):
            if output in known.get(source, ()):
                kept[source] = output
    return distinct_names(sources, naming.derive, naming.suffix, kept)


def _are_one(folder: Path, output: Path, other: Path) -> bool:
    """Whether two names are one file, on a file system that does not tell them apart."""
    if output == other:
        return True
    try:
        return os.path.samefile(folder / output, folder / other)
    except OSError:
        return False


def decide(
    source: str, output: str, history: History, request: Request, naming: Naming
) -> Decision:
    """What to do with a source, given what is known of its output."""
    try:
        return _decide(source, output, history, request, naming)
    except LicodecError as error:
        return Decision(source, output, Action.REFUSE, str(error))
    except OSError as error:  # the source has gone
        name = display_name(request.root / source)
        message = f"{name}: cannot be read: {error.strerror}"
        return Decision(source, output, Action.REFUSE, message)


def _decide(
    source: str, output: str, history: History, request: Request, naming: Naming
) -> Decision:
    target = request.folder / output
    there = _existing(target)
    if there is None:
        return Decision(source, output, Action.MAKE, "gone" if history.done else "new")
    if request.force:
        return Decision(source, output, Action.REPLACE, "--force")
    if not history.outputs:
        return Decision(source, output, Action.CHECK, "not in the manifest", there)
    ours = _made_here(history, target)
    if ours is None:
        if not naming.is_damaged(target):
            raise LicodecError(
                f"{display_name(target)}: not what was made here; see --force to replace it"
            )
        return Decision(source, output, Action.REPLACE, "damaged", there)
    same, now = same_content(ours.made_from, request.root / source)
    if not same:
        if (ours.root, ours.source) != (request.identity, source):
            raise LicodecError(
                f"{display_name(target)}: made from {display_name(Path(ours.root, ours.source))}, "
                f"not from {display_name(request.root / source)}; name another folder with -o, "
                "or see --force"
            )
        return Decision(source, output, Action.REPLACE, "the source has changed", there)
    changed = _changed_settings(ours, request)
    if changed:
        reason = f"other settings ({', '.join(changed)})"
        return Decision(source, output, Action.REPLACE, reason, there)
    entry = _at_home(replace(ours, status=Status.DONE, made_from=now.settled), source, request)
    return Decision(source, output, Action.SKIP, "done already", there, entry)


def _existing(target: Path) -> Stamp | None:
    """The stamp of what has an output's name. Raises LicodecError for what is no file."""
    name = display_name(target)
    try:
        mode = os.stat(target).st_mode
    except FileNotFoundError:
        if os.path.islink(target):
            raise LicodecError(f"{name}: a link to a file that is missing; remove it") from None
        return None
    except OSError as error:
        raise LicodecError(f"{name}: cannot be written: {error.strerror}") from error
    if not stat.S_ISREG(mode):
        kind = "a folder" if stat.S_ISDIR(mode) else "no file"
        raise LicodecError(f"{name}: exists and is {kind}; move it away")
    return stamp_of(target)


def _made_here(history: History, target: Path) -> Output | None:
    """The entry of the file that is there, with its stamp of now. Raises BadInputError."""
    for entry in history.outputs:
        if entry.made.stamp == stamp_of(target):
            return entry
    made = content_of(target).settled
    for entry in history.outputs:
        if entry.made.sha256 == made.sha256:
            return replace(entry, made=made)
    return None


def _changed_settings(entry: Output, request: Request) -> list[str]:
    """The names of the settings that an output was not made with."""
    names = sorted({*entry.settings, *request.settings})
    changed = [n for n in names if entry.settings.get(n) != request.settings.get(n)]
    if request.weights_id not in (None, entry.weights_id):
        changed.append("weights")
    return changed


def _at_home(entry: Output, source: str, request: Request) -> Output:
    """The entry under the source's present name, where the one that it had is gone."""
    if os.path.lexists(Path(entry.root, entry.source)):
        return entry
    return replace(entry, root=request.identity, source=source)
