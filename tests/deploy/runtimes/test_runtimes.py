"""What the runtimes compute with what is exported; `make test-runtimes` installs them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.deploy.layer_cases import ALL, Case
from tests.deploy.test_layer_types import built
from tests.deploy.trained import assert_near, bundled, inputs_of
from ul2q.deploy import Graph, lower
from ul2q.deploy.targets import TARGETS
from ul2q.deploy.targets.target import TargetOptions

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

pytest.importorskip("openvino", reason="make test-runtimes installs it")
pytest.importorskip("qonnx", reason="make test-runtimes installs it")
cv2 = pytest.importorskip("cv2", reason="make test-runtimes installs it")

Values = dict[str, "NDArray[Any]"]
QUANTIZED = [case for case in ALL if "Quantized" in case.name]
FORMS = [
    {"weight_bits": bits, "granularity": granularity, "shift": shift}
    for bits in (1, 2, 3, 4, 8)
    for granularity, shift in (("tensor", "mean"), ("channel", "zero"))
]


def files(net: Any, target: str, folder: Path, **options: Any) -> tuple[Graph, Path]:
    module = TARGETS[target]
    graph = lower(net, fold=module.FOLDS)
    path = folder / f"net{module.SUFFIX}"
    for file, content in module.write(graph, path, TargetOptions(**options)).files.items():
        file.write_bytes(content)
    return graph, path


def by_openvino(graph: Graph, path: Path, values: Values) -> Values:
    return TARGETS["openvino"].run(graph, path, values)


def by_opencv(graph: Graph, path: Path, values: Values) -> Values:
    net = cv2.dnn.readNetFromONNX(str(path))
    for name in graph.inputs:
        net.setInput(values[name], name)
    return dict(zip(graph.outputs, map(np.array, net.forward(list(graph.outputs))), strict=True))


def by_opencv_of_caffe(graph: Graph, path: Path, values: Values) -> Values:
    net = cv2.dnn.readNetFromCaffe(str(path), str(path.with_suffix(".caffemodel")))
    for name in graph.inputs:
        net.setInput(values[name], name)
    return dict(zip(graph.outputs, map(np.array, net.forward(list(graph.outputs))), strict=True))


def by_own(target: str) -> Any:
    return TARGETS[target].run


RUNS = {
    "OpenVINO, its own": ("openvino", {}, by_openvino),
    "OpenVINO, ONNX": ("onnx", {"runtime": "openvino"}, by_openvino),
    "OpenCV, ONNX": ("onnx", {"runtime": "opencv"}, by_opencv),
    "OpenCV, Caffe": ("caffe", {}, by_opencv_of_caffe),
    "qonnx": ("qonnx", {}, by_own("qonnx")),
}


@pytest.mark.parametrize("options", FORMS, ids=lambda options: "-".join(map(str, options.values())))
@pytest.mark.parametrize("name", ["lenet", "cifarnet"])
@pytest.mark.parametrize("run", RUNS)
def test_the_packages_nets(run: str, name: str, options: dict[str, Any], tmp_path: Path) -> None:
    target, target_options, compute = RUNS[run]
    net = bundled(name, **options)
    values = inputs_of(net)
    want = {blob: array.copy() for blob, array in net.forward(**values).items()}
    graph, path = files(net, target, tmp_path, **target_options)
    # OpenCV's powers, of LRN within channels, are good to three digits.
    assert_near(compute(graph, path, values), want, 1e-3 if run == "OpenCV, ONNX" else 1e-4)


@pytest.mark.parametrize("case", QUANTIZED, ids=lambda case: case.name)
@pytest.mark.parametrize("target", ["openvino", "qonnx"])
def test_quantised_layers(target: str, case: Case, tmp_path: Path) -> None:
    net, values = built(case)
    want = {name: array.copy() for name, array in net.forward(**values).items()}
    graph, path = files(net, target, tmp_path)
    got = TARGETS[target].run(graph, path, values)
    assert_near(got, want, 1e-5)


@pytest.mark.parametrize("case", ALL, ids=lambda case: case.name)
def test_every_layer_type_in_openvino(case: Case, tmp_path: Path) -> None:
    net, values = built(case)
    want = {name: array.copy() for name, array in net.forward(**values).items()}
    graph, path = files(net, "onnx", tmp_path, runtime="openvino")
    assert_near(by_openvino(graph, path, values), want, 1e-5)


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 8])
def test_openvino_files_are_of_true_size(bits: int, tmp_path: Path) -> None:
    graph, path = files(bundled("vgg7_64", weight_bits=bits), "openvino", tmp_path)
    codes = sum(int(np.prod(weight.shape)) for _, _, weight in graph.weights())
    assert path.with_suffix(".bin").stat().st_size <= 1.02 * codes * bits / 8 + 20_000
