"""One sweep at a time in a folder."""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from ul2q.sweep.plan import SweepError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_PATIENCE = 300.0  # seconds, for an iteration or a test's batch, and a snapshot


@contextmanager
def locked(runs: Path, say: Callable[[str], None]) -> Iterator[int]:
    """Hold a folder's locks within the block.

    Yields:
        The descriptor of a lock for the runs' processes to inherit: after a sweep was killed, they
        hold it until they have written their snapshots, and the next sweep waits for that.

    Raises:
        SweepError: another sweep is there, or runs of a killed one do not end.
    """
    with (
        (runs / ".sweep.lock").open("a+", encoding="ascii") as sweep,
        (runs / ".runs.lock").open("a+", encoding="ascii") as processes,
    ):
        if not _acquire(sweep):
            owner = os.pread(sweep.fileno(), 32, 0).decode("ascii").strip()
            raise SweepError(
                f"{runs} is in use by the sweep of process {owner}: wait, or choose another --runs"
            )
        os.ftruncate(sweep.fileno(), 0)
        os.write(sweep.fileno(), f"{os.getpid()}\n".encode("ascii"))
        if not _acquire(processes):
            say("waiting for the runs of a killed sweep to end")
            end = time.monotonic() + _PATIENCE
            while not _acquire(processes):
                if time.monotonic() > end:
                    raise SweepError(f"{runs}: runs of a killed sweep have not ended; end them")
                time.sleep(0.1)
        yield processes.fileno()


def _acquire(file: TextIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
