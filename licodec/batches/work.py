"""One output made, in a worker process or not."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from licodec.batches.content import Content, Stamp, content_of, stamp_of
from licodec.batches.converter import Converter, Likeness
from licodec.batches.manifest import Entry, Output, Status
from licodec.errors import LicodecError
from licodec.files import check_output, display_name, make_folder, save_atomically


@dataclass(frozen=True)
class Task:
    """An output to make.

    entry     what the manifest is to say of it, without contents
    replaces  the stamp of the file that is to be replaced; None where there is none
    force     whether any file may be replaced
    check     whether the file of that stamp is rather to be kept, if it is what would be made
    preserve  whether the output gets the source's time of modification
    """

    source: str
    target: str
    entry: Entry
    replaces: Stamp | None = None
    force: bool = False
    check: bool = False
    preserve: bool = False


@dataclass(frozen=True)
class Converted:
    """An output was made: the converter's report, and the entry for the manifest."""

    entry: Output
    report: Any


@dataclass(frozen=True)
class Kept:
    """An output that the manifest did not know is what would have been made."""

    entry: Output


@dataclass(frozen=True)
class Failed:
    """There is no output, or not the one that was to be made; why, in one line."""

    message: str


Outcome = Converted | Kept | Failed
# Puts the entry of an output that is about to appear into the manifest, or says why it cannot.
Record = Callable[[Entry], LicodecError | None]


def perform(converter: Converter, task: Task, record: Record) -> Outcome:
    """Make an output, or say why not."""
    try:
        return _perform(converter, task, record)
    except LicodecError as error:
        return Failed(str(error))
    except OSError as error:  # the source has gone meanwhile, or the output
        return Failed(f"{display_name(error.filename or task.source)}: {error.strerror}")
    except Exception as error:  # the other tasks are to be done nevertheless
        what = f"{type(error).__name__}: {error}"
        return Failed(f"{display_name(task.source)}: failed unexpectedly ({what})")


def keep_time(source: str | Path, target: str | Path) -> None:
    """Give an output its source's times of modification and access. Raises LicodecError."""
    try:
        status = os.stat(source)
        os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))
    except OSError as error:
        raise LicodecError(
            f"{display_name(target)}: its time cannot be set: {error.strerror}"
        ) from error


def is_recognized(converter: Converter, source: str, target: str) -> bool:
    """Whether a file that the manifest does not know can be kept without a comparison.

    Raises LicodecError where it cannot be kept at all.
    """
    look = converter.look(source, target)
    if look.likeness is Likeness.OTHER:
        raise LicodecError(f"{display_name(target)}: exists and {look.reason}; see --force")
    # One that is older may be of what the source was before.
    older = os.stat(target).st_mtime_ns < os.stat(source).st_mtime_ns
    return look.likeness is Likeness.SAME and not older


def _perform(converter: Converter, task: Task, record: Record) -> Outcome:
    target = Path(task.target)
    source = content_of(task.source)
    if task.check:
        there = content_of(target)
        if is_recognized(converter, task.source, task.target):
            return Kept(_completed(task, source, there, task.entry.weights_id))
    else:
        make_folder(target.parent)
        check_output(target, task.force or task.replaces is not None)
    made = converter.make(task.source, task.target)
    if stamp_of(task.source) != source.stamp:
        name = display_name(task.source)
        raise LicodecError(f"{name}: changed while it was read; give the command again")
    digest = hashlib.sha256(made.data).hexdigest()
    if task.check:
        if digest != there.sha256:
            raise LicodecError(
                f"{display_name(target)}: exists, and is not what is made of "
                f"{display_name(task.source)} now; see --force"
            )
        return Kept(_completed(task, source, there, made.weights_id))
    expected = Content(Stamp(len(made.data), 0, 0, 0), digest)
    refused = record(_completed(task, source, expected, made.weights_id, Status.WRITING))
    if refused is not None:
        raise refused
    save_atomically(target, made.data, _may_replace(task))
    if task.preserve:
        keep_time(task.source, target)
    content = Content(stamp_of(target), digest)
    return Converted(_completed(task, source, content, made.weights_id), made.report)


def _completed(
    task: Task, source: Content, made: Content, weights_id: str | None, status: Status = Status.DONE
) -> Output:
    entry = task.entry
    return Output(
        entry.root,
        entry.source,
        entry.output,
        entry.settings,
        weights_id,
        status=status,
        made_from=source.settled,
        made=made.settled,
    )


def _may_replace(task: Task) -> bool:
    """Whether there may be a file now, which is the one that was found. Raises LicodecError."""
    if task.force or task.replaces is None:
        return task.force
    try:
        found = stamp_of(task.target) == task.replaces
    except FileNotFoundError:
        return False
    if not found:
        name = display_name(task.target)
        raise LicodecError(f"{name}: changed since this batch began; see --force")
    return True
