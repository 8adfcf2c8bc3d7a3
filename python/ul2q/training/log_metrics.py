"""Which columns of a run's log.csv are its accuracies and its losses."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ul2q.errors import UserError
from ul2q.nets.metrics import Metrics, metrics_by_name, net_metrics
from ul2q.nets.net_outputs import label_of_test
from ul2q.nets.prototxt import read_solver
from ul2q.training.recorded_solver import RECORD, find_net
from ul2q.training.solver_file import resolve_nets, solver_nets

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_TEST_OUTPUT = re.compile(r"test\d*_.+")


def log_metrics(run: Path, columns: Sequence[str]) -> Metrics:
    """The columns that are metrics of the test nets, the first net's first.

    They follow from the layers of the nets that the run's solver.prototxt names, if these are
    still found, else from the columns' names.

    Args:
        run: its folder.
        columns: those of its log.csv.
    """
    named = metrics_by_name(name for name in columns if _TEST_OUTPUT.fullmatch(name))
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
    param = read_solver(run / RECORD)
    resolve_nets(param, lambda name, _: str(find_net(name, run)))
    _, *tests = solver_nets(param)
    accuracies: list[str] = []
    losses: list[str] = []
    for i, (net, state) in enumerate(tests):
        prefix = f"{label_of_test(i, len(tests))}_"
        metrics = net_metrics(net, state)
        accuracies += [prefix + name for name in metrics.accuracies]
        losses += [prefix + name for name in metrics.losses]
    return Metrics(tuple(accuracies), tuple(losses))
