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

_TEST_OUTPUT = re.compile(r"test\d*_(?P<output>.+)")
_QUANTISATION_LOSS = re.compile(r"(?P<blob>.+)\.loss")


@dataclass(frozen=True)
class Log:
    """A log.csv or quantization.csv.

    Attributes:
        columns: their names, "iteration" and "seconds" first.
        values: float64, rows × columns; NaN where the file has nothing.
        diverged_at: the iteration of the first row that holds NaN or infinity; None if none does.
    """

    columns: tuple[str, ...]
    values: NDArray[np.float64]
    diverged_at: int | None = None

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

    def last(self, column: str) -> float | None:
        """The last finite value of a column; None if there is none."""
        values = self.series(column)[1]
        return float(values[-1]) if len(values) else None

    def test_columns(self, kind: str) -> list[str]:
        """Columns of test outputs that have `kind`, "accuracy" or "loss", in their name."""
        outputs = ((name, _TEST_OUTPUT.fullmatch(name)) for name in self.columns)
        return [name for name, match in outputs if match and kind in match["output"].lower()]

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
    rows, diverged_at = [], None
    for line, row in enumerate(lines, start=2):
        try:
            numbers = {i: float(cell) for i, cell in enumerate(row) if cell}
        except ValueError:
            numbers = {}
        if len(row) != len(columns) or not numbers or not row[0].isdecimal():
            raise ReportError(f"{path}:{line}: not a row of this log; mend or remove it")
        if diverged_at is None and not all(map(math.isfinite, numbers.values())):
            diverged_at = int(row[0])
        rows.append([numbers.get(i, math.nan) for i in range(len(columns))])
    return Log(columns, np.array(rows, np.float64).reshape(-1, len(columns)), diverged_at)
