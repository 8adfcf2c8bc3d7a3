"""Makes the report's tables, which are written as CSV."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ul2q.report.paper import RESULTS
from ul2q.runs.quantization_log import mse_columns
from ul2q.util.tables import csv_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ul2q.report.runs import Run
    from ul2q.report.summary import Group


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        name: the name of its CSV file, without the suffix.
        columns: the columns' names.
        rows: a cell for each column: a number, a text, or None.
    """

    name: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]

    def csv(self) -> bytes:
        """The content of its CSV file, with numbers of seven digits at most, as float32 has."""
        return csv_table(self.columns, [tuple(map(_rounded, row)) for row in self.rows])


def _rounded(cell: Any) -> Any:
    """A cell for people: 89.64 in place of 89.64000000000001."""
    return float(f"{cell:.7g}") if isinstance(cell, float) else cell


def all_tables(groups: Sequence[Group], runs: Sequence[Run]) -> tuple[Table, ...]:
    """The tables summary, runs, layers, codes and paper; docs/report.md says what they hold."""
    return (
        _summary(groups),
        _runs(groups, runs),
        _layers(runs),
        _codes(runs),
        Table(
            "paper",
            ("net", "method", "bits", "accuracy", "top5"),
            tuple((one.net, one.label, one.bits, one.accuracy, one.top5) for one in RESULTS),
        ),
    )


def _summary(groups: Sequence[Group]) -> Table:
    columns = (
        *("net", "data", "method", "bits", "variant", "runs", "finished", "accuracy", "deviation"),
        *("lowest", "highest", "difference_to_float", "paper", "difference_to_paper"),
    )
    rows = tuple(
        (
            *(group.net, group.data or None, group.method, group.bits, group.variant or None),
            len(group.runs),
            sum(run.is_finished for run in group.runs),
            *(group.mean, group.deviation),
            min(group.accuracies, default=None),
            max(group.accuracies, default=None),
            group.difference,
            group.paper.accuracy if group.paper else None,
            difference_to_paper(group),
        )
        for group in groups
    )
    return Table("summary", columns, rows)


def difference_to_paper(group: Group) -> float | None:
    """The mean accuracy less the paper's, in points; None if there is none of either."""
    if group.mean is None or group.paper is None:
        return None
    return group.mean - group.paper.accuracy


def _runs(groups: Sequence[Group], runs: Sequence[Run]) -> Table:
    references = {run: one for group in groups for run, one in group.references.items()}
    columns = (
        *("run", "net", "data", "method", "bits", "seed", "variant", "status", "accuracy", "loss"),
        *("iterations", "max_iterations", "seconds", "float_run", "compared_with", "compared_as"),
        *("bits_per_weight", "kilobytes", "float_kilobytes", "compression", "multiply_adds"),
        *("error", "notes"),
    )
    rows = tuple(
        (
            *(run.name, run.net, run.data or None, run.method, run.bits, run.seed),
            *(run.variant or None, run.status),
            *(run.accuracy, run.loss, run.iterations, run.max_iterations, run.seconds),
            run.float_run,
            *((one.run.name, one.reason) if (one := references.get(run.folder)) else (None, None)),
            *_size(run),
            *(run.error, "; ".join(run.notes) or None),
        )
        for run in runs
    )
    return Table("runs", columns, rows)


def _size(run: Run) -> tuple[float | None, ...]:
    """Bits of a weight, kB as they are and as floats, compression, multiply-adds."""
    cost = sum(run.multiply_adds.values()) or None
    if run.size is None:
        return (*(None,) * 4, cost)
    size = run.size
    return size.bits_per_weight, size.kilobytes, size.float_kilobytes, size.compression, cost


def _layers(runs: Sequence[Run]) -> Table:
    columns = (
        *("run", "layer", "type", "shape", "count", "mean", "sigma", "method", "bits"),
        *("scale", "shift", "loss", "share_of_variance", "codes_used", "codes", "logged_loss"),
    )
    rows = []
    for run in runs:
        logged = logged_losses(run)
        for layer in run.layers:
            q, count = layer.quantized, math.prod(layer.shape)
            told = (
                (q.method, q.bits, q.scale, q.shift, q.loss, q.share, len(q.codes), q.possible)
                if q
                else (None,) * 8
            )
            shape = "x".join(map(str, layer.shape))
            rows.append(
                (
                    *(run.name, layer.name, layer.type, shape, count, layer.mean, layer.sigma),
                    *(*told, logged.pop(layer.name, None)),
                )
            )
        # The log alone tells of biases and activations, and of all blobs if there is no model.
        rows += [(run.name, name, *(None,) * 13, loss) for name, loss in logged.items()]
    return Table("layers", columns, tuple(rows))


def logged_losses(run: Run) -> dict[str, float]:
    """The last mean squared errors in quantization.csv, by the names of the blobs."""
    if run.quantization is None:
        return {}
    columns = mse_columns(run.quantization)
    last = {blob: run.quantization.last(column) for blob, column in columns.items()}
    return {blob: loss for blob, loss in last.items() if loss is not None}


def _codes(runs: Sequence[Run]) -> Table:
    rows = []
    for run in runs:
        for layer in run.layers:
            if (q := layer.quantized) is not None:
                total = int(q.counts.sum())
                rows += [
                    (run.name, layer.name, int(code), int(count), int(count) / total)
                    for code, count in zip(q.codes, q.counts, strict=True)
                ]
    return Table("codes", ("run", "layer", "code", "count", "share"), tuple(rows))
