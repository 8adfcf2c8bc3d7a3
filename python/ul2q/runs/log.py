"""The logs of a run, log.csv and quantization.csv: rows of numbers, written and read.

A row stands for an iteration, and is in the file as soon as it is written. Going on from a snapshot
drops the rows from its iteration on. The columns of quantization.csv are those that
`ul2q.runs.quantization_log` tells; those of log.csv are

iteration:
    Its number, from 0; the last row stands for the finished net.
seconds:
    How long training took up to there, also before a resume.
learning_rate:
    The rate of the iteration.
train_loss:
    The loss of the iteration, averaged over the solver's `average_loss` iterations, counted anew
    after a resume. Empty in the last row if there was a test alone.
test_<output>:
    For each output of the test net its mean in the test before the iteration; empty where there
    was none. Of several test nets test0_<output>, test1_<output>, …
test_total_loss:
    The weighted loss in that test, if the solver's `test_compute_loss` asks for it.
"""

from __future__ import annotations

import csv
import io
import math
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ul2q.errors import UserError
from ul2q.util.output_file import naming

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

ITERATION, SECONDS = "iteration", "seconds"
LEARNING_RATE, TRAIN_LOSS = "learning_rate", "train_loss"
TOTAL_LOSS = "total_loss"  # as if it were an output of a test net

_MOST_DIGITS = 15  # of an iteration: float64 has them all
_TEST_COLUMN = re.compile(r"test(\d*)_(.+)")


class RunLogError(UserError, ValueError):
    """A log that cannot be written, gone on with or read."""


def label_of_test(index: int, count: int) -> str:
    """How a solver's test net is called: `test`, or `test0`, `test1`, … where there are several."""
    return "test" if count == 1 else f"test{index}"


def column_of_test(index: int, count: int, output: str) -> str:
    """The column of log.csv for an output of the test net `index` of `count`."""
    return f"{label_of_test(index, count)}_{output}"


def split_test_column(column: str) -> tuple[int, str] | None:
    """The test net's index and the output in a column of log.csv; None if it is of no test."""
    match = _TEST_COLUMN.fullmatch(column)
    return (int(match[1] or 0), match[2]) if match else None


@dataclass(frozen=True)
class Log:
    """What a log has been read to hold.

    Attributes:
        columns: their names, "iteration" and "seconds" first.
        cells: the texts of each row, as many as there are columns; "" where there is no number.
        values: float64, rows × columns; NaN where the file has nothing, and for the tests in a row
            that holds NaN or infinity: an accuracy among scores that are NaN says nothing.
        diverged: "test_loss is nan at iteration 20", of the first such row; None if there is none.
            A test at iteration 0 does not count: before any training it may overflow.
    """

    columns: tuple[str, ...]
    cells: tuple[tuple[str, ...], ...]
    values: NDArray[np.float64]
    diverged: str | None

    def __getitem__(self, column: str) -> NDArray[np.float64]:
        """The values of a column."""
        return np.asarray(self.values[:, self.columns.index(column)])

    @property
    def iteration(self) -> int:
        """The iteration of the last row; 0 without rows."""
        return int(self.cells[-1][0]) if self.cells else 0

    @property
    def seconds(self) -> float:
        """The seconds in the last row; 0 without rows."""
        return float(self[SECONDS][-1]) if self.cells else 0.0

    def row(self, index: int) -> dict[str, float]:
        """The numbers of a row by their columns, be they finite or not."""
        row = zip(self.columns, self.cells[index], strict=True)
        return {column: float(cell) for column, cell in row if cell}

    def series(self, column: str) -> tuple[NDArray[Any], NDArray[Any]]:
        """Iterations and values of the rows where a column has a finite value."""
        held = np.isfinite(self[column])
        return self[ITERATION][held], self[column][held]

    def last(self, column: str | None) -> float | None:
        """The last finite value of a column; None if there is none, or no such column."""
        if column is None or column not in self.columns:
            return None
        values = self.series(column)[1]
        return float(values[-1]) if len(values) else None

    def last_test(self) -> tuple[int | None, tuple[dict[str, float], ...]]:
        """The iteration of the last test, and the mean outputs of each test net in it."""
        for i in reversed(range(len(self.cells))):
            row, tests = self.row(i), dict[int, dict[str, float]]()
            for column, value in row.items():
                if test := split_test_column(column):
                    tests.setdefault(test[0], {})[test[1]] = value
            if tests:
                return int(row[ITERATION]), tuple(tests[index] for index in sorted(tests))
        return None, ()

    def before(self, iteration: int) -> Log:
        """The log without the rows from an iteration on."""
        rows = [row for row in self.cells if int(row[0]) < iteration]
        return _log(self.columns, rows)


