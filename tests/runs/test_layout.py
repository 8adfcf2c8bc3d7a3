"""The names of a run's files, against what training and a sweep leave behind."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import caffe
import pytest

from ul2q.cli import main
from ul2q.runs import layout
from ul2q.runs.best import Best, read_best
from ul2q.runs.snapshots import find_snapshots, newest_model, remove_leftovers
from ul2q.training import train

if TYPE_CHECKING:
    from tests.conftest import Workspace


@pytest.mark.parametrize("form", ["BINARYPROTO", "HDF5"])
def test_snapshots_are_called_as_caffe_calls_them(workspace: Workspace, form: str) -> None:
    param = workspace.solver(snapshot_format=form, snapshot_prefix='"a+b_iter_7"')
    caffe.set_mode_cpu()
    solver = caffe.get_solver(str(param))
    solver.step(3)
    solver.snapshot()
    state, weights = layout.snapshot_files("a+b_iter_7", 3, hdf5=form == "HDF5")
    assert state.is_file()
    assert weights.is_file()
    (found,) = find_snapshots("a+b_iter_7")
    assert (found.iteration, found.state, found.weights) == (3, state, weights)
    assert find_snapshots("a+b") == find_snapshots("aab_iter_7") == []
    assert layout.has_training(Path())
    assert layout.is_run(Path()) == (form != "HDF5")
    assert layout.iteration_of_model(weights) == 3


def test_a_run_has_its_files_and_no_others(workspace: Workspace) -> None:
    run = Path("run")
    result = train(workspace.solver(snapshot=20), run=run, best=True)
    assert result.best is not None
    expected = {
        *(run / name for name in (layout.LOG, layout.SOLVER, layout.RUN_LOCK)),
        *(run / name for name in (layout.RECORD, layout.CARD)),
        *layout.snapshot_files(run / "mini", 20, hdf5=False),
        *layout.best_files(run / "mini"),
    }
    assert set(run.iterdir()) == expected
    assert read_best(run / "mini") == result.best
    assert newest_model(run) == (result.weights, 20)
    # What a killed writer leaves goes, and nothing else does.
    leftovers = [run / f".mini_{name}.0a1b2c3d.part" for name in (
        "iter_20.caffemodel", "iter_5.solverstate.h5", "best.caffemodel", "best.json")]  # fmt: skip
    others = [run / ".mini2_iter_20.caffemodel.0a1b2c3d.part", run / "mini_iter_20.caffemodel.part"]
    for path in (*leftovers, *others):
        path.write_bytes(b"")
    remove_leftovers(str(run / "mini"))
    assert set(run.iterdir()) == {*expected, *others}
    layout.best_files(run / "mini")[1].unlink()
    assert read_best(run / "mini") is None


def test_the_best_weights_are_read_where_there_are_no_others(tmp_path: Path) -> None:
    assert newest_model(tmp_path) == (None, None)
    for name in ("x_best", "w", "v"):
        (tmp_path / f"{name}.caffemodel").write_bytes(b"")
    assert newest_model(tmp_path) == (tmp_path / "w.caffemodel", None)
    (tmp_path / "w.caffemodel").unlink()
    (tmp_path / "v.caffemodel").unlink()
    assert newest_model(tmp_path) == (tmp_path / "x_best.caffemodel", None)
    (tmp_path / "x_best.json").write_text('{"iteration": 3, "output": "loss", "value": 0.5}')
    assert read_best(tmp_path / "x") == Best(3, "loss", 0.5)


def test_a_sweep_has_its_files_and_no_others(workspace: Workspace) -> None:
    workspace.solver(snapshot=20)
    Path("spec.yaml").write_text(
        "nets: {mini: {net: net.prototxt, solver: solver.prototxt}}\nmethods: {ul2q: 2}\n"
    )
    assert main(["sweep", "spec.yaml", "--runs", "sweep"]) == 0
    sweep, run = Path("sweep"), Path("sweep/mini-ul2q-2bit-seed1")
    names = (layout.RESULTS, layout.SPEC, layout.SWEEP_LOCK, layout.PROCESSES_LOCK)
    assert set(sweep.iterdir()) == {run, *(sweep / name for name in names)}
    assert set(run.iterdir()) == {
        *(run / name for name in (layout.LOG, layout.QUANTIZATION_LOG, layout.SOLVER)),
        *(run / name for name in (layout.RUN_LOCK, layout.RECORD, layout.NET, layout.OUTPUT)),
        run / layout.CARD,
        *layout.snapshot_files(run / run.name, 20, hdf5=False),
    }
