"""`ul2q.load`: the same model from files as from the net that they hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

import caffe
import numpy as np
import pytest
from caffe.proto import caffe_pb2
from google.protobuf import text_format

import ul2q
from tests.deploy.trained import bundled, fill, inputs_of
from ul2q.models.caffemodel import WeightsError
from ul2q.nets.prototxt import PrototxtError

if TYPE_CHECKING:
    from pathlib import Path

DATA = """layer { name: "data" type: "Data" top: "data" top: "label" include { phase: TRAIN }
  transform_param { crop_size: 6 mean_value: 1 mean_value: 2 mean_value: 3 }
  data_param { source: "nowhere" batch_size: 2 backend: LMDB } }"""
RANDOM = """layer { name: "data" type: "DummyData" top: "data" top: "label"
  dummy_data_param { shape { dim: 2 dim: 3 dim: 6 dim: 6 } shape { dim: 2 } } }"""
INPUT = """layer { name: "data" type: "Input" top: "data"
  input_param { shape { dim: 2 dim: 3 dim: 6 dim: 6 } } }"""
# `ip` is read twice, for which Caffe adds a layer to the net that it saves.
REST = """
layer { name: "conv" type: "QuantizedConvolution" bottom: "data" top: "conv"
  convolution_param { num_output: 4 kernel_size: 3 } quantization_param { weight { bits: 2 } } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
layer { name: "sum" type: "Eltwise" bottom: "conv" bottom: "conv" top: "sum" }
layer { name: "drop" type: "Dropout" bottom: "sum" top: "sum" }
layer { name: "ip" type: "QuantizedInnerProduct" bottom: "sum" top: "ip"
  inner_product_param { num_output: 5 } quantization_param { weight { bits: 2 } } }
"""
LOSS = 'layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" }'
SOFTMAX = 'layer { name: "prob" type: "Softmax" bottom: "ip" top: "prob" }'


def trained(path: Path, data: str) -> None:
    """Write the .caffemodel that training with a data layer leaves."""
    fill(caffe.Net.from_proto(RANDOM + REST + LOSS, caffe.TRAIN)).save(path)
    model = caffe_pb2.NetParameter.FromString(path.read_bytes())
    assert any(layer.type == "Split" for layer in model.layer)
    (layer,) = text_format.Parse(data, caffe_pb2.NetParameter()).layer
    model.layer[0].CopyFrom(layer)
    path.write_bytes(model.SerializeToString())


def test_weights_tell_their_net(tmp_path: Path) -> None:
    path = tmp_path / "net.caffemodel"
    trained(path, DATA)
    (tmp_path / "deploy.prototxt").write_text(INPUT + REST + SOFTMAX)
    net = caffe.Net(tmp_path / "deploy.prototxt", caffe.TEST, weights=path)
    values = inputs_of(net)
    net.forward(**values)
    for model in (ul2q.load(path), ul2q.load(path, tmp_path / "deploy.prototxt")):
        assert model.inputs == {"data": (3, 6, 6)}
        assert model.outputs == {"prob": (5,)}
        np.testing.assert_allclose(model(values)["prob"], net.blobs["prob"].data, atol=1e-6)


def test_weights_of_a_deployed_net(tmp_path: Path) -> None:
    net = bundled("lenet", weight_bits=2, activation_bits=8)
    net.save(tmp_path / "net.caffemodel")
    values = inputs_of(net)
    got = ul2q.load(tmp_path / "net.caffemodel")(values)
    np.testing.assert_array_equal(got["prob"], ul2q.compile(net)(values)["prob"])


def test_what_is_not_told_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "net.caffemodel"
    trained(path, DATA.replace("crop_size: 6", ""))
    with pytest.raises(
        PrototxtError,
        match=r"net\.caffemodel: layer 'data' \(Data\) does not tell the shape .* or give the "
        "prototxt that is deployed, too",
    ):
        ul2q.load(path)
    for net in (caffe_pb2.NetParameter(), caffe_pb2.NetParameter(layers=[{}])):
        path.write_bytes(net.SerializeToString())
        with pytest.raises(WeightsError, match="give a deploy prototxt, too"):
            ul2q.load(path)
    (tmp_path / "net.caffemodel.h5").write_bytes(b"")
    with pytest.raises(WeightsError, match="HDF5, which holds no layers: give a deploy prototxt"):
        ul2q.load(tmp_path / "net.caffemodel.h5")
    with pytest.raises(FileNotFoundError):
        ul2q.load(tmp_path / "none.caffemodel")
