"""The CSV logs of a run, read for drawing while they may still grow."""

from __future__ import annotations

import csv
import io
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ul2q.report.errors import ReportError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

_QUANTISATION_LOSS = re.compile(r"(?P<blob>.+)\.loss")


@dataclass(frozen=True)
class Log:
    """A log.csv or quantization.csv.

    Attributes:
        columns: their names, "iteration" and "seconds" first.
        values: float64, rows × columns; NaN where the file has nothing, and for the tests in a row
            that holds NaN or infinity: an accuracy among scores that are NaN says nothing.
        diverged: "test_loss is nan at iteration 20", of the first such row; None if there is none.
            A test at iteration 0 does not count: before any training it may overflow.
    """

    columns: tuple[str, ...]
    values: NDArray[np.float64]
    diverged: str | None = None

    def __getitem__(self, column: str) -> NDArray[np.float64]:
        """A column."""
        return np.asarray(self.values[:, self.columns.index(column)])

    @property
    def iteration(self) -> int:
        """Of the last row; 0 without rows."""
        return int(self["iteration"][-1]) if len(self.values) else 0

    @property
    def seconds(self) -> float:
        """Of the last row; 0 without rows."""
        return float(self["seconds"][-1]) if len(self.values) else 0.0

    def series(self, column: str) -> tuple[NDArray[Any], NDArray[Any]]:
        """Iterations and values of the rows where a column has a finite one."""
        held = np.isfinite(self[column])
        return self["iteration"][held], self[column][held]

    def last(self, column: str | None) -> float | None:
        """The last finite value of a column; None if there is none."""
        if column is None:
            return None
        values = self.series(column)[1]
        return float(values[-1]) if len(values) else None

    def quantization_losses(self) -> dict[str, str]:
        """Columns of a quantization.csv with mean squared errors, by blob: "conv1[0]"."""
        losses = ((name, _QUANTISATION_LOSS.fullmatch(name)) for name in self.columns)
        return {match["blob"]: name for name, match in losses if match}


def read_log(path: Path) -> Log | None:
    """A log; a last line that was cut off is left out. None if there is no such file.

    Raises:
        ReportError: a line is damaged.
    """
    if not path.is_file():
        return None
    try:
        text = path.read_bytes().decode()
    except UnicodeDecodeError as error:
        raise ReportError(f"{path} is damaged: byte {error.start} is not UTF-8") from error
    lines = csv.reader(io.StringIO(text[: text.rfind("\n") + 1]))
    columns = tuple(next(lines, ("iteration", "seconds")))
    if columns[:2] != ("iteration", "seconds") or len(set(columns)) < len(columns):
        raise ReportError(f"{path}:1: not the columns of a training log; mend or remove it")
    rows, diverged = [], None
    for line, row in enumerate(lines, start=2):
        try:
            numbers = {i: float(cell) for i, cell in enumerate(row) if cell}
        except ValueError:
            numbers = {}
        if len(row) != len(columns) or not numbers or not row[0].isdecimal():
            raise ReportError(f"{path}:{line}: not a row of this log; mend or remove it")
        tests = {i for i in numbers if columns[i].startswith("test")}
        wrong = [i for i, number in numbers.items() if not math.isfinite(number)]
        if wrong:
            numbers = {i: number for i, number in numbers.items() if i not in tests}
        for i in wrong:
            if diverged is None and (i not in tests or int(row[0]) > 0):
                diverged = f"{columns[i]} is {row[i]} at iteration {row[0]}"
        rows.append([numbers.get(i, math.nan) for i in range(len(columns))])
    return Log(columns, np.array(rows, np.float64).reshape(-1, len(columns)), diverged)
