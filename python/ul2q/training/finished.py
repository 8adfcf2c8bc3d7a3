"""A run to be resumed of which nothing is left to do."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from ul2q.errors import UserError
from ul2q.training.logs import LOG
from ul2q.training.result import TrainResult
from ul2q.training.runlog import read_rows
from ul2q.training.snapshots import BestKeeper, Snapshot, check_snapshot

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ul2q.training.solver_file import Plan


def finished_result(
    plan: Plan, run: Path, snapshots: Sequence[Snapshot], *, best: bool
) -> TrainResult | None:
    """The result of a run that is finished, from its log; else None.

    Args:
        plan: what the run does.
        run: its folder.
        snapshots: those that are there, the newest first.
        best: whether the best test is to be kept.
    """
    last = plan.param.max_iter
    if not snapshots or snapshots[0].iteration != last:
        return None
    rows = read_rows(run / LOG)
    row = rows[-1] if rows else {}
    tests = plan.tests_after_training() and len(plan.param.test_iter) > 0
    if (tests or plan.displays(last)) and row.get("iteration") != str(last):
        return None
    if not all(math.isfinite(float(cell)) for cell in row.values() if cell):
        return None  # the last test is made again, and fails again
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
        accuracy=plan.accuracy,
        tested_at=tested_at,
        snapshot=snapshots[0].state,
        weights=snapshots[0].weights,
        log=run / LOG,
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
