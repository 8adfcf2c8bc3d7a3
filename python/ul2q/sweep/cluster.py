"""Runs as tasks of Dask: on the workers of a cluster, or on a few of this machine's own."""

from __future__ import annotations

import re
import secrets
import signal
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ul2q.sweep.cluster_task import Task, do_run
from ul2q.sweep.jobs import share_of_threads
from ul2q.sweep.plan import SweepError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ul2q.sweep.jobs import Job

_LOCAL = re.compile(r"local:(\d+)")
_SECONDS = 30  # to reach a scheduler


def local_workers(address: str) -> int | None:
    """How many workers of this machine an address asks for; None if it is a scheduler's.

    Raises:
        SweepError: it is neither.
    """
    local = _LOCAL.fullmatch(address)
    if local is not None and int(local[1]) > 0:
        return int(local[1])
    if address.startswith("local") or ":" not in address:
        raise SweepError(
            f"--cluster {address!r}: say tcp://HOST:8786, the address of a Dask scheduler, or "
            "local:N, for N workers of this machine"
        )
    return None


@contextmanager
def cluster_jobs(address: str) -> Iterator[ClusterJobs]:
    """The place for runs on a cluster, for as long as the block lasts.

    Args:
        address: of a Dask scheduler, as tcp://HOST:8786; or local:N for N workers of this machine,
            which share its threads.

    Raises:
        SweepError: Dask is missing, the address is none, or nobody answers there.
    """
    try:
        from distributed import Client, LocalCluster  # noqa: PLC0415 - an optional package
    except ImportError as error:
        raise SweepError(f"--cluster needs Dask: pip install 'ul2q[cluster]' ({error})") from error
    workers = local_workers(address)
    if workers is not None:
        with (
            LocalCluster(  # type: ignore[no-untyped-call]
                n_workers=workers, threads_per_worker=1, dashboard_address=None
            ) as cluster,
            Client(cluster) as client,  # type: ignore[no-untyped-call]
        ):
            yield ClusterJobs(client, share_of_threads(workers))
        return
    try:
        client = Client(address, timeout=_SECONDS)  # type: ignore[no-untyped-call]
    except (OSError, ValueError, TimeoutError) as error:
        raise SweepError(f"--cluster {address}: no Dask scheduler answers: {error}") from error
    with client:
        yield ClusterJobs(client, None)


class ClusterJobs:
    """As many runs as there are; the cluster lets them wait where it has no worker for them.

    A run whose worker is lost goes on on another one, from its newest snapshot.
    """

    are_here = False

    def __init__(self, client: Any, environment: dict[str, str] | None) -> None:
        """Take Dask's client, and the runs' environment; None for a share of a worker's cores."""
        from distributed import Event  # noqa: PLC0415

        self._client = client
        self._environment = environment
        name = f"ul2q-stop-{secrets.token_hex(8)}"
        self._stop = Event(name, client=client)  # type: ignore[no-untyped-call]
        self._stop_name = name

    def has_room(self, jobs: int) -> bool:  # noqa: ARG002 - of Jobs
        """Always: whom the cluster has no worker for waits there."""
        return True

    def begin(self, folder: Path, arguments: Sequence[str]) -> Job:
        """Hand a run to the cluster."""
        began = folder.absolute() / f".began-{secrets.token_hex(4)}"
        task = Task(
            folder=str(folder.absolute()),
            arguments=tuple(arguments),
            working_folder=str(Path.cwd()),
            environment=self._environment,
            began=str(began),
            stop=self._stop_name,
            client=self._client.id,
        )
        future = self._client.submit(do_run, task, key=f"{folder.name}-{secrets.token_hex(4)}")
        return _ClusterJob(future, began, self._stop)


class _ClusterJob:
    """A task of Dask's."""

    def __init__(self, future: Any, began: Path, stop: Any) -> None:
        self._future = future
        self._began = began
        self._stop = stop
        self._has_begun = False
        self.failure: str | None = None

    @property
    def has_begun(self) -> bool:
        """Whether a worker has taken it: that leaves a file."""
        if not self._has_begun and self._began.exists():
            self._has_begun = True
            self._began.unlink(missing_ok=True)
        return self._has_begun

    def poll(self) -> int | None:
        """The exit status of its process; 1 if the cluster has given it up."""
        if not self._future.done():
            return None
        if self._future.status == "finished":
            return int(self._future.result())
        if self._future.status == "cancelled":
            return -signal.SIGTERM
        error = self._future.exception()
        self.failure = f"the cluster gave it up: {type(error).__name__}: {error}"
        return 1

    def stop(self) -> None:
        """Ask all runs of the sweep to end; what waits for a worker will not begin."""
        self._stop.set()
        if not self.has_begun:
            self._future.cancel()
