"""The logs of a run, read back with the csv module and by eye."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from ul2q.runs.log import LogWriter, RunLogError, column_of_test, read_log, split_test_column

COLUMNS = ["iteration", "seconds", "learning_rate", 'test_a,"b"']
HEADER = 'iteration,seconds,learning_rate,"test_a,""b"""\n'


def test_each_row_is_in_the_file_at_once(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    log = LogWriter(path, COLUMNS)
    assert path.read_text() == HEADER
    log.write({"iteration": 10, "seconds": 1.23456, "learning_rate": float(np.float32(0.1))})
    assert path.read_text() == HEADER + "10,1.235,0.1,\n"
    log.close()


def test_a_full_disk_is_told_with_the_log(tmp_path: Path) -> None:
    log = LogWriter(tmp_path / "log.csv", COLUMNS)
    log._file.close()
    log._file = Path("/dev/full").open("a", encoding="utf-8", buffering=1)  # noqa: SIM115
    with pytest.raises(OSError, match="No space left") as raised:
        log.write({"iteration": 0, "seconds": 0})
    assert raised.value.filename == str(tmp_path / "log.csv")
    with pytest.raises(OSError, match="No space left"):  # what is not written yet
        log.close()


@pytest.mark.parametrize("value", [1 / 3, 1e-30, 3e38, 0.0, -2.5, float("inf"), float("nan")])
def test_values_are_those_of_float32(tmp_path: Path, value: float) -> None:
    log = LogWriter(tmp_path / "log.csv", COLUMNS)
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
    log = LogWriter(path, COLUMNS, resume_at=6)
    assert path.read_text() == HEADER + after
    assert log.kept.seconds == seconds
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
        LogWriter(path, COLUMNS, resume_at=resume_at)
    for word in words:
        assert word in str(caught.value)
    assert path.read_text() == text


ROWS = "0,1.0,1,2\n5,2.5,,3\n"


def test_a_log_is_read_as_far_as_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    assert read_log(path) is None
    path.write_text(HEADER + ROWS + "10,3.0,1,4")
    log = read_log(path)
    assert log is not None
    assert log.columns == tuple(COLUMNS)
    assert (log.iteration, log.seconds, log.diverged) == (5, 2.5, None)
    assert np.array_equal(log["learning_rate"], [1, np.nan], equal_nan=True)
    assert log.row(-1) == {"iteration": 5, "seconds": 2.5, COLUMNS[3]: 3}
    assert [list(part) for part in log.series("learning_rate")] == [[0], [1]]
    assert [log.last(name) for name in ("learning_rate", COLUMNS[3], "gone", None)] == [
        *(1, 3, None, None)
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEADER + "0,1,2,3\n1,2\n", r"log\.csv:3: not a row of this log; mend or remove it"),
        (HEADER + "0,1,2,3,4\n", r"log\.csv:2: not a row"),
        (HEADER + "0,1,two,3\n", r"log\.csv:2: not a row"),
        (HEADER + "0.5,1,2,3\n", r"log\.csv:2: not a row"),
        (HEADER + "\n0,1,2,3\n", r"log\.csv:2: not a row"),
        (HEADER + f"{'9' * 400},1,2,3\n", r"log\.csv:2: not a row"),
        (HEADER + f"0,{'1' * 200_000},2,3\n", r"log\.csv:2: not a row"),
        (HEADER + "0,1\r2,2,3\n", r"log\.csv:2: not a row"),
        ("seconds,iteration\n", r"log\.csv:1: not the columns of a training log"),
        ("iteration,seconds,a,a\n", r"log\.csv:1: not the columns of a training log"),
        ("iteration,\xff\n", r"log\.csv is damaged: byte 10 is not UTF-8"),
    ],
)
def test_a_damaged_log_is_refused_or_read_without(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "log.csv"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(RunLogError, match=message):
        read_log(path)
    log = read_log(path, strict=False)
    assert log is not None
    assert log.cells == ((("0", "1", "2", "3"),) if "\n0,1,2,3\n" in text else ())


def test_a_log_that_is_gone_on_with_is_read_strictly(tmp_path: Path) -> None:
    for text in (HEADER + "0,1,two,3\n", "iteration,\xff\n"):
        path = tmp_path / "log.csv"
        path.write_bytes(text.encode("latin-1"))
        with pytest.raises(RunLogError, match=r"log\.csv(:2: not a row| is damaged: byte 10)"):
            LogWriter(path, COLUMNS, resume_at=6)


def test_tests_in_a_log(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    tests = [(0, "loss"), (0, "hits[1]"), (1, "loss")]
    names = [column_of_test(index, 2, output) for index, output in tests]
    assert names == ["test0_loss", "test0_hits[1]", "test1_loss"]
    assert [split_test_column(name) for name in names] == tests
    assert column_of_test(0, 1, "loss") == "test_loss"
    assert split_test_column("test_loss") == (0, "loss")
    assert split_test_column("train_loss") is None
    path.write_text(f"iteration,seconds,train_loss,{','.join(names)}\n")
    log = read_log(path)
    assert log is not None
    assert log.last_test() == (None, ())
    path.write_text(path.read_text() + "5,1,,0.5,0.25,2\n10,2,1,,,\n")
    log = read_log(path)
    assert log is not None
    assert log.last_test() == (5, ({"loss": 0.5, "hits[1]": 0.25}, {"loss": 2.0}))
    # What began to diverge is kept to be looked at, but no number of that test counts.
    path.write_text(path.read_text() + "15,3,1,nan,1,1\n20,4,inf,,,\n")
    log = read_log(path)
    assert log is not None
    assert log.diverged == "test0_loss is nan at iteration 15"
    assert [log.last(name) for name in names] == [0.5, 0.25, 2]
    assert log.last_test()[1][0] == {"loss": pytest.approx(np.nan, nan_ok=True), "hits[1]": 1}
