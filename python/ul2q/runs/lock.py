"""The locks of a run's folder and of a sweep's.

A lock ends with the processes that hold it, however they end; its file stays. Whoever opens one
says what is to be done where another process holds it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ul2q.runs.layout import PROCESSES_LOCK, RUN_LOCK, SWEEP_LOCK
from ul2q.util.lock_file import LockFile, is_held, lock_file

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path


def run_lock(run: Path) -> AbstractContextManager[LockFile]:
    """What a process holds while it trains in a run's folder."""
    return lock_file(run / RUN_LOCK)


def sweep_lock(sweep: Path) -> AbstractContextManager[LockFile]:
    """What a process holds while it begins and watches the runs in a sweep's folder."""
    return lock_file(sweep / SWEEP_LOCK)


def processes_lock(sweep: Path) -> AbstractContextManager[LockFile]:
    """What a sweep holds together with the processes of its runs, which inherit it.

    After the sweep was killed they hold it until they have written their snapshots.
    """
    return lock_file(sweep / PROCESSES_LOCK)


def is_sweeping(sweep: Path) -> bool:
    """Whether a sweep, or a run that a killed one has left, is at work in a sweep's folder."""
    return is_held(sweep / PROCESSES_LOCK)
