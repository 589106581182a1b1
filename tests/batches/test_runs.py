"""Batches that are repeated: what is done again, what is left alone, and what is reported."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from licodec.batches import content
from licodec.batches.converter import Likeness, Look
from licodec.batches.manifest import NAME, Manifest
from licodec.batches.plan import Action, Decision, Request
from licodec.batches.running import Skipped, run
from licodec.batches.selection import Selection
from licodec.batches.work import Converted, Failed, Kept, Record, Task
from licodec.batches.workers import Died
from tests.batches.fakes import DAMAGED, Batch, Crash, converted

MADE, SKIPPED, FAILED, KEPT = Converted, Skipped, Failed, Kept


@pytest.fixture
def batch(tmp_path: Path) -> Batch:
    """Two pictures, one in a folder below."""
    (tmp_path / "in" / "sub").mkdir(parents=True)
    (tmp_path / "in" / "a.png").write_bytes(b"A")
    (tmp_path / "in" / "sub" / "b.png").write_bytes(b"B")
    return Batch(tmp_path / "in", tmp_path / "out", {"d": 1})


def kinds(outcomes: dict[str, Any]) -> dict[str, type]:
    return {source: type(outcome) for source, outcome in outcomes.items()}


def both(kind: type) -> dict[str, type]:
    return {"a.png": kind, "sub/b.png": kind}


def made(a: bytes = b"A", b: bytes = b"B", **changed: Any) -> dict[str, bytes]:
    changed = {"d": 1} | changed
    return {"a.lic": converted(a, changed), "sub/b.lic": converted(b, changed)}


def test_done_once(batch: Batch) -> None:
    assert kinds(batch.run()) == both(MADE)
    assert batch.outputs() == made()
    assert batch.reasons["a.png"] == ("make", "new")
    assert kinds(batch.run()) == both(SKIPPED)
    assert batch.made == []
    assert len((batch.folder / NAME).read_bytes().splitlines()) == 2


def test_a_batch_that_is_settled_reads_nothing(
    batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(content, "_SETTLED_NS", -(10**15))
    batch.run()
    monkeypatch.setattr(content, "open_input", None)
    before = (batch.folder / NAME).read_bytes()
    assert kinds(batch.run()) == both(SKIPPED)
    assert (batch.folder / NAME).read_bytes() == before


def test_changed_settings(batch: Batch) -> None:
    batch.run()
    batch.settings = {"d": 2, "metadata": []}
    assert kinds(batch.run()) == both(MADE)
    assert batch.reasons["a.png"] == ("replace", "other settings (d, metadata)")
    assert batch.outputs() == made(d=2, metadata=[])
    batch.weights_id = "4567"
    batch.run()
    assert batch.reasons["a.png"] == ("replace", "other settings (weights)")


def test_a_changed_source_whatever_its_time(batch: Batch) -> None:
    os.utime(batch.root / "a.png", (1e9, 1e9))
    batch.run()
    (batch.root / "a.png").write_bytes(b"Z")
    os.utime(batch.root / "a.png", (1e9, 1e9))
    assert kinds(batch.run()) == both(SKIPPED) | {"a.png": MADE}
    assert batch.reasons["a.png"] == ("replace", "the source has changed")
    assert batch.outputs() == made(a=b"Z")


def test_a_new_time_alone_changes_nothing(batch: Batch) -> None:
    batch.run()
    for path in (batch.root / "a.png", batch.folder / "sub" / "b.lic"):
        os.utime(path, (1e9, 1e9))
    assert kinds(batch.run()) == both(SKIPPED)


def test_another_tree(batch: Batch, tmp_path: Path) -> None:
    """Its file of the same name is not the same picture, be it newer or older."""
    batch.run()
    (tmp_path / "other").mkdir()
    other = replace(batch, root=tmp_path / "other")
    (other.root / "a.png").write_bytes(b"Z")
    for time in (1e9, 3e9):
        os.utime(other.root / "a.png", (time, time))
        outcomes = other.run()
        assert kinds(outcomes) == {"a.png": FAILED}
        assert outcomes["a.png"].message == (
            f"{batch.folder}/a.lic: made from {batch.root}/a.png, not from {other.root}/a.png; "
            "name another folder with -o, or see --force"
        )
        assert batch.outputs() == made()
    assert kinds(batch.run()) == both(SKIPPED)
    # One that holds the same is no other picture.
    (other.root / "a.png").write_bytes(b"A")
    assert kinds(other.run()) == {"a.png": SKIPPED}
    # The first tree's remains the one that may change it.
    (batch.root / "a.png").write_bytes(b"Y")
    assert kinds(batch.run()) == both(SKIPPED) | {"a.png": MADE}


def test_a_tree_that_has_moved(batch: Batch, tmp_path: Path) -> None:
    batch.run()
    moved = replace(batch, root=tmp_path / "moved", folder=tmp_path / "moved-out")
    batch.root.rename(moved.root)
    batch.folder.rename(moved.folder)
    assert kinds(moved.run()) == both(SKIPPED)
    (moved.root / "a.png").write_bytes(b"Z")
    assert kinds(moved.run()) == both(SKIPPED) | {"a.png": MADE}


def test_a_root_reached_by_a_link_is_the_same(batch: Batch, tmp_path: Path) -> None:
    batch.run()
    (tmp_path / "link").symlink_to("in")
    (batch.root / "a.png").write_bytes(b"Z")
    assert kinds(replace(batch, root=tmp_path / "link").run())["a.png"] is MADE


def test_an_output_that_was_changed_or_is_gone_or_damaged(batch: Batch) -> None:
    batch.run()
    changed = batch.folder / "a.lic"
    (batch.folder / "sub" / "b.lic").unlink()
    changed.write_bytes(b"mine")
    outcomes = batch.run()
    assert kinds(outcomes) == {"a.png": FAILED, "sub/b.png": MADE}
    assert "a.lic: not what was made here; see --force" in outcomes["a.png"].message
    assert changed.read_bytes() == b"mine"
    changed.write_bytes(DAMAGED)
    assert kinds(batch.run()) == both(SKIPPED) | {"a.png": MADE}
    assert batch.reasons["a.png"] == ("replace", "damaged")
    assert batch.outputs() == made()


def test_an_output_of_the_same_size_and_time(batch: Batch) -> None:
    """As another program may leave it, which keeps times."""
    batch.run()
    changed = batch.folder / "a.lic"
    status = changed.stat()
    changed.write_bytes(bytes(status.st_size))
    os.utime(changed, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert kinds(batch.run()) == both(SKIPPED) | {"a.png": FAILED}


def test_files_that_the_manifest_does_not_know(batch: Batch) -> None:
    batch.run()
    (batch.folder / NAME).unlink()
    batch.look = Look(Likeness.OTHER, "is another")
    assert kinds(batch.run()) == both(FAILED)
    batch.look = Look(Likeness.UNKNOWN)
    (batch.folder / "a.lic").write_bytes(b"mine")
    assert kinds(batch.run()) == {"a.png": FAILED, "sub/b.png": KEPT}
    assert batch.reasons["a.png"] == ("check", "not in the manifest")
    assert batch.outputs() == made() | {"a.lic": b"mine"}
    # What has once been found to be ours is from then on.
    assert kinds(batch.run()) == {"a.png": FAILED, "sub/b.png": SKIPPED}
    batch.force = True
    assert kinds(batch.run()) == both(MADE)
    assert batch.outputs() == made()
    batch.force = False
    assert kinds(batch.run()) == both(SKIPPED)


def test_a_failure_is_tried_again_and_leaves_what_there_was(batch: Batch) -> None:
    batch.run()
    (batch.root / "a.png").write_bytes(b"bad")
    for _ in range(2):
        assert kinds(batch.run()) == both(SKIPPED) | {"a.png": FAILED}
        assert batch.outputs() == made()
    failed = Manifest(batch.folder).history("a.lic").failed
    assert failed is not None and failed.message.endswith("a.png: bad")
    (batch.root / "a.png").write_bytes(b"A")
    assert kinds(batch.run()) == both(SKIPPED)
    assert Manifest(batch.folder).history("a.lic").failed is None


def test_pictures_of_one_name_keep_the_outputs_that_they_have(batch: Batch) -> None:
    batch.run()
    (batch.root / "a.jpg").write_bytes(b"J")
    assert kinds(batch.run()) == both(SKIPPED) | {"a.jpg": MADE}
    assert batch.outputs() == made() | {"a.jpg.lic": converted(b"J", {"d": 1})}
    (batch.root / "a.png").unlink()
    assert kinds(batch.run()) == {"a.jpg": SKIPPED, "sub/b.png": SKIPPED}


def test_one_picture_in_the_place_of_another(batch: Batch) -> None:
    """What is archived of a picture that is gone may be all that is left of it."""
    batch.run()
    (batch.root / "a.png").unlink()
    (batch.root / "a.jpg").write_bytes(b"J")
    assert kinds(batch.run())["a.jpg"] is FAILED
    assert batch.outputs() == made()
    # A new suffix alone makes no other picture.
    (batch.root / "a.jpg").write_bytes(b"A")
    assert kinds(batch.run())["a.jpg"] is SKIPPED
    (batch.root / "a.jpg").write_bytes(b"J")
    assert kinds(batch.run())["a.jpg"] is MADE


def test_two_names_of_one_file(batch: Batch) -> None:
    """As on a file system that does not tell letter case apart."""
    for name in ("x.png", "X.png"):
        (batch.root / name).write_bytes(name.encode())
    batch.folder.mkdir()
    (batch.folder / "x.png.lic").write_bytes(b"one")
    os.link(batch.folder / "x.png.lic", batch.folder / "X.png.lic")
    outcomes = batch.run()
    messages = [o.message for o in (outcomes["x.png"], outcomes["X.png"]) if type(o) is FAILED]
    assert sum("would both become" in message for message in messages) == 1
    assert batch.outputs()["x.png.lic"] == b"one"


@pytest.mark.parametrize("place", ["a.lic", "sub/b.lic"])
def test_what_is_no_file_in_the_place_of_an_output(batch: Batch, place: str) -> None:
    for make in (
        lambda path: path.mkdir(),
        lambda path: os.mkfifo(path),
        lambda path: path.symlink_to("nowhere"),
    ):
        shutil.rmtree(batch.folder, ignore_errors=True)
        (batch.folder / "sub").mkdir(parents=True)
        make(batch.folder / place)
        for batch.force in (False, True):
            outcomes = batch.run()
            assert Counter(map(type, outcomes.values()))[FAILED] == 1
        assert os.path.lexists(batch.folder / place)


def test_a_file_in_the_place_of_a_folder(batch: Batch) -> None:
    batch.folder.mkdir()
    (batch.folder / "sub").write_text("mine")
    outcomes = batch.run()
    assert kinds(outcomes) == {"a.png": MADE, "sub/b.png": FAILED}
    assert "Not a directory" in outcomes["sub/b.png"].message
    assert (batch.folder / "sub").read_text() == "mine"


def test_outputs_beside_and_below_their_sources(batch: Batch) -> None:
    batch.folder = batch.root
    assert kinds(batch.run()) == both(MADE)
    assert kinds(batch.run()) == both(SKIPPED)
    below = replace(batch, folder=batch.root / "sub" / "out")
    assert kinds(below.run()) == both(MADE)
    assert kinds(below.run()) == both(SKIPPED)
    assert not (below.folder / "sub" / "out").exists()


def test_patterns_do_not_confuse_names(batch: Batch) -> None:
    (batch.root / "a.jpg").write_bytes(b"J")
    for name in ("jpg", "png", "jpg", "png"):
        batch.selection = Selection(include=(f"*.{name}",))
        assert FAILED not in kinds(batch.run()).values()
    assert batch.outputs() == {
        "a.lic": converted(b"J", {"d": 1}),
        "a.png.lic": converted(b"A", {"d": 1}),
        "sub/b.lic": converted(b"B", {"d": 1}),
    }
    batch.selection = Selection()
    assert kinds(batch.run()) == both(SKIPPED) | {"a.jpg": SKIPPED}


def test_times_that_are_asked_for_later(batch: Batch) -> None:
    os.utime(batch.root / "a.png", (1e9, 1e9))
    batch.run()
    batch.preserve = True
    assert kinds(batch.run()) == both(SKIPPED)
    for source, output in (("a.png", "a.lic"), ("sub/b.png", "sub/b.lic")):
        times = [path.stat().st_mtime_ns for path in (batch.root / source, batch.folder / output)]
        assert times[0] == times[1]
    assert kinds(batch.run()) == both(SKIPPED)


def test_names_of_any_bytes(batch: Batch) -> None:
    for name in (b"line\nbreak.png", b"\xff\xfe.png", b"x" * 251 + b".png"):
        with open(os.path.join(os.fsencode(batch.root), name), "wb") as stream:
            stream.write(name)
    for kind in (MADE, SKIPPED):
        outcomes = kinds(batch.run())
        assert len(outcomes) == 5 and {*outcomes.values()} == {kind}


def test_a_name_that_becomes_too_long_is_one_failure(batch: Batch) -> None:
    for suffix in (".png", ".jpg"):
        (batch.root / ("x" * 251 + suffix)).write_bytes(b"x")
    outcomes = batch.run()
    assert Counter(map(type, outcomes.values())) == {MADE: 2, FAILED: 2}


def test_a_damaged_manifest_is_a_fresh_start(batch: Batch) -> None:
    batch.run()
    path = batch.folder / NAME
    damaged = path.read_bytes().replace(b'"status"', b'"st\x00tus"')
    path.write_bytes(damaged)
    assert kinds(batch.run()) == both(KEPT)
    assert batch.outputs() == made()
    assert (batch.folder / f"{NAME}.damaged-1").read_bytes() == damaged
    assert kinds(batch.run()) == both(SKIPPED)


@pytest.mark.parametrize("written", [0, 0.5, 1])
@pytest.mark.parametrize("line", range(4))
def test_a_batch_that_ends_anywhere_and_a_source_that_changes_then(
    batch: Batch, line: int, written: float
) -> None:
    """What has been made is known, though its last line was never written."""
    with pytest.raises(Crash):
        batch.run((line, written))
    (batch.root / "a.png").write_bytes(b"Z")
    (batch.root / "sub" / "b.png").write_bytes(b"Y")
    batch.settings = {"d": 3}
    assert kinds(batch.run()) == both(MADE)
    assert batch.outputs() == made(a=b"Z", b=b"Y", d=3)
    assert kinds(batch.run()) == both(SKIPPED)


@pytest.mark.parametrize("written", [0, 0.5, 1])
@pytest.mark.parametrize("line", range(4))
def test_a_second_batch_that_ends_anywhere_and_is_undone(
    batch: Batch, line: int, written: float
) -> None:
    batch.run()
    batch.settings = {"d": 2}
    with pytest.raises(Crash):
        batch.run((line, written))
    batch.settings = {"d": 1}
    assert FAILED not in kinds(batch.run()).values()
    assert batch.outputs() == made()


@pytest.mark.parametrize("force", [False, True])
def test_a_file_that_appears_while_others_are_made(batch: Batch, force: bool) -> None:
    """Not even --force is meant for what was not there when it began."""

    def put() -> None:
        (batch.folder / "sub").mkdir(exist_ok=True)
        (batch.folder / "sub" / "b.lic").write_bytes(b"mine")

    batch.force, batch.meanwhile = force, put
    assert kinds(batch.run()) == {"a.png": MADE, "sub/b.png": FAILED}
    assert batch.outputs() == made() | {"sub/b.lic": b"mine"}


def test_a_process_that_dies_is_one_failure(batch: Batch) -> None:
    manifest = Manifest(batch.root)
    request = Request(batch.root, batch.root, batch.settings)
    decisions = [Decision(name, f"{name}.lic", Action.MAKE, "new") for name in ("a", "b")]

    def execute(tasks: Iterable[Task], record: Record) -> Iterator[tuple[Task, Any]]:
        yield from zip(tasks, (Died(-9), Failed("bad")), strict=True)

    outcomes = [outcome for _, outcome in run(decisions, manifest, request, execute)]
    assert outcomes[0].message.startswith(f"{batch.root}/a: the worker process was killed by")
    assert outcomes[1] == Failed("bad")
    failed = [history.failed.message for history in Manifest(batch.root).histories.values()]
    assert failed == [outcome.message for outcome in outcomes]


TREES, NAMES = ("one", "two"), ("a.png", "a.jpg", "b.png", "sub/a.png")
CONTENTS = st.sampled_from([b"A", b"B", b"C", b"bad"])
OUTPUTS = ("a.lic", "b.lic", "a.png.lic", "a.jpg.lic", "sub/a.lic")


class Archive(RuleBasedStateMachine):
    """Two trees, batches of them into one folder with changing settings, and accidents.

    Foreign files are never touched. What a whole batch does not report agrees with its source
    and settings, and what it reports is a bad source, another source's output, or what is a foreign
    file as far as can be known.
    """

    temporary: Path
    folders = itertools.count()

    def __init__(self) -> None:
        super().__init__()
        self.base = self.temporary / str(next(self.folders))
        self.folder = self.base / "out"
        self.folder.mkdir(parents=True)
        self.sources: dict[tuple[str, str], bytes] = {}
        self.foreign: dict[str, bytes] = {}
        self.strange: set[str] = set()  # outputs that need not be what the manifest says
        self.settings: dict[str, Any] = {"d": 1}
        for tree in TREES:
            (self.base / tree).mkdir()

    @rule(tree=st.sampled_from(TREES), name=st.sampled_from(NAMES), content=CONTENTS)
    def write(self, tree: str, name: str, content: bytes) -> None:
        path = self.base / tree / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        self.sources[tree, name] = content

    @precondition(lambda self: self.sources)
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        tree, name = data.draw(st.sampled_from(sorted(self.sources)))
        (self.base / tree / name).unlink()
        del self.sources[tree, name]

    @rule(d=st.integers(1, 3))
    def choose(self, d: int) -> None:
        self.settings = {"d": d}

    @rule(name=st.sampled_from(OUTPUTS))
    def put_a_foreign_file(self, name: str) -> None:
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"foreign")
        self.foreign[name] = b"foreign"
        self.strange.add(name)

    @rule(name=st.sampled_from(OUTPUTS))
    def lose_an_output(self, name: str) -> None:
        (self.folder / name).unlink(missing_ok=True)
        self.foreign.pop(name, None)
        self.strange.discard(name)

    @rule()
    def lose_the_manifest(self) -> None:
        (self.folder / NAME).unlink(missing_ok=True)
        self.strange.update(OUTPUTS)

    @rule(tree=st.sampled_from(TREES), line=st.integers(0, 7), written=st.sampled_from([0, 0.5, 1]))
    def interrupt(self, tree: str, line: int, written: float) -> None:
        batch = Batch(self.base / tree, self.folder, self.settings)
        with contextlib.suppress(Crash):
            batch.run((line, written))

    @rule(tree=st.sampled_from(TREES))
    def complete(self, tree: str) -> None:
        batch = Batch(self.base / tree, self.folder, self.settings)
        before = batch.outputs()
        outcomes = batch.run()
        assert {*outcomes} == {name for of, name in self.sources if of == tree}
        after = batch.outputs()
        for name, outcome in outcomes.items():
            source = self.sources[tree, name]
            if isinstance(outcome, Failed):
                strange = batch.names[name] in self.strange
                reasons = [": bad", ": made from", *(("not what",) if strange else ())]
                assert any(reason in outcome.message for reason in reasons)
            else:
                assert source != b"bad"
                assert after[batch.names[name]] == converted(source, self.settings)
        assert before.keys() <= after.keys()

    @invariant()
    def foreign_files_are_untouched(self) -> None:
        for name, held in self.foreign.items():
            assert (self.folder / name).read_bytes() == held


def test_any_sequence(tmp_path: Path) -> None:
    Archive.temporary = tmp_path
    run_state_machine_as_test(
        Archive, settings=settings(max_examples=60, stateful_step_count=25, deadline=None)
    )
