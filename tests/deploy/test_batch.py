"""Exported files take any batch where the layers allow it, and else say which one does not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import caffe
import numpy as np
import pytest

from tests.deploy.layer_cases import ALL, Case
from tests.deploy.test_layer_types import built
from tests.deploy.trained import bundled, distance, fill, inputs_of
from tests.small_nets import inputs
from ul2q.cli import main
from ul2q.deploy import DeployError, export, lower
from ul2q.deploy.batch import set_batch, what_fixes_batch
from ul2q.deploy.targets import TARGETS
from ul2q.deploy.targets.target import TargetOptions

if TYPE_CHECKING:
    from pathlib import Path

onnx = pytest.importorskip("onnx", reason="pip install 'ul2q[onnx]'")
pytest.importorskip("onnxruntime", reason="pip install 'ul2q[onnx]'")

IMAGES = inputs(x=(1, 4, 6, 6))


@pytest.mark.parametrize("case", ALL, ids=lambda case: case.name)
def test_every_layer_type_at_another_batch(case: Case, tmp_path: Path) -> None:
    net, values = built(case)
    graph = lower(net)
    if why := what_fixes_batch(graph):
        assert case.name.split("-")[0].removeprefix("Quantized") in why or "inputs" in why
        return
    path = tmp_path / "net.onnx"
    written = TARGETS["onnx"].write(graph, path, TargetOptions(any_batch=True))
    path.write_bytes(written.files[path])
    set_batch(net, 3)
    more = {
        name: np.concatenate([array[:1], array[-1:], array[-1:]]) for name, array in values.items()
    }
    want = {name: array.copy() for name, array in net.forward(**more).items()}
    got = TARGETS["onnx"].run(graph, path, more)
    for name, array in want.items():
        assert got[name].shape == array.shape
        assert distance(got[name], array) <= 2e-5


def test_these_layer_types_take_any_batch() -> None:
    free = {"Convolution-plain", "Reshape-plain", "Flatten-plain", "Crop-offset", "ArgMax-top"}
    cases = [case for case in ALL if case.name in free]
    assert len(cases) == len(free)
    assert [case.name for case in cases if what_fixes_batch(lower(built(case)[0]))] == []


def layer(kind: str, fields: str, bottoms: str = "x") -> str:
    read = " ".join(f'bottom: "{name}"' for name in bottoms.split())
    return f'layer {{ name: "it" type: "{kind}" {read} top: "y" {fields} }}'


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (layer("Reshape", "reshape_param { shape { dim: 1 dim: -1 } }"), "a number of its own"),
        (layer("Reshape", "reshape_param { shape { dim: 0 dim: -1 } }"), None),
        (layer("Reshape", "reshape_param { shape { dim: -1 dim: 144 } }"), None),
        (layer("Reshape", "reshape_param { shape { dim: -1 dim: 72 } }"), "a number of its own"),
        (layer("Reshape", "reshape_param { axis: 1 shape { dim: 2 dim: -1 } }"), None),
        (layer("Flatten", "flatten_param { axis: 0 }"), "a number of its own"),
        (layer("Flatten", ""), None),
        (layer("Concat", "concat_param { axis: 0 }", "x x"), "works along axis 0"),
        (layer("Softmax", "softmax_param { axis: 0 }"), "works along axis 0"),
        (layer("Reduction", ""), "works along axis 0"),
        (layer("Scale", "scale_param { axis: 0 }"), "does not take a batch of 2"),
        (layer("Scale", ""), None),
    ],
    ids=str,
)
def test_what_fixes_the_batch_is_told(
    text: str, why: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, weights, output = tmp_path / "n.prototxt", tmp_path / "n.caffemodel", tmp_path / "n.onnx"
    path.write_text(IMAGES + text, encoding="utf-8")
    fill(caffe.Net(path, caffe.TEST)).save(weights)
    words = ["export", str(path), str(weights), "--to", "onnx", "-o", str(output)]
    assert main(words) == 0
    told = capsys.readouterr().out
    first = onnx.load(output).graph.input[0].type.tensor_type.shape.dim[0]
    if why is None:
        assert "batch: any; compared with 1 and 2" in told
        assert first.dim_param == "batch"
        return
    assert first.dim_value == 1
    assert "batch: that of x 1×4×6×6, since " in told
    assert why in told
    assert "'it'" in told
    assert main([*words, "--force", "--batch", "any"]) == 1
    assert "--batch any cannot be: " in capsys.readouterr().err


def files(folder: Path, net: Any, text: str) -> tuple[Path, Path]:
    path, weights = folder / "net.prototxt", folder / "net.caffemodel"
    path.write_text(text, encoding="utf-8")
    net.save(weights)
    return path, weights


def test_a_number_that_is_asked_for(tmp_path: Path) -> None:
    text = IMAGES + layer("Convolution", "convolution_param { num_output: 2 kernel_size: 3 }")
    net, weights = files(tmp_path, fill(caffe.Net.from_proto(text, caffe.TEST)), text)
    output = tmp_path / "net.onnx"
    found = export(net, weights, output, to="onnx", batch=5)
    assert found.graph.shapes["y"] == (5, 2, 4, 4)
    assert found.comparison is not None
    assert found.comparison.batches == (5,)
    with pytest.raises(DeployError, match="--batch is 0; must be"):
        export(net, weights, output, to="onnx", batch=0, force=True)
    with pytest.raises(DeployError, match="--batch is for --to onnx, openvino, not for npz"):
        export(net, weights, tmp_path / "n.npz", to="npz", batch=2)
    text = IMAGES + layer("Reshape", "reshape_param { shape { dim: 1 dim: -1 } }")
    net, weights = files(tmp_path, caffe.Net.from_proto(text, caffe.TEST), text)
    with pytest.raises(DeployError, match=r"must be that of the prototxt: layer 'it' \(Reshape\)"):
        export(net, weights, output, to="onnx", batch=2, force=True)


def test_a_file_that_is_wrong_at_another_batch_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = IMAGES + layer("Convolution", "convolution_param { num_output: 2 kernel_size: 3 }")
    net, weights = files(tmp_path, fill(caffe.Net.from_proto(text, caffe.TEST)), text)
    run = TARGETS["onnx"].run

    def mixed(graph: Any, path: Path, values: Any) -> Any:
        return {name: array[::-1] for name, array in run(graph, path, values).items()}

    monkeypatch.setattr(TARGETS["onnx"], "run", mixed)
    with pytest.raises(DeployError, match="differs from Caffe by"):
        export(net, weights, tmp_path / "net.onnx", to="onnx")
    assert not (tmp_path / "net.onnx").exists()


def test_integer_convolutions_stay_integer(tmp_path: Path) -> None:
    """QLinearConv in onnxruntime's optimised model, as with a fixed batch."""
    import onnxruntime

    net = bundled("lenet", weight_bits=2, shift="zero", activation_bits=8)
    path, optimised = tmp_path / "net.onnx", tmp_path / "optimised.onnx"
    written = TARGETS["onnx"].write(lower(net), path, TargetOptions(any_batch=True))
    path.write_bytes(written.files[path])
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(optimised)
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    assert "QLinearConv" in {node.op_type for node in onnx.load(optimised).graph.node}
    values = inputs_of(net)
    (once,) = session.run(None, values)
    (twice,) = session.run(None, {name: np.repeat(a, 7, 0) for name, a in values.items()})
    np.testing.assert_allclose(twice, np.repeat(once, 7, 0), atol=1e-6)
