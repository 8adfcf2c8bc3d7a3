"""The nets that benchmarks/architectures.py times, and what it makes of the times."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import caffe
import numpy as np
import pytest
from caffe.proto import caffe_pb2
from google.protobuf import text_format

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"

COUNT = """
import json
import caffe
from published_nets import NETS, architecture
counts = {}
for name in NETS:
    net = caffe.Net.from_proto(architecture(name, 1), caffe.TEST)
    types = dict(zip(net._layer_names, (layer.type for layer in net.layers)))
    counts[name] = sum(
        blob.count for layer, blobs in net.params.items() if types[layer] != "BatchNorm"
        for blob in blobs)
print(json.dumps(counts))
"""

# What is learnt, as published: of torchvision's nets, Keras' MobileNet v1, BVLC's AlexNet and
# GoogLeNet, ZynqNet's, and MTCNN's.
PUBLISHED = {
    "SqueezeNet 1.1": 1_235_496,
    "MobileNet v1": 4_231_976,
    "MobileNet v2": 3_504_872,
    "GoogLeNet": 6_998_552,
    "ResNet-50": 25_557_032,
    "DenseNet-121": 7_978_856,
    "ZynqNet": 2_528_800,
    "AlexNet": 60_965_224,
    "MTCNN det1": 6_632,
}


@pytest.fixture(scope="module")
def counts() -> dict[str, int]:
    ran = subprocess.run(
        [sys.executable, "-c", COUNT],
        env={**os.environ, "PYTHONPATH": str(BENCHMARKS)},
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    )
    found: dict[str, int] = json.loads(ran.stdout)
    return found


@pytest.mark.parametrize("net", PUBLISHED)
def test_a_net_has_as_many_weights_as_the_published_one(net: str, counts: dict[str, int]) -> None:
    assert counts[net] == PUBLISHED[net]


@pytest.fixture
def report(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("architecture_report")


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("architecture_worker")


def whole(net: str, task: str, **seconds: list[float]) -> dict[str, Any]:
    return {"net": net, "task": task, "of": "whole", "seconds": seconds}


def by_layers(net: str, ours: list[list[float]], bvlc: list[list[float]]) -> dict[str, Any]:
    """Three layers, the first two of which are a step; a list of milliseconds a round."""
    names = [["c", "Convolution", "1×3"], ["r", "ReLU", "1×3"], ["d", "Convolution", "1×3"]]
    steps = [["c", "Convolution + ReLU", "1×3"], ["d", "Convolution", "1×3"]]
    milliseconds = {
        name: {
            "layers": {"forward": rounds},
            "steps": {"forward": [[c + r, d] for c, r, d in rounds]},
        }
        for name, rounds in (("ul2q", ours), ("BVLC", bvlc))
    }
    line = {"net": net, "task": "test 1", "of": "layers", "layers": names, "steps": steps}
    return {**line, "milliseconds": milliseconds}


def cells(table: str) -> list[list[str]]:
    """The rows of a table behind its heading."""
    return [[cell.strip() for cell in row.split("|")[1:-1]] for row in table.splitlines()[2:]]


def test_a_ratio_is_the_median_of_those_within_a_round(report: Any) -> None:
    # The ratio of the medians is 4 / 3.
    assert report.ratio([1.0, 4.0, 9.0], [2.0, 4.0, 3.0]) == 1.0


def test_a_ratio_that_misses_its_goal_is_bold(report: Any) -> None:
    # Goals are 0.45 and 0.9.
    line = whole("a", "test 16", ul2q=[0.046] * 2, BVLC=[0.1] * 2, OpenCV=[0.0512] * 2)
    assert cells(report.nets([line])) == [
        ["a", "test 16", "46", "100", "51.2", "", "", "**0.46**", "0.90", "", ""]
    ]


def test_goals_tell_how_many_nets_reach_them_and_the_worst(report: Any) -> None:
    lines = [
        whole("a", "train 1", ul2q=[1.0], BVLC=[2.0]),
        whole("b", "train 1", ul2q=[3.0], BVLC=[4.0]),
        whole("b", "test 1", ul2q=[1.0], BVLC=[4.0]),
    ]
    assert cells(report.goals(lines)) == [
        ["test 1", "BVLC", "0.6", "1 of 1", "0.25, b"],
        ["train 1", "BVLC", "0.5", "1 of 2", "0.75, b"],
    ]


def test_layers_of_a_type_are_summed_round_by_round(report: Any) -> None:
    lines = [
        by_layers("a", [[1, 5, 2], [1, 5, 4]], [[2, 10, 4], [5, 10, 5]]),  # 3 / 6 and 5 / 10
        by_layers("b", [[1, 5, 1], [1, 5, 1]], [[2, 4, 3], [2, 4, 3]]),
    ]
    assert cells(report.types(lines)) == [
        ["Convolution", "0.50 (4 / 8, a)"],
        ["ReLU", "1.25 (5 / 4, b)"],
    ]


def test_the_worst_steps_come_first(report: Any) -> None:
    lines = [
        by_layers("a", [[1, 1, 3]], [[2, 2, 2]]),
        by_layers("b", [[4, 4, 1]], [[2, 2, 2]]),
    ]
    assert cells(report.worst_steps(lines, 2)) == [
        ["b", "test 1", "forward", "c: Convolution + ReLU", "1×3", "8", "4", "2.00"],
        ["a", "test 1", "forward", "d: Convolution", "1×3", "3", "2", "1.50"],
    ]
    assert report.slower_steps(lines) == (2, 4)


def test_what_was_measured_is_not_measured_again(
    report: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    architectures: Any = importlib.import_module("architectures")
    file = tmp_path / "results.jsonl"
    lines = [
        {"net": "MTCNN det1", "task": "test 1", "of": of, "number": number}
        for number in (1, 2)
        for of in ("whole", "layers")
    ]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    assert [line["number"] for line in report.read_results(file).values()] == [2, 2]

    class StartedError(Exception):
        pass

    def start(*_: object) -> None:
        raise StartedError

    monkeypatch.setattr(architectures, "RESULTS", file)
    monkeypatch.setattr(architectures, "write_files", start)
    architectures.measure("MTCNN det1", ["test 1"], ["whole", "layers"], 1, again=False)
    for net, tasks, again in (
        ("MTCNN det1", ["test 1"], True),
        ("MTCNN det1", ["test 1", "train 1"], False),
        ("Slim-320", ["test 1"], False),
    ):
        with pytest.raises(StartedError):
            architectures.measure(net, tasks, ["layers"], 1, again=again)


def test_a_step_is_a_layer_with_those_in_place_behind_it(worker: Any) -> None:
    param = text_format.Parse(
        """
        layer { name: "x" type: "Input" top: "x" input_param { shape { dim: [1, 2, 5, 5] } } }
        layer { name: "c" type: "Convolution" bottom: "x" top: "c"
                convolution_param { num_output: 2 kernel_size: 3 } }
        layer { name: "s" type: "Scale" bottom: "c" top: "c" }
        layer { name: "r" type: "ReLU" bottom: "c" top: "c" }
        layer { name: "p" type: "Power" bottom: "c" top: "p" }
        layer { name: "q" type: "ReLU" bottom: "p" top: "p" }
        """,
        caffe_pb2.NetParameter(),
    )
    net = caffe.Net.from_proto(param, caffe.TEST)
    assert worker.steps(net) == [(1, 3), (4, 5)]
    assert worker.describe(net)["steps"] == [
        ["c", "Convolution + Scale + ReLU", "1×2×5×5"],
        ["p", "Power + ReLU", "1×2×3×3"],
    ]


def test_a_net_learns_to_give_small_outputs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)
    nets: Any = importlib.import_module("published_nets")
    param = nets.with_loss(nets.architecture("MTCNN det1", 1))
    net = caffe.Net.from_proto(param, caffe.TRAIN)
    net.blobs["data"].data[...] = np.random.default_rng(1).standard_normal((1, 3, 240, 240))
    net.forward()
    net.backward()
    for output in ("output0", "output1"):
        blob = net.blobs[output]
        np.testing.assert_allclose(
            net.blobs[f"loss_{output}"].data, (blob.data.astype(float) ** 2).sum(), rtol=1e-4
        )
        np.testing.assert_allclose(blob.diff, 2 * blob.data, rtol=1e-5)
    assert all(np.any(blobs[0].diff) for blobs in net.params.values())
