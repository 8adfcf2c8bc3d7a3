"""`ul2q test`."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import caffe
import numpy as np
import pytest

from ul2q.cli import main

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tests.conftest import Workspace


@pytest.mark.usefixtures("workspace")
def test_test_prints_what_train_found(capsys: pytest.CaptureFixture[str]) -> None:
    main(["train", "solver.prototxt"])
    trained = capsys.readouterr().out.splitlines()[-1]
    for extra in ([], ["--iterations", "4"], ["--data", "data"]):
        assert main(["test", "net.prototxt", "mini_iter_20.caffemodel", *extra]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert lines[-1] == trained
        assert re.fullmatch(r"test loss: \d\.\d{4}", lines[0])
        assert len(lines) == 2


def test_warnings_of_a_test_look_like_all_others(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "solver.prototxt"]) == 0
    capsys.readouterr()
    workspace.net(("batch_size: 5", "batch_size: 8"))
    assert main(["test", "net.prototxt", "mini_iter_20.caffemodel"]) == 0
    (warning,) = capsys.readouterr().err.splitlines()
    assert warning.startswith("ul2q: warning: layer 'data': batch_size 8 does not divide 20")


WEIGHTS = "mini.caffemodel"


def confusion_by_hand(workspace: Workspace) -> NDArray[np.int64]:
    """Write random weights, and count which class they take each test image for."""
    rng = np.random.default_rng(6)
    matrix, bias = rng.normal(0, 1, (4, 64)), rng.normal(0, 0.1, 4)
    net = caffe.Net("net.prototxt", caffe.TEST)
    net.params["ip"][0].data[...] = matrix
    net.params["ip"][1].data[...] = bias
    net.save(WEIGHTS)
    scores = workspace.test_images.reshape(20, -1) / 256 @ matrix.T + bias
    confusion = np.zeros((4, 4), np.int64)
    np.add.at(confusion, (workspace.test_labels, scores.argmax(axis=1)), 1)
    return confusion


def name_classes(workspace: Workspace, *names: str) -> None:
    manifest = {"dataset": "mini", "shape": [1, 8, 8], "options": {}}
    (workspace.folder / "moved").mkdir()
    for name in ("train_lmdb", "test_lmdb"):
        (workspace.folder / "moved" / name).symlink_to(workspace.folder / "data" / name)
    workspace.write("moved/import.json", json.dumps(manifest))
    workspace.write("moved/classes.txt", "".join(f"{name}\n" for name in names))


def test_confusions_and_accuracies_of_classes(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    confusion = confusion_by_hand(workspace)
    name_classes(workspace, "cat", "dog", "emu", "fox")
    line = ["test", "net.prototxt", WEIGHTS, "--data", "moved"]
    assert main(line) == 0
    plain = capsys.readouterr().out
    assert main([*line, "--classes"]) == 0
    classes = capsys.readouterr().out
    assert classes.endswith(f"\n\n{plain}")
    table = [row.split() for row in classes.splitlines()[1:5]]
    assert [row[:2] for row in table] == [
        [name, str(total)]
        for name, total in zip(["cat", "dog", "emu", "fox"], confusion.sum(axis=1), strict=True)
    ]
    shares = np.diag(confusion) / confusion.sum(axis=1)
    assert [row[2] for row in table] == [f"{share:.4f}" for share in shares]
    assert main([*line, "--confusion"]) == 0
    matrix = capsys.readouterr().out.split("\n\n")
    assert matrix[0].split("\n")[0].split() == ["taken", "for:", "cat", "dog", "emu", "fox"]
    rows = [row.split() for row in matrix[0].split("\n")[1:]]
    assert [row[0] for row in rows] == ["cat", "dog", "emu", "fox"]
    assert [[int(cell) for cell in row[1:]] for row in rows] == confusion.tolist()
    assert "\n\n".join(matrix[1:]) == classes


def test_all_numbers_as_json(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    confusion = confusion_by_hand(workspace)
    name_classes(workspace, "too", "few")
    assert main(["test", "net.prototxt", WEIGHTS, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result.pop("confusion") == confusion.tolist()
    accuracy = np.trace(confusion) / 20
    assert result.pop("accuracy") == pytest.approx(accuracy)
    outputs = result.pop("outputs")
    assert outputs["accuracy"] == pytest.approx(accuracy)
    assert set(outputs) == {"loss", "accuracy"}
    assert [row["name"] for row in result.pop("classes")] == ["0", "1", "2", "3"]
    assert result == {
        "weights": WEIGHTS,
        "iterations": 4,
        "data": [str(Path("data/test_lmdb"))],
        "images": 20,
        "top5_accuracy": 1.0,
    }
    assert main(["test", "net.prototxt", WEIGHTS, "--json", "--data", "moved"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in result["classes"]] == ["0", "1", "2", "3"]  # two names for four


def test_a_net_without_an_accuracy_layer(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    confusion_by_hand(workspace)
    workspace.net(('type: "Accuracy"', 'type: "SoftmaxWithLoss"'))
    assert main(["test", "net.prototxt", WEIGHTS, "--confusion"]) == 1
    assert "net.prototxt has no Accuracy layer" in capsys.readouterr().err
    assert main(["test", "net.prototxt", WEIGHTS, "--json"]) == 0
    assert set(json.loads(capsys.readouterr().out)) == {
        "weights",
        "outputs",
        "iterations",
        "data",
    }
