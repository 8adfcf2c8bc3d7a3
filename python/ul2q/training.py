"""Train a net by Caffe's solver, with a log, progress, snapshots and a clean stop."""

from __future__ import annotations

import math
import shlex
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import caffe
import numpy as np
from caffe.proto import caffe_pb2
from google.protobuf.message import DecodeError

from ul2q.errors import UserError
from ul2q.layer_types import QUANTIZED
from ul2q.net_outputs import mean_outputs, output_names, weighted_loss
from ul2q.progress import Reporter, Step
from ul2q.runlog import RunLog, refuse_existing
from ul2q.solver_file import Plan, make_plan
from ul2q.statistics import StatisticsLog
from ul2q.stopping import StopRequest, StopRequested, stop_on_signals
from ul2q.weights import check_weights_file, load_weights

if TYPE_CHECKING:
    from collections.abc import Sequence


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


def train(
    solver: Path,
    *,
    weights: Sequence[Path] = (),
    snapshot: Path | None = None,
    run: Path | None = None,
    data: Path | None = None,
    progress: Reporter | None = None,
) -> TrainResult:
    """Run a solver to its `max_iter`: the same losses and tests as `caffe train` at the same seed.

    SIGINT and SIGTERM (in the main thread) let the iteration end, write a snapshot and raise
    Interrupted.

    Args:
        solver: a SolverParameter as text; its nets stand relative to the working directory or
            to this file.
        weights: .caffemodel files to begin from, in place of the solver's `weights`.
        snapshot: a .solverstate to go on from.
        run: a folder, made if missing, for log.csv and the snapshots. log.csv has the columns
            iteration, seconds, learning_rate, train_loss and test_<output> for each output of
            the test net (test0_<output>, test1_<output>, … with more nets). A row holds the
            loss and the rate of that iteration and the test before it; the last row stands for
            the finished net. train_loss is averaged over the solver's `average_loss` iterations.
            Going on from a snapshot drops the rows from its iteration on. A net with quantised
            layers has quantization.csv beside it: the columns of `statistics.StatisticsLog`, a
            row an iteration that the solver displays.
        data: a folder with train_lmdb and test_lmdb for the Data layers to read.
        progress: told of every iteration and test.

    Raises:
        FileNotFoundError: a file or a database is missing.
        PrototxtError: a prototxt is faulty.
        WeightsError: a weights file is none, or does not belong to the net.
        RunLogError: the run folder holds a log and `snapshot` is not given, or another run's log.
        TrainingError: both weights and snapshot are given, the snapshot is none or beyond
            max_iter, or the loss is not finite.
        caffe.CaffeError: Caffe refuses a net or the solver.
        Interrupted: see above.
    """
    if weights and snapshot is not None:
        raise TrainingError(
            "give --snapshot to go on with a run or --weights to begin from weights, not both"
        )
    if snapshot is not None:
        _check_snapshot(snapshot)
    elif run is not None:
        for name in _LOGS:
            refuse_existing(run / name)
    plan = make_plan(solver, run=run, data=data)
    if snapshot is None:
        weights = weights or plan.weights
    for path in weights:
        check_weights_file(path)

    with stop_on_signals() as stop:
        training = _Training(_build(plan, solver), plan, progress or Reporter(), stop)
        training.begin(weights, snapshot)
        try:
            training.run(run)
        except StopRequested as request:
            state, _ = training.take_snapshot()
            command = _command_to_go_on(solver, state, run, data)
            raise Interrupted(request.signum, training.solver.iter, state, command) from None
    return training.result()


