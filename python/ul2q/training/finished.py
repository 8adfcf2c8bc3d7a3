"""Tells whether anything is left to do of a run that is to be resumed."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ul2q.errors import UserError
from ul2q.runs.best import read_best
from ul2q.runs.early_stop import read_early_stop
from ul2q.runs.layout import LOG, QUANTIZATION_LOG, best_files
from ul2q.runs.log import ITERATION, TRAIN_LOSS, read_log
from ul2q.runs.snapshots import Snapshot, check_snapshot
from ul2q.training.patience import why_to_stop
from ul2q.training.result import TrainResult

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ul2q.runs.best import Best
    from ul2q.training.arguments import Arguments
    from ul2q.training.solver_file import Plan


def finished_result(
    plan: Plan, run: Path, snapshots: Sequence[Snapshot], arguments: Arguments
) -> TrainResult | None:
    """The result of a run that is finished, from its log; None of one that is not.

    Args:
        plan: what the run does.
        run: its folder.
        snapshots: those that are there, the newest first.
        arguments: what it is called with; a run without patience goes on where an earlier call's
            had run out.
    """
    if not snapshots:
        return None
    last = snapshots[0].iteration
    best = read_best(plan.param.snapshot_prefix) if arguments.keeps_best else None
    stopped_early = None
    if last != plan.param.max_iter:
        stopped_early = _why_it_stopped(plan, run, last, best, arguments)
        if stopped_early is None:
            return None
    log = read_log(run / LOG, strict=False)
    row = log.row(-1) if log is not None and log.cells else {}
    tested_at, test = (None, ()) if log is None else log.last_test()
    is_told = (not plan.tests or tested_at == last) and (
        not plan.displays(last) or (row.get(ITERATION) == last and _has_statistics(run, last))
    )
    # A test that was not finite came after the snapshot, and has to fail again.
    if not is_told or not all(map(math.isfinite, row.values())):
        return None
    try:
        check_snapshot(snapshots[0])
    except (UserError, OSError):
        return None
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
        best=best,
        best_weights=best_files(plan.param.snapshot_prefix)[0] if best else None,
        stopped_early=stopped_early,
    )


def _has_statistics(run: Path, iteration: int) -> bool:
    """Whether quantization.csv, if there is one, ends with this iteration's row."""
    log = read_log(run / QUANTIZATION_LOG, strict=False)
    return log is None or (bool(log.cells) and log.iteration == iteration)


def _why_it_stopped(
    plan: Plan, run: Path, iteration: int, best: Best | None, arguments: Arguments
) -> str | None:
    """Why a run ended early at an iteration, by the present patience; None if it goes on."""
    recorded = read_early_stop(run)
    if recorded is None or recorded.iteration != iteration or not plan.tests:
        return None
    return why_to_stop(
        best, iteration, patience=arguments.patience, test_interval=plan.test_interval
    )
