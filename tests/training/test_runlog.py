"""The run log, read back with the csv module and by eye."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

import numpy as np
import pytest

from ul2q.training.runlog import RunLog, RunLogError

if TYPE_CHECKING:
    from pathlib import Path

COLUMNS = ["iteration", "seconds", "learning_rate", 'test_a,"b"']
HEADER = 'iteration,seconds,learning_rate,"test_a,""b"""\n'


def test_each_row_is_in_the_file_at_once(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    log = RunLog(path, COLUMNS)
    assert path.read_text() == HEADER
    log.write({"iteration": 10, "seconds": 1.23456, "learning_rate": float(np.float32(0.1))})
    assert path.read_text() == HEADER + "10,1.235,0.1,\n"
    log.close()


@pytest.mark.parametrize("value", [1 / 3, 1e-30, 3e38, 0.0, -2.5, float("inf"), float("nan")])
def test_values_are_those_of_float32(tmp_path: Path, value: float) -> None:
    log = RunLog(tmp_path / "log.csv", COLUMNS)
    log.write({"iteration": 0, "seconds": 0, COLUMNS[3]: value})
    log.close()
    with (tmp_path / "log.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert np.array_equal(np.float32(row[COLUMNS[3]]), np.float32(value), equal_nan=True)


@pytest.mark.parametrize(
    ("before", "after", "seconds"),
    [
        ("", "", 0),
        (HEADER, "", 0),
        (HEADER + "0,1.0,1,\n5,2.0,1,\n6,3.0,1,\n", "0,1.0,1,\n5,2.0,1,\n", 2),
        (HEADER + "0,1.0,1,\n5,2.0", "0,1.0,1,\n", 1),
        (HEADER + "6,3.0,1,\n", "", 0),
    ],
)
def test_going_on_keeps_the_rows_before(
    tmp_path: Path, before: str, after: str, seconds: float
) -> None:
    path = tmp_path / "log.csv"
    path.write_text(before)
    log = RunLog(path, COLUMNS, resume_at=6)
    assert path.read_text() == HEADER + after
    assert log.seconds == seconds
    assert list(tmp_path.iterdir()) == [path]
    log.close()
    # One that has nothing to tell does not stand in the way of the next.
    assert path.exists() == bool(after)


@pytest.mark.parametrize(
    ("text", "resume_at", "words"),
    [
        (HEADER, None, ["log.csv", "another --run", "--snapshot"]),
        ("iteration,other\n", 6, ["log.csv", "other", "learning_rate", "another --run"]),
        (HEADER + "0,1,2,3\n1,2\n", 6, ["log.csv:3"]),
        (HEADER + "x,1,2,3\n", 6, ["log.csv:2"]),
    ],
)
def test_a_log_that_does_not_fit_is_kept(
    tmp_path: Path, text: str, resume_at: int | None, words: list[str]
) -> None:
    path = tmp_path / "log.csv"
    path.write_text(text)
    with pytest.raises(RunLogError) as caught:
        RunLog(path, COLUMNS, resume_at=resume_at)
    for word in words:
        assert word in str(caught.value)
    assert path.read_text() == text
