"""The logs in a run's folder: log.csv, quantization.csv, TensorBoard's events."""

from __future__ import annotations

import math
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import numpy as np

from ul2q.nets.layer_types import QUANTIZED
from ul2q.nets.net_outputs import label_of_test, output_names
from ul2q.training import tensorboard as event_files
from ul2q.training.runlog import RunLog, refuse_existing
from ul2q.training.statistics_log import StatisticsLog

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import caffe

LOG = "log.csv"
_QUANTIZATION = "quantization.csv"


def refuse_existing_logs(run: Path) -> None:
    """Raise RunLogError if a run's folder holds a log."""
    for name in (LOG, _QUANTIZATION):
        refuse_existing(run / name)


class RunLogs:
    """The logs of one run; `train` says what they hold.

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
        """Begin the logs, or go on with them; see RunLog.

        Args:
            run: the folder.
            solver: the solver, with the nets that it is going to run.
            began: when the run did, by time.perf_counter().
            resume_at: of a run that goes on, the iteration that is still to come; None for a new
                run.
            test_compute_loss: whether tests have a total_loss.
            tensorboard: whether log.csv's numbers are written for TensorBoard, too.

        Raises:
            RunLogError: as RunLog does.
            TensorBoardError: tensorboardX is missing.
        """
        self.path = run / LOG
        self._began = began
        count = len(solver.test_nets)
        self._prefixes = [f"{label_of_test(i, count)}_" for i in range(count)]
        columns = ["iteration", "seconds", "learning_rate", "train_loss"]
        for prefix, net in zip(self._prefixes, solver.test_nets, strict=True):
            columns += [prefix + name for name in output_names(net)]
            columns += [prefix + "total_loss"] * test_compute_loss
        self._statistics: StatisticsLog | None = None
        self._events: event_files.TensorBoardLog | None = None
        with ExitStack() as opened:
            self._log = RunLog(self.path, columns, resume_at=resume_at)
            opened.callback(self._log.close)
            if any(layer.type.startswith(QUANTIZED) for layer in solver.net.layers):
                self._statistics = StatisticsLog(
                    solver.net, run / _QUANTIZATION, resume_at=resume_at
                )
                opened.callback(self._statistics.close)
            if tensorboard:
                self._events = event_files.TensorBoardLog(run, resume_at=resume_at)
                opened.callback(self._events.close)
            self._opened = opened.pop_all()

    def mean_loss_before(self, iteration: int) -> float:
        """The mean of the train losses that log.csv had of earlier iterations; NaN without any."""
        losses = [
            float(row["train_loss"])
            for row in self._log.kept
            if int(row["iteration"]) < iteration and row["train_loss"]
        ]
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
            iteration: its number.
            learning_rate: its rate.
            train_loss: its loss; None if it has none.
            tests: the mean outputs of each test net before it; empty if there was no test.
        """
        row = {
            "iteration": iteration,
            "seconds": self._seconds(),
            "learning_rate": learning_rate,
        }
        if train_loss is not None:
            row["train_loss"] = train_loss
        for i, outputs in enumerate(tests):
            row |= {self._prefixes[i] + name: value for name, value in outputs.items()}
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

    def close(self) -> None:
        """Close the files."""
        self._opened.close()

    def _seconds(self) -> float:
        return self._log.seconds + time.perf_counter() - self._began
