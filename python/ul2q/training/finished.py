"""Tells whether anything is left to do of a run that is to be resumed."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ul2q.errors import UserError
from ul2q.runs.best import read_best
from ul2q.runs.layout import LOG, best_files
from ul2q.runs.log import ITERATION, TRAIN_LOSS, read_log
from ul2q.runs.snapshots import Snapshot, check_snapshot
from ul2q.training.result import TrainResult

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ul2q.training.solver_file import Plan


def finished_result(
    plan: Plan, run: Path, snapshots: Sequence[Snapshot], *, best: bool
) -> TrainResult | None:
    """The result of a run that is finished, from its log; None of one that is not.

    Args:
        plan: what the run does.
        run: its folder.
        snapshots: those that are there, the newest first.
        best: whether the best test is to be kept.
    """
    last = plan.param.max_iter
    if not snapshots or snapshots[0].iteration != last:
        return None
    log = read_log(run / LOG, strict=False)
    row = log.row(-1) if log is not None and log.cells else {}
    tested_at, test = (None, ()) if log is None else log.last_test()
    if plan.tests and tested_at != last:
        return None
    if plan.displays(last) and row.get(ITERATION) != last:
        return None
    if not all(map(math.isfinite, row.values())):
        return None  # The snapshot was written before the last test, which has to fail again.
    try:
        check_snapshot(snapshots[0])
    except (UserError, OSError):
        return None
    best_test = read_best(plan.param.snapshot_prefix) if best else None
    return TrainResult(
        iterations=last,
        seconds=0.0,
        train_loss=row.get(TRAIN_LOSS, math.nan),
        test=test,
        accuracy=plan.accuracy,
        tested_at=tested_at,
        snapshot=snapshots[0].state,
        weights=snapshots[0].weights,
        log=run / LOG,
        data=plan.data,
        finished=True,
        best=best_test,
        best_weights=best_files(plan.param.snapshot_prefix)[0] if best_test else None,
    )
