"""Runs a solver: its iterations, with tests, snapshots and reports between them."""

from __future__ import annotations

import math
import time
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING

import caffe

from ul2q.nets.net_outputs import (
    WHAT_HELPS,
    at_layer_not_finite,
    weights_not_finite,
)
from ul2q.runs.early_stop import EarlyStop, forget_early_stop
from ul2q.training.divergence import DivergenceWatch
from ul2q.training.errors import Interrupted, TrainingError
from ul2q.training.logs import RunLogs
from ul2q.training.net_tests import NetTests
from ul2q.training.parameters import parameters_kept
from ul2q.training.patience import why_to_stop
from ul2q.training.progress import Reporter, Step
from ul2q.training.recorder import RunRecorder
from ul2q.training.result import TrainResult
from ul2q.training.snapshot_writer import SnapshotWriter
from ul2q.training.start import load_initial_weights, restore_first_intact
from ul2q.util.stopping import StopRequest, StopRequested

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from ul2q.runs.snapshots import Snapshot
    from ul2q.training.arguments import Arguments
    from ul2q.training.ranks import Ranks
    from ul2q.training.solver_file import Plan


class SolverLoop:
    """Solver::Solve of BVLC's solver.cpp, with reports between the iterations."""

    def __init__(
        self,
        solver: caffe.SGDSolver,
        plan: Plan,
        progress: Reporter,
        stop: StopRequest,
        arguments: Arguments,
        ranks: Ranks,
    ) -> None:
        """Begin; then call `begin` or `go_on_from`, and `run`.

        Args:
            solver: the solver, built from `plan.param`.
            plan: what the run does.
            progress: told of every iteration and test.
            stop: asked after each iteration and batch of a test.
            arguments: what the run leaves behind, and how to go on with it.
            ranks: the processes that train, of which this is the first.
        """
        self._solver = solver
        self._plan = plan
        self._progress = progress
        self._stop = stop
        self._arguments = arguments
        self._ranks = ranks
        self._snapshots = SnapshotWriter(
            solver, plan, ranks=ranks, keep=arguments.keep, warn=progress.warning
        )
        self._tests = NetTests(solver, plan, progress, stop.check)
        self._logs: RunLogs | None = None
        self._recorder: RunRecorder | None = None
        self._weights: Sequence[Path] = ()
        self._went_on_from: Snapshot | None = None
        self._losses: deque[float] = deque(maxlen=plan.param.average_loss)
        self._watch = DivergenceWatch()
        self._resumed_at: int | None = None
        self._stopped_early: str | None = None
        self._began = time.perf_counter()

    def begin(self, weights: Sequence[Path], *, anew: bool) -> None:
        """Load the weights that the run begins from.

        Args:
            weights: the .caffemodel files.
            anew: whether logs that stand in the run's folder are begun anew.
        """
        load_initial_weights(self._solver, weights, self._plan.train_net, self._progress.warning)
        self._ranks.join(None, self._progress.warning)
        self._weights = weights
        if anew:
            self._resumed_at = 0

    def go_on_from(self, candidates: Sequence[Snapshot]) -> None:
        """Go on from the first of these snapshots that is intact."""
        snapshot = restore_first_intact(self._solver, candidates, self._progress.warning)
        self._resumed_at = self._solver.iter
        self._went_on_from = snapshot
        self._progress.note(f"going on from {snapshot.state}")
        self._snapshots.go_on_from(snapshot)
        if self._solver.iter > self._plan.param.max_iter:
            raise TrainingError(
                f"{snapshot.state} has {self._solver.iter} iterations, more than max_iter, "
                f"{self._plan.param.max_iter}: raise max_iter"
            )
        self._ranks.join(snapshot, self._progress.warning)

    def run(self) -> None:
        """Do all iterations, then the last snapshot and the last test, and log them in the run."""
        last = self._plan.param.max_iter
        try:
            if self._arguments.keeps_best:
                self._tests.keep_best(resume=bool(self._resumed_at))
            if self._arguments.run is not None:
                self._open_logs(self._arguments.run)
                self._begin_record(self._arguments.run)
            self._progress.start(self._solver.iter, last)
            while self._solver.iter < last and self._stopped_early is None:
                self._iterate()
                self._update_card()
                self._stop.check()
            diverged = weights_not_finite(self._solver.net)
            if self._plan.param.snapshot_after_train and not diverged:
                self._write_snapshot()
            with self._undone_by_a_stop():
                self._finish()
            self._update_card()
            if diverged:
                raise TrainingError(
                    f"iteration {self._solver.iter}: the weights of layer {diverged!r} are not "
                    f"finite; training has diverged: {WHAT_HELPS}"
                )
            if self._snapshots.error is not None:
                raise TrainingError(
                    f"the last snapshot could not be written: {self._snapshots.error}"
                ) from self._snapshots.error
            if self._stopped_early is not None and self._arguments.run is not None:
                EarlyStop(self._solver.iter, self._stopped_early).save(self._arguments.run)
        finally:
            self._progress.close()
            if self._logs is not None:
                self._logs.close()
            if self._recorder is not None:
                self._recorder.end(self._solver.iter, self._snapshots.newest, self._tests)

    def interrupted(self, signum: int) -> TrainingError | Interrupted:
        """Write a snapshot, and give the exception that ends the run."""
        self._snapshots.write()  # the logs are closed
        self._update_card()
        iteration, snapshot = self._solver.iter, self._snapshots.current
        if snapshot is None:
            return TrainingError(
                f"interrupted after {iteration} iterations, and the snapshot could not be "
                f"written: {self._snapshots.error}"
            )
        command = self._arguments.command_to_go_on(snapshot.state)
        return Interrupted(signum, iteration, snapshot.state, command)

    def result(self) -> TrainResult:
        """What the run has come to so far."""
        snapshot = self._snapshots.current
        return TrainResult(
            iterations=self._solver.iter,
            seconds=time.perf_counter() - self._began,
            train_loss=self._mean_loss(),
            test=self._tests.outputs,
            accuracy=self._plan.accuracy,
            tested_at=self._tests.tested_at,
            snapshot=None if snapshot is None else snapshot.state,
            weights=None if snapshot is None else snapshot.weights,
            log=None if self._logs is None else self._logs.path,
            data=self._plan.data,
            best=self._tests.best,
            best_weights=self._tests.best_weights,
            stopped_early=self._stopped_early,
        )

    def _open_logs(self, run: Path) -> None:
        forget_early_stop(run)
        self._logs = RunLogs(
            run,
            self._solver,
            began=self._began,
            resume_at=self._resumed_at,
            test_compute_loss=self._plan.param.test_compute_loss,
            tensorboard=self._arguments.tensorboard,
        )
        if self._resumed_at:
            self._watch = DivergenceWatch(self._logs.mean_loss_before(DivergenceWatch.SPAN))

    def _begin_record(self, run: Path) -> None:
        self._recorder = RunRecorder(
            run,
            self._solver,
            self._plan,
            self._arguments,
            weights=self._weights,
            snapshot=self._went_on_from,
            warn=self._progress.warning,
        )
        self._update_card()

    def _update_card(self) -> None:
        if self._recorder is not None:
            self._recorder.update(self._snapshots.newest, self._tests)

    def _iterate(self) -> None:
        iteration = self._solver.iter
        rate = float(self._solver.lr)
        tested = False
        if self._plan.tests_before(iteration):
            with self._undone_by_a_stop() as before:
                tested = self._tests.run()
            if self._diverged_in_test:
                self._write_row(iteration, rate, None)
            self._require_finite_test()
            self._stopped_early = why_to_stop(
                self._tests.best,
                iteration,
                patience=self._arguments.patience,
                test_interval=self._plan.test_interval,
            )
            if self._stopped_early is not None:
                # The snapshot is to be that of a run which has this test still to come.
                self._solver._restore_resume_state(before)
                return
        try:
            done = self._ranks.step()
        except caffe.CaffeError as error:
            raise TrainingError(f"iteration {iteration}: {error}") from error
        loss = done.loss
        if done.stop is not None:
            self._stop.ask(done.stop)
        # The row comes first: going on from the snapshot would leave a hole where it was not.
        self._report_loss(iteration, loss, rate, tested=tested)
        # Weights that have diverged are no snapshot to go on from.
        if self._plan.snapshots_at(self._solver.iter) and not weights_not_finite(self._solver.net):
            self._write_snapshot()
            self._update_card()
        if self._watch(loss):
            self._progress.warning(
                f"iteration {iteration}: training looks divergent: the loss, smoothed over "
                f"{self._watch.SPAN} iterations, is {self._watch.smooth:.4g}, and was "
                f"{self._watch.beginning:.4g} in the beginning; lower base_lr, or set "
                "clip_gradients"
            )

    def _write_snapshot(self) -> None:
        """Write a snapshot behind the rows that are written."""
        if self._logs is not None:
            self._logs.sync()
        self._snapshots.write()

    def _finish(self) -> None:
        """Test the finished net, and report its loss if the solver displays it."""
        iteration = self._solver.iter
        rate = float(self._solver.lr)
        loss = None
        if self._plan.displays(iteration):
            with parameters_kept(self._solver.net):
                loss = self._ranks.forward()
        tested = self._tests.tested_at == iteration or self._tests.run()
        if loss is not None:
            self._report_loss(iteration, loss, rate, tested=tested)
        elif tested:
            self._write_row(iteration, rate, None)
        self._require_finite_test()

    @property
    def _diverged_in_test(self) -> str | None:
        """What was not finite in the test before this iteration; None if all was, or none was made.

        A test before any training may overflow: the averages of BatchNorm layers are still 0.
        """
        tested_now = self._tests.tested_at == self._solver.iter
        return self._tests.diverged if tested_now and self._solver.iter > 0 else None

    def _require_finite_test(self) -> None:
        if self._diverged_in_test:
            raise TrainingError(
                f"iteration {self._solver.iter}: {self._diverged_in_test}: {WHAT_HELPS}"
            )

    @contextmanager
    def _undone_by_a_stop(self) -> Iterator[bytes]:
        """If a stop ends the block, put the data back to where they stood before it.

        Yields:
            Where they stood.
        """
        before = self._solver._resume_state()
        try:
            yield before
        except StopRequested:
            self._solver._restore_resume_state(before)
            raise

    def _report_loss(self, iteration: int, loss: float, rate: float, *, tested: bool) -> None:
        """Report and log the loss of an iteration; raise TrainingError if it is not finite."""
        self._losses.append(loss)
        mean = self._mean_loss()
        display = self._plan.displays(iteration)
        self._progress.step(Step(iteration, self._solver.iter, mean, rate, display))
        finite = math.isfinite(loss)
        if display or tested or not finite:
            self._write_row(iteration, rate, mean)
        if not finite:
            raise TrainingError(
                f"iteration {iteration}: the loss is {loss}; training has diverged"
                f"{at_layer_not_finite(self._solver.net)}: {WHAT_HELPS}"
            )
        if display and self._logs is not None:
            try:
                self._logs.write_statistics(iteration)
            except ValueError as error:
                raise TrainingError(
                    f"iteration {iteration}: training has diverged: {error}"
                ) from error

    def _write_row(self, iteration: int, rate: float, train_loss: float | None) -> None:
        if self._logs is not None:
            tests = self._tests.outputs if self._tests.tested_at == iteration else ()
            self._logs.write(iteration, rate, train_loss=train_loss, tests=tests)

    def _mean_loss(self) -> float:
        return sum(self._losses) / len(self._losses) if self._losses else math.nan
