"""Worker processes that outlive their tasks' failures, and whose deaths the rest outlives.

A process opens its tools once (model, threads) and then handles one task after the other. The
executor of the standard library gives up as a whole when one process dies; here the task that
killed it fails, a new process takes its place, and the others never notice.

Nothing heavy is imported here: a worker prepares itself before NumPy and torch load.
"""

from __future__ import annotations

import contextlib
import errno
import multiprocessing
import os
import signal
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from multiprocessing import connection, resource_tracker
from multiprocessing.connection import Connection
from typing import Any, NoReturn

from licodec.errors import LicodecError

# Asks the process that gives the tasks, and waits for its answer.
Ask = Callable[[Any], Any]
# Makes the function that handles tasks; called once in each process. It travels there, so it
# and what it makes of a task must be picklable.
Open = Callable[[], Callable[[Any, Ask], Any]]
# What a process does first of all; importing it must import nothing that it is to be before.
Prepare = Callable[[], object]

_GRACE_SECONDS = 10.0
_NO_MORE = {errno.EAGAIN, errno.EMFILE, errno.ENFILE, errno.ENOMEM}  # processes, files, memory
# Kept for the manifest and such while processes are started.
_SPARE_DESCRIPTORS = 4
# Signals that a terminal sends to all of its processes, where the system has them.
_OF_TERMINALS = {getattr(signal, name) for name in ("SIGINT", "SIGHUP") if hasattr(signal, name)}


@dataclass(frozen=True)
class Died:
    """The outcome of a task whose process ended before it had one."""

    exit_code: int

    def __str__(self) -> str:
        code = self.exit_code
        if code < 0:
            return (
                f"the worker process was killed by signal {-code}, perhaps for lack of memory; "
                "try fewer --jobs"
            )
        return f"the worker process ended with code {code}"


@dataclass(frozen=True)
class _Refused:
    """The tools could not be opened, and would not be in another process either."""

    error: LicodecError


@dataclass(frozen=True)
class _Question:
    """Something a process needs to know before it goes on with its task."""

    content: Any


@dataclass
class _Worker:
    """A process and the task it is at, None before the first and after the last."""

    process: multiprocessing.process.BaseProcess
    pipe: Connection
    task: Any = None

    def close(self) -> None:
        """Give back what this process holds for one that has ended."""
        self.pipe.close()
        self.process.close()


def run_in_processes(
    open_tools: Open,
    tasks: Iterable[Any],
    jobs: int,
    prepare: Prepare,
    answer: Ask,
    say: Callable[[str], None],
) -> Iterator[tuple[Any, Any]]:
    """Handle tasks in `jobs` processes; yields (task, outcome) as they end.

    The outcome is what the function of `open_tools` returned, or Died; what it asks meanwhile,
    `answer` answers here. Where the system gives fewer processes, `say` is told, and the work goes
    on in those. Raises the LicodecError that `open_tools` raised, and one where no process can be
    started. However the iteration ends, no process is left.
    """
    waiting = deque(tasks)
    workers: list[_Worker] = []
    staff = partial(_staff, workers, waiting, lambda: _start(open_tools, prepare), say)
    try:
        staff(min(jobs, len(waiting)))
        while busy := [worker for worker in workers if worker.task is not None]:
            ready = connection.wait([worker.pipe for worker in busy])
            for worker in (worker for worker in busy if worker.pipe in ready):
                task, outcome = worker.task, _outcome(worker)
                if isinstance(outcome, _Question):
                    _send(worker.pipe, answer(outcome.content))
                    continue
                worker.task = None
                if isinstance(outcome, _Refused):
                    raise outcome.error
                if isinstance(outcome, Died):
                    workers.remove(worker)
                    worker.close()
                    yield task, outcome
                    if waiting:
                        staff(len(workers) + 1)
                    continue
                if waiting:
                    _assign(worker, waiting.popleft())
                yield task, outcome
    except BaseException:
        for worker in workers:
            worker.process.terminate()
        raise
    finally:
        _end(workers)


