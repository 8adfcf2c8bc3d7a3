"""What is told of weights is what the file beside it reaches, to the last bit."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.training.test_training import plain_losses
from ul2q.cli import main
from ul2q.evaluation import evaluate
from ul2q.runs.log import read_log
from ul2q.runs.snapshots import read_solver_state
from ul2q.training import train

if TYPE_CHECKING:
    from tests.conftest import Workspace

# A small LeNet whose forward passes move parameters while training: the averages of BatchNorm and
# of QuantizedActivation. Dropout and the stochastic rounding draw random numbers.
NET = """\
name: "norms"
layer { name: "data" type: "Data" top: "data" top: "label" include { phase: TRAIN }
  transform_param { scale: 0.00390625 }
  data_param { source: "data/train_lmdb" batch_size: 10 backend: LMDB } }
layer { name: "data" type: "Data" top: "data" top: "label" include { phase: TEST }
  transform_param { scale: 0.00390625 }
  data_param { source: "data/test_lmdb" batch_size: 5 backend: LMDB } }
layer { name: "conv" type: "CONVOLUTION" bottom: "data" top: "conv" convolution_param {
  num_output: 4 kernel_size: 3 bias_term: false weight_filler { type: "xavier" } } WEIGHT }
layer { name: "norm" type: "BatchNorm" bottom: "conv" top: "conv"
  batch_norm_param { moving_average_fraction: 0.9 } }
