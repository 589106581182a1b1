"""Batches in this process, of a converter that takes no time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from licodec.batches.converter import Likeness, Look, Made
from licodec.batches.manifest import Entry, Manifest
from licodec.batches.plan import Naming, Request, plan
from licodec.batches.running import Skipped, run
from licodec.batches.selection import Selection
from licodec.batches.sources import find
from licodec.batches.work import Outcome, Record, Task, perform
from licodec.errors import BadInputError

DAMAGED = b"damaged"
SUFFIXES = frozenset({".png", ".jpg"})


def derived(source: Path) -> Path:
    return source.with_suffix(".lic")


def is_damaged(path: Path) -> bool:
    return path.read_bytes().startswith(DAMAGED)


UNKNOWN = Look(Likeness.UNKNOWN)
ALL = Selection()
NAMING = Naming(derived, ".lic", is_damaged)


def converted(source: bytes, settings: dict[str, Any]) -> bytes:
    """What the converter makes of a source."""
    return f"{sorted(settings.items())} ".encode() + source


@dataclass
class FakeConverter:
    """Makes `converted`; of b"bad" it makes nothing, and `look` says what it is told to.

    What happens `meanwhile` is after a source was read and before there is an output.
    """

    settings: dict[str, Any]
    likeness: Look = UNKNOWN
    made: list[str] = field(default_factory=list)
    meanwhile: Callable[[], object] = lambda: None

    def make(self, source: str, target: str) -> Made[str]:
        self.made.append(Path(source).name)
        content = Path(source).read_bytes()
        self.meanwhile()
        if content == b"bad":
            raise BadInputError(f"{source}: bad")
        return Made(converted(content, self.settings), "0123", "report")

    def look(self, source: str, target: str) -> Look:
        return self.likeness


class Crash(BaseException):
    """The end of the process, as nothing in it can catch."""


class CrashingManifest(Manifest):
    """Ends the process at one of its lines: before it is written, in its middle or after it."""

    def __init__(self, folder: Path, line: int, written: float) -> None:
        super().__init__(folder)
        self._left, self._written = line, written

    def append(self, entry: Entry) -> None:
        if self._left:
            self._left -= 1
            super().append(entry)
            return
        size = self.path.stat().st_size if self.path.exists() else 0
        super().append(entry)
        added = self.path.stat().st_size - size
        with open(self.path, "r+b") as stream:
            stream.truncate(size + round(added * self._written))
        raise Crash


@dataclass
class Batch:
    """A batch that is run again and again, with other settings."""

    root: Path
    folder: Path
    settings: dict[str, Any] = field(default_factory=dict)
    force: bool = False
    preserve: bool = False
    look: Look = UNKNOWN
    selection: Selection = ALL
    weights_id: str | None = None
    meanwhile: Callable[[], object] = lambda: None

    def run(self, crash: tuple[int, float] | None = None) -> dict[str, Outcome | Skipped]:
        """What became of each source.

        `crash` is the line of the manifest at which it ends, and how much of that is written.
        Sets `made`, the names of what was converted, and `names` and `reasons` of all sources.
        """
        request = Request(
            self.root, self.folder, self.settings, self.weights_id, self.force, self.preserve
        )
        self.folder.mkdir(parents=True, exist_ok=True)
        converter = FakeConverter(self.settings, self.look, meanwhile=self.meanwhile)
        self.made = converter.made

        def execute(tasks: Iterable[Task], record: Record) -> Iterator[tuple[Task, Outcome]]:
            return ((task, perform(converter, task, record)) for task in tasks)

        manifest = CrashingManifest(self.folder, *crash) if crash else Manifest(self.folder)
        if manifest.is_damaged:
            manifest.set_aside()
        found = find(self.root, self.folder, SUFFIXES, self.selection)
        decisions = [*plan(found, manifest, request, NAMING)]
        self.names = {d.source: d.output for d in decisions}
        self.reasons = {d.source: (d.action.value, d.reason) for d in decisions}
        return {d.source: outcome for d, outcome in run(decisions, manifest, request, execute)}

    def outputs(self) -> dict[str, bytes]:
        """All files of the folder by name, but for the batch's own."""
        return {
            path.relative_to(self.folder).as_posix(): path.read_bytes()
            for path in self.folder.rglob("*")
            if path.is_file() and not path.name.startswith(".licodec-batch")
        }
