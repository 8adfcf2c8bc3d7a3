"""Stock layers with the quantised values: a prototxt and a caffemodel for any Caffe.

The size is that of the float net. BatchNorm, Scale and Bias are folded; those that stay are Scale
layers.
"""

from __future__ import annotations

from functools import singledispatch
from typing import TYPE_CHECKING, Any

import caffe
import numpy as np
from caffe.proto import caffe_pb2
from google.protobuf import text_format

from ul2q.deploy import ops
from ul2q.deploy.errors import DeployError
from ul2q.deploy.quantized import values_of
from ul2q.deploy.targets.importers import misread
from ul2q.deploy.targets.target import TargetOptions, Written

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from ul2q.deploy.graph import Graph, Node

NAME = "caffe"
SUMMARY = "stock layers with the quantised values, for any Caffe and what reads its files"
SUFFIX = ".prototxt"
FOLDS = True
OPTIONS = ()


def write(graph: Graph, output: Path, _: TargetOptions) -> Written:
    """The prototxt that is named, and a .caffemodel of the same name beside it."""
    weights = output.with_suffix(".caffemodel")
    net = caffe_pb2.NetParameter(name=graph.name)
    for name in graph.inputs:
        layer = net.layer.add(name=name, type="Input", top=[name])
        layer.input_param.shape.add().dim.extend(graph.shapes[name])
    model = caffe_pb2.NetParameter(name=graph.name)
    sizes = []
    for node in graph.nodes:
        layer = net.layer.add(name=node.name, bottom=node.inputs, top=node.outputs)
        blobs = translate(node.op, node, layer)
        # As in Caffe's own files, layers without blobs are there, too: one of none is refused.
        stored = model.layer.add(name=node.name, type=layer.type)
        for values in blobs:
            blob = stored.blobs.add()
            blob.shape.dim.extend(values.shape)
            blob.data.extend(values.ravel().tolist())
        if blobs:
            sizes.append((node.name, stored.ByteSize()))
    text = text_format.MessageToString(net)
    return Written(
        {output: text.encode(), weights: model.SerializeToString()}, sizes, misread(graph)
    )


