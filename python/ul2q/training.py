"""Train a net by Caffe's solver, with a log, progress, snapshots and a clean stop."""

from __future__ import annotations

import math
import re
import shlex
import time
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import caffe
import numpy as np
from google.protobuf import text_format

from ul2q import tensorboard as event_files
from ul2q.divergence import DivergenceWatch
from ul2q.errors import UserError
from ul2q.layer_types import QUANTIZED
from ul2q.net_outputs import mean_outputs, output_names, weighted_loss
from ul2q.output_file import write_file
from ul2q.progress import Reporter, Step
from ul2q.runlog import RunLog, read_rows, refuse_existing
from ul2q.snapshots import (
    Best,
    BestKeeper,
    Keeper,
    Snapshot,
    SnapshotError,
    as_snapshot,
    check_fits,
    check_snapshot,
    find_snapshots,
    rating,
    remove_leftovers,
)
from ul2q.solver_file import Plan, make_plan
from ul2q.statistics import StatisticsLog
from ul2q.stopping import StopRequest, StopRequested, stop_on_signals
from ul2q.weights import check_weights_file, load_weights

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


_LOGS = ("log.csv", "quantization.csv")


class TrainingError(UserError, RuntimeError):
    """A run that cannot begin or cannot go on."""


class Interrupted(KeyboardInterrupt):
    """SIGINT or SIGTERM ended a run, after its iteration and a snapshot.

    Attributes:
        signum: the signal.
        iteration: how many iterations are done.
        snapshot: the solver state to go on from.
        command: the shell command to go on.
    """

    def __init__(self, signum: int, iteration: int, snapshot: Path, command: str) -> None:
        """See the attributes."""
        super().__init__(
            f"interrupted after {iteration} iterations, snapshot {snapshot}; go on with: {command}"
        )
        self.signum = signum
        self.iteration = iteration
        self.snapshot = snapshot
        self.command = command


@dataclass(frozen=True)
class TrainResult:
    """What a run came to.

    Attributes:
        iterations: how many iterations the net has now, those before a resume included.
        seconds: how long this run took, tests and snapshots included.
        train_loss: the last train loss, averaged over the solver's `average_loss` iterations;
            NaN if the snapshot left nothing to do.
        test: the mean outputs in the last test, by output, one dict a test net; empty if there
            was no test.
        tested_at: the iteration of the last test; None if there was none.
        snapshot: the .solverstate; None if the solver's `snapshot_after_train` is false.
        weights: the .caffemodel beside it.
        log: the CSV log; None without a run folder.
        data: the databases of the train net, then of the test nets.
        finished: the run to be resumed was finished already: nothing has been done, and the
            numbers are those of its log.
        best: the best test; None if it was not to be kept, or there was none.
        best_weights: the .caffemodel of that test.
    """

    iterations: int
    seconds: float
    train_loss: float
    test: tuple[dict[str, float], ...]
    tested_at: int | None
    snapshot: Path | None
    weights: Path | None
    log: Path | None
    data: tuple[Path, ...]
    finished: bool = False
    best: Best | None = None
    best_weights: Path | None = None


