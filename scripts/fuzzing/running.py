"""Change after change, with a state that a stopped run goes on from, and what is kept of faults."""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tables import table

from fuzzing.outcomes import Outcome

BLOCK = 250  # changes between two notes of the state
MEMORY = 4 << 30  # bytes of address space beside what is taken before the first change
MOST_GROWTH = 64 << 20  # bytes that may be taken for good after the first changes ...
WARMING = 2000  # ... which are so many


@dataclass(frozen=True)
class Tried:
    """A change that was tried.

    group  under which it is counted
    about  what was changed, and how
    """

    group: str
    about: str
    data: bytes
    outcome: Outcome

    @property
    def report(self) -> str:
        fault = f"\n{self.outcome.fault}" if self.outcome.fault else ""
        return f"{self.about}: {self.outcome.name}{fault}"


TryNumber = Callable[[int], Tried]


@dataclass
class State:
    """How far a run has come.

    digest    of the honest files
    next      the first change that is not done
    outcomes  how many there were, by group, then by outcome
    faults    numbers of the changes that are faults
    """

    digest: str
    seed: int
    next: int = 0
    outcomes: dict[str, Counter[str]] = field(default_factory=dict)
    faults: list[int] = field(default_factory=list)

    def note(self, tried: Tried) -> None:
        self.outcomes.setdefault(tried.group, Counter())[tried.outcome.name] += 1
        if tried.outcome.fault is not None:
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


def try_changes(state: State, try_number: TryNumber, end: int) -> Iterator[Tried]:
    """Do the changes from where `state` stands to `end`, and note them in it. Yields the faults."""
    while state.next < end:
        tried = try_number(state.next)
        if tried.outcome.fault is not None:
            yield tried
        state.note(tried)


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


def run_changes(
    arguments: argparse.Namespace, digest: str, try_number: TryNumber, suffix: str
) -> None:
    """Do as the options of `add_options` say, on honest files of that digest; exits.

    Files of faults have that suffix.
    """

    def keep(index: int, tried: Tried) -> None:
        arguments.faults.mkdir(parents=True, exist_ok=True)
        (arguments.faults / f"{index}{suffix}").write_bytes(tried.data)

    limit_memory()
    if arguments.only is not None:
        tried = try_number(arguments.only)
        keep(arguments.only, tried)
        print(f"change {arguments.only}, {tried.report}")
        sys.exit(1 if tried.outcome.fault else 0)
    state = State.begin(arguments.state, digest, arguments.seed)
    first, warm = state.next, 0
    while state.next < arguments.changes:
        for tried in try_changes(state, try_number, min(state.next + BLOCK, arguments.changes)):
            keep(state.next, tried)
            print(f"change {state.next}, {tried.report}", flush=True)
        if arguments.state is not None:
            state.save(arguments.state)
        if not warm and state.next >= first + WARMING:
            _, warm = memory()
    growth = memory()[1] - warm if warm else 0
    print(counts_of(state))
    print(f"{state.next} changes, {len(state.faults)} faults, memory grew by {growth >> 20} MiB")
    sys.exit(1 if state.faults or growth > MOST_GROWTH else 0)
