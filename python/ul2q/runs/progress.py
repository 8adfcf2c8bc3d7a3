"""How far a run is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ul2q.runs.layout import LOG
from ul2q.runs.log import TRAIN_LOSS, read_log
from ul2q.runs.metrics import log_metrics

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Progress:
    """How far a run is, from its log.csv. Numbers that are not finite are passed over.

    Attributes:
        iterations: how many it has done.
        seconds: how long they took.
        train_loss: the last train loss; None if there is none.
        accuracy: that of the last test, 0 to 1; None if there is none.
        loss: that of the last test; None if there is none.
    """

    iterations: int = 0
    seconds: float = 0.0
    train_loss: float | None = None
    accuracy: float | None = None
    loss: float | None = None


def read_progress(run: Path) -> Progress:
    """How far the run in a folder is, also while it trains; damaged lines are left out."""
    log = read_log(run / LOG, strict=False)
    if log is None or not log.cells:
        return Progress()
    metrics = log_metrics(run, log.columns)
    return Progress(
        iterations=log.iteration,
        seconds=log.seconds,
        train_loss=log.last(TRAIN_LOSS),
        accuracy=log.last(metrics.accuracy),
        loss=log.last(metrics.loss),
    )
