"""Nets of 2013 and 2014 in today's format."""

from __future__ import annotations

import caffe
import pytest
from caffe.proto import caffe_pb2
from google.protobuf import text_format

from ul2q.nets.prototxt import PrototxtError
from ul2q.nets.upgrade import upgrade_net

# Of 2013: layers within connections, types in lower case, padding as a layer of its own.
V0 = """
name: "old"
input: "data" input_dim: 1 input_dim: 3 input_dim: 8 input_dim: 8
layers { layer { name: "pad1" type: "padding" pad: 1 } bottom: "data" top: "pad1" }
layers { layer { name: "conv1" type: "conv" num_output: 4 kernelsize: 3 stride: 2
                 weight_filler { type: "gaussian" std: 0.01 }
                 blobs_lr: 1 blobs_lr: 2 weight_decay: 1 weight_decay: 0 }
         bottom: "pad1" top: "conv1" }
layers { layer { name: "relu1" type: "relu" } bottom: "conv1" top: "conv1" }
layers { layer { name: "fc" type: "innerproduct" num_output: 2 } bottom: "conv1" top: "fc" }
layers { layer { name: "prob" type: "softmax" } bottom: "fc" top: "prob" }
"""
# The same of 2014: a message of options for each type, types without quotes.
V1 = """
name: "old"
input: "data" input_dim: 1 input_dim: 3 input_dim: 8 input_dim: 8
layers { name: "conv1" type: CONVOLUTION bottom: "data" top: "conv1"
         convolution_param { num_output: 4 pad: 1 kernel_size: 3 stride: 2
                             weight_filler { type: "gaussian" std: 0.01 } }
         blobs_lr: 1 blobs_lr: 2 weight_decay: 1 weight_decay: 0 }
layers { name: "relu1" type: RELU bottom: "conv1" top: "conv1" }
layers { name: "fc" type: INNER_PRODUCT bottom: "conv1" top: "fc"
         inner_product_param { num_output: 2 } }
layers { name: "prob" type: SOFTMAX bottom: "fc" top: "prob" }
"""
# What upgrade_net_proto_text of BVLC's writes for either.
TODAY = """\
name: "old"
layer {
  name: "input"
  type: "Input"
  top: "data"
  input_param {
    shape {
      dim: 1
      dim: 3
      dim: 8
      dim: 8
    }
  }
}
layer {
  name: "conv1"
  type: "Convolution"
  bottom: "data"
  top: "conv1"
  param {
    lr_mult: 1
    decay_mult: 1
  }
  param {
    lr_mult: 2
    decay_mult: 0
  }
  convolution_param {
    num_output: 4
    pad: 1
    kernel_size: 3
    stride: 2
    weight_filler {
      type: "gaussian"
      std: 0.01
    }
  }
}
layer {
  name: "relu1"
  type: "ReLU"
  bottom: "conv1"
  top: "conv1"
}
layer {
  name: "fc"
  type: "InnerProduct"
  bottom: "conv1"
  top: "fc"
  inner_product_param {
    num_output: 2
  }
}
layer {
  name: "prob"
  type: "Softmax"
  bottom: "fc"
  top: "prob"
}
"""


def net_of(text: str) -> caffe_pb2.NetParameter:
    return text_format.Parse(text, caffe_pb2.NetParameter())


@pytest.mark.parametrize("text", [V0, V1, TODAY], ids=["2013", "2014", "today"])
def test_nets_of_each_format(text: str) -> None:
    upgraded = upgrade_net(net_of(text), "net.prototxt")
    assert upgraded.text == TODAY
    assert upgraded.message == net_of(TODAY)
    made = caffe.Net.from_proto(net_of(text), caffe.TEST)  # Caffe's own way from the old text
    again = caffe.Net.from_proto(upgraded.message, caffe.TEST)
    assert list(made._layer_names) == list(again._layer_names)
    assert [blob.data.shape for blob in made.params["fc"]] == [
        blob.data.shape for blob in again.params["fc"]
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('layers { layer { name: "a" type: "warp" } }', "a.prototxt: "),
        ('layers { name: "a" } layer { name: "b" }', "`layers`.* beside `layer`"),
        ('layers { layer { name: "a" type: "relu" num_output: 3 } }', "no counterpart"),
    ],
)
def test_what_cannot_be_upgraded(text: str, words: str) -> None:
    with pytest.raises(PrototxtError, match=words):
        upgrade_net(net_of(text), "a.prototxt")
