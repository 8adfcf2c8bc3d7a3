"""Where a command takes weights, a run's folder stands for its best ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ul2q.cli import main
from ul2q.models.caffemodel import read_caffemodel
from ul2q.runs.best import read_best

if TYPE_CHECKING:
    from tests.conftest import Workspace

BEST = "run/mini_best.caffemodel"
ACTIVATION = """layer { name: "q" type: "QuantizedActivation" bottom: "data" top: "data"
  quantization_param { activation { bits: 8 signed: false } } }
layer { name: "ip\""""


@pytest.fixture
def told(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> str:
    """A run, and the line that names its weights."""
    assert main(["train", str(workspace.solver()), "--run", "run", "--best"]) == 0
    capsys.readouterr()
    best = read_best(Path("run/mini"))
    assert best is not None
    reached = f"{best.output} {best.value:.4f} after iteration {best.iteration}"
    return f"weights: {BEST} (of the best test: {reached})"


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize("line", [
    "test net.prototxt RUN",
    "predict net.prototxt RUN data/test_lmdb",
    "inspect RUN",
    "simulate --data RUN:ip --samples 10 --no-figures",
])  # fmt: skip
def test_a_command_says_which_weights_it_takes(
    told: str, capsys: pytest.CaptureFixture[str], line: str
) -> None:
    assert main(line.replace("RUN", BEST).split()) == 0
    by_file = lines(capsys)
    assert main(line.replace("RUN", "run").split()) == 0
    assert lines(capsys) == [told, *by_file]


def test_json_is_json_and_says_it_too(told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert told
    assert main(["test", "net.prototxt", "run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["weights"] == BEST


def test_training_begins_from_them(
    told: str, workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["train", str(workspace.solver(base_lr=0)), "--run", "on", "--weights", "run"]
    assert main(line) == 0
    assert lines(capsys)[0] == told
    (recorded,) = json.loads(Path("on/run.json").read_text())["training"]["weights"]
    assert recorded["path"] == BEST
    on, best = (read_caffemodel(Path(one)) for one in ("on/mini_iter_20.caffemodel", BEST))
    named = [{layer.name: list(layer.blobs[0].data) for layer in net.layer if layer.blobs}
             for net in (on, best)]  # fmt: skip
    assert named[0] == named[1]


def test_calibration_writes_beside_them(
    told: str, workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    workspace.net(('layer { name: "ip"', ACTIVATION), name="q.prototxt")
    assert main(["calibrate", "q.prototxt", "run"]) == 0
    out = lines(capsys)
    assert out[0] == told
    assert out[-1] == "weights: run/mini_best_calibrated.caffemodel"
