"""Decode changed .lic files: each must end in a documented error or in the right pixels.

    scripts/fuzz.py files --changes 100000 --state fuzz.json --faults faults
    scripts/fuzz.py files --only 4711 --faults faults

Small honest files of every kind (grey, RGB, an alpha plane, metadata, adapters, escapes, several
streams, bands, lossless pieces, ...) are changed at random: bits, bytes, runs, numbers, lengths and
whole chunks. Every second change has its lengths and checksums made right again, so that it reaches
what lies behind them. Decoding is done in this process, on the reference backend, within limits of
time and memory; what is decoded is also written in every format, and a crop or a reduction of each
file is decoded and compared with the same of the whole.

Change n is the same on every machine. With --state the same command again goes on where it was
stopped. Faults are files that decode to other pixels, errors that are not documented, messages
that are no short line, and whatever takes too long or too much memory; they are shown, and kept
in --faults. Exits with 1 where there are any.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from tables import table

from fuzzing.changes import Change, changed, changed_and_repaired
from fuzzing.outcomes import Outcome, outcome_of
from fuzzing.subjects import Subject, streams_of, subjects
from licodec.cli.process import silence_libraries
from licodec.codec import REFERENCE
from licodec.images.views import WHOLE, Crop, View
from licodec.library import Library
from licodec.packs import choose_pack

BLOCK = 250  # changes between two notes of the state
MOST_PIXELS = 1 << 18
SECONDS = 30.0
MEMORY = 4 << 30  # bytes of address space beside what is taken before the first change
MOST_GROWTH = 64 << 20  # bytes that may be taken for good after the first changes ...
WARMING = 2000  # ... which are so many


@dataclass
class State:
    """How far a run has come.

    digest    of the honest files
    next      the first change that is not done
    outcomes  how many there were, by "as they are" or "repaired", then by outcome
    faults    numbers of the changes that are faults
    """

    digest: str
    seed: int
    next: int = 0
    outcomes: dict[str, Counter[str]] = field(default_factory=dict)
    faults: list[int] = field(default_factory=list)

    def note(self, repaired: bool, outcome: Outcome) -> None:
        counts = self.outcomes.setdefault("repaired" if repaired else "as they are", Counter())
        counts[outcome.name] += 1
        if outcome.fault is not None:
            self.faults.append(self.next)
        self.next += 1

    def save(self, path: Path) -> None:
        temporary = path.with_suffix(".tmp")
        temporary.write_text(json.dumps(vars(self), indent=1) + "\n")
        os.replace(temporary, path)

    @classmethod
    def begin(cls, path: Path | None, digest: str, seed: int) -> State:
        """The state that `path` holds, or a new one. Exits where it is another run's."""
        fresh = cls(digest, seed)
        if path is None or not path.exists():
            return fresh
        found = cls(**json.loads(path.read_text()))
        if (found.digest, found.seed) != (digest, seed):
            sys.exit(f"{path}: the state of a run on other files or with another seed; remove it")
        found.outcomes = {name: Counter(counts) for name, counts in found.outcomes.items()}
        return found


def change_number(index: int, seed: int, honest: Sequence[Subject]) -> tuple[Subject, bool, Change]:
    """Which file is changed, whether it is repaired, and the change."""
    random = Random(f"{seed} {index}")
    turn, which = divmod(index, len(honest))
    repaired = turn % 2 == 1
    change = changed_and_repaired if repaired else changed
    subject = honest[which]
    return subject, repaired, change(subject.data, [one.data for one in honest], random)


def view_number(index: int, seed: int, subject: Subject) -> View:
    """What of the changed file is decoded beside the whole: a part, a reduction, or both."""
    random = Random(f"{seed} {index} view")
    crop, scale = None, random.choice([1, 1, 2, 4, 8])
    if scale == 1 or random.random() < 0.5:
        width, height = subject.picture.width, subject.picture.height
        left, top = random.randrange(width), random.randrange(height)
        crop = Crop(random.randint(1, width - left), random.randint(1, height - top), left, top)
    return View(crop, scale)


