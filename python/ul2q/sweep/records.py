"""What is known of each run: run.json in its folder, results.csv beside the folders."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from ul2q.errors import UserError
from ul2q.training.log_metrics import log_metrics
from ul2q.util.output_file import write_file
from ul2q.util.tables import csv_table

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

WAITING, RUNNING, DONE, FAILED, STOPPED = "waiting", "running", "done", "failed", "stopped"
_FILE = "run.json"
_CSV = (
    *("run", "net", "method", "bits", "seed", "variant", "status"),
    *("accuracy", "loss", "iterations", "seconds", "float_run"),
)


class RecordError(UserError, ValueError):
    """A damaged run.json."""


@dataclass
class Record:
    """A run, as run.json has it.

    Attributes:
        run: its name, and that of its folder.
        net: the net's name.
        method: as `ul2q.methods()` has it, or "float".
        bits: of the weights' codes; None for float.
        seed: of Caffe's random generator.
        variant: its name, or "".
        options: all that its result depends on, but for the text of the net.
        float_run: the run whose weights it begins from.
        status: waiting, running, done, failed, or stopped (to be gone on with).
        accuracy: in its last test, 0 to 1; None if there is none.
        loss: in its last test.
        iterations: how many it has done, as far as log.csv tells.
        seconds: it has trained, as far as log.csv tells.
        error: the last line of a run that failed.
    """

    run: str
    net: str
    method: str
    bits: int | None
    seed: int
    variant: str
    options: dict[str, Any] = field(repr=False)
    float_run: str | None
    status: str = WAITING
    accuracy: float | None = None
    loss: float | None = None
    iterations: int = 0
    seconds: float = 0.0
    error: str | None = None

    @property
    def text(self) -> str:
        """For run.json."""
        return json.dumps(asdict(self), indent=2) + "\n"

    def save(self, runs: Path) -> None:
        """Write run.json into the run's folder below `runs`."""
        write_file(runs / self.run / _FILE, self.text.encode(), force=True)


def read_record(folder: Path) -> Record | None:
    """The record in a run's folder; None if there is none.

    Before tests had to be finite, a run that diverged could be called done; it has failed.

    Raises:
        RecordError: it is damaged.
    """
    path = folder / _FILE
    if not path.is_file():
        return None
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
        record = Record(**entries)
    except (ValueError, TypeError) as error:
        raise RecordError(f"{path} is damaged: {error}; mend it, or remove {folder}") from error
    if record.run != folder.name:
        raise RecordError(f"{path} is that of a run {record.run!r}, but stands in {folder}")
    for value in (record.accuracy, record.loss):
        if isinstance(value, float) and not math.isfinite(value):
            record.status, record.error = FAILED, f"training has diverged: a test gave {value}"
    return record


def read_records(runs: Path) -> dict[str, Record]:
    """The records of all runs below a folder, by name."""
    found = (read_record(path) for path in sorted(runs.iterdir()) if path.is_dir())
    return {record.run: record for record in found if record is not None}


def write_results(runs: Path, records: Sequence[Record]) -> None:
    """Write results.csv."""
    rows = [[getattr(record, name) for name in _CSV] for record in records]
    write_file(runs / "results.csv", csv_table(_CSV, rows), force=True)


@dataclass(frozen=True)
class Progress:
    """How far a run is, from its log.csv.

    Attributes:
        iterations: how many it has done.
        seconds: it took for them.
        train_loss: the last, if it was a number.
        accuracy: in the last test; None if there was none.
        loss: likewise.
    """

    iterations: int = 0
    seconds: float = 0.0
    train_loss: float | None = None
    accuracy: float | None = None
    loss: float | None = None


def read_progress(folder: Path) -> Progress:
    """How far the run in a folder is; while it runs, too."""
    try:
        with (folder / "log.csv").open(encoding="utf-8", newline="") as file:
            rows = [row for row in csv.DictReader(file) if None not in row.values()]
    except FileNotFoundError:
        return Progress()
    if not rows:
        return Progress()
    last, metrics = rows[-1], log_metrics(folder, list(rows[-1]))
    return Progress(
        iterations=int(last["iteration"]),
        seconds=float(last["seconds"]),
        train_loss=_last(rows, "train_loss"),
        accuracy=_last(rows, metrics.accuracy),
        loss=_last(rows, metrics.loss),
    )


def _last(rows: Sequence[dict[str, str]], column: str | None) -> float | None:
    """The last value in a column."""
    values = [row[column] for row in rows if row[column]] if column is not None else []
    return float(values[-1]) if values else None
