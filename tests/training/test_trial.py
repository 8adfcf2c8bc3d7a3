"""UL2Q_MAX_ITER in the environment cuts training short."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ul2q.cli import main
from ul2q.nets.prototxt import PrototxtError, read_solver
from ul2q.runs.log import read_log
from ul2q.training import train

if TYPE_CHECKING:
    from tests.conftest import Workspace

RUN = Path("run")
SPEC = """\
nets:
  mini: {net: net.prototxt, solver: solver.prototxt}
methods: {float: , ul2q: 2}
"""


@pytest.fixture(autouse=True)
def _trial(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UL2Q_MAX_ITER", "3")


def test_a_trial_is_short_and_recorded_as_it_was_run(
    workspace: Workspace, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace.solver(test_initialization="false", test_interval=20)
    line = ["train", "solver.prototxt", "--run", "run"]
    assert main(line) == 0
    first, *_ = capsys.readouterr().out.splitlines()
    assert first == "a trial by UL2Q_MAX_ITER: at most 3 iterations, and 3 batches a test"
    solver = read_solver(RUN / "solver.prototxt")
    assert (solver.max_iter, list(solver.test_iter)) == (3, [3])
    log = read_log(RUN / "log.csv", strict=True)
    assert log is not None
    assert log.iteration == 3
    # The test is of the first 3 batches of 5, by the saved weights.
    assert main(["test", "net.prototxt", "run", "--iterations", "3", "--json"]) == 0
    tested = json.loads(capsys.readouterr().out)["outputs"]["accuracy"]
    _, (outputs,) = log.last_test()
    assert outputs["accuracy"] == pytest.approx(tested, abs=1e-6)
    # The same run goes on to its end without the variable.
    monkeypatch.delenv("UL2Q_MAX_ITER")
    assert main([*line, "--resume"]) == 0
    assert (RUN / "mini_iter_20.caffemodel").exists()
    assert "test_iter was [3], is [4]" in capsys.readouterr().err


def test_epochs_and_short_trainings_are_cut_no_further(workspace: Workspace) -> None:
    assert train(workspace.solver(), epochs=2).iterations == 3
    assert train(workspace.solver(max_iter=2, test_iter=1)).iterations == 2


def test_a_sweep_is_cut_short(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    workspace.write("spec.yaml", SPEC)
    assert main(["sweep", "spec.yaml", "--dry-run"]) == 0
    rows = [line.split()[:2] for line in capsys.readouterr().out.splitlines()[1:]]
    assert rows == [["mini-float-seed1", "3"], ["mini-ul2q-2bit-seed1", "3"]]
    assert main(["sweep", "spec.yaml"]) == 0
    assert "a trial by UL2Q_MAX_ITER" in capsys.readouterr().out
    assert Path("runs/spec/mini-ul2q-2bit-seed1/mini-ul2q-2bit-seed1_iter_3.caffemodel").exists()


@pytest.mark.parametrize("value", ["0", "-1", "many", "1.5"])
def test_another_value_is_refused(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("UL2Q_MAX_ITER", value)
    with pytest.raises(PrototxtError, match=f"UL2Q_MAX_ITER .*'{value}': must be 1 or more"):
        train(workspace.solver())