@dataclass(frozen=True)
class _Options:
    """The arguments of `train` that say what a run leaves behind."""

    run: Path | None
    keep: int
    best: bool
    tensorboard: bool


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
    keep: int = 2,
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
            as it was run. log.csv has the columns iteration, seconds, learning_rate, train_loss
            and test_<output> for each output of the test net (test0_<output>, test1_<output>, …
            with more nets). A row holds the loss and the rate of that iteration and the test
            before it; the last row stands for the finished net. train_loss is averaged over the
            solver's `average_loss` iterations, counted anew after a resume. Going on from a
            snapshot drops the rows from its iteration on. A net with quantised layers has
            quantization.csv beside it: the columns of `statistics.StatisticsLog`, a row an
            iteration that the solver displays.
        data: a folder with train_lmdb and test_lmdb for the Data layers to read.
        settings: fields of the solver to change, each a KEY=VALUE; see
            `solver_settings.apply_settings`.
        epochs: passes over the training data, in place of max_iter.
        keep: how many snapshots of this run stay, the newest; 0 for all.
        best: keep the weights of the best test as <snapshot_prefix>_best.caffemodel: the highest
            output of the first test net's first Accuracy layer, or the lowest loss.
        tensorboard: write log.csv's numbers for TensorBoard, too, into `run`.
        progress: told of every iteration and test.

    Raises:
        FileNotFoundError: a file or a database is missing.
        PrototxtError: a prototxt or a setting is faulty.
        WeightsError: a weights file is none, or does not belong to the net.
        SnapshotError: the same of a snapshot.
        RunLogError: the run folder holds a log and the run does not go on, or another run's log.
        TensorBoardError: tensorboardX is missing.
        TrainingError: the arguments contradict each other, no snapshot is intact, or one is
            beyond max_iter; the loss is not finite; the last snapshot could not be written.
        caffe.CaffeError: Caffe refuses a net or the solver.
        Interrupted: see above.
    """
    _check_arguments(weights, snapshot, resume=resume, run=run, keep=keep, tensorboard=tensorboard)
    progress = progress or Reporter()
    if snapshot is None and not resume and run is not None:
        for name in _LOGS:
            refuse_existing(run / name)
    candidates = [_snapshot_to_go_on_from(snapshot)] if snapshot is not None else []
    plan = make_plan(solver, run=run, data=data, settings=settings, epochs=epochs)
    if resume:
        remove_leftovers(plan.param.snapshot_prefix)
        candidates = find_snapshots(plan.param.snapshot_prefix)
        finished = _finished(plan, run, candidates, best=best)
        if finished is not None:
            return finished
    if not candidates:
        weights = weights or plan.weights
    for path in weights:
        check_weights_file(path)
    if run is not None:
        _record(plan, solver, run)

    options = _Options(run, keep, best, tensorboard)
    with stop_on_signals() as stop:
        training = _Training(_build(plan, solver), plan, progress, stop, options)
        if candidates:
            training.go_on_from(candidates)
        else:
            training.begin(weights, anew=resume)
        try:
            training.run()
        except StopRequested as request:
            command = ["ul2q", "train", str(solver)]
            for name, value in (("--run", run), ("--data", data), ("--epochs", epochs)):
                command += [name, str(value)] if value is not None else []
            for setting in settings:
                command += ["--set", setting]
            command += ["--keep", str(keep)] if keep != 2 else []
            command += ["--best"] * best + ["--tensorboard"] * tensorboard
            raise training.interrupted(request.signum, command) from None
    return training.result()


class _Training:
    """Solver::Solve of BVLC's solver.cpp, with reports on the way."""

    def __init__(
        self,
        solver: caffe.SGDSolver,
        plan: Plan,
        progress: Reporter,
        stop: StopRequest,
        options: _Options,
    ) -> None:
        self.solver = solver
        self._plan = plan
        self._progress = progress
        self._stop = stop
        self._options = options
        self._losses: deque[float] = deque(maxlen=plan.param.average_loss)
        self._log: RunLog | None = None
        self._statistics: StatisticsLog | None = None
        self._events: event_files.TensorBoardLog | None = None
        self._watch = DivergenceWatch()
        self._last_test: tuple[dict[str, float], ...] = ()
        self._tested_at: int | None = None
        self._snapshot_at: int | None = None
        self._snapshot_error: Exception | None = None
        self._resumed_at: int | None = None
        self._keeper = Keeper(options.keep, progress.warning)
        self._best: BestKeeper | None = None
        self._began = time.perf_counter()

    def begin(self, weights: Sequence[Path], *, anew: bool) -> None:
        """Load the weights that the run begins from; `anew`: over the logs of one that died."""
        for path in weights:
            load_weights(self.solver.net, path, complete=False)
            for net in self.solver.test_nets:
                net.copy_from(str(path))
        if anew:
            self._resumed_at = 0

    def go_on_from(self, candidates: Sequence[Snapshot]) -> None:
        """Go on from the first of these snapshots that is intact."""
        errors = []
        for snapshot in candidates:
            try:
                self._restore(snapshot)
            except (UserError, OSError, caffe.CaffeError) as error:
                if len(candidates) == 1:
                    raise
                errors.append(f"{snapshot.state}: {error}")
                self._progress.warning(f"snapshot {snapshot.state} cannot be used: {error}")
                continue
            break
        else:
            raise TrainingError(
                f"no snapshot can be gone on from; remove them to begin anew: {'; '.join(errors)}"
            )
        self._resumed_at = self.solver.iter
        self._progress.note(f"going on from {snapshot.state}")
        earlier = find_snapshots(self._plan.param.snapshot_prefix)
        if snapshot.state in [each.state for each in earlier]:
            mine = [each for each in earlier if each.iteration <= self.solver.iter]
            self._keeper = Keeper(self._options.keep, self._progress.warning, mine)
        if self.solver.iter > self._plan.param.max_iter:
            raise TrainingError(
                f"{snapshot.state} has {self.solver.iter} iterations, more than max_iter, "
                f"{self._plan.param.max_iter}: raise max_iter"
            )

    def _restore(self, snapshot: Snapshot) -> None:
        check_snapshot(snapshot)
        check_fits(snapshot, self.solver.net)
        hdf5 = snapshot.state.suffix == ".h5"
        parameters = [blob for layer in self.solver.net.params.values() for blob in layer]
        if hdf5:  # Caffe leaves what such a file lacks as it is
            for blob in parameters:
                blob.data[...] = np.nan
        self.solver.restore(str(snapshot.state))
        if hdf5 and any(np.isnan(blob.data).any() for blob in parameters):
            raise SnapshotError(f"{snapshot.weights} lacks layers of the net, or is damaged")

    def run(self) -> None:
        """All iterations, the snapshot after them, the last test; logs in the run folder."""
        last = self._plan.param.max_iter
        try:
            if self._options.best:
                prefix = self._plan.param.snapshot_prefix
                self._best = BestKeeper(prefix, resume=bool(self._resumed_at))
            if self._options.run is not None:
                self._open_logs(self._options.run)
            self._progress.start(self.solver.iter, last)
            while self.solver.iter < last:
                self._iterate()
                self._stop.check()
            if self._plan.param.snapshot_after_train:
                self._try_snapshot()
            with self._undone_by_a_stop():
                self._finish()
            if self._snapshot_error is not None:
                raise TrainingError(
                    f"the last snapshot could not be written: {self._snapshot_error}"
                ) from self._snapshot_error
        finally:
            self._progress.close()
            for log in (self._log, self._statistics, self._events):
                if log is not None:
                    log.close()

    def _open_logs(self, folder: Path) -> None:
        log, quantization = (folder / name for name in _LOGS)
        self._log = RunLog(log, self._columns(), resume_at=self._resumed_at)
        if self._resumed_at:
            early = [
                float(row["train_loss"])
                for row in self._log.kept
                if int(row["iteration"]) < DivergenceWatch.SPAN and row["train_loss"]
            ]
            self._watch = DivergenceWatch(float(np.mean(early)) if early else math.nan)
        if any(layer.type.startswith(QUANTIZED) for layer in self.solver.net.layers):
            self._statistics = StatisticsLog(
                self.solver.net, quantization, resume_at=self._resumed_at
            )
        if self._options.tensorboard:
            self._events = event_files.TensorBoardLog(folder, resume_at=self._resumed_at)

    def _snapshot(self) -> Snapshot:
        """The snapshot of the present iteration, written or not."""
        return Snapshot(self.solver.iter, *self._plan.snapshot_files(self.solver.iter))

    def _try_snapshot(self) -> None:
        """Write a snapshot unless this iteration has one; a failure is told and remembered."""
        if self._snapshot_at == self.solver.iter:
            return
        self._snapshot_error = None
        try:
            self.solver.snapshot()
        except (caffe.CaffeError, OSError) as error:
            self._snapshot_error = error
            self._progress.warning(
                f"NO SNAPSHOT after iteration {self.solver.iter}: {error}; training goes on"
            )
            return
        self._snapshot_at = self.solver.iter
        self._keeper.written(self._snapshot())

    def interrupted(self, signum: int, command: list[str]) -> Exception | Interrupted:
        """Write a snapshot; what to raise then. `command` goes on but for the snapshot's option."""
        self._try_snapshot()
        iteration = self.solver.iter
        if self._snapshot_error is not None:
            return TrainingError(
                f"interrupted after {iteration} iterations, and the snapshot could not be "
                f"written: {self._snapshot_error}"
            )
        state = self._snapshot().state
        command = command + (
            ["--snapshot", str(state)] if self._options.run is None else ["--resume"]
        )
        return Interrupted(signum, iteration, state, shlex.join(command))

    @contextmanager
    def _undone_by_a_stop(self) -> Iterator[None]:
        """What was read of the data in the block counts as not read if a stop ends it."""
        before = self.solver._resume_state()
        try:
            yield
        except StopRequested:
            self.solver._restore_resume_state(before)
            raise

    def result(self) -> TrainResult:
        """What has been done."""
        snapshot = self._snapshot()
        has_snapshot = self._snapshot_at == self.solver.iter
        best = self._best.best if self._best is not None else None
        return TrainResult(
            iterations=self.solver.iter,
            seconds=time.perf_counter() - self._began,
            train_loss=self._mean_loss(),
            test=self._last_test,
            tested_at=self._tested_at,
            snapshot=snapshot.state if has_snapshot else None,
            weights=snapshot.weights if has_snapshot else None,
            log=None if self._log is None else self._log.path,
            data=self._plan.data,
            best=best,
            best_weights=self._best.weights if self._best is not None and best else None,
        )

    def _iterate(self) -> None:
        iteration = self.solver.iter
        tested = False
        if self._plan.tests_before(iteration):
            with self._undone_by_a_stop():
                tested = self._test()
        rate = float(self.solver.lr)
        try:
            self.solver.step(1)
        except caffe.CaffeError as error:
            raise TrainingError(f"iteration {iteration}: {error}") from error
        loss = float(self.solver.loss)
        # Weights that have diverged are no snapshot to go on from.
        if self._plan.snapshots_at(self.solver.iter) and math.isfinite(loss):
            self._try_snapshot()
        self._report_loss(iteration, loss, rate, tested=tested)
        if self._watch(loss):
            self._progress.warning(
                f"iteration {iteration}: training looks divergent: the loss, smoothed over "
                f"{self._watch.SPAN} iterations, is {self._watch.smooth:.4g}, and was "
                f"{self._watch.beginning:.4g} in the beginning; lower base_lr, or set "
                "clip_gradients"
            )

    def _finish(self) -> None:
        """The loss and the test of the finished net, where display and test_interval ask."""
        iteration = self.solver.iter
        rate = float(self.solver.lr)
        loss = None
        if self._plan.displays(iteration):
            self.solver.net.forward()
            loss = weighted_loss(self.solver.net)
        tested = self._plan.tests_after_training() and self._test()
        if loss is not None:
            self._report_loss(iteration, loss, rate, tested=tested)
        elif tested:
            self._write_row(iteration, rate)

    def _test(self) -> bool:
        """Test all test nets with the weights as they are; False if there are none."""
        results: list[dict[str, float]] = []
        for net, iterations in zip(self.solver.test_nets, self._plan.param.test_iter, strict=True):
            net.share_with(self.solver.net)
            outputs, loss = mean_outputs(net, iterations, after_batch=self._stop.check)
            if self._plan.param.test_compute_loss:
                outputs["total_loss"] = loss
            if self._best is not None and not results:
                self._keep_if_best(rating(net, self.solver.iter, outputs, loss))
            results.append(outputs)
        if not results:
            return False
        self._last_test = tuple(results)
        self._tested_at = self.solver.iter
        self._progress.test(self.solver.iter, self._last_test)
        return True

    def _keep_if_best(self, test: Best) -> None:
        if self._best is None:
            return
        try:
            self._best.offer(self.solver.net, test)
        except OSError as error:
            self._progress.warning(f"the best weights could not be written: {error}")

    def _report_loss(self, iteration: int, loss: float, rate: float, *, tested: bool) -> None:
        """Tell and log the loss of an iteration; raise TrainingError if it is not finite."""
        self._losses.append(loss)
        mean = self._mean_loss()
        display = self._plan.displays(iteration)
        self._progress.step(Step(iteration, self.solver.iter, mean, rate, display))
        finite = math.isfinite(loss)
        if display or tested or not finite:
            self._write_row(iteration, rate, train_loss=mean)
        if not finite:
            raise TrainingError(
                f"iteration {iteration}: the loss is {loss}; training has diverged"
                f"{_first_not_finite(self.solver.net)}: lower base_lr, or check data and fillers"
            )
        if display and self._statistics is not None:
            try:
                self._statistics.write(iteration, self._seconds())
            except ValueError as error:
                raise TrainingError(
                    f"iteration {iteration}: training has diverged: {error}"
                ) from error

    def _seconds(self) -> float:
        before = 0.0 if self._log is None else self._log.seconds
        return before + time.perf_counter() - self._began

    def _write_row(self, iteration: int, rate: float, **more: float) -> None:
        if self._log is None:
            return
        seconds = self._seconds()
        row = {"iteration": iteration, "seconds": seconds, "learning_rate": rate, **more}
        if self._tested_at == iteration:
            for i, outputs in enumerate(self._last_test):
                row |= {self._column(i, name): value for name, value in outputs.items()}
        self._log.write(row)
        if self._events is not None:
            self._events.write(row)

    def _mean_loss(self) -> float:
        return sum(self._losses) / len(self._losses) if self._losses else math.nan

    def _columns(self) -> list[str]:
        columns = ["iteration", "seconds", "learning_rate", "train_loss"]
        for i, net in enumerate(self.solver.test_nets):
            columns += [self._column(i, name) for name in output_names(net)]
            if self._plan.param.test_compute_loss:
                columns.append(self._column(i, "total_loss"))
        return columns

    def _column(self, test_net: int, output: str) -> str:
        return f"test{test_net if len(self.solver.test_nets) > 1 else ''}_{output}"


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


