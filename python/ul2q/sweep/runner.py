"""Does a sweep: each run is a process of its own, and goes on whatever interrupted it."""

from __future__ import annotations

import json
import shutil
import signal
import time
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from ul2q.nets.prototxt import parse_net, read_net, text_bytes
from ul2q.runs.layout import NET, OUTPUT, RECORD, SOLVER, SPEC, has_training
from ul2q.runs.progress import read_progress
from ul2q.runs.record import (
    DONE,
    FAILED,
    RUNNING,
    STOPPED,
    WAITING,
    Record,
    read_record,
    read_records,
)
from ul2q.runs.snapshots import find_snapshots
from ul2q.sweep.cluster import cluster_jobs, local_workers
from ul2q.sweep.display import make_display
from ul2q.sweep.jobs import LocalJobs
from ul2q.sweep.lock import locked
from ul2q.sweep.plan import PlannedRun, SweepError
from ul2q.sweep.results import write_results
from ul2q.training.solver_file import make_plan
from ul2q.training.trial import trial_note
from ul2q.util.differences import differences
from ul2q.util.input_file import require_folder
from ul2q.util.output_file import new_folder, write_file
from ul2q.util.stopping import StopRequested, stop_on_signals

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ul2q.sweep.display import Display
    from ul2q.sweep.jobs import Job, Jobs
    from ul2q.util.paths import StrPath

_POLL = 0.1  # seconds
_BY_SIGNAL = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


class SweepInterrupted(KeyboardInterrupt):
    """SIGINT or SIGTERM ended a sweep, after its runs have written snapshots.

    Attributes:
        signum: the signal.
    """

    def __init__(self, signum: int, runs: Path) -> None:
        """Compose the message; `runs` is the sweep's folder."""
        super().__init__(f"{runs}: interrupted; the same command goes on")
        self.signum = signum


def run_sweep(
    plan: Sequence[PlannedRun],
    runs: StrPath,
    *,
    order: Sequence[str],
    spec: str,
    jobs: int = 1,
    cluster: str | None = None,
    retry_failed: bool = False,
    redo: bool = False,
    stream: TextIO,
) -> list[Record]:
    """Do the runs of a sweep that are not done.

    A run that was interrupted goes on from its newest snapshot; one that fails does not keep the
    others from running. SIGINT and SIGTERM let the runs write snapshots.

    Args:
        plan: the runs, each after its float run.
        runs: the sweep's folder, made if missing; `ul2q.runs` says what is there.
        order: the names of runs in the order of results.csv, also of such as are not in `plan`;
            others that stand in the folder come after them.
        spec: the text of the sweep's file, kept as sweep.yaml.
        jobs: how many run at a time; they share the threads.
        cluster: the address of a Dask scheduler whose workers do the runs, or local:N; None for
            processes of this one.
        retry_failed: go on with runs that failed.
        redo: throw away what runs with other options have left, and what began from that.
        stream: where to tell how the sweep goes.

    Returns:
        The records of `plan`'s runs.

    Raises:
        SweepError: another sweep is there, or runs with other options and `redo` is not set; or
            the folder is that of a single run; or `cluster` is no address, or nobody answers.
        RecordError: a run.json is damaged.
        FileNotFoundError: a database is missing.
        NotADirectoryError: `runs` is a file.
        SweepInterrupted: SIGINT or SIGTERM came.
    """
    runs = Path(runs)
    if jobs < 1:
        raise SweepError(f"jobs is {jobs}; must be at least 1")
    if cluster is not None:
        local_workers(cluster)
    require_folder(runs, "--runs")
    _refuse_single_run(runs)
    is_new = not runs.exists()
    with (
        new_folder(runs),
        locked(runs, lambda line: print(line, file=stream, flush=True)) as lock,
    ):
        try:
            records = _records(plan, runs, retry_failed=retry_failed, redo=redo)
        except BaseException:
            if is_new:
                shutil.rmtree(runs)
            raise
        if (note := trial_note()) is not None:
            print(note, file=stream, flush=True)
        write_file(runs / SPEC, spec.encode(), force=True)
        iterations = {run.name: run.solver.max_iter for run in plan}
        display = make_display(stream, runs, records, iterations)
        with (
            nullcontext(LocalJobs(jobs, lock))
            if cluster is None
            else cluster_jobs(cluster) as place
        ):
            _Sweep(plan, runs, order, records, place, display).run()
    return records


