"""The runs of a sweep that are being done: here, each a process; elsewhere see `cluster`."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from ul2q.runs.layout import OUTPUT

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class Job(Protocol):
    """A run that is being done."""

    @property
    def has_begun(self) -> bool:
        """Whether it computes; else it waits for a place."""

    def poll(self) -> int | None:
        """Its exit status, negative for a signal; None as long as it goes on."""

    def stop(self) -> None:
        """Ask it to write a snapshot and end."""

    @property
    def failure(self) -> str | None:
        """Why it failed, where its output does not tell."""


class Jobs(Protocol):
    """Where runs are done.

    Attributes:
        are_here: whether a run begins at once, as a process of this one.
    """

    are_here: bool

    def has_room(self, jobs: int) -> bool:
        """Whether one more can be begun beside so many."""

    def begin(self, folder: Path, arguments: Sequence[str]) -> Job:
        """Begin a run in its folder, by `ul2q` with these arguments."""


class LocalJobs:
    """A few runs at a time on this machine, which share its threads."""

    are_here = True

    def __init__(self, jobs: int, lock: int) -> None:
        """Take how many at a time, and the descriptor of a lock that each run inherits."""
        self._jobs = jobs
        self._lock = lock

    def has_room(self, jobs: int) -> bool:
        """Whether there are fewer than allowed."""
        return jobs < self._jobs

    def begin(self, folder: Path, arguments: Sequence[str]) -> Job:
        """Begin a process."""
        process = start_run(folder, arguments, share_of_threads(self._jobs), [self._lock])
        return _LocalJob(process)


@dataclass
class _LocalJob:
    process: subprocess.Popen[bytes]
    has_begun: bool = True
    failure: str | None = None

    def poll(self) -> int | None:
        return self.process.poll()

    def stop(self) -> None:
        self.process.terminate()


def start_run(
    folder: Path,
    arguments: Sequence[str],
    environment: dict[str, str],
    descriptors: Sequence[int] = (),
    *,
    cwd: str | None = None,
) -> subprocess.Popen[bytes]:
    """Start `ul2q` with these arguments as a process that ends with the thread that started it.

    Args:
        folder: of the run, which gets what is printed.
        arguments: of `ul2q`.
        environment: what is set beside ours.
        descriptors: of files that the process inherits.
        cwd: its working directory; None for ours.
    """
    command = [sys.executable, "-m", "ul2q.cli.sweep_worker", str(os.getpid()), *arguments]
    with (folder / OUTPUT).open("ab") as output:
        return subprocess.Popen(  # noqa: S603
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **environment},
            pass_fds=descriptors,
            cwd=cwd,
            start_new_session=True,  # Ctrl-C reaches it by us alone
        )


def share_of_threads(jobs: int) -> dict[str, str]:
    """What to set in the environment of each run where so many run at a time."""
    if jobs == 1:
        return {}
    given = os.environ.get("OMP_NUM_THREADS", "")
    threads = int(given) if given.isdecimal() else len(os.sched_getaffinity(0))
    return {"OMP_NUM_THREADS": str(max(1, threads // jobs))}