def _check_arguments(
    weights: Sequence[Path],
    snapshot: Path | None,
    *,
    resume: bool,
    run: Path | None,
    keep: int,
    tensorboard: bool,
) -> None:
    if weights and snapshot is not None:
        raise TrainingError(
            "give --snapshot to go on with a run or --weights to begin from weights, not both"
        )
    if resume and snapshot is not None:
        raise TrainingError("give --resume or --snapshot, not both")
    for option, given in (("--resume", resume), ("--tensorboard", tensorboard)):
        if given and run is None:
            raise TrainingError(f"{option} needs the run's folder: add --run DIR")
    if keep < 0:
        raise TrainingError(f"--keep must be at least 0 (all), it is {keep}")
    if tensorboard:
        event_files.check_installed()


def _snapshot_to_go_on_from(path: Path) -> Snapshot:
    """Refuse what is no solver state, or one whose weights are gone."""
    if path.name.endswith((".caffemodel", ".caffemodel.h5")):
        raise TrainingError(
            f"{path} holds weights alone, which --weights takes; --snapshot takes a .solverstate"
        )
    return as_snapshot(path)


def _finished(
    plan: Plan, run: Path | None, snapshots: Sequence[Snapshot], *, best: bool
) -> TrainResult | None:
    """The result of a run of which nothing is left to do, from its log; else None."""
    last = plan.param.max_iter
    if run is None or not snapshots or snapshots[0].iteration != last:
        return None
    rows = read_rows(run / _LOGS[0])
    row = rows[-1] if rows else {}
    tests = plan.tests_after_training() and len(plan.param.test_iter) > 0
    if (tests or plan.displays(last)) and row.get("iteration") != str(last):
        return None
    try:
        check_snapshot(snapshots[0])
    except (UserError, OSError):
        return None
    tested_at, test = _last_test(rows)
    keeper = BestKeeper(plan.param.snapshot_prefix, resume=True) if best else None
    return TrainResult(
        iterations=last,
        seconds=0.0,
        train_loss=float(row.get("train_loss") or math.nan),
        test=test,
        tested_at=tested_at,
        snapshot=snapshots[0].state,
        weights=snapshots[0].weights,
        log=run / _LOGS[0],
        data=plan.data,
        finished=True,
        best=keeper.best if keeper else None,
        best_weights=keeper.weights if keeper and keeper.best else None,
    )


def _last_test(
    rows: Sequence[dict[str, str]],
) -> tuple[int | None, tuple[dict[str, float], ...]]:
    """The iteration of the last test in a log, and the outputs of each test net."""
    for row in reversed(rows):
        test: dict[int, dict[str, float]] = {}
        for name, cell in row.items():
            if (match := re.fullmatch(r"test(\d*)_(.+)", name)) and cell:
                test.setdefault(int(match[1] or 0), {})[match[2]] = float(cell)
        if test:
            return int(row["iteration"]), tuple(test[i] for i in sorted(test))
    return None, ()


def _record(plan: Plan, solver: Path, run: Path) -> None:
    """Write the solver as it is run into the run folder, unless it is read from there."""
    path = run / "solver.prototxt"
    if path.exists() and path.samefile(solver):
        return
    text = text_format.MessageToString(plan.effective, as_utf8=True)
    write_file(path, text.encode(), force=True)


def _first_not_finite(net: caffe.Net) -> str:
    """` at layer '…'` for the first layer whose top is not finite, else nothing."""
    for layer, tops in net.top_names.items():
        if not all(np.isfinite(net.blobs[top].data).all() for top in tops):
            return f" at layer {layer!r}"
    return ""
