"""Worker processes: tasks, questions, deaths, refusals, and that none is left."""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
import os
import re
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any

import pytest

from licodec.batches.workers import Died, Open, Prepare, run_in_processes
from licodec.errors import LicodecError, WeightsMissingError
from tests.batches import tasks


def answer(question: str) -> Any:
    return {"how?": 5}.get(question, question.upper())


def run(
    open_tools: Open,
    work: Iterable[str],
    jobs: int,
    prepare: Prepare = tasks.three_threads,
    say: Callable[[str], None] = pytest.fail,
) -> Iterator[tuple[str, Any]]:
    return run_in_processes(open_tools, work, jobs, prepare, answer, say)


@pytest.fixture(autouse=True)
def no_process_is_left():
    yield
    assert multiprocessing.active_children() == []


def test_tools_are_opened_once_in_each_process() -> None:
    outcomes = dict(run(tasks.open_tools, "abcdefgh", jobs=2))
    assert sorted(outcomes) == list("abcdefgh")
    assert 1 <= len(set(outcomes.values())) <= 2


def test_a_death_costs_one_task() -> None:
    work = ["a", "exit", "b", "kill", "c", "threads"]
    outcomes = dict(run(tasks.open_tools, work, jobs=1))
    assert list(outcomes) == work
    assert outcomes["exit"] == Died(7)
    assert str(outcomes["exit"]) == "the worker process ended with code 7"
    assert outcomes["kill"] == Died(-9)
    assert "killed by signal 9, perhaps for lack of memory" in str(outcomes["kill"])
    assert len({outcomes[task] for task in "abc"}) == 3
    assert outcomes["threads"] == "3"


def test_questions_are_answered_before_the_task_goes_on() -> None:
    outcomes = dict(run(tasks.open_tools, ["ask", "ask and die", "a"], jobs=1))
    assert outcomes["ask"] == ["WHAT IS 0?", "WHAT IS 1?", "WHAT IS 2?"]
    assert outcomes["ask and die"] == Died(5)
    assert outcomes["a"].startswith("opened by ")


def test_tools_that_cannot_be_opened_end_it_all(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(WeightsMissingError, match="no such pack"):
        list(run(tasks.refuse_to_open, "abc", jobs=2))
    assert capfd.readouterr().err == ""


def test_processes_that_die_opening_do_not_go_on_for_ever() -> None:
    outcomes = list(run(tasks.die_opening, "ab", jobs=2))
    assert sorted(task for task, _ in outcomes) == ["a", "b"]
    assert {outcome for _, outcome in outcomes} == {Died(9)}


def test_an_iteration_that_is_given_up_ends_the_work() -> None:
    start = time.monotonic()
    running = run(tasks.open_tools, ["a", "sleep", "sleep"], jobs=2)
    assert next(running)[0] == "a"
    running.close()
    assert time.monotonic() - start < 300


@contextlib.contextmanager
def descriptors_left(count: int) -> Iterator[None]:
    """Let this process open so many more files, no matter which are open."""
    resource = pytest.importorskip("resource")
    resource_tracker.ensure_running()  # which the first worker would start
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = itertools.count()
    highest = next(n for n in free if sum(map(is_free, range(n))) == count)
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def is_free(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return True
    return False


def test_fewer_processes_where_the_system_gives_no_more() -> None:
    said: list[str] = []
    with descriptors_left(19):
        outcomes = dict(run(tasks.open_tools, "abcdefgh", jobs=8, say=said.append))
    assert sorted(outcomes) == list("abcdefgh")
    assert all(outcome.startswith("opened by ") for outcome in outcomes.values())
    (line,) = said
    assert re.match(r"[1-7] of 8 worker processes started, which do the work: Too many open", line)


def test_descriptors_are_left_for_others_while_all_work() -> None:
    left = []
    with descriptors_left(19):
        running = run(tasks.open_tools, ["a", *["sleep"] * 7], jobs=8, say=left.append)
        next(running)
        for _ in range(4):
            left.append(open(os.devnull))  # noqa: SIM115 (closed below)
        running.close()
    for stream in left[1:]:
        stream.close()


def test_a_death_where_processes_are_few() -> None:
    said: list[str] = []
    with descriptors_left(19):
        outcomes = dict(run(tasks.open_tools, ["exit", "kill", *"abc"], jobs=5, say=said.append))
    assert outcomes["exit"] == Died(7)
    assert outcomes["kill"] == Died(-9)
    assert all(outcomes[task].startswith("opened by ") for task in "abc")


def test_no_process_at_all() -> None:
    with (
        descriptors_left(3),
        pytest.raises(LicodecError, match="no worker process can be started: Too many open files"),
    ):
        list(run(tasks.open_tools, "ab", jobs=2))


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="no such signal")
def test_workers_leave_a_closed_terminal_to_their_parent() -> None:
    outcomes = dict(run(tasks.open_tools, ["hang up", "a"], jobs=1))
    assert outcomes["hang up"] == outcomes["a"]


def test_a_second_request_to_end_does_not_disturb_the_clearing_up(tmp_path: Path) -> None:
    mark = tmp_path / "half a file"
    outcomes = dict(run(tasks.open_tools, [f"end twice {mark}"], jobs=1))
    assert outcomes == {f"end twice {mark}": Died(128 + signal.SIGTERM)}
    assert not mark.exists()


def test_no_tasks() -> None:
    assert list(run(tasks.open_tools, [], jobs=4)) == []