def require_done(records: Sequence[Record]) -> None:
    """Raise SweepError if a run is not done."""
    by_status = {
        status: [record.run for record in records if record.status == status]
        for status in (FAILED, STOPPED, WAITING)
    }
    failed, stopped, waiting = by_status.values()
    told = []
    if failed:
        told.append(
            f"{len(failed)} of {len(records)} runs failed: {', '.join(failed)}; "
            f"{OUTPUT} in their folders says why, --retry-failed goes on with them"
        )
    if stopped:
        told.append(f"stopped: {', '.join(stopped)}; the same command goes on with them")
    if waiting:
        told.append(f"not begun without their float run: {', '.join(waiting)}")
    if told:
        raise SweepError("; ".join(told))


def new_record(run: PlannedRun) -> Record:
    """The record of a run that has not begun."""
    return Record(
        run=run.name,
        net=run.net,
        method=run.method,
        bits=run.bits,
        seed=run.seed,
        variant=run.variant,
        options=json.loads(json.dumps(run.options)),
        float_run=run.float_run,
    )


def _records(
    plan: Sequence[PlannedRun], runs: Path, *, retry_failed: bool, redo: bool
) -> list[Record]:
    """Make the runs' folders ready, and the records that the sweep begins with."""
    records = []
    conflicts: dict[str, str] = {}
    for run in plan:
        record, old = new_record(run), read_record(runs / run.name)
        if old is None:
            _refuse_strange(runs / run.name)
        elif old.status != WAITING:
            changes = _changes(run, record, old, runs)
            if run.float_run in conflicts:
                changes.append(f"it begins from {run.float_run}")
            if changes:
                conflicts[run.name] = ", ".join(changes)
            else:
                record = old
                if old.status == RUNNING or (old.status == FAILED and retry_failed):
                    record.status, record.error = STOPPED, None
        records.append(record)
    if conflicts and not redo:
        name, changed = next(iter(conflicts.items()))
        more = f" (and {len(conflicts) - 1} more runs)" if len(conflicts) > 1 else ""
        raise SweepError(
            f"{runs / name} has other options: {changed}{more}; choose another --runs, or throw "
            "away what is there by --redo"
        )
    for name in conflicts:
        shutil.rmtree(runs / name)
    for run, record in zip(plan, records, strict=True):
        if record.status not in (DONE, FAILED):
            _prepare(run, record, runs)
    return records


def _refuse_single_run(runs: Path) -> None:
    if has_training(runs):
        raise SweepError(
            f"{runs} is the folder of a single run, of `ul2q train --run`: choose another --runs"
        )


def _refuse_strange(folder: Path) -> None:
    if has_training(folder):
        raise SweepError(f"{folder} holds a run, but no {RECORD}: move it away")


def _changes(run: PlannedRun, new: Record, old: Record, runs: Path) -> list[str]:
    changes = list(differences(old.options, new.options))
    net = runs / run.name / NET
    if not changes and net.is_file() and read_net(net) != parse_net(run.net_text, run.name):
        changes.append("the net's prototxt has changed")
    return changes


def _prepare(run: PlannedRun, record: Record, runs: Path) -> None:
    """Write a run's folder, and check that it can begin."""
    folder = runs / run.name
    folder.mkdir(exist_ok=True)
    record.save(runs)
    write_file(folder / NET, text_bytes(run.net_text), force=True)
    solver = type(run.solver)()
    solver.CopyFrom(run.solver)
    solver.net = str(folder / NET)
    solver.snapshot_prefix = str(folder / run.name)
    write_file(folder / SOLVER, str(solver).encode(), force=True)
    make_plan(folder / SOLVER, run=folder, data=run.data)


