"""What the targets write for each layer type, run by what reads it, against Caffe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import caffe
import numpy as np
import pytest

from tests.deploy.layer_cases import ALL, Case
from tests.deploy.test_layer_types import built
from tests.deploy.trained import assert_near, bundled, inputs_of
from ul2q.deploy import DeployError, QuantizedTensor, lower
from ul2q.deploy.targets import TARGETS
from ul2q.deploy.targets.target import TargetOptions

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

pytest.importorskip("onnxruntime", reason="pip install 'ul2q[onnx]'")


def run(
    name: str, net: Any, values: dict[str, NDArray[Any]], folder: Path, **options: Any
) -> dict[str, NDArray[Any]]:
    target = TARGETS[name]
    graph = lower(net, fold=target.FOLDS)
    path = folder / f"net{target.SUFFIX}"
    for file, content in target.write(graph, path, TargetOptions(**options)).files.items():
        file.write_bytes(content)
    return target.run(graph, path, values)


@pytest.mark.parametrize("case", ALL, ids=lambda case: case.name)
@pytest.mark.parametrize("target", ["npz", "caffe"])
def test_gives_what_caffe_gives(target: str, case: Case, tmp_path: Path) -> None:
    net, values = built(case)
    want = {name: array.copy() for name, array in net.forward(**values).items()}
    assert_near(run(target, net, values, tmp_path), want, 1e-5)


@pytest.mark.parametrize("case", ALL, ids=lambda case: case.name)
@pytest.mark.parametrize("form", ["planes", "uint", "int8"])
def test_onnx_gives_what_caffe_gives(form: str, case: Case, tmp_path: Path) -> None:
    net, values = built(case)
    want = {name: array.copy() for name, array in net.forward(**values).items()}
    assert_near(run("onnx", net, values, tmp_path, form=form), want, 1e-5)


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 16])
@pytest.mark.parametrize("form", ["auto", "planes", "float"])
@pytest.mark.parametrize("shift", ["MEAN", "ZERO"])
def test_onnx_at_every_width(bits: int, form: str, shift: str, tmp_path: Path) -> None:
    text = (
        'layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 3 dim: 7 } } }'
        'layer { name: "q" type: "QuantizedInnerProduct" bottom: "x" top: "y" '
        "inner_product_param { num_output: 9 } "
        f"quantization_param {{ weight {{ bits: {bits} shift: {shift} }} }} }}"
    )
    net, values = built(Case("q", text))
    want = {name: array.copy() for name, array in net.forward(**values).items()}
    assert_near(run("onnx", net, values, tmp_path, form=form), want, 1e-5)


ACTIVATIONS = [
    "bits: 8 signed: false",
    "bits: 8",
    "bits: 8 shift: ZERO",
    "bits: 4 signed: false",
    "bits: 3",
    "bits: 12",
    "method: CLIP bits: 8",
    "method: CLIP bits: 4 signed: false",
    "method: FIXED_POINT bits: 5",
    "method: BINARY",
    "method: TERNARY",
]


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_quantised_activations(activation: str, tmp_path: Path) -> None:
    """Values at random lie at no border between two levels."""
    text = (
        'layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 3 dim: 50 } } }'
        'layer { name: "q" type: "QuantizedActivation" bottom: "x" top: "y" '
        f"quantization_param {{ activation {{ {activation} }} }} }}"
    )
    net = caffe.Net.from_proto(text, caffe.TEST)
    from ul2q import gather_activation_averages

    values = inputs_of(net, seed=5)
    gather_activation_averages(net, [values])
    want = {name: array.copy() for name, array in net.forward(**values).items()}
    assert len(np.unique(want["y"])) > 1
    assert_near(lower(net).run(values), want, 1e-6)
    assert_near(run("onnx", net, values, tmp_path), want, 1e-6)
    with pytest.raises(DeployError, match=r"layer 'q' \(QuantizedActivation\): BVLC Caffe has no"):
        run("caffe", net, values, tmp_path)


@pytest.mark.parametrize(("bits", "bound"), [(1, 1.06), (2, 1.03), (3, 1.06), (4, 1.03)])
def test_onnx_files_are_of_true_size(bits: int, bound: float, tmp_path: Path) -> None:
    """Against codes of this width, scales, shifts, and float biases."""
    graph = lower(bundled("vgg7_64", weight_bits=bits))
    written = TARGETS["onnx"].write(graph, tmp_path / "net.onnx", TargetOptions())
    taken = 0
    for _, _, weight in graph.weights():
        is_quantized = isinstance(weight, QuantizedTensor)
        taken += (bits if is_quantized else 32) * int(np.prod(weight.shape)) // 8
    assert taken < written.total <= bound * taken


def test_onnxruntime_convolves_in_integers(tmp_path: Path) -> None:
    """With 8-bit activations and weights without a shift, at default options."""
    import onnx
    import onnxruntime

    net = bundled("vgg7_64", weight_bits=2, shift="zero", activation_bits=8)
    path = tmp_path / "net.onnx"
    written = TARGETS["onnx"].write(lower(net), path, TargetOptions())
    assert written.total <= 1_450_000
    path.write_bytes(written.files[path])
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    options.log_severity_level = 3
    onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    kinds = [node.op_type for node in onnx.load(options.optimized_model_filepath).graph.node]
    assert kinds.count("QLinearConv") == 5


def test_onnx_names_what_it_is(tmp_path: Path) -> None:
    import onnx

    net = bundled("lenet", weight_bits=2)
    path = tmp_path / "net.onnx"
    model = onnx.load_from_string(
        TARGETS["onnx"].write(lower(net), path, TargetOptions()).files[path]
    )
    properties = {entry.key: entry.value for entry in model.metadata_props}
    assert properties == {
        "net": net.name,
        "bits": "conv1: 2, conv2: 2, ip1: 2, ip2: 2",
        "method": "ul2q",
    }
    assert model.producer_name == "ul2q"
    assert {"conv1", "relu1", "pool1", "ip2", "prob"} <= {node.name for node in model.graph.node}
    assert (model.opset_import[0].version, model.ir_version) == (18, 8)
