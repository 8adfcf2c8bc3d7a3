"""Which columns of a run's log.csv are its accuracies and its losses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ul2q.errors import UserError
from ul2q.nets.metrics import Metrics, metrics_by_name, net_metrics
from ul2q.nets.solver_nets import resolve_nets, solver_nets
from ul2q.runs.log import column_of_test, split_test_column
from ul2q.runs.solver import find_net, recorded_solver
from ul2q.runs.training_record import read_training_record

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def log_metrics(run: Path, columns: Sequence[str]) -> Metrics:
    """The columns that are metrics of the test nets, the first net's first.

    They follow from the layers of the nets in the run's run.json, or of those that its
    solver.prototxt names if these are still found, else from the columns' names.

    Args:
        run: its folder.
        columns: those of its log.csv.
    """
    named = metrics_by_name(name for name in columns if split_test_column(name))
    try:
        known = _metrics_of_nets(run)
    except (UserError, OSError):
        return named
    accuracies, losses = (
        tuple(name for name in names if name in columns)
        for names in (known.accuracies, known.losses)
    )
    return Metrics(accuracies or named.accuracies, losses or named.losses)


def _metrics_of_nets(run: Path) -> Metrics:
    if (record := read_training_record(run)) is not None:
        _, *tests = record.all_nets()
    elif (param := recorded_solver(run)) is not None:
        resolve_nets(param, lambda name, _: str(find_net(name, run)))
        _, *tests = solver_nets(param)
    else:
        return Metrics()
    accuracies: list[str] = []
    losses: list[str] = []
    for i, (net, state) in enumerate(tests):
        metrics = net_metrics(net, state)
        accuracies += (column_of_test(i, len(tests), name) for name in metrics.accuracies)
        losses += (column_of_test(i, len(tests), name) for name in metrics.losses)
    return Metrics(tuple(accuracies), tuple(losses))
