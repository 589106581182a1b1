"""Forked processes: a child has none of the threads of its parent.

OpenMP, by which torch shares out its work, does not know that, and waits in the child for threads
that are not there. Alone it waits for nobody.
"""

from __future__ import annotations

import os
import sys

_had_torch = False


def watch_forks() -> None:
    """Notice from now on when this process becomes the child of one that has torch.

    A child that licodec is first imported in is known by the name of its class alone.
    """
    global _had_torch
    processes = sys.modules.get("multiprocessing.process")
    forked = processes and type(processes.current_process()).__name__ == "ForkProcess"
    _had_torch = bool(forked) and "torch" in sys.modules
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_note_fork)


def _note_fork() -> None:
    global _had_torch
    _had_torch = "torch" in sys.modules


def is_fork_of_torch() -> bool:
    """Whether this process was forked from one that had imported torch."""
    return _had_torch


def limit_torch() -> None:
    """Let torch use one thread where it must not count on others: before each use of it."""
    if _had_torch:
        sys.modules["torch"].set_num_threads(1)
