"""`ul2q predict` with a trained net of packed weights: in integers, and what Caffe says of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from ul2q.cli import main
from ul2q.evaluation import evaluate_net

if TYPE_CHECKING:
    from tests.conftest import Workspace

LMDB = "data/test_lmdb"
LAYERS = """layer { name: "conv1" type: "Convolution" bottom: "data" top: "conv1"
  convolution_param { num_output: 6 kernel_size: 3 pad: 1 weight_filler { type: "xavier" } } }
layer { name: "pool1" type: "Pooling" bottom: "conv1" top: "pool1"
  pooling_param { pool: MAX kernel_size: 2 stride: 2 } }
layer { name: "conv2" type: "Convolution" bottom: "pool1" top: "conv2"
  convolution_param { num_output: 8 kernel_size: 3 weight_filler { type: "xavier" } } }
layer { name: "relu" type: "ReLU" bottom: "conv2" top: "conv2" }
layer { name: "ip" type: "InnerProduct" bottom: "conv2\""""


@pytest.fixture
def _trained(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    """A trained float.caffemodel; of 2 bits and activations of 8 net.caffemodel, and packed."""
    workspace.net(
        ('layer { name: "ip" type: "InnerProduct" bottom: "data"', LAYERS), name="float.prototxt"
    )
    workspace.solver(net='"float.prototxt"', max_iter=80, stepsize=40, test_interval=80)
    for command in (
        "train solver.prototxt --run run",
        "quantize float.prototxt --weight-bits 2 --activation-bits 8 -o net.prototxt --force",
        "calibrate net.prototxt run -o net.caffemodel",
        "pack net.prototxt net.caffemodel -o net.packed.caffemodel",
    ):
        assert main(command.split()) == 0
    capsys.readouterr()


def predictions(*arguments: str) -> list[dict[str, Any]]:
    """What the command writes as JSON lines of all test images."""
    assert main(["predict", *arguments, LMDB, "--json-lines", "out.jsonl", "--force"]) == 0
    return [json.loads(line) for line in Path("out.jsonl").read_text().splitlines()]


@pytest.mark.usefixtures("_trained")
def test_packed_weights_are_computed_in_integers(capsys: pytest.CaptureFixture[str]) -> None:
    net = "net.prototxt"
    by_caffe = predictions(net, "net.caffemodel")
    assert "engine: caffe\n" in capsys.readouterr().out
    assert len(by_caffe) == 20
    assert sum(one["rank"] == 0 for one in by_caffe) > 10  # it has learnt
    for arguments in (
        (net, "net.packed.caffemodel"),
        ("net.packed.caffemodel",),
        (net, "net.caffemodel", "--engine", "runtime"),
    ):
        in_integers = predictions(*arguments)
        assert "engine: runtime\n" in capsys.readouterr().out
        for one, other in zip(by_caffe, in_integers, strict=True):
            assert [one[key] for key in ("image", "label", "rank")] == [
                other[key] for key in ("image", "label", "rank")
            ]
            candidates = zip(one["candidates"], other["candidates"], strict=True)
            for mine, theirs in candidates:
                assert mine["label"] == theirs["label"]
                # A code on the border between two levels may be the next one.
                assert mine["score"] == pytest.approx(theirs["score"], abs=0.01)
    assert predictions(net, "net.packed.caffemodel", "--engine", "caffe") == by_caffe
    assert "engine: caffe\n" in capsys.readouterr().out


@pytest.mark.usefixtures("_trained")
def test_confusions_are_those_of_a_test(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["test", "net.prototxt", "net.caffemodel", "--confusion"]) == 0
    confusion, classes, *_ = capsys.readouterr().out.split("\n\n")
    call = ["predict", "net.packed.caffemodel", LMDB, "--confusion", "--top", "1", "--batch", "7"]
    assert main([*call, "--csv", "table"]) == 0
    lines = capsys.readouterr().out.split("\n", 1)
    assert lines[0] == "table: table"
    got_confusion, got_classes, rest = lines[1].split("\n\n")
    assert (got_confusion, got_classes) == (confusion, classes)
    counts = evaluate_net("net.prototxt", "net.caffemodel").counts
    assert counts is not None
    assert rest == (
        f"engine: runtime\naccuracy: {counts.accuracy():.4f} "
        f"({np.trace(counts.confusion)} of 20 images)\n"
    )


@pytest.mark.usefixtures("_trained")
def test_what_the_runtime_does_not_take_is_left_to_caffe(
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = Path("net.prototxt").read_text()
    first = 'layer { name: "conv1"'
    other = 'layer { name: "mvn" type: "MVN" bottom: "data" top: "mvn" }\n'
    assert text.count(first) == text.count('bottom: "data"') == 1
    text = text.replace('bottom: "data"', 'bottom: "mvn"').replace(first, other + first)
    Path("other.prototxt").write_text(text)
    call = ["predict", "other.prototxt", "net.packed.caffemodel", LMDB, "--top", "1"]
    assert main(call) == 0
    out, err = capsys.readouterr()
    assert "engine: caffe\n" in out
    assert "net.packed.caffemodel is computed by Caffe, in floats: " in err
    assert "layer 'mvn' (MVN): operation Mvn is not for this runtime" in err
    assert main([*call, "--engine", "runtime"]) == 1
    assert "layer 'mvn' (MVN): operation Mvn is not" in capsys.readouterr().err


@pytest.mark.usefixtures("_trained")
def test_without_labels_there_is_no_confusion(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    from PIL import Image

    Image.fromarray(workspace.test_images[0][0]).save("a.png")
    assert main(["predict", "net.packed.caffemodel", "a.png", "--confusion"]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[1:] == ["engine: runtime"]
    assert "no label is known" in err
    assert main(["predict", "net.prototxt", "net.packed.caffemodel"]) == 1
    assert "no images behind the weights net.packed.caffemodel" in capsys.readouterr().err
