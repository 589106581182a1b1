"""Worker processes: tasks, deaths, refusals, and that none is left."""

from __future__ import annotations

import multiprocessing
import time

import pytest

from licodec.cli.workers import Died, run_in_processes
from licodec.errors import WeightsMissingError
from tests.cli import tasks


@pytest.fixture(autouse=True)
def no_process_is_left():
    yield
    assert multiprocessing.active_children() == []


def test_tools_are_opened_once_in_each_process() -> None:
    outcomes = dict(run_in_processes(tasks.open_tools, "abcdefgh", jobs=2, threads=1))
    assert sorted(outcomes) == list("abcdefgh")
    assert 1 <= len(set(outcomes.values())) <= 2


def test_a_death_costs_one_task() -> None:
    work = ["a", "exit", "b", "kill", "c", "threads"]
    outcomes = dict(run_in_processes(tasks.open_tools, work, jobs=1, threads=3))
    assert list(outcomes) == work
    assert outcomes["exit"] == Died(7)
    assert str(outcomes["exit"]) == "the worker process ended with code 7"
    assert outcomes["kill"] == Died(-9)
    assert "killed by signal 9, perhaps for lack of memory" in str(outcomes["kill"])
    assert len({outcomes[task] for task in "abc"}) == 3
    assert outcomes["threads"] == "3"


def test_tools_that_cannot_be_opened_end_it_all(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(WeightsMissingError, match="no such pack"):
        list(run_in_processes(tasks.refuse_to_open, "abc", jobs=2, threads=1))
    assert capfd.readouterr().err == ""


def test_processes_that_die_opening_do_not_go_on_for_ever() -> None:
    outcomes = list(run_in_processes(tasks.die_opening, "ab", jobs=2, threads=1))
    assert sorted(task for task, _ in outcomes) == ["a", "b"]
    assert {outcome for _, outcome in outcomes} == {Died(9)}


def test_an_iteration_that_is_given_up_ends_the_work() -> None:
    start = time.monotonic()
    running = run_in_processes(tasks.open_tools, ["a", "sleep", "sleep"], jobs=2, threads=1)
    assert next(running)[0] == "a"
    running.close()
    assert time.monotonic() - start < 300


def test_no_tasks() -> None:
    assert list(run_in_processes(tasks.open_tools, [], jobs=4, threads=1)) == []
