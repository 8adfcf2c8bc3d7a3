"""How far a run is, read while it trains."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ul2q.runs.progress import Progress, read_progress

if TYPE_CHECKING:
    from pathlib import Path

HEADER = "iteration,seconds,learning_rate,train_loss,test_accuracy,test_loss\n"


def test_progress_is_read_while_a_log_is_written(tmp_path: Path) -> None:
    assert read_progress(tmp_path).iterations == 0
    log = tmp_path / "log.csv"
    log.write_text("iteration,seconds,learning_rate,train_loss,test_accuracy,test_loss\n")
    assert read_progress(tmp_path).iterations == 0
    with log.open("a") as file:
        file.write("0,0.5,0.1,2.5,0.25,1.5\n10,2,0.1,1.25,,\n20,3")
    progress = read_progress(tmp_path)
    assert (progress.iterations, progress.seconds, progress.train_loss) == (10, 2.0, 1.25)
    assert (progress.accuracy, progress.loss) == (0.25, 1.5)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        # A number that is cut off looks like another one.
        ("10,2,0.1,1.25,0.5,0.75\n20,3,0.1,1", Progress(10, 2.0, 1.25, 0.5, 0.75)),
        ("10,2,0.1,1.25,0.5,0.75\n20,3,0.1,1,0.25,0.5", Progress(10, 2.0, 1.25, 0.5, 0.75)),
        # Damaged lines are left out, wherever they stand.
        ("x,1,2,3,4,5\n10,2,0.1,1.25,,\n20,3\n", Progress(10, 2.0, 1.25)),
        ("10,2,0.1,one,,\n", Progress()),
        # Scores that are NaN have no largest: the accuracy beside that loss says nothing.
        ("0,1,1,3,0.25,2\n10,2,1,nan,1,nan\n", Progress(10, 2.0, 3.0, 0.25, 2.0)),
    ],
)
def test_what_is_no_row_is_left_out(tmp_path: Path, rows: str, expected: Progress) -> None:
    (tmp_path / "log.csv").write_text(HEADER + rows)
    assert read_progress(tmp_path) == expected


@pytest.mark.parametrize("content", [b"", b"a,b\n1,2\n", b"iteration", b"\xff\n\xff\n"])
def test_what_is_no_log_tells_nothing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "log.csv").write_bytes(content)
    assert read_progress(tmp_path) == Progress()
