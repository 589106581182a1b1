"""Worker processes: tasks, questions, deaths, refusals, and that none is left."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from licodec.batches.workers import Died, Open, Prepare, run_in_processes
from licodec.errors import WeightsMissingError
from tests.batches import tasks


def answer(question: str) -> Any:
    return {"how?": 5}.get(question, question.upper())


def run(
    open_tools: Open, work: Iterable[str], jobs: int, prepare: Prepare = tasks.three_threads
) -> Iterator[tuple[str, Any]]:
    return run_in_processes(open_tools, work, jobs, prepare, answer)


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


def test_no_tasks() -> None:
    assert list(run(tasks.open_tools, [], jobs=4)) == []
