"""Does a run, from a solver file to what it comes to."""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

import caffe

from ul2q.models.caffemodel import check_weights_file
from ul2q.runs.changes import changes_since
from ul2q.runs.lock import run_lock
from ul2q.runs.snapshots import find_snapshots, remove_leftovers
from ul2q.training.arguments import KEPT, Arguments
from ul2q.training.errors import TrainingError
from ul2q.training.finished import finished_result
from ul2q.training.logs import refuse_existing_logs
from ul2q.training.loop import SolverLoop
from ul2q.training.progress import Reporter
from ul2q.training.solver_file import Plan, make_plan
from ul2q.training.start import snapshot_to_go_on_from
from ul2q.util.stopping import StopRequested, stop_on_signals

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from ul2q.training.result import TrainResult


def train(
    solver: Path,
    *,
    weights: Sequence[Path] = (),
    snapshot: Path | None = None,
    resume: bool = False,
    run: Path | None = None,
    data: Path | None = None,
    settings: Sequence[str] = (),
    epochs: int | None = None,
    keep: int = KEPT,
    best: bool = False,
    tensorboard: bool = False,
    progress: Reporter | None = None,
) -> TrainResult:
    """Run a solver to its `max_iter`: the same losses and tests as `caffe train` at the same seed.

    SIGINT and SIGTERM (in the main thread) let the iteration end, write a snapshot and raise
    Interrupted. Going on from a snapshot gives the weights that the run would have had without an
    interruption, bit for bit. A snapshot that cannot be written is reported, and ends the run
    only if it is the last.

    Args:
        solver: a SolverParameter as text; its nets stand relative to the working directory or
            to this file.
        weights: .caffemodel files to begin from, in place of the solver's `weights`.
        snapshot: a .solverstate to go on from.
        resume: go on from the newest intact snapshot in `run`, or begin if there is none. A run
            that is finished is left as it is.
        run: a folder, made if missing, for log.csv, the snapshots and solver.prototxt, the solver
            as it was run; a net with quantised layers has quantization.csv beside them.
            `ul2q.runs` says what each file holds. log.csv has a row for each iteration that the
            solver displays or tests before, quantization.csv for each that it displays.
        data: a folder with train_lmdb and test_lmdb for the Data layers to read.
        settings: fields of the solver to change, each a KEY=VALUE; see
            `solver_settings.apply_settings`.
        epochs: passes over the training data, in place of max_iter.
        keep: how many snapshots of this run stay, the newest; 0 for all.
        best: keep the weights of the best test, too: that with the highest accuracy of the first
            test net, or with the lowest loss of one that has no accuracy.
        tensorboard: write the numbers of log.csv for TensorBoard, too, into `run`.
        progress: told of every iteration and test.

    Raises:
        FileNotFoundError: a file or a database is missing.
        PrototxtError: a prototxt or a setting is faulty.
        WeightsError: a weights file is none, or does not belong to the net.
        SnapshotError: a snapshot is none, or does not belong to the net.
        RunLogError: the run's folder holds a log though the run does not go on, or the log of
            another run, or a damaged one.
        TensorBoardError: tensorboardX is missing.
        TrainingError: the arguments contradict each other, another process runs in `run`, no
            snapshot is intact, or one is beyond max_iter; the loss, a test or the weights are not
            finite; the last snapshot could not be written.
        caffe.CaffeError: Caffe refuses a net or the solver.
        Interrupted: SIGINT or SIGTERM came.
    """
    arguments = Arguments(
        solver=solver,
        weights=weights,
        snapshot=snapshot,
        resume=resume,
        run=run,
        data=data,
        settings=settings,
        epochs=epochs,
        keep=keep,
        best=best,
        tensorboard=tensorboard,
    )
    arguments.check()
    plan = make_plan(solver, run=run, data=data, settings=settings, epochs=epochs)
    with _alone_in(run) if run is not None else nullcontext():
        return _train(arguments, plan, progress or Reporter())


def _train(arguments: Arguments, plan: Plan, progress: Reporter) -> TrainResult:
    """Do what `train` says, while no other process works in the run's folder."""
    run, snapshot = arguments.run, arguments.snapshot
    if snapshot is None and not arguments.resume and run is not None:
        refuse_existing_logs(run)
    candidates = [snapshot_to_go_on_from(snapshot)] if snapshot is not None else []
    if (arguments.resume or snapshot is not None) and run is not None:
        changes = changes_since(plan.effective, run, data=plan.data, weights=arguments.weights)
        if changes:
            progress.warning(f"{run} was run with other settings: {', '.join(changes)}")
    if arguments.resume and run is not None:
        remove_leftovers(plan.param.snapshot_prefix)
        candidates = find_snapshots(plan.param.snapshot_prefix)
        finished = finished_result(plan, run, candidates, best=arguments.best)
        if finished is not None:
            return finished
    weights = arguments.weights if candidates else arguments.weights or plan.weights
    for path in weights:
        check_weights_file(path)

    with stop_on_signals() as stop:
        loop = SolverLoop(_build(plan, arguments.solver), plan, progress, stop, arguments)
        if candidates:
            loop.go_on_from(candidates)
        else:
            loop.begin(weights, anew=arguments.resume)
        try:
            loop.run()
        except StopRequested as request:
            raise loop.interrupted(request.signum) from None
    return loop.result()


@contextmanager
def _alone_in(run: Path) -> Iterator[None]:
    """Hold the lock of a run's folder within the block.

    Raises:
        TrainingError: another process holds it.
    """
    with run_lock(run) as lock:
        if not lock.acquire():
            raise TrainingError(
                f"{run} is in use by the run of process {lock.holder}: wait for its end, or choose "
                "another --run"
            )
        yield


def _build(plan: Plan, path: Path) -> caffe.SGDSolver:
    if plan.param.HasField("solver_mode") and plan.param.solver_mode == plan.param.GPU:
        try:
            caffe.set_mode_gpu()
            caffe.set_device(plan.param.device_id)
        except caffe.CaffeError as error:
            raise TrainingError(f"{path}: solver_mode GPU: {error}") from error
    else:
        caffe.set_mode_cpu()
    return caffe.get_solver(plan.param)
