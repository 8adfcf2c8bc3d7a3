"""Tables of a sweep's runs: what they came to, and where they are."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

from ul2q.runs.layout import RESULTS
from ul2q.runs.lock import is_sweeping
from ul2q.runs.record import DONE, FLOAT, RUNNING, STOPPED, WAITING, read_record
from ul2q.util.output_file import write_file
from ul2q.util.tables import csv_table, markdown_table

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ul2q.runs.record import Record
    from ul2q.sweep.plan import PlannedRun

_CSV = (
    *("run", "net", "method", "bits", "seed", "variant", "status"),
    *("accuracy", "loss", "iterations", "seconds", "float_run"),
)


def write_results(runs: Path, records: Sequence[Record]) -> None:
    """Write results.csv into the sweep's folder, with a row for each record."""
    rows = [[getattr(record, name) for name in _CSV] for record in records]
    write_file(runs / RESULTS, csv_table(_CSV, rows), force=True)


def results_table(records: Sequence[Record]) -> tuple[list[str], list[list[str | None]]]:
    """Headings and rows of what the runs came to: a row for a method, a column for net and bits.

    A cell is the test accuracy in %, or the loss of a net without an accuracy. Several seeds are
    given as mean ± standard deviation. A cell without a finished run is None.
    """
    nets = list(dict.fromkeys(record.net for record in records))
    columns = sorted(
        {(nets.index(record.net), record.bits or 99, record.bits) for record in records}
    )
    rows = dict.fromkeys((record.method, record.variant) for record in records)
    headings = ["method"]
    for net, _, bits in columns:
        width = FLOAT if bits is None else f"{bits} bit"
        headings.append(width if len(nets) == 1 else f"{nets[net]} {width}")
    table: list[list[str | None]] = []
    for method, variant in rows:
        row: list[str | None] = [f"{method}, {variant}" if variant else method]
        for net, _, bits in columns:
            key = (nets[net], bits, method, variant)
            row.append(_cell([r for r in records if (r.net, r.bits, r.method, r.variant) == key]))
        table.append(row)
    return headings, table


def _cell(records: Sequence[Record]) -> str | None:
    done = [record for record in records if record.status == DONE]
    accuracies = [100 * record.accuracy for record in done if record.accuracy is not None]
    if accuracies:
        return _mean(accuracies, 2)
    losses = [record.loss for record in done if record.loss is not None]
    return f"loss {_mean(losses, 4)}" if losses else None


def _mean(values: Sequence[float], places: int) -> str:
    mean = f"{statistics.fmean(values):.{places}f}"
    if len(values) == 1:
        return mean
    return f"{mean} ± {statistics.stdev(values):.{places}f}"


def results_markdown(plan: Sequence[PlannedRun], records: Sequence[Record], spec: Path) -> str:
    """The table of results as a Markdown file that says what it shows and how it is made."""
    images = {run.test_images for run in plan} - {None}
    tested = f" on {images.pop():,} images" if len(images) == 1 else ""
    return (
        f"Test accuracy in %{tested}, by `ul2q sweep {spec}`.\n\n"
        f"{markdown_table(*results_table(records))}\n"
    )


def runs_table(plan: Sequence[PlannedRun], runs: Path) -> tuple[list[str], list[list[object]]]:
    """Headings and rows of the runs, and where they are as far as there are records of them.

    A run that is running by its record, though no process works there, was killed: it is stopped.
    """
    rows: list[list[object]] = []
    is_alive = is_sweeping(runs)
    for run in plan:
        record = read_record(runs / run.name)
        status = WAITING if record is None else record.status
        if status == RUNNING and not is_alive:
            status = STOPPED
        rows.append([run.name, run.solver.max_iter, run.float_run or "scratch", status])
    return ["run", "iterations", "from", "status"], rows
