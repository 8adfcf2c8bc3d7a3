"""The nets of benchmarks/inference.py: 2-bit weights, activations of so many bits, random weights.

`describe` writes one as plain arrays, so that environments without ul2q can read it.
"""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

import caffe
import numpy as np

from ul2q import NetQuantization, gather_activation_averages, prototxt_path, quantize_net
from ul2q.deploy import QuantizedTensor, lower, ops
from ul2q.deploy.packing import packed_net
from ul2q.deploy.quantized import values_of

if TYPE_CHECKING:
    from pathlib import Path

NETS = ("lenet", "cifarnet", "vgg7_64", "resnet18", "inner_product")

_PRODUCT = """
name: "inner_product"
layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 1 dim: 4096 } } }
layer { name: "relu" type: "ReLU" bottom: "x" top: "y" }
layer { name: "q" type: "QuantizedActivation" bottom: "y" top: "q"
  quantization_param { activation { bits: BITS signed: false } } }
layer { name: "ip" type: "QuantizedInnerProduct" bottom: "q" top: "ip"
  inner_product_param { num_output: 4096 } quantization_param { weight { bits: 2 } } }
"""


def build(name: str, bits: int, *, batch: int = 1) -> Any:
    """A net in phase TEST with weights and averages that keep activations at the data's size."""
    if name == "inner_product":
        text = _PRODUCT.replace("BITS", str(bits))
    else:
        path = prototxt_path(f"{name}/deploy_float.prototxt")
        options = NetQuantization(weight_bits=2, activation_bits=bits, last_bits=8)
        text = quantize_net(path, options).text
    net = caffe.Net.from_proto(text.replace("dim: 1 ", f"dim: {batch} ", 1), caffe.TEST)
    rng = np.random.default_rng(0)
    for layer, blobs in net.params.items():
        kind = net.layer_dict[layer].type
        for index, blob in enumerate(blobs):
            shape = blob.data.shape
            if kind == "QuantizedActivation":
                continue
            if kind == "BatchNorm":
                blob.data[...] = (0.0, 1.0, 1.0)[index]
            elif kind == "Scale":
                blob.data[...] = (1.0, 0.0)[index]
            else:
                fan_in = int(np.prod(shape[1:])) if len(shape) > 1 else 1e4
                blob.data[...] = rng.normal(size=shape) * np.sqrt(2 / fan_in)
    gather_activation_averages(net, [inputs_of(net)])
    return net


def inputs_of(net: Any) -> dict[str, Any]:
    """Normally distributed inputs."""
    rng = np.random.default_rng(1)
    return {
        name: rng.normal(size=net.blobs[name].data.shape).astype(np.float32) for name in net.inputs
    }


def describe(name: str, bits: int, path: Path) -> None:
    """Write the net's nodes as dictionaries of numbers and NumPy arrays, and its packed weights."""
    net = build(name, bits)
    packed_file(path).write_bytes(packed_net(net).content)
    graph = lower(net)
    nodes = [
        {"name": node.name, "inputs": node.inputs, "outputs": node.outputs, **_numbers(node.op)}
        for node in graph.nodes
    ]
    shapes = {tensor: graph.shapes[tensor][1:] for tensor in graph.shapes}
    described = {"nodes": nodes, "inputs": graph.inputs, "outputs": graph.outputs}
    path.write_bytes(pickle.dumps(described | {"shapes": shapes}))


def packed_file(path: Path) -> Path:
    """Where the packed .caffemodel stands that belongs to what `describe` writes."""
    return path.with_suffix(".packed.caffemodel")


def _numbers(op: Any) -> dict[str, Any]:
    numbers: dict[str, Any] = {"type": type(op).__name__}
    for field, value in vars(op).items():
        numbers[field] = values_of(value) if isinstance(value, QuantizedTensor) else value
    if isinstance(op, ops.Convolution | ops.InnerProduct) and isinstance(
        op.weight, QuantizedTensor
    ):
        # An int8 model has no shift: the nearest weights that are multiples of half a step.
        numbers["step"] = np.broadcast_to(op.weight.scale.ravel() / 2, op.outputs)
    return numbers
