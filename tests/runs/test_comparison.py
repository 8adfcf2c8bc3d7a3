"""`ul2q compare`, and which weights a run's folder stands for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.report.report_runs import model, write_run
from tests.training.test_recorder import TWO_BITS
from ul2q.cli import main
from ul2q.evaluation import evaluate
from ul2q.models.caffemodel import WeightsError
from ul2q.runs.comparison import ComparisonError, compare_runs
from ul2q.runs.weights import weights_of_run
from ul2q.training import train

if TYPE_CHECKING:
    from tests.conftest import Workspace


def test_two_trainings(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    train(workspace.solver(), run=Path("float"))
    train(workspace.solver(random_seed=3), run=Path("again"))
    assert [one.name for one in compare_runs(Path("float"), Path("again"))] in (
        [],
        ["result.seconds"],
    )
    workspace.net(*TWO_BITS, name="low.prototxt")
    weights = Path("float/mini_iter_20.caffemodel")
    train(
        workspace.solver(net='"low.prototxt"', base_lr=0.05, clip_gradients=1),
        run=Path("low"),
        weights=[weights],
    )
    found = {one.name: (one.old, one.new) for one in compare_runs(Path("float"), Path("low"))}
    assert found["solver.base_lr"] == (0.1, 0.05)
    assert found["solver.clip_gradients"] == (None, 1)
    assert found["layer 'ip': type"] == ("InnerProduct", "QuantizedInnerProduct")
    assert found["layer 'ip': quantization_param"] == (None, {"weight": {"bits": 2}})
    old, new = found["weights"]
    assert old == []
    assert isinstance(new, list)
    assert str(new[0]).startswith(f"{weights} (sha256 ")
    others = {name for name in found if not name.startswith(("solver", "layer", "result"))}
    assert others == {"weights"}

    capsys.readouterr()
    assert main(["compare", "float", "low"]) == 0
    lines = [line.split("  ") for line in capsys.readouterr().out.splitlines()]
    cells = [[cell.strip() for cell in line if cell.strip()] for line in lines]
    assert cells[0] == ["float", "low"]
    assert ["solver.base_lr", "0.1", "0.05"] in cells
    assert ["layer 'ip': type", "InnerProduct", "QuantizedInnerProduct"] in cells


def test_runs_without_a_record(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of a solver and a .caffemodel."""
    first = write_run(tmp_path / "a", net=model({"bits": 2}))
    second = write_run(
        tmp_path / "b", net=model({"bits": 3}), solver="max_iter: 30 random_seed: 8 base_lr: 0.1"
    )
    assert [str(one) for one in compare_runs(first, second)] == [
        "solver.random_seed was 7, is 8",
        "layer 'conv': quantization_param.weight.bits was 2, is 3",
    ]
    assert main(["compare", str(first), str(first)]) == 0
    assert capsys.readouterr().out == "no differences\n"
    (tmp_path / "c").mkdir()
    with pytest.raises(ComparisonError, match=r"c is no run: it holds no run\.json, log\.csv or"):
        compare_runs(first, tmp_path / "c")
    with pytest.raises(FileNotFoundError, match="d: no such folder"):
        compare_runs(tmp_path / "d", first)


def test_a_runs_folder_stands_for_its_best_weights(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    result = train(workspace.solver(display=0), run=Path("run"), best=True)
    assert result.best is not None
    chosen = weights_of_run(Path("run"))
    assert chosen.path == Path("run/mini_best.caffemodel")
    reached = f"accuracy {result.best.value:.4f} after iteration {result.best.iteration}"
    assert chosen.reason == f"of the best test: {reached}"
    assert main(["test", "net.prototxt", "run"]) == 0
    first, *_, last = capsys.readouterr().out.splitlines()
    assert first == f"weights: run/mini_best.caffemodel (of the best test: {reached})"
    tested = evaluate(Path("net.prototxt"), chosen.path)
    assert last == f"test accuracy: {tested['accuracy']:.4f}"


@pytest.mark.parametrize("form", ["BINARYPROTO", "HDF5"])
def test_else_for_its_newest(workspace: Workspace, form: str) -> None:
    train(workspace.solver(snapshot=8, snapshot_format=form), run=Path("run"))
    chosen = weights_of_run(Path("run"))
    suffix = ".h5" if form == "HDF5" else ""
    assert chosen.path == Path(f"run/mini_iter_20.caffemodel{suffix}")
    assert chosen.reason == "the newest, of iteration 20"


def test_folders_that_stand_for_nothing(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"holds no weights: give a \.caffemodel"):
        weights_of_run(tmp_path)
    for name in ("a", "b"):
        (tmp_path / f"{name}.caffemodel").write_bytes(b"")
    with pytest.raises(WeightsError, match=r"several weights: give one of a\.caffemodel, b\.caff"):
        weights_of_run(tmp_path)
    (tmp_path / "b.caffemodel").unlink()
    assert weights_of_run(tmp_path).reason == "the only weights"
    for name in ("x_best", "y_best"):
        (tmp_path / f"{name}.caffemodel").write_bytes(b"")
    with pytest.raises(WeightsError, match=r"give one of x_best\.caffemodel, y_best\.caffemodel"):
        weights_of_run(tmp_path)
    (tmp_path / "y_best.caffemodel").unlink()
    assert weights_of_run(tmp_path).reason == "of the best test"
