"""`--patience`: a run ends where its tests have long been no better, and says why."""

from __future__ import annotations

import csv
import json
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.reporters import Notes
from ul2q.cli import main
from ul2q.errors import UserError
from ul2q.runs.best import Best
from ul2q.runs.early_stop import EarlyStop, EarlyStopError, read_early_stop
from ul2q.runs.snapshots import read_solver_state
from ul2q.training import Interrupted, TrainingError, train
from ul2q.training.patience import why_to_stop

if TYPE_CHECKING:
    from tests.conftest import Workspace
    from ul2q.training.progress import Step

# A rate that lets the tests go up and down; each test begins elsewhere in the data.
FIELDS: dict[str, Any] = {
    "base_lr": 3,
    "lr_policy": '"fixed"',
    "test_interval": 2,
    "test_iter": 3,
    "max_iter": 61,
    "snapshot": 5,
}


def rows(run: str) -> list[dict[str, str]]:
    """The rows of log.csv without their seconds."""
    with Path(run, "log.csv").open(newline="", encoding="utf-8") as file:
        return [row | {"seconds": ""} for row in csv.DictReader(file)]


def end_state(run: str) -> dict[str, Any]:
    """All that must not depend on how a run came to its end."""
    state = read_solver_state(max(Path(run).glob("*.solverstate"), key=lambda p: p.stat().st_mtime))
    weights = Path(run, Path(state.learned_net).name).read_bytes()
    state.ClearField("learned_net")
    best = [Path(run, f"mini_best.{suffix}").read_bytes() for suffix in ("json", "caffemodel")]
    return {"rows": rows(run), "state": state, "weights": weights, "best": best}


def first_stop(run: str, patience: int) -> tuple[int, int] | None:
    """Where a run with this patience ends, and its best test, counted along a whole run's log."""
    tests = [(int(row["iteration"]), row["test_accuracy"]) for row in rows(run)]
    best, best_at, since = -1.0, 0, 0
    for iteration, accuracy in tests:
        if not accuracy:
            continue
        if float(accuracy) > best:
            best, best_at, since = float(accuracy), iteration, 0
            continue
        since += 1
        if since == patience:
            return iteration, best_at
    return None


@pytest.fixture
def whole(workspace: Workspace) -> str:
    train(workspace.solver(**FIELDS), run=Path("whole"), best=True, keep=0)
    return "whole"


@pytest.mark.parametrize("patience", [1, 2, 3, 6])
@pytest.mark.parametrize("display", [0, 2])
def test_a_run_ends_when_its_patience_does(
    workspace: Workspace, whole: str, patience: int, display: int
) -> None:
    expected = first_stop(whole, patience)
    assert expected is not None, "the tests show nothing"
    stop, best_at = expected
    result = train(
        workspace.solver(**FIELDS | {"display": display}), run=Path("run"), patience=patience
    )
    assert (result.iterations, result.tested_at) == (stop, stop)
    assert result.weights == Path(f"run/mini_iter_{stop}.caffemodel")
    assert result.best is not None
    assert result.best.iteration == best_at
    assert result.best_weights is not None
    assert result.best_weights.is_file()
    assert result.stopped_early is not None
    assert result.stopped_early.endswith(
        f"no better than accuracy {result.best.value:.4f} after iteration {best_at}"
    )
    assert read_early_stop(Path("run")) == EarlyStop(stop, result.stopped_early)
    # The tests are those of the whole run.
    tests, until = (
        [(row["iteration"], row["test_accuracy"]) for row in rows(run) if row["test_accuracy"]]
        for run in ("run", whole)
    )
    assert tests == until[: len(tests)]
    assert int(tests[-1][0]) == stop


def test_a_run_that_always_gets_better_goes_to_its_end(workspace: Workspace) -> None:
    result = train(workspace.solver(), run=Path("run"), patience=10)
    assert result.iterations == 20
    assert result.stopped_early is None
    assert result.best is not None
    assert not Path("run/early_stop.json").exists()


class Stop(Notes):
    """Stops a run after an iteration, as Ctrl-C does."""

    def __init__(self, iteration: int) -> None:
        super().__init__()
        self._iteration = iteration

    def step(self, step: Step) -> None:
        if step.iteration == self._iteration:
            signal.raise_signal(signal.SIGINT)


