"""Doing what was decided, and keeping the manifest."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from licodec.batches.content import stamp_of
from licodec.batches.manifest import Entry, History, Manifest
from licodec.batches.plan import Action, Decision, Request
from licodec.batches.work import Failed, Outcome, Record, Task, keep_time
from licodec.batches.workers import Died
from licodec.errors import LicodecError
from licodec.files import display_name

# Does tasks in any order, each with what puts entries into the manifest; yields them with what
# came of them.
Execute = Callable[[Iterable[Task], Record], Iterator[tuple[Task, Outcome | Died]]]


@dataclass(frozen=True)
class Skipped:
    """The output is as it should be."""


def run(
    decisions: Iterable[Decision], manifest: Manifest, request: Request, execute: Execute
) -> Iterator[tuple[Decision, Outcome | Skipped]]:
    """Do what was decided; yields each decision with what came of it."""

    def record(entry: Entry) -> LicodecError | None:
        try:
            manifest.append(entry)
        except LicodecError as error:
            return error
        return None

    tasks: list[Task] = []
    ahead: dict[str, Decision] = {}
    for decision in decisions:
        match decision.action:
            case Action.SKIP:
                yield decision, _skip(decision, manifest, request)
            case Action.REFUSE:
                record(_failure(decision, decision.reason, request))
                yield decision, Failed(decision.reason)
            case _:
                tasks.append(_task(decision, request))
                ahead[tasks[-1].target] = decision
    for task, outcome in execute(tasks, record):
        decision = ahead[task.target]
        match outcome:
            case Died():
                outcome = Failed(f"{display_name(task.source)}: {outcome}")
                record(_failure(decision, outcome.message, request))
            case Failed(message):
                record(_failure(decision, message, request))
            case _:
                # Without this line the one that was written before the output will do.
                record(outcome.entry)
        yield decision, outcome
    with contextlib.suppress(LicodecError):  # it is longer then, and as good
        manifest.compact()


def _entry(decision: Decision, request: Request) -> Entry:
    return Entry(
        request.identity,
        decision.source,
        decision.output,
        request.settings,
        weights_id=request.weights_id,
    )


def _failure(decision: Decision, message: str, request: Request) -> Entry:
    return replace(_entry(decision, request), message=message)


def _task(decision: Decision, request: Request) -> Task:
    return Task(
        str(request.root / decision.source),
        str(request.folder / decision.output),
        _entry(decision, request),
        decision.replaces,
        force=request.force and decision.action is Action.REPLACE,
        check=decision.action is Action.CHECK,
        preserve=request.preserve,
    )


def _skip(decision: Decision, manifest: Manifest, request: Request) -> Skipped | Failed:
    """Leave an output as it is, but for its time, and bring the manifest up to date."""
    entry = decision.entry
    if entry is None:
        return Skipped()
    target = request.folder / decision.output
    if request.preserve and entry.made.stamp.mtime_ns != entry.made_from.stamp.mtime_ns:
        try:
            keep_time(request.root / decision.source, target)
            made = replace(entry.made, stamp=stamp_of(target))
        except LicodecError as error:
            return Failed(str(error))
        entry = replace(entry, made=made.settled)
    if manifest.history(decision.output) != History(done=entry):
        with contextlib.suppress(LicodecError):  # what it says is true, if slower to find out
            manifest.append(entry)
    return Skipped()