def run(graph: Graph, path: Path, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """The outputs by Caffe."""
    net = caffe.Net(path, caffe.TEST, weights=path.with_suffix(".caffemodel"))
    found = net.forward(**inputs)
    return {name: np.array(found[name]) for name in graph.outputs}


Blobs = list["NDArray[np.float32]"]


@singledispatch
def translate(_: ops.Op, node: Node, __: Any) -> Blobs:
    """Fill in a layer's type and options, and return its blobs."""
    raise DeployError(
        f"layer {node.name!r} ({node.label}): BVLC Caffe has no layer that computes this; "
        "--to onnx takes it"
    )


@translate.register(ops.Convolution)
@translate.register(ops.Deconvolution)
def _(op: ops.Convolution | ops.Deconvolution, _: Node, layer: Any) -> Blobs:
    layer.type = type(op).__name__
    options = layer.convolution_param
    options.num_output = op.outputs
    for name, short, values in (
        ("kernel_size", "kernel", op.kernel),
        ("stride", "stride", op.stride),
        ("pad", "pad", op.pad),
        ("dilation", "", op.dilation),
    ):
        # Importers know one number, or a height and a width, better than a list.
        if len(set(values)) == 1:
            getattr(options, name).append(values[0])
        elif len(values) == 2 and short:
            for suffix, value in zip("hw", values, strict=True):
                setattr(options, f"{short}_{suffix}", value)
        else:
            getattr(options, name).extend(values)
    options.group = op.group
    options.bias_term = op.bias is not None
    return [values_of(weight) for weight in op.weights.values()]


@translate.register(ops.InnerProduct)
def _(op: ops.InnerProduct, _: Node, layer: Any) -> Blobs:
    layer.type = "InnerProduct"
    layer.inner_product_param.num_output = op.outputs
    layer.inner_product_param.axis = op.axis
    layer.inner_product_param.bias_term = op.bias is not None
    return [values_of(weight) for weight in op.weights.values()]


@translate.register(ops.Embedding)
def _(op: ops.Embedding, _: Node, layer: Any) -> Blobs:
    layer.type = "Embed"
    layer.embed_param.input_dim, layer.embed_param.num_output = op.weight.shape
    layer.embed_param.bias_term = op.bias is not None
    return [values_of(weight) for weight in op.weights.values()]


@translate.register(ops.Lstm)
@translate.register(ops.Rnn)
def _(op: ops.Recurrent, _: Node, layer: Any) -> Blobs:
    layer.type = type(op).__name__.upper()
    layer.recurrent_param.num_output = op.hidden
    layer.recurrent_param.expose_hidden = op.exposes_state
    return [values_of(weight) for weight in op.weights.values()]


@translate.register(ops.Pooling)
def _(op: ops.Pooling, _: Node, layer: Any) -> Blobs:
    layer.type = "Pooling"
    options = layer.pooling_param
    options.pool = options.MAX if op.kind == "max" else options.AVE
    options.kernel_h, options.kernel_w = op.kernel
    options.stride_h, options.stride_w = op.stride
    options.pad_h, options.pad_w = op.pad
    if not op.rounds_up:
        options.round_mode = options.FLOOR
    return []


@translate.register(ops.Affine)
def _(op: ops.Affine, _: Node, layer: Any) -> Blobs:
    layer.type = "Scale"
    axes = [axis for axis, size in enumerate(op.scale.shape) if size > 1]
    first = axes[0] if axes else 0
    shape = op.scale.shape[first : axes[-1] + 1] if axes else ()
    layer.scale_param.axis = first
    layer.scale_param.num_axes = len(shape)
    layer.scale_param.bias_term = True
    return [op.scale.reshape(shape), op.shift.reshape(shape)]


@translate.register(ops.Relu)
def _(op: ops.Relu, _: Node, layer: Any) -> Blobs:
    layer.type = "ReLU"
    if op.slope:
        layer.relu_param.negative_slope = op.slope
    return []


@translate.register(ops.PRelu)
def _(op: ops.PRelu, _: Node, layer: Any) -> Blobs:
    layer.type = "PReLU"
    if op.slopes.size > 1:
        return [op.slopes]
    layer.prelu_param.channel_shared = True
    return [op.slopes.reshape(())]


@translate.register(ops.Elu)
def _(op: ops.Elu, _: Node, layer: Any) -> Blobs:
    layer.type = "ELU"
    layer.elu_param.alpha = op.alpha
    return []


_PLAIN: dict[type[ops.Op], str] = {
    ops.Sigmoid: "Sigmoid",
    ops.Tanh: "TanH",
    ops.Abs: "AbsVal",
    ops.Softplus: "BNLL",
}


@translate.register(ops.Sigmoid)
@translate.register(ops.Tanh)
@translate.register(ops.Abs)
@translate.register(ops.Softplus)
def _(op: ops.Op, _: Node, layer: Any) -> Blobs:
    layer.type = _PLAIN[type(op)]
    return []


@translate.register(ops.Swish)
def _(op: ops.Swish, _: Node, layer: Any) -> Blobs:
    layer.type = "Swish"
    layer.swish_param.beta = op.beta
    return []


@translate.register(ops.Power)
def _(op: ops.Power, _: Node, layer: Any) -> Blobs:
    layer.type = "Power"
    options = layer.power_param
    options.power, options.scale, options.shift = op.power, op.scale, op.shift
    return []


@translate.register(ops.Exp)
@translate.register(ops.Log)
def _(op: ops.Exp | ops.Log, _: Node, layer: Any) -> Blobs:
    layer.type = type(op).__name__
    options = layer.exp_param if isinstance(op, ops.Exp) else layer.log_param
    options.base, options.scale, options.shift = op.base, op.scale, op.shift
    return []


@translate.register(ops.Threshold)
def _(op: ops.Threshold, _: Node, layer: Any) -> Blobs:
    layer.type = "Threshold"
    layer.threshold_param.threshold = op.threshold
    return []


@translate.register(ops.Clip)
def _(op: ops.Clip, _: Node, layer: Any) -> Blobs:
    layer.type = "Clip"
    layer.clip_param.min, layer.clip_param.max = op.lowest, op.highest
    return []


@translate.register(ops.Softmax)
def _(op: ops.Softmax, _: Node, layer: Any) -> Blobs:
    layer.type = "Softmax"
    layer.softmax_param.axis = op.axis
    return []


@translate.register(ops.ChannelLrn)
def _(op: ops.ChannelLrn, _: Node, layer: Any) -> Blobs:
    layer.type = "LRN"
    options = layer.lrn_param
    options.local_size, options.alpha, options.beta, options.k = op.size, op.alpha, op.beta, op.k
    return []


@translate.register(ops.WindowLrn)
def _(op: ops.WindowLrn, _: Node, layer: Any) -> Blobs:
    layer.type = "LRN"
    options = layer.lrn_param
    options.local_size, options.alpha, options.beta = op.size, op.alpha, op.beta
    options.norm_region = options.WITHIN_CHANNEL
    return []


@translate.register(ops.Mvn)
def _(op: ops.Mvn, _: Node, layer: Any) -> Blobs:
    layer.type = "MVN"
    options = layer.mvn_param
    options.normalize_variance, options.eps = op.with_variance, op.eps
    options.across_channels = op.axes[0] == 1
    return []


@translate.register(ops.Sum)
def _(op: ops.Sum, _: Node, layer: Any) -> Blobs:
    layer.type = "Eltwise"
    if any(c != 1 for c in op.coefficients):
        layer.eltwise_param.coeff.extend(op.coefficients)
    return []


@translate.register(ops.Product)
def _(_: ops.Product, __: Node, layer: Any) -> Blobs:
    layer.type = "Eltwise"
    layer.eltwise_param.operation = layer.eltwise_param.PROD
    return []


@translate.register(ops.Maximum)
def _(_: ops.Maximum, __: Node, layer: Any) -> Blobs:
    layer.type = "Eltwise"
    layer.eltwise_param.operation = layer.eltwise_param.MAX
    return []


@translate.register(ops.Broadcast)
def _(op: ops.Broadcast, _: Node, layer: Any) -> Blobs:
    layer.type = "Scale" if op.operation == "multiply" else "Bias"
    options = layer.scale_param if op.operation == "multiply" else layer.bias_param
    options.axis = op.axis
    return []


@translate.register(ops.Reduction)
def _(op: ops.Reduction, _: Node, layer: Any) -> Blobs:
    layer.type = "Reduction"
    options = layer.reduction_param
    options.operation = getattr(options, op.kind.upper())
    options.axis, options.coeff = op.axis, op.coefficient
    return []


@translate.register(ops.ArgMax)
def _(op: ops.ArgMax, _: Node, layer: Any) -> Blobs:
    layer.type = "ArgMax"
    options = layer.argmax_param
    options.top_k, options.out_max_val = op.count, op.values
    if op.axis is not None:
        options.axis = op.axis
    return []


@translate.register(ops.Reshape)
def _(op: ops.Reshape, _: Node, layer: Any) -> Blobs:
    layer.type = "Reshape"
    layer.reshape_param.shape.dim.extend(op.shape)
    return []


@translate.register(ops.Concat)
def _(op: ops.Concat, _: Node, layer: Any) -> Blobs:
    layer.type = "Concat"
    layer.concat_param.axis = op.axis
    return []


@translate.register(ops.Slice)
def _(op: ops.Slice, _: Node, layer: Any) -> Blobs:
    layer.type = "Slice"
    layer.slice_param.axis = op.axis
    layer.slice_param.slice_point.extend(np.cumsum(op.sizes)[:-1].tolist())
    return []


@translate.register(ops.Crop)
def _(op: ops.Crop, _: Node, layer: Any) -> Blobs:
    layer.type = "Crop"
    layer.crop_param.axis = 0
    layer.crop_param.offset.extend(op.offsets)
    return []


@translate.register(ops.Tile)
def _(op: ops.Tile, _: Node, layer: Any) -> Blobs:
    layer.type = "Tile"
    layer.tile_param.axis, layer.tile_param.tiles = op.axis, op.count
    return []
