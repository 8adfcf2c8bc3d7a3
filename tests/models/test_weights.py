"""Weights that go into a net: what test_evaluation.py and the tests of training leave out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import caffe
import numpy as np
import pytest
from caffe.proto import caffe_pb2

from ul2q.models.caffemodel import WeightsError
from ul2q.models.weights import load_weights

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