def test_a_resumed_run_ends_where_it_would_have_ended(workspace: Workspace, whole: str) -> None:
    expected = first_stop(whole, 3)
    assert expected is not None
    stop, _ = expected
    solver = workspace.solver(**FIELDS)
    train(solver, run=Path("unbroken"), patience=3)
    for iteration in range(stop):
        run = Path(f"run{iteration}")
        with pytest.raises(Interrupted) as caught:
            train(solver, run=run, patience=3, progress=Stop(iteration))
        assert caught.value.command.endswith("--patience 3 --resume")
        result = train(solver, run=run, patience=3, resume=True)
        assert result.iterations == stop
        assert end_state(str(run)) == end_state("unbroken")


def test_a_run_goes_on_with_more_patience_as_if_it_had_not_stopped(
    workspace: Workspace, whole: str
) -> None:
    solver = workspace.solver(**FIELDS)
    run = Path("run")
    first = train(solver, run=run, patience=2, keep=0)
    assert first.stopped_early is not None
    again = train(solver, run=run, patience=2, keep=0, resume=True)
    assert again.finished
    assert again.stopped_early == first.stopped_early
    assert (again.iterations, again.best) == (first.iterations, first.best)
    longer = train(solver, run=run, patience=4, keep=0, resume=True)
    assert not longer.finished
    expected = first_stop(whole, 4)
    assert expected is not None
    assert longer.iterations == expected[0] > first.iterations
    last = train(solver, run=run, best=True, keep=0, resume=True)
    assert (last.iterations, last.stopped_early) == (61, None)
    assert not Path("run/early_stop.json").exists()
    assert end_state("run") == end_state(whole)


@pytest.mark.parametrize(
    ("best", "iteration", "patience", "words"),
    [
        (Best(4, "accuracy", 0.5), 6, None, None),
        (None, 6, 1, None),
        (Best(6, "accuracy", 0.5), 6, 1, None),
        (Best(4, "accuracy", 0.5), 6, 1, "the last test was no better than accuracy 0.5000 after"),
        (Best(4, "loss", 2.25), 8, 2, "the last 2 tests were no better than loss 2.2500 after"),
        (Best(4, "accuracy", 0.5), 8, 3, None),
        (Best(5, "accuracy", 0.5), 8, 2, "the last 2 tests were"),  # the end of a shorter run
        (Best(9, "accuracy", 0.5), 8, 1, None),  # of a run that was resumed from before its best
    ],
)
def test_why_to_stop(
    best: Best | None, iteration: int, patience: int | None, words: str | None
) -> None:
    reason = why_to_stop(best, iteration, patience=patience, test_interval=2)
    if words is None:
        assert reason is None
    else:
        assert reason is not None
        assert reason.startswith(words)


def test_the_command_says_why_it_stopped(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    workspace.solver(**FIELDS)
    command = ["train", "solver.prototxt", "--run", "run", "--patience", "2"]
    assert main(command) == 0
    (stopped,) = (s for s in capsys.readouterr().out.splitlines() if s.startswith("stopped early"))
    stop = json.loads(Path("run/early_stop.json").read_text())
    assert stopped == f"stopped early, after iteration {stop['iteration']}: {stop['reason']}"
    assert main([*command, "--resume"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == [f"finished already: {stop['iteration']} iterations", stopped]


def test_bad_patience_is_refused(workspace: Workspace) -> None:
    with pytest.raises(TrainingError, match="--patience must be at least 1, it is 0"):
        train(workspace.solver(), patience=0)
    solver = workspace.solver(test_iter=None, test_interval=None)
    with pytest.raises(TrainingError, match=r"solver\.prototxt: --patience needs tests.*test_iter"):
        train(solver, patience=1)


@pytest.mark.parametrize("text", ["", "{", "{}", "[1]"])
def test_a_damaged_record_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "early_stop.json").write_text(text, encoding="utf-8")
    with pytest.raises(EarlyStopError, match=r"early_stop\.json is damaged"):
        read_early_stop(tmp_path)
    assert issubclass(EarlyStopError, UserError)