class _Sweep:
    """One call of `run_sweep`."""

    def __init__(
        self,
        plan: Sequence[PlannedRun],
        runs: Path,
        order: Sequence[str],
        records: Sequence[Record],
        jobs: Jobs,
        display: Display,
    ) -> None:
        self._plan = {run.name: run for run in plan}
        self._records = {record.run: record for record in records}
        self._runs = runs
        self._order = order
        self._jobs = jobs
        self._display = display
        self._pending = [one.run for one in records if one.status not in (DONE, FAILED)]
        self._begun: dict[str, Job] = {}

    def run(self) -> None:
        """Do all runs that can be done."""
        self._write_results()
        try:
            with stop_on_signals() as stop:
                try:
                    self._begin_runs()
                    while self._begun:
                        self._display.tick()
                        time.sleep(_POLL)
                        stop.check()
                        self._collect()
                        self._begin_runs()
                except StopRequested as request:
                    raise SweepInterrupted(request.signum, self._runs) from None
                finally:
                    self._end_runs()
        finally:
            self._display.close()

    def _begin_runs(self) -> None:
        """Begin as many runs as may run at a time."""
        for name in list(self._pending):
            float_run = self._records[name].float_run
            if not self._jobs.has_room(len(self._begun)):
                return
            if float_run is None or self._records[float_run].status == DONE:
                self._pending.remove(name)
                if self._jobs.are_here:  # before the process writes its part of run.json
                    self._change(name, RUNNING)
                self._begun[name] = self._begin(self._plan[name])

    def _begin(self, run: PlannedRun) -> Job:
        folder = self._runs / run.name
        arguments = ["train", str(folder / SOLVER), "--run", str(folder), "--resume"]
        if run.data is not None:
            arguments += ["--data", str(run.data)]
        if run.float_run is not None:
            arguments += ["--weights", str(self._model(self._plan[run.float_run]))]
        if run.patience is not None:
            arguments += ["--patience", str(run.patience)]
        return self._jobs.begin(folder, arguments)

    def _model(self, run: PlannedRun) -> Path:
        """The weights that a run has ended with."""
        snapshots = find_snapshots(self._runs / run.name / run.name)
        if not snapshots:
            raise SweepError(
                f"{self._runs / run.name} has no snapshot to begin other runs from: remove that "
                "folder to train it anew"
            )
        return snapshots[0].weights

    def _collect(self) -> None:
        """Take note of the runs that have ended."""
        for name, job in list(self._begun.items()):
            if job.has_begun and self._records[name].status != RUNNING:
                self._change(name, RUNNING, save=False)  # where it runs, that is done
            status = job.poll()
            if status is None:
                continue
            del self._begun[name]
            if status == 0:
                self._change(name, DONE)
            elif -status in _BY_SIGNAL or status - 128 in _BY_SIGNAL:
                self._change(name, STOPPED)
            else:
                reason = job.failure or _reason(self._runs / name / OUTPUT, status)
                self._change(name, FAILED, reason)

    def _end_runs(self) -> None:
        """Let the runs write their snapshots, and wait for that."""
        for job in self._begun.values():
            job.stop()
        running = [name for name, job in self._begun.items() if job.has_begun]
        if running:
            self._display.say(f"waiting for the snapshots of {', '.join(running)}")
        while self._begun:
            self._collect()
            time.sleep(_POLL)

    def _change(
        self, name: str, status: str, error: str | None = None, *, save: bool = True
    ) -> None:
        record, progress = self._records[name], read_progress(self._runs / name)
        record.status, record.error = status, error
        record.iterations, record.seconds = progress.iterations, progress.seconds
        if status == DONE:
            record.accuracy, record.loss = progress.accuracy, progress.loss
        if save:
            record.save(self._runs)
        self._write_results()
        self._display.changed(record)

    def _write_results(self) -> None:
        """Write results.csv of all runs in the folder, those of another call of the sweep too."""
        records = read_records(self._runs) | self._records
        names = dict.fromkeys((*self._order, *records))
        write_results(self._runs, [records[name] for name in names if name in records])


def _reason(output: Path, status: int) -> str:
    """Why a run failed: its error, the last line it printed, or the signal that killed it."""
    if status < 0:
        return f"killed by {signal.Signals(-status).name}"
    lines = output.read_text(encoding="utf-8", errors="replace").split("\n")
    printed = [line.strip() for line in lines if line.strip()]
    return printed[-1].removeprefix("ul2q: error: ") if printed else f"exit status {status}"
