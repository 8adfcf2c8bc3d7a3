"""Does a run, from a solver file to what it comes to."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import caffe

from ul2q.models.caffemodel import check_weights_file
from ul2q.nets.layer_checks import place_of_error
from ul2q.nets.phase_differences import phase_differences
from ul2q.nets.solver_nets import solver_nets
from ul2q.runs.changes import changes_since
from ul2q.runs.layout import STOP, clear_refused, has_training
from ul2q.runs.lock import run_lock
from ul2q.runs.snapshots import find_snapshots, remove_leftovers
from ul2q.training.arguments import KEPT, Arguments
from ul2q.training.errors import TrainingError
from ul2q.training.finished import finished_result
from ul2q.training.logs import refuse_existing_logs
from ul2q.training.loop import SolverLoop
from ul2q.training.progress import Reporter
from ul2q.training.ranks import Ranks
from ul2q.training.solver_file import Plan, make_plan
from ul2q.training.start import snapshot_to_go_on_from
from ul2q.training.trial import trial_note
from ul2q.util.output_file import new_folder
from ul2q.util.paths import StrPath, as_paths
from ul2q.util.stopping import StopRequested, stop_on_signals

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ul2q.training.result import TrainResult


def train(
    solver: StrPath,
    *,
    weights: StrPath | Sequence[StrPath] = (),
    snapshot: StrPath | None = None,
    resume: bool = False,
    run: StrPath | None = None,
    data: StrPath | None = None,
    settings: Sequence[str] = (),
    epochs: int | None = None,
    keep: int = KEPT,
    best: bool = False,
    patience: int | None = None,
    tensorboard: bool = False,
    progress: Reporter | None = None,
    ranks: Ranks | None = None,
) -> TrainResult:
    """Run a solver to its `max_iter`: the same losses and tests as `caffe train` at the same seed.

    The finished net is tested in any case, with the very parameters that its snapshot holds:
    the averages that a last batch for the displayed loss moves are put back.

    SIGINT, SIGTERM and SIGUSR1 (in the main thread), or a file `stop` in `run`, let the iteration
    end, write a snapshot and raise Interrupted. Going on from a snapshot gives the weights that the
    run would have had without an interruption, bit for bit. A snapshot that cannot be written is
    reported, and ends the run only if it is the last.

    Args:
        solver: a SolverParameter as text; its nets stand relative to the working directory or
            to this file.
        weights: .caffemodel files, or one, to begin from, in place of the solver's `weights`.
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
        patience: end training after so many tests in a row that were no better than the best;
            its weights are kept as by `best`. None to train to max_iter.
        tensorboard: write the numbers of log.csv for TensorBoard, too, into `run`.
        progress: told of every iteration and test.
        ranks: the processes that train together, of which this is the first; None for this one
            alone. `ul2q.distributed.train` gives them.

    Raises:
        FileNotFoundError: a file or a database is missing.
        IsADirectoryError, NotADirectoryError: a folder is given for a file, or the other way round.
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
        Interrupted: a signal or the file asked for a stop.
    """
    ranks = ranks or Ranks()
    solver = Path(solver)
    snapshot = None if snapshot is None else Path(snapshot)
    run = None if run is None else Path(run)
    data = None if data is None else Path(data)
    arguments = Arguments(
        solver=solver,
        weights=as_paths(weights),
        snapshot=snapshot,
        resume=resume,
        run=run,
        data=data,
        settings=settings,
        epochs=epochs,
        keep=keep,
        best=best,
        patience=patience,
        tensorboard=tensorboard,
        launcher=ranks.launcher,
        options_of_ranks=ranks.options,
    )
    arguments.check()
    plan = make_plan(solver, run=run, data=data, settings=settings, epochs=epochs, ranks=ranks.size)
    if patience is not None and not plan.tests:
        raise TrainingError(f"{solver}: --patience needs tests, but the solver has no test_iter")
    with ExitStack() as stack:
        stack.enter_context(new_folder(Path(plan.param.snapshot_prefix).parent))
        if run is not None:
            stack.enter_context(_alone_in(run))
        return _train(arguments, plan, progress or Reporter(), ranks)


def _train(arguments: Arguments, plan: Plan, progress: Reporter, ranks: Ranks) -> TrainResult:
    """Do what `train` says, while no other process works in the run's folder."""
    run, snapshot = arguments.run, arguments.snapshot
    if (note := trial_note()) is not None:
        progress.note(note)
    if snapshot is None and not arguments.resume and run is not None:
        refuse_existing_logs(run)
    if run is not None and (removed := remove_leftovers(plan.param.snapshot_prefix)):
        names = ", ".join(map(str, removed))
        progress.note(f"removed what a run that was killed had left unfinished: {names}")
    candidates = [snapshot_to_go_on_from(snapshot)] if snapshot is not None else []
    if (arguments.resume or snapshot is not None) and run is not None:
        changes = changes_since(plan.effective, run, data=plan.data, weights=arguments.weights)
        if changes:
            progress.warning(f"{run} was run with other settings: {', '.join(changes)}")
    if arguments.resume and run is not None:
        candidates = find_snapshots(plan.param.snapshot_prefix)
        finished = finished_result(plan, run, candidates, arguments)
        if finished is not None:
            return finished
    train_net, _ = next(solver_nets(plan.param))
    for difference in phase_differences(train_net):
        progress.warning(str(difference))
    weights = arguments.weights if candidates else arguments.weights or plan.weights
    for path in weights:
        check_weights_file(path)

    with stop_on_signals() as stop:
        ranks.before_build(plan.param, progress.note, progress.warning)
        built = _build(plan, arguments.solver)
        ranks.built(built, plan.param)
        stop.watch(None if run is None else run / STOP)
        loop = SolverLoop(built, plan, progress, stop, arguments, ranks)
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

    A folder that was empty is so again if the block raises before the run has begun.

    Raises:
        TrainingError: another process holds it.
    """
    is_new = not any(run.iterdir())
    with run_lock(run) as lock:
        if not lock.acquire():
            raise TrainingError(
                f"{run} is in use by the run of process {lock.holder}: wait for its end, or choose "
                "another --run"
            )
        try:
            yield
        except BaseException:
            if is_new and not has_training(run):
                clear_refused(run)
            raise


def _build(plan: Plan, path: Path) -> caffe.SGDSolver:
    if plan.param.HasField("solver_mode") and plan.param.solver_mode == plan.param.GPU:
        try:
            caffe.set_mode_gpu()
            caffe.set_device(plan.param.device_id)
        except caffe.CaffeError as error:
            raise TrainingError(f"{path}: solver_mode GPU: {error}") from error
    else:
        caffe.set_mode_cpu()
    try:
        return caffe.get_solver(plan.param)
    except caffe.CaffeFileNotFoundError:
        raise
    except caffe.CaffeError as error:
        raise caffe.CaffeError(f"{_place(str(error), plan, path)}{error}") from error


def _place(error: str, plan: Plan, solver: Path) -> str:
    """The file and line of the layer that Caffe's error names, else the solver's file."""
    param = plan.effective
    nets = dict.fromkeys([param.net, param.train_net, *param.test_net])
    return place_of_error(error, [net for net in nets if net]) or f"{solver}: "
