"""Sweeps on a cluster of Dask's: workers of this machine."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.distributed.mpi import ALL, only_all
from tests.sweep.test_sweep import COMMAND, RUNS, begun, record, results, sweep
from ul2q.runs.record import DONE, STOPPED
from ul2q.runs.snapshots import find_snapshots
from ul2q.sweep.cluster_task import share_of_cores

if TYPE_CHECKING:
    from collections.abc import Callable

pytest.importorskip("distributed", reason="needs ul2q[cluster]")

SLOW = """\
nets:
  mini: {net: net.prototxt, solver: solver.prototxt}
methods: {float: }
set: {max_iter: 30000, snapshot: 500, test_interval: 10000, display: 1000}
"""


def wait_for(done: Callable[[], object], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end
        time.sleep(0.05)


def processes_of(run: str) -> list[int]:
    """Those that train in a run's folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if b"sweep_worker" in (line := path.read_bytes()) and run.encode() in line:
                found.append(int(path.parent.name))
    return found


def start_sweep(address: str) -> subprocess.Popen[str]:
    Path("s.yaml").write_text(SLOW)
    command = [*COMMAND, "sweep", "s.yaml", "--runs", "runs", "--cluster", address]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.mark.usefixtures("workspace")
def test_a_cluster_leaves_what_a_sweep_here_leaves(capsys: pytest.CaptureFixture[str]) -> None:
    only = () if ALL else ("--only", RUNS[0])
    runs = RUNS if ALL else RUNS[:1]
    assert sweep("--cluster", "local:2", *only) == 0
    assert sorted(begun(capsys.readouterr().out)) == sorted(runs)
    assert [(row["run"], row["status"], row["iterations"]) for row in results()] == [
        (run, DONE, "20") for run in runs
    ]
    for run in runs:
        folder = Path("runs", run)
        assert (folder / f"{run}_iter_20.caffemodel").is_file()
        assert "test accuracy:" in (folder / "output.txt").read_text()
        threads = record(run)["training"]["sessions"][0]["threads"]
        assert threads == max(1, len(os.sched_getaffinity(0)) // 2)
        assert not list(folder.glob(".began-*"))


@pytest.mark.parametrize("address", ["local", "local:0", "local:two", "node1"])
@pytest.mark.usefixtures("workspace")
def test_wrong_addresses_are_told(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert sweep("--cluster", address) == 1
    assert "or local:N, for N workers" in capsys.readouterr().err
    assert not Path("runs").exists()


@pytest.mark.usefixtures("workspace")
def test_the_workers_say_how_many_run_at_a_time(capsys: pytest.CaptureFixture[str]) -> None:
    assert sweep("--cluster", "local:2", "--jobs", "2") == 1
    assert "give --jobs or --cluster" in capsys.readouterr().err


def test_runs_of_a_worker_share_its_cores() -> None:
    cores = len(os.sched_getaffinity(0))
    assert share_of_cores(1) == cores
    assert share_of_cores(10**6) == 1


@only_all
@pytest.mark.usefixtures("workspace")
@pytest.mark.parametrize("lost", ["process", "worker"])
def test_a_lost_worker_s_run_goes_on_elsewhere(lost: str) -> None:
    process = start_sweep("local:2")
    folder = Path("runs", RUNS[0])
    wait_for(lambda: find_snapshots(folder / RUNS[0]))
    (run,) = processes_of(RUNS[0])
    victim = run if lost == "process" else int(Path(f"/proc/{run}/stat").read_text().split()[3])
    os.kill(victim, signal.SIGTERM if lost == "process" else signal.SIGKILL)
    out, _ = process.communicate(timeout=100)
    assert process.returncode == 0, out
    sessions = record(RUNS[0])["training"]["sessions"]
    assert len(sessions) == 2
    assert sessions[1]["from_iteration"] > 0
    assert results()[0]["status"] == DONE


@only_all
@pytest.mark.usefixtures("workspace")
@pytest.mark.parametrize("how", ["interrupted", "killed"])
def test_a_sweep_on_a_scheduler_goes_on_after_its_end(how: str) -> None:
    from distributed import LocalCluster

    with LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None) as cluster:  # type: ignore[no-untyped-call]
        process = start_sweep(cluster.scheduler_address)
        folder = Path("runs", RUNS[0])
        wait_for(lambda: find_snapshots(folder / RUNS[0]))
        process.send_signal(signal.SIGINT if how == "interrupted" else signal.SIGKILL)
        out, _ = process.communicate(timeout=60)
        assert process.returncode == (130 if how == "interrupted" else -signal.SIGKILL), out
        wait_for(lambda: not processes_of(RUNS[0]))
        assert "interrupted after" in (folder / "output.txt").read_text()
        if how == "interrupted":
            assert record(RUNS[0])["status"] == STOPPED
        assert sweep("--cluster", cluster.scheduler_address, spec=SLOW) == 0
    assert results()[0]["status"] == DONE
    assert len(record(RUNS[0])["training"]["sessions"]) == 2
