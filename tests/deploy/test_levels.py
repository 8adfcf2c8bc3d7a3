"""Nets whose activations are rounded to levels: what targets make of them, and how it is judged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import caffe
import numpy as np
import pytest

from tests.deploy.test_targets import run
from tests.deploy.trained import fill, inputs_of
from tests.small_nets import inputs
from ul2q import gather_activation_averages
from ul2q.deploy import lower
from ul2q.deploy.levels import error_given_levels, has_levels, with_levels
from ul2q.deploy.targets import TARGETS
from ul2q.deploy.targets.target import TargetOptions

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from ul2q.deploy import Graph

pytest.importorskip("onnxruntime", reason="pip install 'ul2q[onnx]'")

CHANNELS = 16


def net_text(activation: str, weight: str, kind: str = "Convolution") -> str:
    """Two layers between three times rounded activations; the biases are large beside a level."""
    shape = "num_output: 16" + (" kernel_size: 3" if kind != "InnerProduct" else "")
    option = "inner_product_param" if kind == "InnerProduct" else "convolution_param"
    text = inputs(x=(2, CHANNELS, 9, 9))
    blob = "x"
    for index in range(2):
        text += (
            f'layer {{ name: "a{index}" type: "QuantizedActivation" bottom: "{blob}" '
            f'top: "a{index}" quantization_param {{ activation {{ {activation} }} }} }}\n'
            f'layer {{ name: "w{index}" type: "{"Quantized" if weight else ""}{kind}" '
            f'bottom: "a{index}" top: "w{index}" {option} {{ {shape} }} '
            + (f"quantization_param {{ weight {{ {weight} }} }} }}\n" if weight else "}\n")
        )
        blob = f"w{index}"
        text += f'layer {{ name: "r{index}" type: "ReLU" bottom: "{blob}" top: "{blob}" }}\n'
    return text + (
        'layer { name: "last" type: "QuantizedActivation" bottom: "w1" top: "y" '
        f"quantization_param {{ activation {{ {activation} }} }} }}\n"
    )


def net_of(text: str) -> Any:
    """The net with parameters, and averages of activations."""
    net = fill(caffe.Net.from_proto(text, caffe.TEST))
    gather_activation_averages(net, [inputs_of(net)])
    return net


def levels_of(net: Any, folder: Path, **options: Any) -> tuple[Graph, dict[str, NDArray[Any]]]:
    graph = with_levels(lower(net))
    target = TARGETS["onnx"]
    path = folder / "net.onnx"
    for file, content in target.write(graph, path, TargetOptions(**options)).files.items():
        file.write_bytes(content)
    return graph, target.run(graph, path, inputs_of(net))


WEIGHTS = ["", "bits: 1", "bits: 2 shift: ZERO", "bits: 8 shift: ZERO", "bits: 12"]


@pytest.mark.parametrize("kind", ["Convolution", "Deconvolution", "InnerProduct"])
@pytest.mark.parametrize("weight", WEIGHTS)
@pytest.mark.parametrize("activation", ["bits: 8 signed: false", "bits: 2 signed: false"])
def test_weights_and_biases_are_not_rounded(
    activation: str, weight: str, kind: str, tmp_path: Path
) -> None:
    """As onnxruntime does between QuantizeLinear and DequantizeLinear."""
    net = net_of(net_text(activation, weight, kind))
    graph, found = levels_of(net, tmp_path)
    assert error_given_levels(graph, inputs_of(net), found) < 1e-5


@pytest.mark.parametrize("shift", ["ZERO", "MEAN"])
@pytest.mark.parametrize("bits", [2, 8, 12])
@pytest.mark.parametrize("method", ["UL2Q", "FIXED_POINT", "CLIP"])
def test_ties_go_away_from_zero(method: str, bits: int, shift: str, tmp_path: Path) -> None:
    """Of whole and half steps from the shift."""
    if method != "UL2Q" and shift == "ZERO":
        pytest.skip("has no shift")
    of_method = f"shift: {shift}" if method == "UL2Q" else ""
    text = inputs(x=(1, 64)) + (
        'layer { name: "q" type: "QuantizedActivation" bottom: "x" top: "y" '
        f"quantization_param {{ activation {{ method: {method} bits: {bits} {of_method} }} }} }}"
    )
    net = caffe.Net.from_proto(text, caffe.TEST)
    gather_activation_averages(net, [{"x": np.linspace(-1, 1, 64, dtype=np.float32)[None]}])
    (node,) = lower(net).nodes
    op: Any = node.op
    steps = np.arange(-32, 32) / 2
    values = {"x": (op.shift + steps * op.scale).astype(np.float32)[None]}
    want = {name: array.copy() for name, array in net.forward(**values).items()}
    got = run("onnx", net, values, tmp_path)
    if method == "UL2Q" and bits == 8:  # of other steps, rounding decides before the border does
        got, want = ({"y": found["y"][:, steps == 0]} for found in (got, want))
    np.testing.assert_allclose(got["y"], want["y"], rtol=0, atol=op.scale / 100)


def test_an_error_is_told_from_a_neighbouring_level(tmp_path: Path) -> None:
    net = net_of(net_text("bits: 4 signed: false", "bits: 2"))
    assert has_levels(lower(net))
    values = inputs_of(net)
    graph, found = levels_of(net, tmp_path)
    assert set(found) == {"a0", "a1", "y"}
    largest = max(float(np.abs(array).max()) for array in found.values())
    step = next(node.op.scale for node in graph.nodes if node.name == "a1")  # type: ignore[attr-defined]
    for place in ((0, 0, 0, 0), (1, 3, 2, 5)):
        other = {name: array.copy() for name, array in found.items()}
        other["a1"][place] += step  # one level up, for no reason
        assert error_given_levels(graph, values, other) > 0.001 * step / largest
    off = {**found, "y": found["y"] + np.float32(0.3) * step}
    assert error_given_levels(graph, values, off) > 0.1 * step / largest
    assert error_given_levels(graph, values, {**found, "y": found["y"][:1]}) == np.inf
    assert error_given_levels(graph, values, {**found, "y": found["y"] * np.nan}) == np.inf