def read_log(
    path: Path, *, columns: Sequence[str] | None = None, strict: bool = True
) -> Log | None:
    """Read a log; a last line that was cut off is left out. None if there is no such file.

    Args:
        path: log.csv or quantization.csv.
        columns: those that it must have; None if it only has to begin as a log does.
        strict: whether damage is an error, or damaged lines are left out like the cut one.

    Raises:
        RunLogError: the columns are others; or `strict` and a line is damaged.
    """
    if not path.is_file():
        return None
    try:
        text = path.read_bytes().decode(errors="strict" if strict else "replace")
    except UnicodeDecodeError as error:
        raise RunLogError(f"{path} is damaged: byte {error.start} is not UTF-8") from error
    lines = map(_cells, text[: text.rfind("\n") + 1].split("\n")[:-1])
    header = tuple(next(lines, columns or (ITERATION, SECONDS)))
    if columns is not None and header != tuple(columns):
        raise RunLogError(
            f"{path} has the columns {', '.join(header)}, but this run writes "
            f"{', '.join(columns)}: choose another --run"
        )
    if columns is None and (header[:2] != (ITERATION, SECONDS) or len(set(header)) < len(header)):
        if not strict:
            return _log((ITERATION, SECONDS), [])
        raise RunLogError(f"{path}:1: not the columns of a training log; mend or remove it")
    rows = []
    for line, row in enumerate(lines, start=2):
        if _is_row(row, header):
            rows.append(row)
        elif strict:
            raise RunLogError(f"{path}:{line}: not a row of this log; mend or remove it")
    return _log(header, rows)


def _cells(line: str) -> list[str]:
    """The cells of a line; none of one that is no CSV."""
    try:
        return next(csv.reader([line]), [])
    except csv.Error:
        return []


def _is_row(cells: Sequence[str], columns: Sequence[str]) -> bool:
    if len(cells) != len(columns) or not cells[0].isdecimal() or len(cells[0]) > _MOST_DIGITS:
        return False
    try:
        [float(cell) for cell in cells if cell]
    except ValueError:
        return False
    return True


def _log(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Log:
    tests = {i for i, column in enumerate(columns) if split_test_column(column)}
    values = np.full((len(rows), len(columns)), math.nan)
    diverged = None
    for place, row in enumerate(rows):
        numbers = {i: float(cell) for i, cell in enumerate(row) if cell}
        wrong = [i for i, number in numbers.items() if not math.isfinite(number)]
        for i in wrong:
            if diverged is None and (i not in tests or int(row[0]) > 0):
                diverged = f"{columns[i]} is {row[i]} at iteration {row[0]}"
        for i, number in numbers.items():
            if not (wrong and i in tests):
                values[place, i] = number
    return Log(tuple(columns), tuple(map(tuple, rows)), values, diverged)


class LogWriter:
    """Rows of numbers under fixed columns; the first two are `iteration` and `seconds`.

    Every row reaches the file when it is written, so a killed run leaves whole rows. Values
    beyond the first two columns have the shortest decimal form that gives the same float32.

    Attributes:
        path: the CSV file.
        kept: the rows that were kept on going on; none in a new log.
    """

    def __init__(self, path: Path, columns: Sequence[str], *, resume_at: int | None = None) -> None:
        """Begin a log, or go on with one from iteration `resume_at`, whose row is still to come.

        Going on drops the rows from `resume_at` on and a last line that was cut off.

        Raises:
            RunLogError: a new log would overwrite `path`; or the log to go on with has other
                columns or a damaged row.
        """
        self.path = path
        self.kept = _log(columns, [])
        if resume_at is None:
            refuse_existing(path)
        elif there := read_log(path, columns=columns):
            self.kept = there.before(resume_at)
        self._columns = list(columns)
        self._is_empty = not self.kept.cells
        _replace(path, [columns, *self.kept.cells])
        self._file = path.open("a", encoding="utf-8", newline="", buffering=1)

    def write(self, row: Mapping[str, float]) -> None:
        """Append a row; a column that `row` lacks stays empty."""
        with naming(self.path):
            self._file.write(_csv([[_cell(name, row.get(name)) for name in self._columns]]))
        self._is_empty = False

    def sync(self) -> None:
        """Wait until the disk has the rows, so that no snapshot that is there lacks them."""
        with naming(self.path):
            self._file.flush()
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file, on the disk; one without a row goes, so that a run can begin anew."""
        try:
            self.sync()
        finally:
            with naming(self.path):
                self._file.close()
        if self._is_empty:
            self.path.unlink(missing_ok=True)


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
    if column == SECONDS:
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
    with naming(path), temporary.open("w", encoding="utf-8", newline="") as file:
        file.write(_csv(rows))
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
