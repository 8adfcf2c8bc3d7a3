"""What a run logs while it trains: log.csv, quantization.csv, TensorBoard's events."""

from __future__ import annotations

import math
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import numpy as np

from ul2q.nets.layer_types import ACTIVATION, QUANTIZED
from ul2q.nets.net_outputs import output_names
from ul2q.runs.layout import LOG, QUANTIZATION_LOG
from ul2q.runs.log import (
    ITERATION,
    LEARNING_RATE,
    SECONDS,
    TOTAL_LOSS,
    TRAIN_LOSS,
    LogWriter,
    column_of_test,
    refuse_existing,
)
from ul2q.runs.quantization_log import QuantizationLogWriter, blob_name
from ul2q.statistics import QuantizationStatistics
from ul2q.training import tensorboard as event_files
from ul2q.training.errors import TrainingError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import caffe


def refuse_existing_logs(run: Path) -> None:
    """Raise RunLogError if a run's folder holds a log."""
    for name in (LOG, QUANTIZATION_LOG):
        refuse_existing(run / name)


class RunLogs:
    """The logs of one run; `ul2q.runs` says what they hold.

    Attributes:
        path: log.csv.
    """

    def __init__(
        self,
        run: Path,
        solver: caffe.SGDSolver,
        *,
        began: float,
        resume_at: int | None,
        test_compute_loss: bool,
        tensorboard: bool,
    ) -> None:
        """Begin the logs, or go on with them; see LogWriter.

        Args:
            run: the folder.
            solver: the solver, with the nets that it is going to run.
            began: when the run began, by time.perf_counter().
            resume_at: the iteration that is still to come of a run that goes on; None for a new
                run.
            test_compute_loss: whether the weighted loss of each test is logged, too.
            tensorboard: whether the numbers of log.csv are written for TensorBoard, too.

        Raises:
            RunLogError: as LogWriter does.
            TensorBoardError: tensorboardX is missing.
            TrainingError: a quantised blob holds NaN or infinity.
        """
        self.path = run / LOG
        self._began = began
        self._test_nets = len(solver.test_nets)
        columns = [ITERATION, SECONDS, LEARNING_RATE, TRAIN_LOSS]
        for i, net in enumerate(solver.test_nets):
            outputs = [*output_names(net), *[TOTAL_LOSS] * test_compute_loss]
            columns += (column_of_test(i, self._test_nets, output) for output in outputs)
        self._statistics: _StatisticsLog | None = None
        self._events: event_files.TensorBoardLog | None = None
        with ExitStack() as opened:
            self._log = LogWriter(self.path, columns, resume_at=resume_at)
            opened.callback(self._log.close)
            if any(layer.type.startswith(QUANTIZED) for layer in solver.net.layers):
                path = run / QUANTIZATION_LOG
                self._statistics = _StatisticsLog(solver.net, path, resume_at)
                opened.callback(self._statistics.close)
            if tensorboard:
                self._events = event_files.TensorBoardLog(run, resume_at=resume_at)
                opened.callback(self._events.close)
            self._opened = opened.pop_all()

    def mean_loss_before(self, iteration: int) -> float:
        """The mean train loss in the rows of log.csv before an iteration; NaN if it has none."""
        kept = self._log.kept.before(iteration)
        rows = [kept.row(i) for i in range(len(kept.cells))]
        losses = [row[TRAIN_LOSS] for row in rows if TRAIN_LOSS in row]
        return float(np.mean(losses)) if losses else math.nan

    def write(
        self,
        iteration: int,
        learning_rate: float,
        *,
        train_loss: float | None,
        tests: Sequence[Mapping[str, float]],
    ) -> None:
        """Append a row to log.csv and TensorBoard's events.

        Args:
            iteration: the number of the iteration.
            learning_rate: the rate of the iteration.
            train_loss: the loss of the iteration; None if there is none.
            tests: the mean outputs of each test net before the iteration; empty if there was no
                test.
        """
        row = {ITERATION: iteration, SECONDS: self._seconds(), LEARNING_RATE: learning_rate}
        if train_loss is not None:
            row[TRAIN_LOSS] = train_loss
        for i, outputs in enumerate(tests):
            for name, value in outputs.items():
                row[column_of_test(i, self._test_nets, name)] = value
        self._log.write(row)
        if self._events is not None:
            self._events.write(row)

    def write_statistics(self, iteration: int) -> None:
        """Append a row to quantization.csv if there is one.

        Raises:
            ValueError: a quantised blob holds NaN or infinity.
        """
        if self._statistics is not None:
            self._statistics.write(iteration, self._seconds())

    def sync(self) -> None:
        """Wait until the disk has the rows of both logs: before a snapshot that follows them."""
        self._log.sync()
        if self._statistics is not None:
            self._statistics.sync()

    def close(self) -> None:
        """Close the files."""
        self._opened.close()

    def _seconds(self) -> float:
        return self._log.kept.seconds + time.perf_counter() - self._began


class _StatisticsLog:
    """The quantization.csv of a net that trains."""

    def __init__(self, net: caffe.Net, path: Path, resume_at: int | None) -> None:
        self._statistics = QuantizationStatistics(net)
        try:
            blobs = [blob_name(blob) for blob in self._statistics()]
        except ValueError as error:
            raise TrainingError(f"the run cannot begin: {error}") from error
        # Activations have nothing to tell before the first pass.
        blobs += [
            name
            for name, layer in zip(net._layer_names, net.layers, strict=True)
            if layer.type == ACTIVATION and name not in blobs
        ]
        self._log = QuantizationLogWriter(path, blobs, resume_at=resume_at)

    def write(self, iteration: int, seconds: float) -> None:
        self._log.write(iteration, seconds, self._statistics())

    def sync(self) -> None:
        self._log.sync()

    def close(self) -> None:
        self._log.close()