class _Training:
    """Solver::Solve of BVLC's solver.cpp, with reports on the way."""

    def __init__(
        self, solver: caffe.SGDSolver, plan: Plan, progress: Reporter, stop: StopRequest
    ) -> None:
        self.solver = solver
        self._plan = plan
        self._progress = progress
        self._stop = stop
        self._losses: deque[float] = deque(maxlen=plan.param.average_loss)
        self._log: RunLog | None = None
        self._statistics: StatisticsLog | None = None
        self._last_test: tuple[dict[str, float], ...] = ()
        self._tested_at: int | None = None
        self._snapshot_at: int | None = None
        self._resumed_at: int | None = None
        self._began = time.perf_counter()

    def begin(self, weights: Sequence[Path], snapshot: Path | None) -> None:
        """Load where the run begins from."""
        for path in weights:
            load_weights(self.solver.net, path, complete=False)
            for net in self.solver.test_nets:
                net.copy_from(str(path))
        if snapshot is not None:
            self.solver.restore(str(snapshot))
            self._resumed_at = self.solver.iter
            if self.solver.iter > self._plan.param.max_iter:
                raise TrainingError(
                    f"{snapshot} has {self.solver.iter} iterations, more than max_iter, "
                    f"{self._plan.param.max_iter}: raise max_iter"
                )

    def run(self, folder: Path | None) -> None:
        """All iterations, the snapshot after them, the last test; logs in `folder`."""
        last = self._plan.param.max_iter
        try:
            if folder is not None:
                self._open_logs(folder)
            self._progress.start(self.solver.iter, last)
            while self.solver.iter < last:
                self._iterate()
                self._stop.check()
            if self._plan.param.snapshot_after_train:
                self.take_snapshot()
            self._finish()
        finally:
            self._progress.close()
            for log in (self._log, self._statistics):
                if log is not None:
                    log.close()

    def _open_logs(self, folder: Path) -> None:
        log, quantization = (folder / name for name in _LOGS)
        self._log = RunLog(log, self._columns(), resume_at=self._resumed_at)
        if any(layer.type.startswith(QUANTIZED) for layer in self.solver.net.layers):
            self._statistics = StatisticsLog(
                self.solver.net, quantization, resume_at=self._resumed_at
            )

    def take_snapshot(self) -> tuple[Path, Path]:
        """Write a snapshot unless this iteration has one; its solver state and weights."""
        if self._snapshot_at != self.solver.iter:
            self.solver.snapshot()
            self._snapshot_at = self.solver.iter
        return self._plan.snapshot_files(self.solver.iter)

    def result(self) -> TrainResult:
        """What has been done."""
        state, weights = self._plan.snapshot_files(self.solver.iter)
        has_snapshot = self._snapshot_at == self.solver.iter
        return TrainResult(
            iterations=self.solver.iter,
            seconds=time.perf_counter() - self._began,
            train_loss=self._mean_loss(),
            test=self._last_test,
            tested_at=self._tested_at,
            snapshot=state if has_snapshot else None,
            weights=weights if has_snapshot else None,
            log=None if self._log is None else self._log.path,
            data=self._plan.data,
        )

    def _iterate(self) -> None:
        iteration = self.solver.iter
        tested = self._plan.tests_before(iteration) and self._test()
        rate = float(self.solver.lr)
        try:
            self.solver.step(1)
        except caffe.CaffeError as error:
            raise TrainingError(f"iteration {iteration}: {error}") from error
        if self._plan.snapshots_at(self.solver.iter):
            self._snapshot_at = self.solver.iter
        self._report_loss(iteration, float(self.solver.loss), rate, tested=tested)

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
        results = []
        for net, iterations in zip(self.solver.test_nets, self._plan.param.test_iter, strict=True):
            net.share_with(self.solver.net)
            outputs, loss = mean_outputs(net, iterations, after_batch=self._stop.check)
            if self._plan.param.test_compute_loss:
                outputs["total_loss"] = loss
            results.append(outputs)
        if not results:
            return False
        self._last_test = tuple(results)
        self._tested_at = self.solver.iter
        self._progress.test(self.solver.iter, self._last_test)
        return True

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


def _check_snapshot(path: Path) -> None:
    """Refuse what is no solver state, or one whose weights are gone."""
    if path.name.endswith((".caffemodel", ".caffemodel.h5")):
        raise TrainingError(
            f"{path} holds weights alone, which --weights takes; --snapshot takes a .solverstate"
        )
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such snapshot")
    if path.suffix == ".h5":
        return
    state = caffe_pb2.SolverState()
    try:
        state.ParseFromString(path.read_bytes())
    except DecodeError as error:
        raise TrainingError(f"{path} is damaged or no .solverstate") from error
    if state.learned_net and not Path(state.learned_net).is_file():
        raise FileNotFoundError(
            f"{path}: its weights {state.learned_net!r} do not stand in {Path.cwd()}; "
            "go on from the folder where the run began"
        )


def _first_not_finite(net: caffe.Net) -> str:
    """` at layer '…'` for the first layer whose top is not finite, else nothing."""
    for layer, tops in net.top_names.items():
        if not all(np.isfinite(net.blobs[top].data).all() for top in tops):
            return f" at layer {layer!r}"
    return ""


def _command_to_go_on(solver: Path, state: Path, run: Path | None, data: Path | None) -> str:
    command = ["ul2q", "train", str(solver), "--snapshot", str(state)]
    if run is not None:
        command += ["--run", str(run)]
    if data is not None:
        command += ["--data", str(data)]
    return shlex.join(command)
