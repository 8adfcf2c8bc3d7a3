"""`--set` and `--epochs`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from caffe.proto import caffe_pb2
from google.protobuf import text_format

from ul2q.nets.prototxt import PrototxtError, read_solver
from ul2q.training import train
from ul2q.training.solver_settings import apply_settings

if TYPE_CHECKING:
    from tests.conftest import Workspace

BEFORE = 'base_lr: 1 stepvalue: 5 stepvalue: 6 display: 3 test_state { stage: "a" } '

SETTINGS: list[tuple[list[str], str]] = [
    (["base_lr=0.02"], "base_lr: 0.02"),
    (["base_lr=0.02", "base_lr = 3e-4"], "base_lr: 3e-4"),
    (["stepvalue=100,200"], "stepvalue: 100 stepvalue: 200"),
    (["stepvalue=7"], "stepvalue: 7"),
    (["stepvalue="], ""),
    (["display="], ""),
    (["max_iter=0"], "max_iter: 0"),
    (["lr_policy=multistep"], 'lr_policy: "multistep"'),
    (['lr_policy="multi"'], 'lr_policy: "multi"'),
    (['snapshot_prefix=a"b\\c\u00b5=d'], 'snapshot_prefix: "a\\"b\\\\c\u00b5=d"'),
    (["weights=a,b"], 'weights: "a" weights: "b"'),
    (["snapshot_format=HDF5"], "snapshot_format: HDF5"),
    (["test_initialization=false"], "test_initialization: false"),
    (
        ["train_state.level=2", "train_state.stage=x,y"],
        'train_state { level: 2 stage: "x" stage: "y" }',
    ),
    (["train_state={level: 2 stage: 'x'}"], 'train_state { level: 2 stage: "x" }'),
    (["train_state.phase=TEST"], "train_state { phase: TEST }"),
    (["test_state={level: 1}"], "test_state { level: 1 }"),
    (["type=Adam", "momentum2=0.9"], 'type: "Adam" momentum2: 0.9'),
]


@pytest.mark.parametrize(("settings", "expected"), SETTINGS, ids=lambda v: str(v)[:40])
def test_settings(settings: list[str], expected: str) -> None:
    param = text_format.Parse(BEFORE, caffe_pb2.SolverParameter())
    apply_settings(param, settings)
    wanted = text_format.Parse(BEFORE, caffe_pb2.SolverParameter())
    for setting in settings:
        wanted.ClearField(setting.partition("=")[0].partition(".")[0].strip())
    text_format.Merge(expected, wanted)
    assert param == wanted


BAD: list[tuple[str, list[str]]] = [
    ("base_lr", ["KEY=VALUE"]),
    ("=3", ["KEY=VALUE"]),
    ("max_itr=3", ["SolverParameter has no field 'max_itr'", "'max_iter'"]),
    ("train_state.levle=3", ["NetState has no field 'levle'", "'level'"]),
    ("base_lr=fast", ["base_lr=fast", "fast"]),
    ("max_iter=3.5", ["max_iter=3.5", "3.5"]),
    ("display=1,2", ["display=1,2"]),
    ("display=1 max_iter: 3", ["not one value"]),
    ("display=1 display: 3", ["display"]),
    ("snapshot_format=PNG", ["PNG", "HDF5, BINARYPROTO"]),
    ("train_state=3", ["takes { fields }"]),
    ("base_lr.x=3", ["base_lr has no fields"]),
    ("test_state.level=3", ["test_state is repeated"]),
    ("stepvalue=1,,2", ["stepvalue"]),
]


@pytest.mark.parametrize(("setting", "words"), BAD, ids=lambda v: str(v)[:40])
def test_bad_settings_are_explained(setting: str, words: list[str]) -> None:
    param = text_format.Parse(BEFORE, caffe_pb2.SolverParameter())
    with pytest.raises(PrototxtError) as caught:
        apply_settings(param, [setting])
    for word in (f"--set {setting}", *words):
        assert word in str(caught.value)
    assert param == text_format.Parse(BEFORE, caffe_pb2.SolverParameter())


def test_a_run_records_the_solver_as_it_was_run(workspace: Workspace) -> None:
    solver = workspace.solver(net='"net.prototxt"', name="sub/solver.prototxt")
    settings = ["base_lr=0.02", "lr_policy=multistep", "stepvalue=3,6", "max_iter=8"]
    result = train(solver, run=Path("run"), settings=settings)
    assert result.iterations == 8
    recorded = read_solver(Path("run/solver.prototxt"))
    expected = read_solver(solver)
    apply_settings(expected, [*settings, "snapshot_prefix=run/mini"])
    assert recorded == expected
    rates = {
        int(row.split(",")[0]): float(row.split(",")[2])
        for row in Path("run/log.csv").read_text().splitlines()[1:]
    }
    assert (rates[0], rates[4], rates[6]) == pytest.approx((0.02, 0.01, 0.005))
    # It is a solver itself, which gives the same weights, and leaves itself alone.
    text = Path("run/solver.prototxt").read_text()
    Path("run/log.csv").unlink()
    before = result.weights.read_bytes() if result.weights else b""
    again = train(Path("run/solver.prototxt"), run=Path("run"), settings=["display=0"])
    assert again.weights is not None
    assert again.weights.read_bytes() == before
    assert Path("run/solver.prototxt").read_text() == text


@pytest.mark.parametrize(
    ("epochs", "batch", "iter_size", "expected"),
    [
        (1, 10, 1, 4),
        (3, 10, 1, 12),
        (1, 7, 1, 6),
        (2, 7, 1, 12),
        (3, 7, 1, 18),
        (1, 10, 3, 2),
        (1, 64, 1, 1),
    ],
)
def test_epochs(
    workspace: Workspace, epochs: int, batch: int, iter_size: int, expected: int
) -> None:
    """Of 40 images, rounded up."""
    workspace.net(("batch_size: 10", f"batch_size: {batch}"))
    result = train(workspace.solver(iter_size=iter_size), run=Path("run"), epochs=epochs)
    assert result.iterations == expected
    assert read_solver(Path("run/solver.prototxt")).max_iter == expected


def test_epochs_count_the_data_that_are_read(workspace: Workspace) -> None:
    (workspace.folder / "data").rename("elsewhere")
    result = train(workspace.solver(max_iter=None), data=Path("elsewhere"), epochs=2)
    assert result.iterations == 8


NO_EPOCHS: list[tuple[dict[str, Any], tuple[str, str] | None, list[str]]] = [
    ({"epochs": 0}, None, ["--epochs", "at least 1"]),
    ({"epochs": 1, "settings": ["max_iter=9"]}, None, ["--epochs", "max_iter"]),
    (
        {"epochs": 1},
        (
            'type: "Data" top: "data" top: "label" include { phase: TRAIN }',
            'type: "DummyData" top: "data" top: "label" include { phase: TRAIN } '
            "dummy_data_param { shape { dim: 5 dim: 64 } shape { dim: 5 } }",
        ),
        ["'mini'", "no LMDB", "max_iter"],
    ),
    ({"epochs": 1}, ("data/train_lmdb", "gone"), ["'gone'"]),
    ({"epochs": 1}, ("batch_size: 10", "batch_size: 0"), ["batch_size"]),
]


@pytest.mark.parametrize(("call", "change", "words"), NO_EPOCHS, ids=lambda v: str(v)[:30])
def test_epochs_that_cannot_be_counted(
    workspace: Workspace, call: dict[str, Any], change: tuple[str, str] | None, words: list[str]
) -> None:
    workspace.net(*[change] if change else [])
    with pytest.raises((PrototxtError, FileNotFoundError)) as caught:
        train(workspace.solver(), **call)
    for word in words:
        assert word in str(caught.value)