def try_change(subject: Subject, change: Change, library: Library, view: View = WHOLE) -> Outcome:
    with streams_of(subject.stream):
        return outcome_of(change.data, subject.picture, library, MOST_PIXELS, SECONDS, view)


def memory() -> tuple[int, int]:
    """Bytes of address space and of memory that this process takes; 0 where Linux is not asked."""
    if sys.platform != "linux":
        return 0, 0
    space, resident, *_ = map(int, Path("/proc/self/statm").read_text().split())
    return space * resource.getpagesize(), resident * resource.getpagesize()


def limit_memory() -> None:
    """Let an allocation fail that no small picture needs."""
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    if sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_AS, (memory()[0] + MEMORY, hard))


def try_changes(
    state: State, honest: Sequence[Subject], library: Library, end: int
) -> Iterator[tuple[Change, str]]:
    """Do the changes from where `state` stands to `end`, and note them in it. Yields what is a
    fault, with a report."""
    for index in range(state.next, end):
        subject, repaired, change = change_number(index, state.seed, honest)
        view = view_number(index, state.seed, subject)
        outcome = try_change(subject, change, library, view)
        if outcome.fault is not None:
            yield change, report(index, subject, change, outcome)
        state.note(repaired, outcome)


def report(index: int, subject: Subject, change: Change, outcome: Outcome) -> str:
    fault = f"\n{outcome.fault}" if outcome.fault else ""
    return f"change {index}, {subject.name}: {change.kind}: {outcome.name}{fault}"


def counts_of(state: State) -> str:
    """A table of the outcomes."""
    total = sum(state.outcomes.values(), Counter())
    rows = (
        (name, *(counts[name] for counts in state.outcomes.values()), count)
        for name, count in total.most_common()
    )
    return table(("outcome", *state.outcomes, "all"), rows)


def add_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--changes", type=int, default=1000, help="in all (%(default)s)")
    add("--seed", type=int, default=0, help="(%(default)s)")
    add("--state", type=Path, help="a file that says how far the run has come")
    add("--faults", type=Path, default=Path("faults"), help="a folder for files (%(default)s)")
    add("--only", type=int, help="do this change alone, and keep its file")
    add("--model", default="lite", help="a backbone, or the path of a pack")


def run(arguments: argparse.Namespace) -> None:
    """Raises LicodecError where the pack cannot be opened."""
    silence_libraries()
    library = Library(REFERENCE)
    honest = subjects(library.open(choose_pack(arguments.model, "standard")).fastest)

    def keep(index: int, change: Change) -> None:
        arguments.faults.mkdir(parents=True, exist_ok=True)
        (arguments.faults / f"{index}.lic").write_bytes(change.data)

    limit_memory()
    if arguments.only is not None:
        subject, _, change = change_number(arguments.only, arguments.seed, honest)
        keep(arguments.only, change)
        view = view_number(arguments.only, arguments.seed, subject)
        outcome = try_change(subject, change, library, view)
        print(report(arguments.only, subject, change, outcome))
        sys.exit(1 if outcome.fault else 0)
    digest = hashlib.sha256(b"".join(subject.data for subject in honest)).hexdigest()
    state = State.begin(arguments.state, digest, arguments.seed)
    first, warm = state.next, 0
    while state.next < arguments.changes:
        end = min(state.next + BLOCK, arguments.changes)
        for change, what in try_changes(state, honest, library, end):
            keep(state.next, change)
            print(what, flush=True)
        if arguments.state is not None:
            state.save(arguments.state)
        if not warm and state.next >= first + WARMING:
            _, warm = memory()
    growth = memory()[1] - warm if warm else 0
    print(counts_of(state))
    print(f"{state.next} changes, {len(state.faults)} faults, memory grew by {growth >> 20} MiB")
    sys.exit(1 if state.faults or growth > MOST_GROWTH else 0)
