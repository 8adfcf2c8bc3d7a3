"""`ul2q predict`: what it prints and writes, and how it ends."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import TYPE_CHECKING

import caffe
import numpy as np
import pytest
from PIL import Image

from tests.cli.processes import on_a_terminal
from ul2q.cli import main
from ul2q.evaluation import evaluate
from ul2q.nets.deploy import deploy_net

if TYPE_CHECKING:
    from tests.conftest import Workspace

CALL = ["predict", "net.prototxt", "mini.caffemodel"]
LMDB = "data/test_lmdb"


@pytest.fixture
def _weights(workspace: Workspace) -> None:
    caffe.set_random_seed(3)
    net = caffe.Net("net.prototxt", caffe.TEST)
    net.save("mini.caffemodel")
    Path("images").mkdir()
    for i, image in enumerate(workspace.test_images[:3]):
        Image.fromarray(image[0]).save(f"images/{i}.png")


@pytest.mark.usefixtures("_weights")
def test_a_line_an_image_and_the_accuracy(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("names").write_text("up left\nup right\ndown left\ndown right\n")
    assert main([*CALL, LMDB, "--classes", "names", "--top", "2"]) == 0
    output = capsys.readouterr()
    assert output.err == ""
    *lines, engine, top, last = output.out.splitlines()
    assert engine == "engine: caffe"
    net = caffe.Net("net.prototxt", caffe.TEST, weights="mini.caffemodel")
    names = Path("names").read_text().splitlines()
    right = 0
    for i, line in enumerate(lines):
        if i % 5 == 0:
            net.forward()
        scores = net.blobs["drop"].data[i % 5]
        first, second = np.argsort(-scores)[:2]
        key, _, told = line.partition(": 000000")
        assert (key, told[:4]) == (LMDB, f"{i:02}: ")
        assert [one.rsplit(" ", 1)[0] for one in told[4:].split(" (")[0].split(", ")] == [
            names[first],
            names[second],
        ]
        label = workspace.test_labels[i]
        right += first == label
        assert line.endswith(f"(is {names[label]})") == (first != label)
    accuracy = evaluate(Path("net.prototxt"), Path("mini.caffemodel"))["accuracy"]
    assert last == f"accuracy: {accuracy:.4f} ({right} of 20 images)"
    assert top.startswith("top-2 accuracy: 0.")


@pytest.mark.usefixtures("_weights")
def test_files_instead_of_lines(capsys: pytest.CaptureFixture[str]) -> None:
    call = [*CALL, LMDB, "images", "--top", "9", "--csv", "a.csv", "--json-lines", "a.jsonl"]
    assert main(call) == 0
    assert capsys.readouterr().out.splitlines()[:2] == ["table: a.csv", "predictions: a.jsonl"]
    with Path("a.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    objects = [json.loads(line) for line in Path("a.jsonl").read_text().splitlines()]
    assert len(rows) == len(objects) == 23
    for row, one in zip(rows, objects, strict=True):
        assert row["image"] == one["image"]
        assert row["label"] == ("" if one["label"] is None else str(one["label"]))
        assert row["rank"] == ("" if one["rank"] is None else str(one["rank"]))
        for place, candidate in enumerate(one["candidates"], 1):
            assert row[f"class_{place}"] == str(candidate["label"])
            assert row[f"name_{place}"] == candidate["name"]
            assert float(row[f"score_{place}"]) == candidate["score"]
        assert sum(candidate["score"] for candidate in one["candidates"]) == pytest.approx(1)
        assert len(one["candidates"]) == 4
        assert "class_5" not in row
        assert row["error"] == ""
    assert rows[-1]["image"] == "images/2.png"
    assert main(call) == 1
    assert "a.csv exists already" in capsys.readouterr().err
    assert main([*call, "--force"]) == 0


@pytest.mark.usefixtures("_weights")
def test_bad_images_are_named_and_fail_the_call(capsys: pytest.CaptureFixture[str]) -> None:
    Path("images/1.png").write_text("?")
    assert main([*CALL, "images", "--top", "1", "--json-lines", "out"]) == 1
    first, last = capsys.readouterr().err.splitlines()
    assert first.startswith("ul2q: warning: images/1.png: damaged, or not an image")
    assert last == "ul2q: error: 1 of 3 images could not be used, see above"
    objects = [json.loads(line) for line in Path("out").read_text().splitlines()]
    assert [("error" in one, "candidates" in one) for one in objects] == [
        (False, True),
        (True, False),
        (False, True),
    ]
    assert main([*CALL, "images", "--csv", "table"]) == 1
    capsys.readouterr()
    rows = list(csv.DictReader(Path("table").read_text().splitlines()))
    assert [bool(row["error"]) for row in rows] == [False, True, False]
    assert main([*CALL, "images", "--strict", "--csv", "strict"]) == 1
    (message,) = capsys.readouterr().err.splitlines()
    assert message.startswith("ul2q: error: images/1.png: damaged")
    assert not Path("strict").exists()


@pytest.mark.usefixtures("_weights")
def test_means_as_they_are_typed(capsys: pytest.CaptureFixture[str]) -> None:
    Path("deploy.prototxt").write_text(deploy_net("net.prototxt", {"data": (1, 8, 8)}))
    assert main([*CALL, "images", "--batch", "1"]) == 0
    want = capsys.readouterr().out
    call = ["predict", "deploy.prototxt", "mini.caffemodel", "images", "--batch", "1"]
    scale = ["--scale", "0.00390625"]
    np.save("zero.npy", np.zeros((1, 8, 8)))
    for mean in ("none", "0", "zero.npy"):
        assert main([*call, *scale, "--mean", mean]) == 0
        assert capsys.readouterr().out == want
    assert main([*call, *scale, "--mean", "90"]) == 0
    assert capsys.readouterr().out != want
    assert main([*call, "--mean", "none"]) == 1
    assert "give --scale" in capsys.readouterr().err
    assert main([*call, *scale]) == 1
    assert "give --mean" in capsys.readouterr().err


@pytest.mark.usefixtures("_weights")
def test_on_a_terminal() -> None:
    *lines, engine = on_a_terminal(*CALL, "images", columns=40).splitlines()
    assert [line.partition(":")[0] for line in lines] == [f"images/{i}.png" for i in range(3)]
    assert engine == "engine: caffe"