layer { name: "scale" type: "Scale" bottom: "conv" top: "conv" scale_param { bias_term: true } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
ACTIVATION
layer { name: "pool" type: "Pooling" bottom: "conv" top: "pool"
  pooling_param { pool: MAX kernel_size: 2 stride: 2 } }
layer { name: "drop" type: "Dropout" bottom: "pool" top: "pool" }
layer { name: "ip" type: "INNERPRODUCT" bottom: "pool" top: "ip"
  inner_product_param { num_output: 4 weight_filler { type: "xavier" } } STOCHASTIC }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" }
layer { name: "accuracy" type: "Accuracy" bottom: "ip" bottom: "label" top: "accuracy"
  include { phase: TEST } }
"""
WEIGHT = "quantization_param { weight { bits: 2 } }"
ACTIVATION = """layer { name: "relu_q" type: "QuantizedActivation" bottom: "conv" top: "conv"
  quantization_param { activation { bits: 4 signed: false moving_average_fraction: 0.8 } } }"""
FLOAT = {
    "CONVOLUTION": "Convolution",
    "INNERPRODUCT": "InnerProduct",
    "WEIGHT": "",
    "STOCHASTIC": "",
    "ACTIVATION\n": "",
}
TWO_BITS = {
    "CONVOLUTION": "QuantizedConvolution",
    "INNERPRODUCT": "QuantizedInnerProduct",
    "WEIGHT": WEIGHT,
    "STOCHASTIC": WEIGHT,
    "ACTIVATION": ACTIVATION,
}
AT_RANDOM = "quantization_param { weight { method: FIXED_POINT rounding: STOCHASTIC bits: 4 } }"
RANDOM = TWO_BITS | {"STOCHASTIC": AT_RANDOM}


def write_net(workspace: Workspace, words: dict[str, str]) -> Path:
    text = NET
    for old, new in words.items():
        assert old in text
        text = text.replace(old, new)
    return workspace.write("net.prototxt", text)


@pytest.fixture(params=[FLOAT, TWO_BITS], ids=["float", "2 bits"])
def net(request: pytest.FixtureRequest, workspace: Workspace) -> Path:
    return write_net(workspace, request.param)


def logged_tests(run: Path) -> dict[int, dict[str, str]]:
    """The texts of the tests in log.csv by the iteration, under the names of the outputs."""
    with (run / "log.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {
        int(row["iteration"]): {
            name: row[f"test_{name}"] for name in ("accuracy", "loss") if row[f"test_{name}"]
        }
        for row in rows
    }


def as_logged(outputs: dict[str, float]) -> dict[str, str]:
    return {name: str(np.float32(value)) for name, value in outputs.items()}


@pytest.mark.parametrize(
    "fields",
    [
        {"snapshot": 5},
        {"snapshot": 5, "display": 0},
        {"snapshot": 5, "display": 20},
        {"snapshot": 5, "max_iter": 18},
        {"snapshot": 3, "max_iter": 18, "test_interval": 100},
        {"snapshot": 2, "display": 1, "test_interval": 4, "iter_size": 2},
        {"snapshot": 5, "snapshot_format": "HDF5"},
    ],
    ids=str,
)
def test_log_and_result_have_what_the_files_reach(
    workspace: Workspace, net: Path, fields: dict[str, Any]
) -> None:
    solver = workspace.solver(base_lr=0.2, **fields)
    run = Path("run")
    result = train(solver, run=run, keep=0, best=True)
    logged = logged_tests(run)

    last = result.iterations
    assert result.weights is not None
    assert result.tested_at == last
    assert evaluate(net, result.weights) == result.test[0]
    assert logged[last] == as_logged(result.test[0])
    for snapshot in run.glob("*_iter_*.caffemodel*"):
        iteration = int(snapshot.name.split("_iter_")[1].split(".")[0])
        if logged.get(iteration):
            assert logged[iteration] == as_logged(evaluate(net, snapshot))
    best = json.loads((run / "mini_best.json").read_text())
    assert evaluate(net, run / "mini_best.caffemodel")["accuracy"] == best["value"]
    assert logged[best["iteration"]]["accuracy"] == str(np.float32(best["value"]))

    log = read_log(run / "log.csv")
    assert log is not None
    again = train(solver, run=run, keep=0, best=True, resume=True)
    assert again.finished
    assert [as_logged(test) for test in again.test] == [logged[last]]


def test_what_is_printed_is_what_the_file_reaches(
    workspace: Workspace, net: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def printed(*arguments: object) -> list[str]:
        assert main([str(argument) for argument in arguments]) == 0
        return capsys.readouterr().out.splitlines()

    *lines, best, last = printed("train", workspace.solver(), "--run", "run", "--best")
    loss, accuracy = printed("test", net, "run/mini_iter_20.caffemodel")
    assert accuracy.startswith("test accuracy: ")
    assert last == accuracy
    assert f"iteration 20  {accuracy}  {loss.removeprefix('test ')}".replace(":", "") in lines
    accuracy = printed("test", net, "run/mini_best.caffemodel")[-1]
    assert f"({accuracy.removeprefix('test ').replace(':', '')} after iteration " in best


@pytest.mark.parametrize("words", [FLOAT, TWO_BITS, RANDOM], ids=["float", "2 bits", "random"])
@pytest.mark.parametrize("fields", [{}, {"test_interval": 1}], ids=str)
def test_losses_are_those_of_caffe_with_averages_and_random_rounding(
    workspace: Workspace, words: dict[str, str], fields: dict[str, Any]
) -> None:
    write_net(workspace, words)
    solver = workspace.solver(display=1, **fields)
    expected = plain_losses(solver, 20)
    train(solver, run=Path("run"))
    log = read_log(Path("run/log.csv"))
    assert log is not None
    np.testing.assert_array_equal(
        log["train_loss"].astype(np.float32), np.array(expected, np.float32)
    )


@pytest.mark.usefixtures("net")
def test_a_raised_max_iter_gives_the_run_that_had_it_from_the_start(workspace: Workspace) -> None:
    """The last test of the shorter run, between two of the longer one's, leaves no trace."""
    train(workspace.solver(max_iter=23, test_iter=3), run=Path("whole"))
    train(workspace.solver(max_iter=18, test_iter=3), run=Path("raised"))
    train(workspace.solver(max_iter=23, test_iter=3), run=Path("raised"), resume=True)
    weights, logs = (
        [Path(run, name).read_bytes() for run in ("whole", "raised")]
        for name in ("mini_iter_23.caffemodel", "log.csv")
    )
    assert weights[0] == weights[1]
    states = [read_solver_state(Path(r, "mini_iter_23.solverstate")) for r in ("whole", "raised")]
    for state in states:
        state.ClearField("learned_net")
    assert states[0] == states[1]
    rows = [[line.split(b",") for line in log.splitlines()] for log in logs]
    assert [[*row[:1], *row[2:]] for row in rows[0]] == [[*row[:1], *row[2:]] for row in rows[1]]
