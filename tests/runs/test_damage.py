"""Damaged files of a run: an error that names the file, whatever is in it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import caffe
import pytest
from caffe.proto import caffe_pb2

from tests.reporters import Notes
from ul2q.errors import UserError
from ul2q.models.caffemodel import WeightsError, read_caffemodel
from ul2q.models.weights import load_weights
from ul2q.runs.best import BestError, read_best
from ul2q.runs.early_stop import EarlyStopError, read_early_stop
from ul2q.runs.run_file import RecordError, read_run_file
from ul2q.runs.snapshots import SnapshotError, as_snapshot
from ul2q.training import train

if TYPE_CHECKING:
    from tests.conftest import Workspace

JSON = {
    "no UTF-8": b"\xff\xfe{",
    "empty": b"",
    "a list": b"[1]",
    "other entries": b'{"a": 1}',
    "no numbers": b'{"iteration": "x", "output": 3, "value": "y"}',
    "no number": b'{"iteration": 1, "output": "accuracy", "value": NaN}',
    "too deep": b"[" * 100_000,
    "too long a number": b'{"iteration": ' + b"9" * 5000 + b', "output": "a", "value": 1}',
}


@pytest.mark.parametrize("content", JSON.values(), ids=JSON.keys())
def test_a_damaged_record_of_the_best_is_named(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "mini_best.caffemodel").touch()
    (tmp_path / "mini_best.json").write_bytes(content)
    with pytest.raises(BestError, match=r"mini_best\.json is damaged.*remove it, and .*caffemodel"):
        read_best(tmp_path / "mini")


@pytest.mark.parametrize("kind", ["no UTF-8", "empty", "a list", "too deep", "too long a number"])
def test_damaged_entries_are_named(kind: str, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_bytes(JSON[kind])
    with pytest.raises(RecordError, match=r"run\.json is damaged"):
        read_run_file(tmp_path)
    (tmp_path / "early_stop.json").write_bytes(JSON[kind])
    with pytest.raises(EarlyStopError, match=r"early_stop\.json is damaged"):
        read_early_stop(tmp_path)


@pytest.mark.parametrize("name", ["", "/", "mini\0x.caffemodel"])
def test_a_state_that_names_no_weights_is_named(name: str, tmp_path: Path) -> None:
    path = tmp_path / "mini_iter_5.solverstate"
    path.write_bytes(caffe_pb2.SolverState(iter=5, learned_net=name).SerializeToString())
    if "\0" in name:
        assert as_snapshot(path).weights.name == name
        return
    with pytest.raises(SnapshotError, match=r"mini_iter_5\.solverstate names .* no file's name"):
        as_snapshot(path)


@pytest.mark.parametrize("name", ["mini\0x.caffemodel", ""])
def test_a_run_goes_on_from_the_snapshot_before_a_damaged_one(
    workspace: Workspace, name: str
) -> None:
    solver = workspace.solver(snapshot=5)
    train(solver, run=Path("run"), settings=["max_iter=10"])
    path = Path("run/mini_iter_10.solverstate")
    state = caffe_pb2.SolverState.FromString(path.read_bytes())
    state.learned_net = name
    path.write_bytes(state.SerializeToString())
    notes = Notes()
    assert train(solver, run=Path("run"), resume=True, progress=notes).iterations == 20
    assert "mini_iter_10.solverstate cannot be used" in notes.warnings[0]
    assert "mini_iter_5.solverstate" in notes.notes[0]


@pytest.mark.parametrize("name", [b"a\0b", b"\xffb", b"\xff\0b"])
def test_a_file_whose_name_is_damaged_is_missing(workspace: Workspace, name: bytes) -> None:
    solver = caffe.get_solver(str(workspace.solver(snapshot=5)))
    state = caffe_pb2.SolverState(iter=5, learned_net="x" * len(name)).SerializeToString()
    Path("s.solverstate").write_bytes(state.replace(b"x" * len(name), name))
    with pytest.raises(FileNotFoundError):
        solver.restore("s.solverstate")


def test_names_of_layers_that_are_no_text_are_told(tmp_path: Path) -> None:
    path = tmp_path / "w.caffemodel"
    path.write_bytes(caffe_pb2.NetParameter(layer=[{"name": "ip"}]).SerializeToString())
    path.write_bytes(path.read_bytes().replace(b"ip", b"\xff\xfe"))
    with pytest.raises(WeightsError, match=r"w\.caffemodel is damaged"):
        read_caffemodel(path)
    net = caffe.Net.from_proto(
        'layer { name: "in" type: "Parameter" top: "x" parameter_param { shape { dim: 1 } } }',
        caffe.TEST,
    )
    hdf5 = tmp_path / "w.caffemodel.h5"
    net.save_hdf5(str(hdf5))
    content = hdf5.read_bytes()[:-16]  # without the checksum
    hdf5.write_bytes(content.replace(b"in\0", b"\xff\xfe\0"))
    with pytest.raises(WeightsError, match=r"w\.caffemodel\.h5.*name of a layer.*is not UTF-8"):
        load_weights(net, hdf5, complete=False)
    assert issubclass(WeightsError, UserError)


def test_the_name_of_a_file_may_be_no_text(workspace: Workspace) -> None:
    path = Path(os.fsdecode(b"w\xff.caffemodel"))
    path.write_bytes(b"\0")
    net = caffe.Net(str(workspace.net()), caffe.TEST)
    with pytest.raises(caffe.CaffeError, match=r"w\\xff\.caffemodel"):
        net.copy_from(str(path))
