"""Groups the runs that differ by the seed alone, and compares them with float and the paper."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ul2q.report.paper import paper_net, paper_result
from ul2q.runs.record import FLOAT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ul2q.report.paper import PaperResult
    from ul2q.report.runs import Run


@dataclass(frozen=True)
class Group:
    """Runs that differ by nothing but the seed. Accuracies are per cent, of the finished runs.

    Attributes:
        net, method, bits, variant: what the runs have in common.
        runs: all of them.
        accuracies: the accuracies of those that are finished and have one.
        difference: the mean of accuracy less float accuracy, in points. Where a run began from a
            float run's weights, that run's accuracy is taken, else the mean of the net's float
            runs. It is None for float runs, and where no float run is finished.
        paper: what the paper reports; None if it reports nothing.
    """

    net: str
    method: str
    bits: int | None
    variant: str
    runs: tuple[Run, ...]
    accuracies: tuple[float, ...]
    difference: float | None
    paper: PaperResult | None

    @property
    def mean(self) -> float | None:
        """The mean of the accuracies; None if there are none."""
        return statistics.fmean(self.accuracies) if self.accuracies else None

    @property
    def deviation(self) -> float | None:
        """The standard deviation of the accuracies (n - 1); None if there are less than two."""
        return statistics.stdev(self.accuracies) if len(self.accuracies) > 1 else None

    @property
    def label(self) -> str:
        """What a line in a figure is called: "ul2q 2 bit, channel"."""
        words = [self.method if self.bits is None else f"{self.method} {self.bits} bit"]
        return ", ".join(filter(None, (*words, self.variant)))


def summarise(runs: Sequence[Run]) -> tuple[Group, ...]:
    """The groups, in the order of their first runs."""
    kinds: dict[tuple[str, str, int | None, str], list[Run]] = {}
    for run in runs:
        kinds.setdefault((run.net, run.method, run.bits, run.variant), []).append(run)
    return tuple(
        Group(
            net=net,
            method=method,
            bits=bits,
            variant=variant,
            runs=tuple(members),
            accuracies=tuple(map(_percent, _scored(members))),
            difference=_difference(members, runs) if method != FLOAT else None,
            paper=paper_result(column, method, bits) if (column := paper_net(net)) else None,
        )
        for (net, method, bits, variant), members in kinds.items()
    )


def _difference(members: Sequence[Run], runs: Sequence[Run]) -> float | None:
    """See `Group.difference`."""
    floats = _scored([run for run in runs if (run.net, run.method) == (members[0].net, FLOAT)])
    differences = []
    for run in _scored(members):
        begun_from = [
            one
            for one in floats
            if one.folder.name == run.float_run and one.folder.parent == run.folder.parent
        ]
        references = list(map(_percent, begun_from or floats))
        if references:
            differences.append(_percent(run) - statistics.fmean(references))
    return statistics.fmean(differences) if differences else None


def _scored(runs: Sequence[Run]) -> list[Run]:
    return [run for run in runs if run.is_finished and run.accuracy is not None]


def _percent(run: Run) -> float:
    return 100 * (run.accuracy or 0)
