"""`ul2q.deploy.export`: files that are whole and right, or none."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import caffe
import numpy as np
import pytest

from tests.deploy.test_levels import net_of, net_text
from tests.deploy.trained import fill, inputs_of
from tests.small_nets import inputs
from ul2q import dequantize
from ul2q.cli import main
from ul2q.deploy import DeployError, Export, export, lower
from ul2q.deploy.targets import TARGETS
from ul2q.util.output_file import OutputExistsError

if TYPE_CHECKING:
    from pathlib import Path

TEXT = inputs(x=(2, 8, 6, 6)) + (
    'layer { name: "conv" type: "QuantizedConvolution" bottom: "x" top: "conv" '
    "convolution_param { num_output: 4 kernel_size: 3 } quantization_param { weight { bits: 2 } } }"
    'layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }'
    'layer { name: "ip" type: "InnerProduct" bottom: "conv" top: "ip" '
    "inner_product_param { num_output: 3 } }"
    'layer { name: "prob" type: "Softmax" bottom: "ip" top: "prob" }'
)


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    path, weights = tmp_path / "net.prototxt", tmp_path / "net.caffemodel"
    path.write_text(TEXT, encoding="utf-8")
    fill(caffe.Net(path, caffe.TEST)).save(weights)
    return path, weights


def write(files: tuple[Path, Path], output: Path, **options: Any) -> Export:
    return export(files[0], files[1], output, **options)


@pytest.mark.parametrize("target", ["onnx", "caffe", "npz"])
def test_what_is_written_is_compared_with_caffe(
    target: str, files: tuple[Path, Path], tmp_path: Path
) -> None:
    output = tmp_path / f"out{TARGETS[target].SUFFIX}"
    found = write(files, output, to=target)
    assert output.is_file()
    assert found.comparison is not None
    assert found.comparison.difference < 1e-5
    assert (found.comparison.agreeing, found.comparison.examples) == (8, 8)
    assert found.written.total == sum(path.stat().st_size for path in found.written.files)
    # 4 × 72 codes of 2 bits, α and β; 3 × 64 floats; biases.
    assert found.quantized_bytes == 4 * 72 * 2 // 8 + 8 + 4 * (3 * 64 + 4 + 3)


def test_what_differs_is_not_kept(
    files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = import_module("ul2q.deploy.targets.npz")
    monkeypatch.setattr(
        target, "run", lambda graph, _, values: {"prob": graph.run(values)["prob"] + 0.01}
    )
    before = sorted(tmp_path.iterdir())
    with pytest.raises(DeployError, match=r"out.npz: .*differs from Caffe by 0.0\d+ of"):
        write(files, tmp_path / "out.npz", to="npz")
    assert sorted(tmp_path.iterdir()) == before
    assert write(files, tmp_path / "out.npz", to="npz", verify=False).comparison is None


def test_a_file_that_is_there_stays(files: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "out.caffemodel").write_text("old", encoding="utf-8")
    with pytest.raises(OutputExistsError, match=r"out.caffemodel exists"):
        write(files, tmp_path / "out.prototxt", to="caffe")
    assert not (tmp_path / "out.prototxt").exists()
    assert (tmp_path / "out.caffemodel").read_text(encoding="utf-8") == "old"
    write(files, tmp_path / "out.prototxt", to="caffe", force=True)
    with pytest.raises(FileNotFoundError, match="no such folder"):
        write(files, tmp_path / "none" / "out.npz", to="npz")


def test_inputs_of_the_users(files: tuple[Path, Path], tmp_path: Path) -> None:
    values = inputs_of(caffe.Net(files[0], caffe.TEST))["x"]
    three_batches = {"x": np.concatenate([values, values + 1, values - 1])}
    found = write(files, tmp_path / "a.npz", to="npz", inputs=three_batches)
    assert found.comparison is not None
    assert (found.comparison.examples, found.comparison.given) == (6, True)
    for given, why in (
        ({"y": values}, r"inputs are given for \['y'\]; the net reads \['x'\]"),
        ({"x": values[:1]}, "input 'x' is given in shape"),
        ({"x": values[:0]}, "input 'x' is given in shape"),
    ):
        with pytest.raises(DeployError, match=why):
            write(files, tmp_path / "b.npz", to="npz", inputs=given)
    assert not (tmp_path / "b.npz").exists()


def test_options_of_other_targets_and_unknown_ones(
    files: tuple[Path, Path], tmp_path: Path
) -> None:
    output = tmp_path / "out.npz"
    for options, why in (
        ({"to": "onx"}, "there is no target 'onx'.*onnx"),
        ({"to": "npz", "form": "planes"}, "--form is for --to onnx"),
        ({"to": "npz", "runtime": "any"}, "--for is for --to onnx"),
        ({"to": "onnx", "form": "tiny"}, "form is 'tiny'; must be one of auto"),
    ):
        with pytest.raises(DeployError, match=why):
            write(files, output, **options)
    assert not output.exists()


def test_a_missing_package_is_named(
    files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr("ul2q.deploy.targets.target.import_module", missing)
    with pytest.raises(DeployError, match=r"onnx is not installed: pip install 'ul2q\[onnx\]'"):
        write(files, tmp_path / "out.onnx", to="onnx")


def test_npz_holds_codes_that_dequantize_reads(files: tuple[Path, Path], tmp_path: Path) -> None:
    write(files, tmp_path / "out.npz", to="npz")
    net = caffe.Net(files[0], caffe.TEST, weights=files[1])
    (blob,) = net.layer_dict["conv"].quantized_blobs()
    with np.load(tmp_path / "out.npz") as archive:
        codes, scale, shift = (archive[f"conv/weight/{p}"] for p in ("codes", "scale", "shift"))
        assert codes.dtype == np.int8
        values = dequantize(codes, scale, shift, int(archive["conv/weight/bits"]))
        np.testing.assert_array_equal(values, blob.values)
        np.testing.assert_array_equal(archive["ip/bias"], net.params["ip"][1].data)


def test_the_command(
    files: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out.onnx"
    given = tmp_path / "inputs.npz"
    np.savez(given, x=inputs_of(caffe.Net(files[0], caffe.TEST))["x"])
    words = ["export", *map(str, files), "--to", "onnx", "-o", str(output), "--size"]
    assert main([*words, "--inputs", str(given)]) == 0
    out = capsys.readouterr().out
    assert f"file: {output}" in out
    assert "2 of 2 classes are the same" in out
    assert "conv.weight.planes  " in out
    assert f"size: {output.stat().st_size:,} bytes" in out
    assert main([*words, "--inputs", str(files[0])]) == 1
    assert main([*words, "--force", "--inputs", str(files[0])]) == 1
    assert "net.prototxt is no .npz" in capsys.readouterr().err


def test_a_net_with_levels_is_judged_by_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A neighbouring level moves the outputs, and is no error; a wrong one is."""
    text = net_text("bits: 4 signed: false", "bits: 2")
    net = net_of(text)
    path, weights = tmp_path / "net.prototxt", tmp_path / "net.caffemodel"
    path.write_text(text, encoding="utf-8")
    net.save(weights)
    target = import_module("ul2q.deploy.targets.npz")
    plain = target.run
    step = next(node.op.scale for node in lower(net).nodes if node.name == "a0")  # type: ignore[attr-defined]
    below = np.full(net.blobs["x"].data.shape, 0.4999999 * step, np.float32)

    def other(graph: Any, file: Path, values: Any) -> Any:
        """Of a runtime that reads an input that is larger by a factor."""
        return plain(
            graph, file, {name: array * np.float32(moved) for name, array in values.items()}
        )

    monkeypatch.setattr(target, "run", other)
    moved = 1.000001
    found = export(path, weights, tmp_path / "a.npz", to="npz", inputs={"x": below}).comparison
    assert found is not None
    assert found.given_levels is not None
    assert found.given_levels <= 1e-4 < found.difference
    moved = 3.5
    with pytest.raises(DeployError, match="given its own levels of activations"):
        export(path, weights, tmp_path / "b.npz", to="npz", inputs={"x": below})
    assert not (tmp_path / "b.npz").exists()


def test_what_importers_misread_is_warned_of(tmp_path: Path) -> None:
    text = inputs(x=(1, 2, 6, 6)) + (
        'layer { name: "pool" type: "Pooling" bottom: "x" top: "p" '
        "pooling_param { kernel_size: 3 stride: 2 round_mode: FLOOR } }"
        'layer { name: "ip" type: "InnerProduct" bottom: "p" top: "y" '
        "inner_product_param { num_output: 3 } }"
    )
    path, weights = tmp_path / "net.prototxt", tmp_path / "net.caffemodel"
    path.write_text(text, encoding="utf-8")
    fill(caffe.Net(path, caffe.TEST)).save(weights)
    found = export(path, weights, tmp_path / "out.prototxt", to="caffe")
    (warning,) = found.written.warnings
    assert "layer 'pool' (Pooling): OpenCV and MNN would read round_mode: FLOOR wrongly" in warning