def _staff(
    workers: list[_Worker],
    waiting: deque[Any],
    start: Callable[[], _Worker],
    say: Callable[[str], None],
    count: int,
) -> None:
    """Start processes until there are `count`, and give the idle ones something to do."""
    try:
        with _descriptors_spared(_SPARE_DESCRIPTORS):
            while len(workers) < count:
                workers.append(start())
    except OSError as error:
        if error.errno not in _NO_MORE:
            raise
        reason = f"{error.strerror}; see 'ulimit -a' for the limits of this shell"
        if not workers:
            raise LicodecError(f"no worker process can be started: {reason}") from error
        say(f"{len(workers)} of {count} worker processes started, which do the work: {reason}")
    for worker in workers:
        if worker.task is None and waiting:
            _assign(worker, waiting.popleft())


def _start(open_tools: Open, prepare: Prepare) -> _Worker:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs,), daemon=True)
    try:
        with _interrupts_held():
            process.start()
    except OSError:
        ours.close()
        raise
    finally:
        theirs.close()
    _send(ours, prepare)
    _send(ours, open_tools)
    return _Worker(process, ours)


@contextlib.contextmanager
def _interrupts_held() -> Iterator[None]:
    """Start processes in here: they inherit that what a terminal sends to all, Ctrl-C and that it
    is closed, is held.

    So they leave it to this process to end them, from their first instruction on.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # the first process would start it, which resets the mask
    held = signal.pthread_sigmask(signal.SIG_BLOCK, _OF_TERMINALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, held)


@contextlib.contextmanager
def _descriptors_spared(count: int) -> Iterator[None]:
    """Leave so many descriptors for what comes behind: what is opened in here cannot have them."""
    with contextlib.ExitStack() as spared:
        for _ in range(count):
            spared.enter_context(open(os.devnull, "rb"))
        yield


def _assign(worker: _Worker, task: Any) -> None:
    worker.task = task
    _send(worker.pipe, task)


def _send(pipe: Connection, message: Any) -> None:
    with contextlib.suppress(OSError):  # a process that died is met when its outcome is read
        pipe.send(message)


def _outcome(worker: _Worker) -> Any:
    try:
        return worker.pipe.recv()
    except (EOFError, OSError):
        _join(worker, _GRACE_SECONDS)
        return Died(worker.process.exitcode or 0)  # None is of processes that go on


def _end(workers: list[_Worker]) -> None:
    """Close the pipes, at which idle workers end by themselves, and wait for all of them."""
    for worker in workers:
        worker.pipe.close()
    deadline = time.monotonic() + _GRACE_SECONDS
    for worker in workers:
        _join(worker, max(0.0, deadline - time.monotonic()))


def _join(worker: _Worker, seconds: float) -> None:
    worker.process.join(seconds)
    if worker.process.is_alive():
        # It is deep in a computation: its output is not begun, so nothing is left behind.
        worker.process.kill()
        worker.process.join()


# In the worker ---------------------------------------------------------------------------------


def _serve(pipe: Connection) -> None:
    """Handle tasks until the other end is closed, be it that the parent died."""
    for number in _OF_TERMINALS:
        signal.signal(number, signal.SIG_IGN)
    # An exception rather than the end of the process: a file half written is cleared away.
    signal.signal(signal.SIGTERM, _terminated)
    try:
        with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
            _handle_tasks(pipe)
    finally:
        # What libraries do on the way out is not to be interrupted by an exception.
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _handle_tasks(pipe: Connection) -> None:
    def ask(content: Any) -> Any:
        pipe.send(_Question(content))
        return pipe.recv()

    pipe.recv()()
    try:
        handle = pipe.recv()()
    except LicodecError as error:
        pipe.send(_Refused(error))
        return
    while True:
        pipe.send(handle(pipe.recv(), ask))


def _terminated(signal_number: int, frame: object) -> NoReturn:
    signal.signal(signal_number, signal.SIG_IGN)  # a second one is not to disturb the clearing up
    raise SystemExit(128 + signal_number)
