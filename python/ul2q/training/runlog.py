"""The CSV log of a training run: one row an iteration, readable while the run goes on."""

from __future__ import annotations

import csv
import io
import os
from typing import TYPE_CHECKING

import numpy as np

from ul2q.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


class RunLogError(UserError, ValueError):
    """A log that cannot be written or continued."""


class RunLog:
    """Rows of numbers under fixed columns; the first two are `iteration` and `seconds`.

    Every row reaches the file when it is written, so a killed run leaves whole rows. Values
    beyond the first two columns have the shortest decimal form that gives the same float32.

    Attributes:
        path: the CSV file.
        kept: the rows that were kept on resuming.
        seconds: the seconds in the last of them, else 0.
    """

    def __init__(self, path: Path, columns: Sequence[str], *, resume_at: int | None = None) -> None:
        """Begin a log, or go on with one from iteration `resume_at`, whose row is still to come.

        Going on drops the rows from `resume_at` on and a last line that was cut off.

        Raises:
            RunLogError: a new log would overwrite `path`; or the log to go on with has other
                columns or a damaged row.
        """
        self.path = path
        self.seconds = 0.0
        self._columns = list(columns)
        if path.exists() and resume_at is None:
            refuse_existing(path)
        if path.exists() and resume_at is not None:
            kept = self._rows_before(resume_at)
            self.seconds = float(kept[-1][1]) if kept else 0.0
        else:
            kept = []
        self.kept = [dict(zip(self._columns, row, strict=True)) for row in kept]
        self._is_empty = not kept
        _replace(path, [self._columns, *kept])
        self._file = path.open("a", encoding="utf-8", newline="", buffering=1)

    def write(self, row: Mapping[str, float]) -> None:
        """Append a row; a column that `row` lacks stays empty."""
        self._file.write(_csv([[_cell(name, row.get(name)) for name in self._columns]]))
        self._is_empty = False

    def close(self) -> None:
        """Close the file; one without a row goes, so that the run can be begun anew."""
        self._file.close()
        if self._is_empty:
            self.path.unlink(missing_ok=True)

    def _rows_before(self, iteration: int) -> list[list[str]]:
        text = self.path.read_text(encoding="utf-8")
        whole = text[: text.rfind("\n") + 1]
        rows = list(csv.reader(io.StringIO(whole)))
        if not rows:
            return []
        if rows[0] != self._columns:
            raise RunLogError(
                f"{self.path} has the columns {', '.join(rows[0])}, but this run writes "
                f"{', '.join(self._columns)}: choose another --run"
            )
        kept = []
        for line, row in enumerate(rows[1:], start=2):
            if len(row) != len(self._columns) or not row[0].isdecimal():
                raise RunLogError(f"{self.path}:{line}: not a row of this log; mend or remove it")
            if int(row[0]) < iteration:
                kept.append(row)
        return kept


def read_rows(path: Path) -> list[dict[str, str]]:
    """The whole rows of a log by its columns; none if there is no log."""
    if not path.is_file():
        return []
    text = path.read_text(encoding="utf-8")
    return list(csv.DictReader(io.StringIO(text[: text.rfind("\n") + 1])))


def refuse_existing(path: Path) -> None:
    """Raise RunLogError if a log stands at `path`."""
    if path.exists():
        raise RunLogError(
            f"{path} holds the log of an earlier run: choose another --run, "
            "or go on with that run by --resume or --snapshot F"
        )


def _cell(column: str, value: float | None) -> str:
    if value is None:
        return ""
    if isinstance(value, int):
        return str(value)
    if column == "seconds":
        return f"{value:.3f}"
    with np.errstate(over="ignore"):
        single = np.float32(value)
    return str(single if np.isfinite(single) else value)


def _csv(rows: Sequence[Sequence[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _replace(path: Path, rows: Sequence[Sequence[str]]) -> None:
    """Write `rows` to `path` such that a crash leaves either the old file or the new one."""
    temporary = path.with_name(path.name + ".new")
    with temporary.open("w", encoding="utf-8", newline="") as file:
        file.write(_csv(rows))
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
