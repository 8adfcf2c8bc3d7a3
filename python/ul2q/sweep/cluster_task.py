"""What a worker of Dask's does of a sweep: one run, by a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ul2q.runs.layout import RUN_LOCK
from ul2q.runs.record import RUNNING, read_record
from ul2q.sweep.jobs import start_run
from ul2q.sweep.plan import SweepError
from ul2q.util.lock_file import is_held

_LOOK = 1.0  # seconds between two looks at the sweep
_PATIENCE = 300.0  # seconds, for a run whose worker is lost to write its snapshot


@dataclass(frozen=True)
class Task:
    """A run for a worker.

    Attributes:
        folder: of the run, the same on all machines.
        arguments: of `ul2q`.
        working_folder: where the sweep was begun.
        environment: what is set for the run; None for its share of the worker's cores.
        began: the file that says that it has begun.
        stop: the name of the Dask event that asks for a snapshot and the end.
        client: the identity of the sweep's Dask client.
    """

    folder: str
    arguments: tuple[str, ...]
    working_folder: str
    environment: dict[str, str] | None
    began: str
    stop: str
    client: str


def do_run(task: Task) -> int:
    """Do a run, or go on with it; a worker calls this.

    Returns:
        The exit status of its process, negative for a signal.

    Raises:
        SweepError: the run's folder is not there, or a process elsewhere does not leave it.
        distributed.Reschedule: the process was ended by a signal that was not the sweep's, as
            where a machine is given back: another worker goes on.
    """
    from distributed import Event, Reschedule, get_client, get_worker  # noqa: PLC0415

    worker, client = get_worker(), get_client()
    folder = Path(task.folder)
    if not folder.is_dir():
        raise SweepError(f"{worker.address} does not see {folder}: all machines need its folder")
    _wait_until_free(folder)
    record = read_record(folder)
    if record is not None:
        record.status = RUNNING
        record.save(folder.parent)
    Path(task.began).touch()
    environment = task.environment
    if environment is None:
        environment = {"OMP_NUM_THREADS": str(share_of_cores(worker.state.nthreads))}
    process = start_run(folder, task.arguments, environment, cwd=task.working_folder)
    stop: Any = Event(task.stop, client=client)  # type: ignore[no-untyped-call]
    asked = False
    while process.poll() is None:
        if not asked and (_is_set(stop) or not _is_there(client, task.client)):
            process.terminate()
            asked = True
        try:
            process.wait(timeout=_LOOK)
        except subprocess.TimeoutExpired:
            continue
    status = int(process.returncode)
    by_signal = -status if status < 0 else status - 128
    if by_signal in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1) and not asked:
        raise Reschedule
    return status


def share_of_cores(runs: int) -> int:
    """The threads of a run where a worker does so many at a time: its `--nthreads`."""
    return max(1, len(os.sched_getaffinity(0)) // max(1, runs))


def _wait_until_free(folder: Path) -> None:
    """Wait until no process trains in a folder: that of a lost worker writes its snapshot."""
    end = time.monotonic() + _PATIENCE
    while is_held(folder / RUN_LOCK):
        if time.monotonic() > end:
            raise SweepError(f"{folder} is in use by a process that does not end")
        time.sleep(0.2)


def _is_set(event: Any) -> bool:
    return bool(event.is_set())


def _is_there(client: Any, sweep: str) -> bool:
    """Whether the sweep is still joined to the scheduler."""
    return bool(client.run_on_scheduler(_knows, sweep))


def _knows(sweep: str, dask_scheduler: Any = None) -> bool:
    return dask_scheduler is None or sweep in dask_scheduler.clients
