"""Keeps it to one sweep at a time in a folder."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ul2q.runs.lock import processes_lock, sweep_lock
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
    with sweep_lock(runs) as sweep, processes_lock(runs) as processes:
        if not sweep.acquire():
            raise SweepError(
                f"{runs} is in use by the sweep of process {sweep.holder}: wait, or choose another "
                "--runs"
            )
        if not processes.acquire():
            say("waiting for the runs of a killed sweep to end")
            end = time.monotonic() + _PATIENCE
            while not processes.acquire():
                if time.monotonic() > end:
                    raise SweepError(f"{runs}: runs of a killed sweep have not ended; end them")
                time.sleep(0.1)
        yield processes.descriptor
