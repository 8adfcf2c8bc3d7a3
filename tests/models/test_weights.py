"""Weights that go into a net: what test_evaluation.py and the tests of training leave out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import caffe
import numpy as np
import pytest
from caffe.proto import caffe_pb2

from ul2q.models.caffemodel import WeightsError
from ul2q.models.weights import load_weights, told

if TYPE_CHECKING:
    from pathlib import Path

NET = """
layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 1 dim: 3 } } }
layer { name: "%s" type: "InnerProduct" bottom: "x" top: "y"
  inner_product_param { num_output: 2 bias_term: false } }
"""
BLOB = {"num": 1, "channels": 1, "height": 2, "width": 3, "data": range(6)}


def net(folder: Path, layer: str) -> caffe.Net:
    path = folder / "net.prototxt"
    path.write_text(NET % layer, encoding="utf-8")
    return caffe.Net(str(path), caffe.TEST)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A caffemodel of 2013, when a layer stood inside a connection."""
    layer = {"name": "ip", "type": "innerproduct", "num_output": 2, "blobs": [BLOB]}
    message = caffe_pb2.NetParameter(
        input=["x"],
        input_dim=[1, 1, 1, 3],
        layers=[{"layer": layer, "bottom": ["x"], "top": ["y"]}],
    )
    path = tmp_path / "v0.caffemodel"
    path.write_bytes(message.SerializeToString())
    return path


def test_weights_of_2013_are_loaded(model: Path, tmp_path: Path) -> None:
    loaded = net(tmp_path, "ip")
    load_weights(loaded, model, complete=True)
    assert np.array_equal(loaded.params["ip"][0].data, np.arange(6).reshape(2, 3))


def test_what_a_file_of_2013_holds_is_told(model: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no weights for layer 'other'; it holds 'ip'"):
        load_weights(net(tmp_path, "other"), model, complete=False)


def pair(folder: Path, *layers: tuple[str, int]) -> caffe.Net:
    """A net of one InnerProduct after the other, of these names and outputs."""
    text = NET.partition('layer { name: "%s"')[0]
    bottom = "x"
    for name, outputs in layers:
        text += (
            f'layer {{ name: "{name}" type: "InnerProduct" bottom: "{bottom}" top: "{name}" '
            f"inner_product_param {{ num_output: {outputs} }} }}\n"
        )
        bottom = name
    path = folder / "pair.prototxt"
    path.write_text(text, encoding="utf-8")
    return caffe.Net(str(path), caffe.TEST)


@pytest.mark.parametrize("suffix", [".caffemodel", ".caffemodel.h5"])
def test_what_is_not_taken_is_told(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"w{suffix}"
    trained = pair(tmp_path, ("ip1", 4), ("ip2", 5), ("ip3_old", 2))
    for index, blob in enumerate(blob for blobs in trained.params.values() for blob in blobs):
        blob.data[...] = index + 1
    (trained.save if suffix == ".caffemodel" else trained.save_hdf5)(path)
    loaded = pair(tmp_path, ("ip1", 4), ("ip2", 6), ("ip3", 2))
    kept = loaded.params["ip2"][0].data.copy()
    not_taken = load_weights(loaded, path, complete=False)
    assert list(map(str, not_taken)) == [
        "'ip3': the file has none; did you mean 'ip3_old'?",
        "'ip2': blob 0 is 6×4, the file's 5×4",
        "'ip3_old': the net has none",
    ]
    assert np.all(loaded.params["ip1"][0].data == 1)
    assert np.all(loaded.params["ip1"][1].data == 2)
    assert np.array_equal(loaded.params["ip2"][0].data, kept)
    text = told(not_taken, path, "net.prototxt")
    assert text.startswith(f"{path} and net.prototxt differ in these layers")
    assert all(str(one) in text for one in not_taken)


@pytest.mark.parametrize("suffix", [".caffemodel", ".caffemodel.h5"])
def test_layers_that_share_their_weights_are_complete(tmp_path: Path, suffix: str) -> None:
    """HDF5 holds a shared blob once, in the group of the first layer that has it."""
    layer = (
        'layer {{ name: "{0}" type: "InnerProduct" bottom: "x" top: "{0}" inner_product_param '
        '{{ num_output: 2 bias_term: {1} }} param {{ name: "w" }} {2} }}\n'
    )
    (tmp_path / "twins.prototxt").write_text(
        NET.partition('layer { name: "%s"')[0]
        + layer.format("a", "false", "")
        + layer.format("b", "false", "")
        + layer.format("c", "true", 'param { name: "c_bias" }'),
        encoding="utf-8",
    )
    trained, loaded = (caffe.Net(tmp_path / "twins.prototxt", caffe.TEST) for _ in range(2))
    trained.params["a"][0].data[...] = np.arange(6).reshape(2, 3)
    trained.params["c"][1].data[...] = [7, 8]
    path = tmp_path / f"w{suffix}"
    (trained.save if suffix == ".caffemodel" else trained.save_hdf5)(path)
    assert load_weights(loaded, path, complete=True) == ()
    for name in ("a", "b", "c"):
        assert np.array_equal(loaded.params[name][0].data, np.arange(6).reshape(2, 3))
    assert loaded.params["c"][1].data.tolist() == [7, 8]


@pytest.mark.parametrize("suffix", [".caffemodel", ".caffemodel.h5"])
def test_weights_of_which_nothing_fits_name_both_files(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"w{suffix}"
    trained = pair(tmp_path, ("ip1_old", 4), ("wide", 7))
    (trained.save if suffix == ".caffemodel" else trained.save_hdf5)(path)
    loaded = pair(tmp_path, ("ip1", 4), ("wide", 8))
    with pytest.raises(WeightsError) as raised:
        load_weights(loaded, path, complete=False, net_name="net.prototxt")
    for words in (
        str(path),
        "net.prototxt",
        "no weights for layer 'ip1'; it holds 'ip1_old', 'wide'",
        "'wide': blob 0 is 8×4, the file's 7×4",
        "did you mean 'ip1_old'?",
    ):
        assert words in str(raised.value)


def test_a_layer_of_the_same_name_without_weights_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "w.caffemodel"
    trained = pair(tmp_path, ("ip1", 4), ("ip2", 5))
    trained.params["ip1"][0].data[...] = 3
    trained.save(path)
    text = (tmp_path / "pair.prototxt").read_text(encoding="utf-8")
    relu = 'layer { name: "ip2" type: "ReLU" bottom: "ip1" top: "ip2" }\n'
    other = tmp_path / "relu.prototxt"
    other.write_text(text[: text.index('layer { name: "ip2"')] + relu, encoding="utf-8")
    loaded = caffe.Net(str(other), caffe.TEST)
    (foreign,) = load_weights(loaded, path, complete=True)
    assert str(foreign) == "'ip2': the net has none"
    assert np.all(loaded.params["ip1"][0].data == 3)
