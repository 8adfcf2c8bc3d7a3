"""Groups the runs that differ by the seed alone, and compares them with float and the paper."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ul2q.report.paper import is_papers_data, paper_net, paper_result
from ul2q.runs.layout import MODELS
from ul2q.runs.record import FLOAT
from ul2q.runs.training_record import file_sha256

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ul2q.report.paper import PaperNet, PaperResult
    from ul2q.report.runs import Run


@dataclass(frozen=True)
class FloatReference:
    """What a run is compared with.

    Attributes:
        run: a float run.
        reason: why this one, e.g. "whose weights it began from".
    """

    run: Run
    reason: str


@dataclass(frozen=True)
class Group:
    """Runs that differ by nothing but the seed. Accuracies are per cent, of the finished runs.

    Attributes:
        net, data, method, bits, variant: what the runs have in common; the data set is "" where it
            is not known.
        title: the net's name, and the data set's if the net is there with several.
        runs: all of them.
        accuracies: the accuracies of those that are finished and have one.
        references: the float run that each finished run is compared with, by the run's folder.
        difference: the mean of accuracy less the float run's, in points. It is None for float runs,
            and where no float run is finished.
        paper_net: the paper's net of this name; None if there is none, or it had other data.
        paper: what the paper reports; None if it reports nothing.
    """

    net: str
    data: str
    title: str
    method: str
    bits: int | None
    variant: str
    runs: tuple[Run, ...]
    accuracies: tuple[float, ...]
    references: dict[Path, FloatReference]
    difference: float | None
    paper_net: PaperNet | None
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
    kinds: dict[tuple[str, str, str, int | None, str], list[Run]] = {}
    for run in runs:
        kinds.setdefault((run.net, run.data, run.method, run.bits, run.variant), []).append(run)
    several = {net for net, data, *_ in kinds for other, another, *_ in kinds
               if net == other and data != another}  # fmt: skip
    groups = []
    for (net, data, method, bits, variant), members in kinds.items():
        scored = _scored(members)
        references = {
            run.folder: reference
            for run in scored
            if method != FLOAT and (reference := float_reference(run, runs)) is not None
        }
        differences = [
            _percent(run) - _percent(references[run.folder].run)
            for run in scored
            if run.folder in references
        ]
        column = paper_net(net)
        if column is not None and not is_papers_data(column, data):
            column = None
        groups.append(
            Group(
                net=net,
                data=data,
                title=f"{net} on {data or 'unknown data'}" if net in several else net,
                method=method,
                bits=bits,
                variant=variant,
                runs=tuple(members),
                accuracies=tuple(map(_percent, scored)),
                references=references,
                difference=statistics.fmean(differences) if differences else None,
                paper_net=column,
                paper=None if column is None else paper_result(column, method, bits),
            )
        )
    return tuple(groups)


def float_reference(run: Run, runs: Sequence[Run]) -> FloatReference | None:
    """The finished float run that a run is compared with; None if there is none.

    It is, of the runs on the same data, the one whose weights the run began from, or, where that
    was no float run, the one that this began from; else that of the same schedule and seed; else
    the best of the net, which is the hardest to reach.
    """
    alike = [one for one in runs if (one.net, one.data) == (run.net, run.data)]
    floats = _scored([one for one in alike if one.method == FLOAT])
    if (parent := _float_parent(run, alike)) in floats and parent is not None:
        return FloatReference(parent, "whose weights it began from")
    trained_alike = [
        one
        for one in floats
        if run.schedule and (one.schedule, one.seed) == (run.schedule, run.seed)
    ]
    if trained_alike:
        return FloatReference(trained_alike[0], "of the same schedule and seed")
    if floats:
        return FloatReference(max(floats, key=_percent), "the best of this net")
    return None


def _float_parent(run: Run, runs: Sequence[Run]) -> Run | None:
    """The float run at the begin of the chain of runs, each of which began from the one before."""
    seen = []
    current: Run | None = run
    while current is not None and current not in seen:
        seen.append(current)
        current = _parent(current, runs)
        if current is not None and current.method == FLOAT:
            return current
    return None


def _parent(run: Run, runs: Sequence[Run]) -> Run | None:
    """The run whose weights a run began from: by a sweep's record, else by the weights' hashes."""
    others = [one for one in runs if one is not run]
    for one in others:
        if one.folder.name == run.float_run and one.folder.parent == run.folder.parent:
            return one
    wanted = set(run.began_from)
    for one in others if wanted else ():
        if any(file_sha256(model) in wanted for model in sorted(one.folder.glob(MODELS))):
            return one
    return None


def _scored(runs: Sequence[Run]) -> list[Run]:
    return [run for run in runs if run.is_finished and run.accuracy is not None]


def _percent(run: Run) -> float:
    return 100 * (run.accuracy or 0)
