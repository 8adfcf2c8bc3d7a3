"""When a loss is called divergent, and when not."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import caffe
import numpy as np
import pytest
from caffe.proto import caffe_pb2

from tests.reporters import Notes
from ul2q.cli import main
from ul2q.errors import UserError
from ul2q.evaluation import evaluate
from ul2q.report.runs import read_runs
from ul2q.runs.snapshots import find_snapshots
from ul2q.training import TrainingError, train
from ul2q.training.divergence import DivergenceWatch

if TYPE_CHECKING:
    from tests.conftest import Workspace


def alarms(losses: Any, beginning: float | None = None) -> list[int]:
    watch = DivergenceWatch(beginning)
    return [i for i, loss in enumerate(losses) if watch(float(loss))]


def noise(n: int, scale: float) -> Any:
    return np.random.default_rng(1).exponential(scale, n)


def test_a_loss_that_falls_raises_no_alarm() -> None:
    """From that of chance to a small one with bad batches, as nets that learn have it."""
    t = np.arange(5000)
    loss = 2.3 * np.exp(-t / 300) + noise(5000, 0.05)
    loss[::97] += 5
    assert alarms(loss) == []


def test_a_loss_that_stays_raises_no_alarm() -> None:
    assert alarms(2.3 + noise(5000, 0.5)) == []


def test_a_loss_that_grows_does() -> None:
    (at,) = alarms(2.3 * np.exp(np.arange(400) / 100))
    assert 100 < at < 250


def test_so_does_one_that_comes_back() -> None:
    t = np.arange(1000)
    loss = np.where(t < 500, 2.3 * np.exp(-t / 100), 2.4)
    (at,) = alarms(loss)
    assert 550 < at < 900


def test_one_burst_does_not() -> None:
    loss = np.full(1000, 2.3)
    loss[500:503] = 60
    assert alarms(loss) == []


def test_the_beginning_may_be_known() -> None:
    assert alarms(np.full(300, 3.0), beginning=1.0) == [98]
    assert alarms(np.full(300, 3.0), beginning=math.nan) == []
    assert alarms(np.full(300, -3.0)) == []


def test_training_warns(workspace: Workspace) -> None:
    """Least squares: an update by 2.02 / |x|² overshoots, and the error grows by 2 % each time."""
    workspace.write(
        "least_squares.prototxt",
        """name: "least squares"
        layer { name: "x" type: "DummyData" top: "x" top: "y"
          dummy_data_param { shape { dim: 10 dim: 4 } shape { dim: 10 dim: 1 }
            data_filler { value: 1 } data_filler { value: 3 } } }
        layer { name: "ip" type: "InnerProduct" bottom: "x" top: "ip"
          inner_product_param { num_output: 1 } }
        layer { name: "loss" type: "EuclideanLoss" bottom: "ip" bottom: "y" top: "loss" }""",
    )
    solver = workspace.solver(
        net='"least_squares.prototxt"',
        test_iter=None,
        test_interval=None,
        momentum=0,
        lr_policy='"fixed"',
        base_lr=2.02 / 5,
        max_iter=200,
    )
    notes = Notes()
    train(solver, progress=notes)
    (warning,) = notes.warnings
    for word in ("iteration 1", "looks divergent", "beginning", "base_lr", "clip_gradients"):
        assert word in warning
    notes.warnings.clear()
    train(solver, settings=["base_lr=0.4"], progress=notes)  # 2 / |x|²: it just does not grow
    train(solver, settings=["base_lr=0.2"], progress=notes)
    assert notes.warnings == []


def test_training_that_learns_does_not(workspace: Workspace) -> None:
    notes = Notes()
    train(workspace.solver(max_iter=400, stepsize=1000), progress=notes)
    assert notes.warnings == []


@pytest.mark.parametrize("display", [1, 0])
def test_a_resumed_run_is_held_against_its_beginning(workspace: Workspace, display: int) -> None:
    """Its loss is small; twice as much is noise, and not told to diverge."""
    solver = workspace.solver(max_iter=300, display=display, base_lr=0.5, stepsize=1000)
    train(solver, run=Path("run"))
    notes = Notes()
    train(solver, run=Path("run"), resume=True, settings=["max_iter=600"], progress=notes)
    assert notes.warnings == []


# The update of iteration 9, by a rate that is infinite, makes all weights NaN; losses and tests
# before it are good.
BLOW_UP: dict[str, Any] = {
    "base_lr": 2,
    "lr_policy": '"multistep"',
    "stepsize": None,
    "stepvalue": 9,
    "gamma": 3e38,
}


def log_rows() -> list[dict[str, str]]:
    with Path("run/log.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"max_iter": 10},
        {"max_iter": 10, "display": 0},
        {"max_iter": 10, "snapshot": 5, "display": 3},
        {"snapshot": 5, "test_compute_loss": "true"},
    ],
    ids=str,
)
def test_a_test_that_is_not_finite_ends_the_run(
    workspace: Workspace, fields: dict[str, Any]
) -> None:
    solver = workspace.solver(**BLOW_UP, **fields)
    displayed = fields.get("max_iter") == 10 and fields.get("display", 2) in (2, 5)
    what = "the loss is nan" if displayed else "test output '(accuracy|loss)' is nan"
    pattern = rf"iteration 10: {what}.*diverged at layer 'ip': lower base_lr"
    with pytest.raises(TrainingError, match=pattern):
        train(solver, run=Path("run"), best=True)
    rows = log_rows()
    assert [row["iteration"] for row in rows if row["test_loss"]] == ["0", "5", "10"]
    assert rows[-1]["test_loss"] == "nan"
    assert all(math.isfinite(float(row["test_loss"] or 0)) for row in rows[:-1])
    # No weights that are NaN are kept, neither as the best nor to go on from.
    for model in Path("run").glob("*.caffemodel"):
        assert math.isfinite(evaluate(Path("net.prototxt"), model)["loss"])
    assert Path("run/mini_best.caffemodel").is_file()
    kept = [snapshot.iteration for snapshot in find_snapshots("run/mini")]
    assert kept == ([5] if "snapshot" in fields else [])
    # It is not finished, and goes on to the same end.
    with pytest.raises(TrainingError, match=pattern):
        train(solver, run=Path("run"), resume=True, best=True)


def test_a_test_before_any_training_may_overflow(workspace: Workspace) -> None:
    """BatchNorm divides by the root of a variance whose average is still 0."""
    norm = (
        'layer {{ name: "n{0}" type: "BatchNorm" bottom: "{1}" top: "n{0}" '
        "batch_norm_param {{ eps: 1e-12 }} }}"
    )
    layers = " ".join(norm.format(i, f"n{i - 1}" if i else "ip") for i in range(8))
    drop = 'layer { name: "drop"'
    workspace.net(
        (drop, f"{layers} {drop}"), ('bottom: "ip" top: "drop"', 'bottom: "n7" top: "drop"')
    )
    folder = Path("run")
    result = train(workspace.solver(), run=folder, best=True)
    rows = log_rows()
    assert rows[0]["test_loss"] == "nan", "the test shows nothing"
    assert math.isfinite(float(rows[-1]["test_loss"]))
    assert result.best is not None
    assert result.best.iteration > 0
    (run,) = read_runs([folder])
    assert (run.status, run.accuracy) == ("done", float(rows[-1]["test_accuracy"]))


def test_a_run_whose_last_test_is_not_finite_is_not_finished(workspace: Workspace) -> None:
    """Its last snapshot is written before the last test, if the weights are finite."""
    solver = workspace.solver()
    train(solver, run=Path("run"))
    log = Path("run/log.csv")
    *rows, last = log.read_text(encoding="utf-8").splitlines()
    log.write_text("\n".join([*rows, last.rpartition(",")[0] + ",nan", ""]), encoding="utf-8")
    again = train(solver, run=Path("run"), resume=True)
    assert not again.finished
    assert log_rows()[-1]["test_loss"] != "nan"


def test_weights_that_are_not_finite_end_a_run_without_tests(workspace: Workspace) -> None:
    solver = workspace.solver(**BLOW_UP, max_iter=10, display=0, test_iter=None, test_interval=None)
    with pytest.raises(TrainingError, match=r"iteration 10: the weights of layer 'ip'.*diverged"):
        train(solver)
    assert find_snapshots("mini") == []


def test_each_test_net_is_looked_at(workspace: Workspace) -> None:
    power = (
        'layer { name: "log" type: "Power" bottom: "ip" top: "log" '
        "power_param { scale: 0 power: -1 } }"
    )
    drop = 'layer { name: "drop"'
    workspace.net(('bottom: "ip" top: "drop"', 'bottom: "log" top: "drop"'), (drop, power + drop),
                  name="b.prototxt")  # fmt: skip
    solver = workspace.solver(
        net=None,
        train_net='"net.prototxt"',
        test_net=['"net.prototxt"', '"b.prototxt"'],
        test_iter=[4, 4],
    )
    with pytest.raises(TrainingError, match=r"iteration 5: test1 output '.*' is nan.*layer 'log'"):
        train(solver, run=Path("run"))
    row = log_rows()[-1]
    assert math.isfinite(float(row["test0_loss"]))
    assert row["test1_loss"] == "nan"


def test_the_best_weights_are_never_those_of_a_test_that_is_not_finite(
    workspace: Workspace,
) -> None:
    """Though what it would be compared by, the accuracy, is."""
    workspace.net(
        (
            'layer { name: "accuracy"',
            'layer { name: "nan" type: "Power" bottom: "ip" top: "nan" '
            "power_param { scale: 0 shift: -1 power: 0.5 } "
            'include { phase: TEST } } layer { name: "accuracy"',
        )
    )
    with pytest.raises(TrainingError, match=r"iteration 5: test output 'nan\[0\]' is nan"):
        train(workspace.solver(), run=Path("run"), best=True)
    assert math.isfinite(float(log_rows()[0]["test_accuracy"]))
    assert not list(Path("run").glob("mini_best*"))


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_weights_that_are_not_finite_are_no_beginning(workspace: Workspace, value: float) -> None:
    """They are named, and nothing is left that stands in the way of other ones."""
    workspace.net(
        ('type: "InnerProduct"', 'type: "QuantizedInnerProduct"'),
        ("inner_product_param", "quantization_param { weight { bits: 2 } } inner_product_param"),
    )
    solver = workspace.solver()
    net = caffe.Net("net.prototxt", caffe.TEST)
    net.save("good.caffemodel")
    net.params["ip"][0].data[0, 0] = value
    net.save("bad.caffemodel")
    for run in (None, Path("run")):
        with pytest.raises(UserError, match=r"bad\.caffemodel: the weights of layer 'ip' hold NaN"):
            train(solver, run=run, weights=[Path("bad.caffemodel")])
    train(solver, run=Path("run"), weights=[Path("good.caffemodel")])


@pytest.mark.parametrize("resume", [False, True])
def test_a_run_that_ends_before_its_first_row_leaves_no_logs(
    workspace: Workspace, resume: bool
) -> None:
    quantized = (
        ('type: "InnerProduct"', 'type: "QuantizedInnerProduct"'),
        ("inner_product_param", "quantization_param { weight { bits: 2 } } inner_product_param"),
    )
    workspace.net(*quantized, ("std: 0.1", "mean: 3e38 std: 3e38"))
    with pytest.raises(
        TrainingError, match=r"cannot begin: layer 'ip': the weight blob holds an inf"
    ):
        train(workspace.solver(), run=Path("run"), resume=resume)
    assert not list(Path("run").glob("*.csv"))
    workspace.net(*quantized)
    train(workspace.solver(), run=Path("run"))


def test_a_snapshot_that_is_not_finite_is_passed_over(workspace: Workspace) -> None:
    solver = workspace.solver(snapshot=5)
    train(solver, run=Path("run"), settings=["max_iter=10"])
    model = caffe_pb2.NetParameter()
    path = Path("run/mini_iter_10.caffemodel")
    model.ParseFromString(path.read_bytes())
    for layer in model.layer:
        for blob in layer.blobs:
            blob.data[0] = math.nan
    path.write_bytes(model.SerializeToString())
    notes = Notes()
    train(solver, run=Path("run"), resume=True, progress=notes)
    (warning,) = notes.warnings
    assert "mini_iter_10.solverstate cannot be used" in warning
    assert "layer 'ip' are not finite" in warning
    assert "mini_iter_5.solverstate" in notes.notes[0]


def test_evaluating_weights_that_have_diverged_fails(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    """Weights that are finite, but too large to compute with."""
    net = caffe.Net(str(workspace.net()), caffe.TEST)
    net.params["ip"][0].data[...] = np.arange(256).reshape(4, 64) * 1e36
    net.save("huge.caffemodel")
    assert main(["test", "net.prototxt", "huge.caffemodel"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    for word in ("net.prototxt", "huge.caffemodel", "is nan at layer 'ip'", "diverged"):
        assert word in err
